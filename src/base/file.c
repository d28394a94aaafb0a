/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files of /proc do not say how long they are. */
static enum status read_to_end(struct arena *arena, int fd, const char *path, size_t max,
                               struct str *out, struct error *err)
{
    size_t done = 0, capacity = 4096;
    char *data = arena_alloc(arena, capacity + 1);
    ssize_t n;

    while ((n = read(fd, data + done, capacity - done)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, errno, "read '%s'", path);
        done += (size_t)n;
        if (done > max)
            return error_set(err, STATUS_LIMIT, "read '%s': more than the limit of %zu bytes",
                             path, max);
        if (done == capacity) {
            char *larger = arena_alloc(arena, capacity * 2 + 1);

            memcpy(larger, data, done);
            data = larger;
            capacity *= 2;
        }
    }
    *out = (struct str){ data, done };
    return STATUS_OK;
}

/*
 * Without O_NONBLOCK the open itself would wait for a pipe's other end. Of devices only those of
 * characters are read, such as /dev/null: they give something at once, or an error.
 */
static enum status open_file(const char *path, int flags, bool trusted, int *out,
                             struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
    struct stat info;

    if (fd < 0 && errno == ELOOP)
        return error_set(err, STATUS_INVALID, "read '%s': it is a link, not a file", path);
    if (fd < 0)
        return error_errno(err, errno, "open '%s'", path);
    if (fstat(fd, &info) != 0 ||
        !(S_ISREG(info.st_mode) || (trusted && S_ISCHR(info.st_mode)))) {
        close(fd);
        return error_set(err, STATUS_INVALID, "read '%s': not a regular file", path);
    }
    *out = fd;
    return STATUS_OK;
}

static enum status read_sized(struct arena *arena, int fd, const char *path, size_t size,
                              struct str *out, struct error *err)
{
    char *data = arena_alloc(arena, size + 1);
    size_t done = 0;

    while (done < size) {
        ssize_t n = read(fd, data + done, size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, errno, "read '%s'", path);
        if (n == 0)
            break; /* it shrank meanwhile */
        done += (size_t)n;
    }
    *out = (struct str){ data, done };
    return STATUS_OK;
}

static enum status read_whole(struct arena *arena, const char *path, bool trusted, size_t max,
                              struct str *out, struct error *err)
{
    struct stat info;
    enum status status;
    int fd;

    TRY(open_file(path, trusted ? 0 : O_NOFOLLOW, trusted, &fd, err));
    if (fstat(fd, &info) != 0)
        status = error_errno(err, errno, "read '%s'", path);
    else if ((uint64_t)info.st_size > max)
        status = error_set(err, STATUS_LIMIT, "read '%s': %lld bytes, the limit is %zu", path,
                           (long long)info.st_size, max);
    else if (info.st_size == 0)
        status = read_to_end(arena, fd, path, max, out, err);
    else
        status = read_sized(arena, fd, path, (size_t)info.st_size, out, err);
    close(fd);
    return status;
}

enum status file_read(struct arena *arena, const char *path, size_t max, struct str *out,
                      struct error *err)
{
    return read_whole(arena, path, true, max, out, err);
}

enum status file_read_untrusted(struct arena *arena, const char *path, size_t max,
                                struct str *out, struct error *err)
{
    return read_whole(arena, path, false, max, out, err);
}

enum status file_open_untrusted(const char *path, int *fd, struct error *err)
{
    return open_file(path, O_NOFOLLOW, false, fd, err);
}

bool file_write_all(int fd, struct str content)
{
    while (content.len > 0) {
        ssize_t n = write(fd, content.data, content.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        content = str_slice(content, (size_t)n, content.len);
    }
    return true;
}

/* The file itself where the path is a link to it; what is not there yet is meant as it is written. */
static void find_target(const char *path, char target[PATH_MAX])
{
    if (realpath(path, target) == NULL)
        snprintf(target, PATH_MAX, "%s", path);
}

/* Who may read it, and whose it is, stays as it was; a new one is everybody's to read. */
static bool keep_owner_and_mode(int fd, const char *path)
{
    struct stat was, is;

    if (stat(path, &was) != 0)
        return fchmod(fd, 0644) == 0;
    if (fstat(fd, &is) != 0)
        return false;
    /* Not everybody may give files away; then it is ours, with the same mode. */
    if ((was.st_uid != is.st_uid || was.st_gid != is.st_gid) &&
        fchown(fd, was.st_uid, was.st_gid) != 0)
        (void)!fchown(fd, (uid_t)-1, was.st_gid);
    return fchmod(fd, was.st_mode & 07777) == 0;
}

/* Closes fd; false with errno set. */
static bool fill(int fd, const char *target, struct str content)
{
    bool good = keep_owner_and_mode(fd, target) && file_write_all(fd, content) &&
                fsync(fd) == 0;
    int reason = errno;

    if (close(fd) != 0 && good)
        return false;
    errno = reason;
    return good;
}

enum status file_write(const char *path, struct str content, struct error *err)
{
    char target[PATH_MAX], temporary[PATH_MAX + 8];
    int fd, reason;

    if (strlen(path) >= PATH_MAX - 8)
        return error_set(err, STATUS_INVALID, "write '%.200s…': the path is too long", path);
    find_target(path, target);
    snprintf(temporary, sizeof(temporary), "%s.XXXXXX", target);
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "write '%s'", path);
    if (!fill(fd, target, content) || rename(temporary, target) != 0) {
        reason = errno;
        unlink(temporary);
        return error_errno(err, reason, "write '%s'", path);
    }
    return folder_sync(dirname(target), err);
}

