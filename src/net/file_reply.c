/* SPDX-License-Identifier: Apache-2.0 */
#include "net/file_reply.h"

#include "net/connection.h"
#include "net/reply.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SMALL ((size_t)64 << 10)
#define PIECE ((size_t)128 << 10)
/* One call's share, so that a fast reader does not keep a thread of the pool for itself. */
#define KERNEL_PIECE ((size_t)1 << 20)

struct file_reply {
    int fd;
    uint64_t size;
    uint64_t offset;
    uv_fs_t req;
    struct connection *connection;
    char *piece; /* made when first needed */
};

static enum status read_small(struct turn *turn, int fd, size_t size, struct error *err)
{
    struct response *res = &turn->exchange.response;
    char *room = response_reserve(res, size);
    size_t done = 0;

    while (done < size) {
        ssize_t got = read(fd, room + done, size - done);

        if (got <= 0)
            return error_set(err, STATUS_INTERNAL, "%s became shorter while it was read",
                             res->file);
        done += (size_t)got;
    }
    return response_commit(res, res->code, res->content_type, size);
}

static enum status open_file(struct turn *turn, struct error *err)
{
    struct response *res = &turn->exchange.response;
    int fd = open(res->file, O_RDONLY | O_CLOEXEC);
    struct stat about;
    enum status status;

    if (fd < 0 || fstat(fd, &about) != 0) {
        status = error_errno(err, errno, "open %s", res->file);
        if (fd >= 0)
            close(fd);
        return status;
    }
    if ((size_t)about.st_size <= SMALL) {
        status = read_small(turn, fd, (size_t)about.st_size, err);
        close(fd);
        return status;
    }
    turn->file = calloc(1, sizeof(*turn->file));
    if (turn->file == NULL)
        abort();
    turn->file->fd = fd;
    turn->file->size = (uint64_t)about.st_size;
    return STATUS_OK;
}

void file_reply_open(struct turn *turn)
{
    struct error err;

    if (turn->exchange.response.kind != REPLY_FILE ||
        turn->exchange.response.handed_over != NULL)
        return;
    if (open_file(turn, &err) == STATUS_OK)
        return;
    turn->exchange.response.remove_file = false;
    /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): response_commit cannot fail */
    router_answer_error(&turn->exchange, http_code_of_status(err.status), &err);
}

void file_reply_free(struct file_reply **pointer)
{
    struct file_reply *file = *pointer;

    if (file == NULL)
        return;
    close(file->fd);
    free(file->piece);
    free(file);
    *pointer = NULL;
}

void file_reply_begin(struct connection *connection)
{
    struct turn *turn = connection->turn;
    struct exchange *exchange = &turn->exchange;
    const struct reply_frame frame = {
        .date = loop_date(connection->loop, exchange->request.start_ns),
        .keep_alive = turn->keep_alive,
        .is_old = turn->head.is_old,
        .has_length = true,
        .length = turn->file->size,
    };
    struct str head = reply_head_write(exchange, &frame, NULL, 0);
    uv_buf_t piece = uv_buf_init((char *)(uintptr_t)head.data, (unsigned)head.len);

    turn->file->connection = connection;
    if (exchange->is_head)
        turn->file->offset = turn->file->size;
    if (connection_send(connection, &piece, 1) == SENT_ALL)
        file_reply_next(connection);
}

static void count_sent(struct connection *connection, uint64_t bytes)
{
    connection->turn->file->offset += bytes;
    atomic_fetch_add_explicit(&connection->turn->bytes_sent, bytes, memory_order_relaxed);
}

static void on_read_piece(uv_fs_t *req)
{
    struct file_reply *file = container_of(req, struct file_reply, req);
    struct connection *connection = file->connection;
    ssize_t got = req->result;
    uv_buf_t piece;

    uv_fs_req_cleanup(req);
    if (!connection_operation_over(connection)) {
        file_reply_free(&file);
        return;
    }
    if (got <= 0) {
        connection_close(connection);
        return;
    }
    count_sent(connection, (uint64_t)got);
    piece = uv_buf_init(file->piece, (unsigned)got);
    if (connection_send(connection, &piece, 1) == SENT_ALL)
        file_reply_next(connection);
}

/* Through our memory: for TLS, and to learn when a full socket has room again. */
static void read_piece(struct file_reply *file)
{
    uint64_t left = file->size - file->offset;
    uv_buf_t room;

    if (file->piece == NULL && (file->piece = malloc(PIECE)) == NULL)
        abort();
    room = uv_buf_init(file->piece, (unsigned)(left < PIECE ? left : PIECE));
    connection_operation_begin(file->connection);
    uv_fs_read(&file->connection->loop->uv, &file->req, file->fd, &room, 1,
               (int64_t)file->offset, on_read_piece);
}

static void on_sendfile(uv_fs_t *req)
{
    struct file_reply *file = container_of(req, struct file_reply, req);
    struct connection *connection = file->connection;
    ssize_t sent = req->result;

    uv_fs_req_cleanup(req);
    if (!connection_operation_over(connection)) {
        file_reply_free(&file);
        return;
    }
    if (sent == UV_EAGAIN) {
        read_piece(file);
        return;
    }
    if (sent <= 0) {
        connection_close(connection);
        return;
    }
    count_sent(connection, (uint64_t)sent);
    file_reply_next(connection);
}

void file_reply_next(struct connection *connection)
{
    struct file_reply *file = connection->turn->file;
    uint64_t left = file->size - file->offset;
    uv_os_fd_t socket;

    connection_deadline(connection, connection->loop->settings->deadlines.idle_ms);
    if (left == 0) {
        connection_turn_over(connection, connection->turn->exchange.response.code);
        return;
    }
    if (connection->tls != NULL || uv_fileno((uv_handle_t *)&connection->tcp, &socket) != 0) {
        read_piece(file);
        return;
    }
    connection_operation_begin(connection);
    uv_fs_sendfile(&connection->loop->uv, &file->req, socket, file->fd, (int64_t)file->offset,
                   left < KERNEL_PIECE ? (size_t)left : KERNEL_PIECE, on_sendfile);
}

struct removal {
    uv_fs_t req;
    char path[];
};

static void on_removed(uv_fs_t *req)
{
    struct removal *removal = container_of(req, struct removal, req);

    uv_fs_req_cleanup(req);
    free(removal);
}

struct removal *file_reply_removal(const struct turn *turn)
{
    const char *path = turn->exchange.response.file;
    struct removal *removal;

    if (turn->exchange.is_head)
        return NULL;
    removal = calloc(1, sizeof(*removal) + strlen(path) + 1);
    if (removal == NULL)
        abort();
    memcpy(removal->path, path, strlen(path));
    return removal;
}

void file_reply_remove(struct loop *loop, struct removal *removal)
{
    if (removal != NULL)
        uv_fs_unlink(&loop->uv, &removal->req, removal->path, on_removed);
}
