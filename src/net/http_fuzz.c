/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of strangers, read as a connection reads them. Whatever the bytes,
 * the reader must give the same messages when they come all at once and when
 * they come in two pieces.
 */
#include "net/dispatch.h"
#include "net/message.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum status on_echo(struct request *req, struct response *res, struct error *err)
{
    (void)err;
    response_header(res, "X-Path", req->path);
    return response_bytes(res, 200, "text/plain", request_query(req, "q"));
}

static const struct route routes[] = {
    { "GET", "/", on_echo, INLINE, PERMIT_ANYONE, .body_max = BODY_NONE },
    { "POST", "/things/{name}", on_echo, INLINE, PERMIT_VIEW, .body_max = BODY_SMALL },
    { "GET", "/things/{name}:{verb}", on_echo, INLINE, PERMIT_VIEW, .body_max = BODY_NONE },
    { "GET", "/rest/{rest*}", on_echo, INLINE, PERMIT_VIEW, .body_max = BODY_NONE },
    ROUTES_END,
};
static const struct door door = { .name = "fuzz", .routes = routes };

static const struct message_limits limits = { .head_max = 4096,
                                              .header_count_max = 20,
                                              .target_max = 1024,
                                              .chunks_max = 50 };

/* What became of the bytes, in words that can be compared. */
struct reading {
    const struct router *router;
    struct message message;
    struct buffer input;
    struct buffer body;
    struct buffer seen;
    uint64_t body_left;
    enum { HEAD, PLAIN, CHUNKS, REFUSED } state;
};

static void run(struct reading *reading, struct exchange *exchange,
                const struct message_head *head)
{
    exchange_identify(exchange, head->request_id, head->traceparent);
    if (router_prepare(reading->router, exchange, head->method, head->target))
        router_run(exchange, NULL);
    buffer_printf(&reading->seen, STR_FMT " " STR_FMT " %d;", STR_ARG(head->method),
                  STR_ARG(head->target), exchange->response.code);
}

static void refuse(struct reading *reading)
{
    reading->state = REFUSED;
    buffer_printf(&reading->seen, "refused %d;", reading->message.refusal.code);
    if (reading->message.refusal.code < 400 || reading->message.refusal.why == NULL)
        abort();
}

static size_t read_head(struct reading *reading, struct str bytes)
{
    struct arena *arena = arena_new();
    struct exchange exchange = { .request.arena = arena };
    struct message_head head = { 0 };
    size_t len = 0;
    enum message_progress progress = message_scan(&reading->message, bytes, &len);

    if (progress == MESSAGE_COMPLETE && len > 2) {
        struct str copy = arena_str(arena, str_slice(bytes, 0, len));

        progress = message_parse(&reading->message, arena, copy, &exchange, &head);
        if (progress == MESSAGE_COMPLETE) {
            run(reading, &exchange, &head);
            reading->body_left = head.content_length;
            reading->state = head.is_chunked ? CHUNKS : head.content_length > 0 ? PLAIN : HEAD;
        }
    }
    if (progress == MESSAGE_REFUSED)
        refuse(reading);
    arena_free(arena);
    return progress == MESSAGE_COMPLETE ? len : 0;
}

static size_t read_chunks(struct reading *reading, struct str bytes)
{
    size_t used = 0;
    enum message_progress progress = message_chunks(&reading->message, bytes, &used,
                                                    &reading->body);

    if (progress == MESSAGE_REFUSED) {
        refuse(reading);
        return 0;
    }
    if (used > bytes.len)
        abort();
    if (progress == MESSAGE_COMPLETE) {
        buffer_append(&reading->seen, buffer_str(&reading->body));
        buffer_clear(&reading->body);
        reading->state = HEAD;
    }
    return used;
}

static size_t read_plain(struct reading *reading, struct str bytes)
{
    size_t len = bytes.len < reading->body_left ? bytes.len : (size_t)reading->body_left;

    buffer_append(&reading->seen, str_slice(bytes, 0, len));
    reading->body_left -= len;
    if (reading->body_left == 0)
        reading->state = HEAD;
    return len;
}

static void receive(struct reading *reading, struct str bytes)
{
    size_t used = 1;

    buffer_append(&reading->input, bytes);
    while (used > 0 && reading->input.len > 0 && reading->state != REFUSED) {
        struct str waiting = buffer_str(&reading->input);

        if (reading->state == HEAD)
            used = read_head(reading, waiting);
        else
            used = reading->state == CHUNKS ? read_chunks(reading, waiting)
                                            : read_plain(reading, waiting);
        buffer_consume(&reading->input, used);
    }
}

static struct str read_all(const struct router *router, struct reading *reading,
                           struct str bytes, size_t cut)
{
    reading->router = router;
    message_init(&reading->message, &limits);
    receive(reading, str_slice(bytes, 0, cut));
    receive(reading, str_slice(bytes, cut, bytes.len));
    return buffer_str(&reading->seen);
}

static void reading_fini(struct reading *reading)
{
    buffer_free(&reading->input);
    buffer_free(&reading->body);
    buffer_free(&reading->seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct router *router;
    struct reading whole = { 0 }, cut = { 0 };
    struct str bytes = { (const char *)data, size };

    if (router == NULL) {
        router = router_new();
        router_mount(router, &door, NULL);
    }
    if (!str_equal(read_all(router, &whole, bytes, size),
                   read_all(router, &cut, bytes, size == 0 ? 0 : data[size - 1] % size))) {
        fprintf(stderr, "whole: " STR_FMT "\ncut:   " STR_FMT "\n",
                STR_ARG(buffer_str(&whole.seen)), STR_ARG(buffer_str(&cut.seen)));
        abort();
    }
    reading_fini(&whole);
    reading_fini(&cut);
    return 0;
}