static enum status copy_into(int in, int out, const char *from, const char *to,
                             struct error *err)
{
    struct stat info;

    if (fstat(in, &info) != 0)
        return error_errno(err, errno, "read '%s'", from);
    for (;;) {
        ssize_t n = copy_file_range(in, NULL, out, NULL, (size_t)1 << 30, 0);

        if (n == 0)
            break;
        /* Old kernels copy within one file system only; sendfile takes any. */
        if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS))
            n = sendfile(out, in, NULL, (size_t)1 << 30);
        if (n < 0 && errno != EINTR)
            return error_errno(err, errno, "copy '%s' to '%s'", from, to);
        if (n == 0)
            break;
    }
    if (fchmod(out, info.st_mode & 0777) != 0 || fsync(out) != 0)
        return error_errno(err, errno, "write '%s'", to);
    return STATUS_OK;
}

enum status file_copy(const char *from, const char *to, struct error *err)
{
    char temporary[4096];
    int in = open(from, O_RDONLY | O_CLOEXEC), out;
    enum status status;

    if (in < 0)
        return error_errno(err, errno, "open '%s'", from);
    snprintf(temporary, sizeof(temporary), "%.4080s.XXXXXX", to);
    out = mkostemp(temporary, O_CLOEXEC);
    if (out < 0) {
        int reason = errno;

        close(in);
        return error_errno(err, reason, "write '%s'", to);
    }
    status = copy_into(in, out, from, to, err);
    close(in);
    close(out);
    if (status == STATUS_OK && rename(temporary, to) != 0)
        status = error_errno(err, errno, "write '%s'", to);
    if (status != STATUS_OK)
        unlink(temporary);
    return status;
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

enum status folder_create(const char *path, struct error *err)
{
    char part[4096];
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof(part))
        return error_set(err, STATUS_INVALID, "create folder: the path is empty or too long");
    memcpy(part, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        part[i] = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return error_errno(err, errno, "create folder '%s'", part);
        part[i] = path[i];
    }
    return STATUS_OK;
}

static int remove_at(int parent, const char *name);

static int remove_content(int fd)
{
    DIR *dir = fdopendir(fd);
    struct dirent *entry;
    int result = 0;

    /* A read-only folder keeps what is in it, unless its owner changes his mind. */
    if (fchmod(fd, 0700) != 0)
        errno = 0;
    if (dir == NULL) {
        close(fd);
        return -1;
    }
    while (result == 0 && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        result = remove_at(dirfd(dir), entry->d_name);
    }
    closedir(dir);
    return result;
}

static int remove_at(int parent, const char *name)
{
    /* NOLINTNEXTLINE(clang-analyzer-unix.StdCLibraryFunctions): an open folder has a descriptor */
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOTDIR || errno == ELOOP ? unlinkat(parent, name, 0)
               : errno == ENOENT                  ? 0
                                                  : -1;
    if (remove_content(fd) != 0)
        return -1;
    return unlinkat(parent, name, AT_REMOVEDIR);
}

enum status folder_remove(const char *path, struct error *err)
{
    if (remove_at(AT_FDCWD, path) != 0)
        return error_errno(err, errno, "remove folder '%s'", path);
    return STATUS_OK;
}

enum status folder_sync(const char *path, struct error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result;

    if (fd < 0)
        return error_errno(err, errno, "open folder '%s'", path);
    result = fsync(fd);
    close(fd);
    if (result != 0)
        return error_errno(err, errno, "sync folder '%s'", path);
    return STATUS_OK;
}

