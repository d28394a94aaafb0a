/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blobs as files: FOLDER/ab/cdef…, two digits of the hash for the folder so
 * that none grows too wide. A file appears under its name complete or not at
 * all, and is read-only from then on.
 */
#include "base/file.h"
#include "blob/blob_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct folder_store {
    struct blob_store base; /* first: what the callers hold */
    char *root;
};

static const char *root_of(const struct blob_store *base)
{
    return container_of(base, struct folder_store, base)->root;
}

#define NEW_START "new-"
/* Whoever still writes has touched its file since. */
#define ABANDONED_SECONDS 3600

/* What a process left that was killed while it wrote. */
static void sweep(const char *root)
{
    struct arena *arena = arena_new();
    struct str *names = NULL;
    struct error ignored;
    time_t now = time(NULL);
    size_t count = 0;

    if (folder_list(arena, root, &names, &count, &ignored) != STATUS_OK)
        count = 0;
    for (size_t i = 0; i < count; i++) {
        const char *path = arena_printf(arena, "%s/" STR_FMT, root, STR_ARG(names[i])).data;
        struct stat about;

        if (str_starts(names[i], STR(NEW_START)) && lstat(path, &about) == 0 &&
            S_ISREG(about.st_mode) && now - about.st_mtime > ABANDONED_SECONDS)
            unlink(path);
    }
    arena_free(arena);
}

static enum status folder_open(struct str location, struct blob_store **out, struct error *err)
{
    struct folder_store *store;
    char *root = strndup(location.data, location.len);

    if (root == NULL)
        abort();
    if (folder_create(root, err) != STATUS_OK) {
        free(root);
        return error_wrap(err, "open blob store");
    }
    store = calloc(1, sizeof(*store));
    if (store == NULL)
        abort();
    sweep(root);
    store->base.driver = &blob_folder;
    store->root = root;
    *out = &store->base;
    return STATUS_OK;
}

static void folder_close(struct blob_store *base)
{
    struct folder_store *store = container_of(base, struct folder_store, base);

    free(store->root);
    free(store);
}

#define PATH_SIZE 4096

static enum status path_of(const char *root, const char *hash, char path[PATH_SIZE],
                           struct error *err)
{
    int len = snprintf(path, PATH_SIZE, "%s/%.2s/%s", root, hash, hash + 2);

    if (len >= PATH_SIZE)
        return error_set(err, STATUS_LIMIT, "blob store: the path is too long");
    return STATUS_OK;
}

static enum status begin(const char *root, char path[PATH_SIZE], int *fd, struct error *err)
{
    if (snprintf(path, PATH_SIZE, "%s/" NEW_START "XXXXXX", root) >= PATH_SIZE)
        return error_set(err, STATUS_LIMIT, "blob store: the path is too long");
    *fd = mkostemp(path, O_CLOEXEC);
    if (*fd < 0)
        return error_errno(err, errno, "blob store: create '%s'", path);
    return STATUS_OK;
}

/* The temporary file becomes the blob; the name is durable when this returns. */
static enum status publish(const char *root, const char *temporary, const char *hash,
                           struct error *err)
{
    char path[PATH_SIZE];
    char folder[PATH_SIZE];

    TRY(path_of(root, hash, path, err));
    snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
    if (mkdir(folder, 0755) == 0)
        TRY(folder_sync(root, err));
    else if (errno != EEXIST)
        return error_errno(err, errno, "blob store: create '%s'", folder);
    if (rename(temporary, path) != 0)
        return error_errno(err, errno, "blob store: rename to '%s'", path);
    return folder_sync(folder, err);
}

/* Closes fd; on any failure the temporary file is gone. */
static enum status finish(const char *root, const char *temporary, int fd, bool written,
                          const char *hash, struct error *err)
{
    int reason = errno;

    if (written && (fchmod(fd, 0444) != 0 || fsync(fd) != 0)) {
        written = false;
        reason = errno;
    }
    close(fd);
    if (written && publish(root, temporary, hash, err) == STATUS_OK)
        return STATUS_OK;
    unlink(temporary);
    return written ? err->status : error_errno(err, reason, "blob store: write");
}

/* The hash of what is left to read. False with errno set. */
static bool hash_of(int fd, struct blob *out)
{
    struct sha256 *hash = sha256_new();
    char piece[65536];
    ssize_t n;

    out->size = 0;
    while ((n = read(fd, piece, sizeof(piece))) > 0 || (n < 0 && errno == EINTR)) {
        if (n < 0)
            continue;
        sha256_add(hash, piece, (size_t)n);
        out->size += n;
    }
    sha256_end(hash, out->hash);
    return n == 0;
}

