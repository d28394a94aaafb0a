/* SPDX-License-Identifier: Apache-2.0 */
#include "net/answer_reader.h"
#include "net/event_reader.h"
#include "net/request_head.h"
#include "net/wire.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONNECT_MS 5000
#define ANSWER_MAX ((size_t)64 << 20)
#define PIECE ((size_t)64 << 10)

/* Where the body of the answer goes is known once its head is here. */
struct running_call {
    const struct http_options *options;
    struct answer_reader reader;
    struct event_reader events;
    int file; /* -1: none */
};

static enum status append_file(struct running_call *running, struct str bytes,
                               struct error *err)
{
    const char *path = running->options->answer_file;

    if (running->file < 0)
        running->file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (running->file < 0)
        return error_errno(err, errno, "write %s", path);
    while (bytes.len > 0) {
        ssize_t done = write(running->file, bytes.data, bytes.len);

        if (done < 0 && errno != EINTR)
            return error_errno(err, errno, "write %s", path);
        bytes = str_slice(bytes, done < 0 ? 0 : (size_t)done, bytes.len);
    }
    return STATUS_OK;
}

/* Into memory, as the reader would. */
static enum status append_memory(struct answer_reader *reader, struct str bytes,
                                 struct error *err)
{
    if (reader->body.len + bytes.len > reader->body_max)
        return error_set(err, STATUS_LIMIT, "the answer has more than %zu bytes",
                         reader->body_max);
    buffer_append(&reader->body, bytes);
    return STATUS_OK;
}

static enum status on_body(void *context, struct str bytes, struct error *err)
{
    struct running_call *running = context;
    const struct http_answer *answer = &running->reader.answer;
    bool good = answer->code >= 200 && answer->code < 300;

    if (running->options->events != NULL &&
        str_starts(answer->content_type, STR("text/event-stream")))
        return event_reader_feed(&running->events, bytes, err);
    if (good && running->options->answer_file != NULL)
        return append_file(running, bytes, err);
    return append_memory(&running->reader, bytes, err);
}

static enum status send_file(struct wire *wire, int fd, uint64_t left, struct error *err)
{
    char *piece = malloc(PIECE);
    enum status status = STATUS_OK;

    if (piece == NULL)
        abort();
    while (left > 0 && status == STATUS_OK) {
        ssize_t got = read(fd, piece, left < PIECE ? (size_t)left : PIECE);

        if (got <= 0)
            status = error_set(err, STATUS_INVALID,
                               "the file became shorter while it was sent");
        else
            status = wire_write(wire, (struct str){ piece, (size_t)got }, err);
        left -= got > 0 ? (uint64_t)got : 0;
    }
    free(piece);
    return status;
}

static enum status open_body(const struct http_options *options, int *fd, uint64_t *len,
                             struct error *err)
{
    struct stat about;

    *fd = -1;
    *len = options->body.len;
    if (options->body_file == NULL)
        return STATUS_OK;
    *fd = open(options->body_file, O_RDONLY | O_CLOEXEC);
    if (*fd < 0)
        return error_errno(err, errno, "open %s", options->body_file);
    if (fstat(*fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        close(*fd);
        return error_set(err, STATUS_INVALID, "%s is no regular file", options->body_file);
    }
    *len = (uint64_t)about.st_size;
    return STATUS_OK;
}

static enum status send_request(struct wire *wire, struct arena *arena, const struct url *url,
                                const struct http_options *options, struct error *err)
{
    enum status status;
    uint64_t len;
    int fd;

    TRY(open_body(options, &fd, &len, err));
    status = wire_write(wire, request_head_write(arena, url, options, len, false), err);
    if (status == STATUS_OK && fd >= 0)
        status = send_file(wire, fd, len, err);
    else if (status == STATUS_OK)
        status = wire_write(wire, options->body, err);
    if (fd >= 0)
        close(fd);
    return status;
}

static enum status read_answer(struct wire *wire, struct running_call *running,
                               struct error *err)
{
    char piece[16384];

    while (!running->reader.done) {
        size_t got;

        TRY(wire_read(wire, piece, sizeof(piece), &got, err));
        if (got == 0)
            TRY(answer_reader_end(&running->reader, err));
        else
            TRY(answer_reader_feed(&running->reader, (struct str){ piece, got }, err));
    }
    return STATUS_OK;
}

static enum status exchange_messages(struct wire *wire, struct arena *arena,
                                     const struct url *url, struct running_call *running,
                                     struct error *err)
{
    struct error read_err;

    /* A server that refuses early stops to read; what it said is worth more than our failure. */
    if (send_request(wire, arena, url, running->options, err) == STATUS_OK)
        return read_answer(wire, running, err);
    if (err->status == STATUS_UNAVAILABLE && read_answer(wire, running, &read_err) == STATUS_OK)
        return STATUS_OK;
    return err->status;
}

static void copy_answer(struct arena *arena, const struct http_answer *answer,
                        struct http_answer *out)
{
    *out = (struct http_answer){ .code = answer->code,
                                 .content_type = arena_str(arena, answer->content_type),
                                 .request_id = arena_str(arena, answer->request_id),
                                 .body = arena_str(arena, answer->body) };
}

/* An empty file is an answer too. */
static enum status finish_file(struct running_call *running, struct error *err)
{
    const struct http_answer *answer = &running->reader.answer;

    if (running->options->answer_file == NULL || answer->code < 200 || answer->code > 299 ||
        running->file >= 0)
        return STATUS_OK;
    return append_file(running, STR_EMPTY, err);
}

static enum status run(struct arena *arena, const struct url *url, struct running_call *running,
                       struct error *err)
{
    const struct http_options *options = running->options;
    unsigned connect_ms = options->connect_ms == 0 ? CONNECT_MS : options->connect_ms;
    uint64_t start_ns = clock_monotonic_ns();
    struct wire *wire;
    enum status status;

    TRY(wire_open(url, options, connect_ms, &wire, err));
    if (options->timeout_ms != 0)
        wire_set_deadline(wire, start_ns + options->timeout_ms * UINT64_C(1000000));
    status = exchange_messages(wire, arena, url, running, err);
    wire_close(&wire);
    return status == STATUS_OK ? finish_file(running, err) : status;
}

enum status http_call(struct arena *arena, const char *text, const struct http_options *options,
                      struct http_answer *out, struct error *err)
{
    struct running_call running = { .options = options, .file = -1 };
    struct url url;
    enum status status;

    TRY(url_parse(str_from(text), &url, err));
    answer_reader_init(&running.reader,
                       options->answer_max == 0 ? ANSWER_MAX : options->answer_max,
                       options->method != NULL && strcmp(options->method, "HEAD") == 0);
    running.reader.sink = on_body;
    running.reader.sink_context = &running;
    running.events = (struct event_reader){ .sink = options->events,
                                            .context = options->events_context };
    status = run(arena, &url, &running, err);
    if (status == STATUS_OK)
        copy_answer(arena, &running.reader.answer, out);
    if (running.file >= 0 && close(running.file) != 0 && status == STATUS_OK)
        status = error_errno(err, errno, "write %s", options->answer_file);
    if (running.file >= 0 && status != STATUS_OK)
        unlink(options->answer_file);
    answer_reader_fini(&running.reader);
    event_reader_fini(&running.events);
    return status;
}