static int sync_at(int parent, const char *name);

static int sync_content(int fd)
{
    DIR *dir = fdopendir(fd);
    struct dirent *entry;
    int result = 0;

    if (dir == NULL) {
        close(fd);
        return -1;
    }
    while (result == 0 && (entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = sync_at(fd, entry->d_name);
    if (result == 0)
        result = fsync(fd);
    closedir(dir);
    return result;
}

/* Files before the folder that names them. What cannot be opened, nobody will read either. */
static int sync_at(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), result;
    struct stat info;

    if (fd < 0)
        return errno == ELOOP || errno == EACCES || errno == ENXIO || errno == ENOENT ? 0 : -1;
    if (fstat(fd, &info) == 0 && S_ISDIR(info.st_mode))
        return sync_content(fd);
    result = S_ISREG(info.st_mode) ? fsync(fd) : 0;
    close(fd);
    return result;
}

enum status folder_sync_deep(const char *path, struct error *err)
{
    char above[4096];

    if (sync_at(AT_FDCWD, path) != 0)
        return error_errno(err, errno, "sync folder '%s'", path);
    snprintf(above, sizeof(above), "%s", path);
    return folder_sync(dirname(above), err);
}

static int compare_strs(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

enum status folder_list(struct arena *arena, const char *path, struct str **names,
                        size_t *count, struct error *err)
{
    DIR *dir = opendir(path);
    struct str *list = NULL;
    size_t used = 0, capacity = 0;
    struct dirent *entry;

    if (dir == NULL)
        return error_errno(err, errno, "open folder '%s'", path);
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            ARENA_PUSH(arena, list, used, capacity) = arena_str(arena, str_from(entry->d_name));
    }
    closedir(dir);
    if (used > 0)
        qsort(list, used, sizeof(*list), compare_strs);
    *names = list;
    *count = used;
    return STATUS_OK;
}

enum status path_below(struct arena *arena, const char *folder, struct str relative, char **out,
                       struct error *err)
{
    struct str rest = relative;
    struct str part;

    if (relative.len == 0 || relative.data[0] == '/' ||
        memchr(relative.data, '\0', relative.len) != NULL)
        return error_set(err, STATUS_INVALID,
                         "path '" STR_FMT "': expected a path inside the project",
                         STR_ARG(str_slice(relative, 0, 200)));
    while (str_split(&rest, '/', &part))
        if (str_equal(part, STR("..")))
            return error_set(err, STATUS_INVALID,
                             "path '" STR_FMT "': '..' would leave the project",
                             STR_ARG(str_slice(relative, 0, 200)));
    *out = arena_cstr(arena, arena_printf(arena, "%s/" STR_FMT, folder, STR_ARG(relative)));
    return STATUS_OK;
}

/* For glob(): what stands for itself has a backslash in front. */
static void put_escaped(struct str text, const char *special, char **to)
{
    for (size_t i = 0; i < text.len; i++) {
        if (strchr(special, text.data[i]) != NULL)
            *(*to)++ = '\\';
        *(*to)++ = text.data[i];
    }
}

static char *glob_pattern(struct arena *arena, const char *folder, struct str pattern)
{
    char *whole = arena_alloc(arena, 2 * (strlen(folder) + pattern.len) + 2), *to = whole;

    put_escaped(str_from(folder), "*?[\\", &to);
    *to++ = '/';
    put_escaped(pattern, "[\\", &to);
    *to = '\0';
    return whole;
}

enum status file_glob(struct arena *arena, const char *folder, struct str pattern,
                      struct str **paths, size_t *count, struct error *err)
{
    glob_t found;
    char *whole;
    int rc;

    TRY(path_below(arena, folder, pattern, &whole, err));
    rc = glob(glob_pattern(arena, folder, pattern), GLOB_NOSORT, NULL, &found);
    if (rc == GLOB_NOMATCH) {
        *paths = NULL;
        *count = 0;
        return STATUS_OK;
    }
    if (rc != 0)
        return error_set(err, STATUS_INTERNAL, "search for files '%s' failed", whole);
    *paths = ARENA_ARRAY(arena, struct str, found.gl_pathc);
    *count = found.gl_pathc;
    for (size_t i = 0; i < found.gl_pathc; i++)
        (*paths)[i] = arena_str(arena, str_from(found.gl_pathv[i]));
    globfree(&found);
    /* glob() sorts by the locale; ties of equal times go by the bytes of the names. */
    qsort(*paths, *count, sizeof(**paths), compare_strs);
    return STATUS_OK;
}
