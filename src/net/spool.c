/* SPDX-License-Identifier: Apache-2.0 */
#include "net/spool.h"

#include "net/connection.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* More than this in memory and the client has to wait. */
#define BEHIND_MAX ((size_t)1 << 20)

struct spool {
    struct connection *connection;
    struct loop *loop;
    char *path;
    int fd;
    struct buffer pending;
    struct buffer writing;
    size_t written; /* of writing */
    bool is_busy;
    bool is_dead; /* freed while busy */
    uv_fs_t req;
};

#define NAME_START "onggi-body-"

enum status spool_new(struct connection *connection, struct spool **out, struct error *err)
{
    const char *folder = connection->loop->server->config.spool_folder;
    struct spool *spool = calloc(1, sizeof(*spool));

    if (folder == NULL)
        folder = getenv("TMPDIR");
    if (spool == NULL || asprintf(&spool->path, "%s/" NAME_START "%ld-XXXXXX",
                                  folder == NULL ? "/tmp" : folder, (long)getpid()) < 0)
        abort();
    spool->fd = mkostemp(spool->path, O_CLOEXEC);
    if (spool->fd < 0) {
        error_errno(err, errno, "make %s for the body", spool->path);
        free(spool->path);
        free(spool);
        return err->status;
    }
    spool->connection = connection;
    spool->loop = connection->loop;
    *out = spool;
    return STATUS_OK;
}

static void on_closed(uv_fs_t *req)
{
    struct spool *spool = container_of(req, struct spool, req);

    uv_fs_req_cleanup(req);
    free(spool->path);
    buffer_free(&spool->pending);
    buffer_free(&spool->writing);
    free(spool);
}

static void on_unlinked(uv_fs_t *req)
{
    struct spool *spool = container_of(req, struct spool, req);

    uv_fs_req_cleanup(req);
    uv_fs_close(&spool->loop->uv, &spool->req, spool->fd, on_closed);
}

/* To give back what a large file takes on the disk is long for a loop. */
static void destroy(struct spool *spool)
{
    uv_fs_unlink(&spool->loop->uv, &spool->req, spool->path, on_unlinked);
}

/* The process that keeps a body in it, by the file's name; 0: it is none of ours. */
static long owner_of(struct str name)
{
    struct str number = str_slice(name, strlen(NAME_START), name.len);
    int64_t pid;

    if (!str_starts(name, STR(NAME_START)) ||
        !str_to_int64(str_slice(number, 0, str_index(number, '-')), &pid) || pid <= 0)
        return 0;
    return (long)pid;
}

void spool_sweep(const char *folder)
{
    struct arena *arena = arena_new();
    struct str *names = NULL;
    struct error ignored;
    size_t count = 0;

    if (folder_list(arena, folder, &names, &count, &ignored) != STATUS_OK)
        count = 0;
    for (size_t i = 0; i < count; i++) {
        long pid = owner_of(names[i]);

        /* We have none yet, and who is gone has left it behind. */
        if (pid != 0 && (pid == getpid() || (kill((pid_t)pid, 0) != 0 && errno == ESRCH)))
            unlink(arena_printf(arena, "%s/" STR_FMT, folder, STR_ARG(names[i])).data);
    }
    arena_free(arena);
}

static void write_some(struct spool *spool);

static void on_written(uv_fs_t *req)
{
    struct spool *spool = container_of(req, struct spool, req);
    struct connection *connection = spool->connection;
    ssize_t result = req->result;
    bool is_dead = spool->is_dead;

    uv_fs_req_cleanup(req);
    spool->is_busy = false;
    if (is_dead) {
        destroy(spool);
        connection_operation_over(connection);
        return;
    }
    spool->written += result > 0 ? (size_t)result : 0;
    if (result > 0)
        write_some(spool);
    connection_operation_over(connection);
    if (result <= 0)
        connection_spool_failed(connection, (int)-result);
    else
        connection_spooled(connection);
}

/* One write at a time: what comes meanwhile is the next one. */
static void write_some(struct spool *spool)
{
    uv_buf_t piece;

    if (spool->written == spool->writing.len) {
        struct buffer empty = spool->writing;

        buffer_clear(&empty);
        spool->writing = spool->pending;
        spool->pending = empty;
        spool->written = 0;
    }
    if (spool->writing.len == 0)
        return;
    spool->is_busy = true;
    piece = uv_buf_init(spool->writing.data + spool->written,
                        (unsigned)(spool->writing.len - spool->written));
    connection_operation_begin(spool->connection);
    uv_fs_write(&spool->connection->loop->uv, &spool->req, spool->fd, &piece, 1, -1,
                on_written);
}

void spool_write(struct spool *spool, struct str bytes)
{
    buffer_append(&spool->pending, bytes);
    if (!spool->is_busy)
        write_some(spool);
    if (spool->pending.len > BEHIND_MAX)
        connection_pause(spool->connection);
}

bool spool_is_idle(const struct spool *spool)
{
    return !spool->is_busy;
}

const char *spool_path(const struct spool *spool)
{
    return spool->path;
}

void spool_free(struct spool **pointer)
{
    struct spool *spool = *pointer;

    if (spool == NULL)
        return;
    *pointer = NULL;
    if (spool->is_busy)
        spool->is_dead = true;
    else
        destroy(spool);
}
