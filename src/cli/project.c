/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/project.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#define STATE_FOLDER ".onggi"
#define LOCK_FILE "lock"
#define SERVER_FILE "server.json"
#define SERVER_FILE_MAX 4096
#define LOCK_POLL_US 50000

enum status project_find(struct arena *arena, const char *start, struct project *out,
                         struct error *err)
{
    char *folder = realpath(start == NULL ? "." : start, NULL);
    size_t len;

    if (folder == NULL)
        return error_errno(err, errno, "project folder '%s'", start == NULL ? "." : start);
    for (len = strlen(folder); len > 0; folder[len] = '\0') {
        struct str marker = arena_printf(arena, "%s/onggi.yaml", folder);

        if (file_exists(marker.data))
            break;
        while (len > 0 && folder[--len] != '/')
            ;
    }
    if (len == 0) {
        free(folder);
        return error_set(err, STATUS_NOT_FOUND,
                         "no onggi.yaml in '%s' or above it; 'onggi init' makes a project, "
                         "--project DIR names one",
                         start == NULL ? "." : start);
    }
    out->folder = arena_cstr(arena, str_from(folder));
    out->state = (char *)arena_printf(arena, "%s/" STATE_FOLDER, folder).data;
    free(folder);
    return STATUS_OK;
}

char *project_path(struct arena *arena, const struct project *project, const char *name)
{
    return (char *)arena_printf(arena, "%s/%s", project->state, name).data;
}

/* ---- the lock */

static bool process_lives(int64_t pid)
{
    return pid > 0 && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

/* The file holds "PID WHAT", written by the last exclusive holder. */
static void read_holder(int fd, struct lock_holder *holder)
{
    char text[96];
    ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
    char *rest;

    *holder = (struct lock_holder){ 0 };
    if (len <= 0)
        return;
    text[len] = '\0';
    holder->pid = strtoll(text, &rest, 10);
    rest += strspn(rest, " ");
    snprintf(holder->what, sizeof(holder->what), "%.*s", (int)strcspn(rest, "\n"), rest);
    holder->is_server = strcmp(holder->what, "onggi serve") == 0;
    holder->alive = process_lives(holder->pid);
}

static void write_holder(int fd, const char *what)
{
    char text[96];
    int len = snprintf(text, sizeof(text), "%lld %s\n", (long long)getpid(), what);

    /* Only tells others whom they wait for: a full disk must not keep us from working. */
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len)
        return;
}

static enum status lock_is_held(const struct project *project, const struct lock_holder *holder,
                                struct error *err)
{
    if (holder->is_server && holder->alive)
        return error_set(
            err, STATUS_CONFLICT,
            "a server already runs on '%s' (process %lld); talk to that one, or stop "
            "it: kill %lld",
            project->folder, (long long)holder->pid, (long long)holder->pid);
    if (holder->is_server)
        return error_set(err, STATUS_CONFLICT,
                         "a server on '%s' was killed and its last requests are still ending",
                         project->folder);
    if (holder->alive)
        return error_set(err, STATUS_CONFLICT, "'%s' (process %lld) works on '%s'",
                         holder->what, (long long)holder->pid, project->folder);
    return error_set(err, STATUS_CONFLICT, "another command reads '%s'", project->folder);
}

enum status project_lock_try(const struct project *project, enum lock_mode mode,
                             const char *what, int *fd, struct lock_holder *holder,
                             struct error *err)
{
    char path[4096];
    int lock;

    TRY(folder_create(project->state, err));
    snprintf(path, sizeof(path), "%s/" LOCK_FILE, project->state);
    lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (lock < 0)
        return error_errno(err, errno, "open '%s'", path);
    if (flock(lock, (mode == LOCK_SHARED ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
        int reason = errno;

        read_holder(lock, holder);
        close(lock);
        return reason == EWOULDBLOCK ? lock_is_held(project, holder, err)
                                     : error_errno(err, reason, "lock '%s'", path);
    }
    if (mode == LOCK_EXCLUSIVE)
        write_holder(lock, what);
    *fd = lock;
    return STATUS_OK;
}

static enum status gave_up(unsigned timeout_ms, struct error *err)
{
    struct error held = *err;

    return error_set(err, STATUS_TIMEOUT, "%.400s; gave up after %u s", held.message,
                     timeout_ms / 1000);
}

enum status project_lock(const struct project *project, enum lock_mode mode, const char *what,
                         unsigned timeout_ms, int *fd, struct error *err)
{
    uint64_t start = clock_monotonic_ns();
    bool said = false;

    for (;;) {
        struct lock_holder holder = { 0 };
        enum status status = project_lock_try(project, mode, what, fd, &holder, err);

        if (status != STATUS_CONFLICT || (holder.is_server && holder.alive))
            return status;
        if (cli_interrupted())
            return error_set(err, STATUS_UNAVAILABLE, "interrupted");
        if ((clock_monotonic_ns() - start) / 1000000 > timeout_ms)
            return gave_up(timeout_ms, err);
        if (!said)
            print_note("onggi: waiting: %s", err->message);
        said = true;
        usleep(LOCK_POLL_US);
    }
}

/* ---- the server that lives on it */

enum status project_server_put(const struct project *project, const struct server_info *info,
                               struct error *err)
{
    struct arena *arena = arena_new();
    yyjson_mut_doc *doc = json_mut_doc(arena);
    yyjson_mut_val *object = yyjson_mut_obj(doc);
    enum status status;

    yyjson_mut_obj_add_int(doc, object, "pid", info->pid);
    json_add_str(doc, object, "url", info->url);
    json_add_str(doc, object, "version", info->version);
    if (info->certificate.len > 0)
        json_add_str(doc, object, "certificate", info->certificate);
    status = file_write(project_path(arena, project, SERVER_FILE),
                        json_mut_write_pretty(arena, object), err);
    arena_free(arena);
    return status;
}

static bool server_info_read(struct arena *arena, const struct project *project,
                             struct server_info *out)
{
    struct error err;
    struct str text;
    yyjson_val *json;

    out->certificate = STR_EMPTY;
    return file_read(arena, project_path(arena, project, SERVER_FILE), SERVER_FILE_MAX, &text,
                     &err) == STATUS_OK &&
           json_parse(arena, text, &json, &err) == STATUS_OK &&
           json_want_int64(json, "pid", &out->pid, &err) == STATUS_OK &&
           json_need_str(json, "url", &out->url, &err) == STATUS_OK &&
           json_want_str(json, "certificate", &out->certificate, &err) == STATUS_OK &&
           json_want_str(json, "version", &out->version, &err) == STATUS_OK;
}

bool project_server_find(struct arena *arena, const struct project *project,
                         struct server_info *out)
{
    struct server_info info = { 0 };
    struct lock_holder holder = { 0 };
    struct error err;
    int fd;

    if (!server_info_read(arena, project, &info) || !process_lives(info.pid))
        return false;
    /* Process numbers come again; only a server keeps the lock. */
    if (project_lock_try(project, LOCK_SHARED, "", &fd, &holder, &err) == STATUS_OK) {
        close(fd);
        return false;
    }
    if (!holder.is_server || holder.pid != info.pid)
        return false;
    *out = info;
    return true;
}

void project_server_remove(const struct project *project)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/" SERVER_FILE, project->state);
    unlink(path);
}