enum intactness { BLOB_ABSENT, BLOB_DAMAGED, BLOB_INTACT };

static enum intactness look_at(const char *path, const char *hash)
{
    enum intactness found = BLOB_ABSENT;
    struct blob blob;
    struct error err;
    int fd;

    if (!file_exists(path))
        return BLOB_ABSENT;
    if (file_open_untrusted(path, &fd, &err) != STATUS_OK)
        return BLOB_DAMAGED;
    found = hash_of(fd, &blob) && strcmp(blob.hash, hash) == 0 ? BLOB_INTACT : BLOB_DAMAGED;
    close(fd);
    return found;
}

/* Whether there is nothing to write. Another one may have put it, and not yet have synced its name. */
static enum status is_there(const char *root, const char *hash, bool *out, struct error *err)
{
    char path[PATH_SIZE];

    TRY(path_of(root, hash, path, err));
    *out = look_at(path, hash) == BLOB_INTACT;
    if (!*out)
        return STATUS_OK;
    *strrchr(path, '/') = '\0';
    return folder_sync(path, err);
}

static enum status folder_put(struct blob_store *base, struct str content, struct blob *out,
                              struct error *err)
{
    struct sha256 *hash = sha256_new();
    char temporary[PATH_SIZE];
    struct blob blob = { .size = (int64_t)content.len };
    bool there;
    int fd;

    sha256_add(hash, content.data, content.len);
    sha256_end(hash, blob.hash);
    TRY(is_there(root_of(base), blob.hash, &there, err));
    if (!there) {
        TRY(begin(root_of(base), temporary, &fd, err));
        TRY(finish(root_of(base), temporary, fd, file_write_all(fd, content), blob.hash, err));
    }
    *out = blob;
    return STATUS_OK;
}

/* Hashes what it writes, so that a file that changes meanwhile still gets the name of its bytes. */
static bool copy_and_hash(int from, int to, struct blob *blob)
{
    struct sha256 *hash = sha256_new();
    char piece[65536];
    ssize_t n;
    bool good = true;

    while (good && (n = read(from, piece, sizeof(piece))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        good = n > 0 && file_write_all(to, (struct str){ piece, (size_t)n });
        if (good) {
            sha256_add(hash, piece, (size_t)n);
            blob->size += n;
        }
    }
    sha256_end(hash, blob->hash);
    return good;
}

static enum status copy_in(const char *root, int from, struct blob *blob, struct error *err)
{
    char temporary[PATH_SIZE];
    bool written;
    int to;

    TRY(begin(root, temporary, &to, err));
    blob->size = 0;
    written = lseek(from, 0, SEEK_SET) == 0 && copy_and_hash(from, to, blob);
    return finish(root, temporary, to, written, blob->hash, err);
}

static enum status folder_put_file(struct blob_store *base, const char *path, struct blob *out,
                                   struct error *err)
{
    struct blob blob;
    enum status status;
    bool there = false;
    int from;

    TRY(file_open_untrusted(path, &from, err));
    if (!hash_of(from, &blob))
        status = error_errno(err, errno, "read '%s'", path);
    else
        status = is_there(root_of(base), blob.hash, &there, err);
    if (status == STATUS_OK && !there)
        status = copy_in(root_of(base), from, &blob, err);
    close(from);
    if (status == STATUS_OK)
        *out = blob;
    return status;
}

static enum status folder_path(struct blob_store *base, struct arena *arena, struct str hash,
                               char **out, struct error *err)
{
    char path[PATH_SIZE];

    TRY(path_of(root_of(base), arena_cstr(arena, hash), path, err));
    if (!file_exists(path))
        return error_set(err, STATUS_NOT_FOUND, "no blob " STR_FMT, STR_ARG(hash));
    *out = arena_cstr(arena, str_from(path));
    return STATUS_OK;
}

static enum status folder_verify(struct blob_store *base, struct str hash, struct error *err)
{
    char path[PATH_SIZE], text[SHA256_HEX_LEN + 1];

    snprintf(text, sizeof(text), STR_FMT, STR_ARG(hash));
    TRY(path_of(root_of(base), text, path, err));
    switch (look_at(path, text)) {
    case BLOB_ABSENT:
        return error_set(err, STATUS_NOT_FOUND, "no blob " STR_FMT, STR_ARG(hash));
    case BLOB_DAMAGED:
        return blob_damaged(hash, err);
    case BLOB_INTACT:
        break;
    }
    return STATUS_OK;
}

const struct blob_driver blob_folder = {
    .name = "folder",
    .open = folder_open,
    .close = folder_close,
    .put = folder_put,
    .put_file = folder_put_file,
    .path = folder_path,
    .verify = folder_verify,
};
