/* SPDX-License-Identifier: Apache-2.0 */
#include "net/dispatch.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* An exchange without a socket: its streams end in the caller's sink or in the answer's body. */
struct local_call {
    struct exchange exchange;
    event_sink events;
    void *events_context;
    struct buffer collected;
    char *spooled; /* a file of ours that holds the body */
};

static struct local_call *call_of(struct exchange *exchange)
{
    return container_of(exchange, struct local_call, exchange);
}

static enum status local_begin(struct exchange *exchange, struct error *err)
{
    (void)exchange;
    (void)err;
    return STATUS_OK;
}

static enum status local_write(struct exchange *exchange, struct str bytes, struct error *err)
{
    (void)err;
    buffer_append(&call_of(exchange)->collected, bytes);
    return STATUS_OK;
}

static enum status local_event(struct exchange *exchange, struct str event, struct str data,
                               struct error *err)
{
    struct local_call *local = call_of(exchange);

    return local->events(local->events_context, event, data, err);
}

static const struct stream_sink collecting_sink = { local_begin, local_write, NULL };
static const struct stream_sink calling_sink = { local_begin, local_write, local_event };

static enum status spool_body(struct local_call *local, struct str body, struct error *err)
{
    struct arena *arena = local->exchange.request.arena;
    const char *folder = getenv("TMPDIR");
    struct str path = arena_printf(arena, "%s/onggi-body-XXXXXX", folder ? folder : "/tmp");
    char *name = arena_cstr(arena, path);
    int fd = mkstemp(name);

    if (fd < 0)
        return error_errno(err, errno, "make %s", name);
    close(fd);
    local->spooled = name;
    local->exchange.request.body_file = name;
    return file_write(name, body, err);
}

/* The body the way the route wants it: in memory or in a file. */
static enum status give_body(struct local_call *local, const struct call *call,
                             struct error *err)
{
    struct request *req = &local->exchange.request;
    bool wants_file = req->route->body_max >= BODY_FILE;

    if (call->body_file != NULL && wants_file) {
        req->body_file = call->body_file;
        return STATUS_OK;
    }
    req->body = call->body;
    if (call->body_file != NULL)
        TRY(file_read(req->arena, call->body_file, req->route->body_max, &req->body, err));
    if (req->body.len > req->route->body_max)
        return error_set(err, STATUS_LIMIT, "the body has %zu bytes; %s %s takes %zu",
                         req->body.len, req->route->method, req->route->path,
                         req->route->body_max);
    return wants_file && req->body.len > 0 ? spool_body(local, req->body, err) : STATUS_OK;
}

static void add_header(struct exchange *exchange, const char *name, struct str value)
{
    if (value.len > 0)
        exchange->headers[exchange->header_count++] = (struct header){ str_from(name), value };
}

static void fill_exchange(struct local_call *local, struct arena *arena,
                          const struct call *call)
{
    struct exchange *exchange = &local->exchange;

    exchange->request.arena = arena;
    exchange->request.start_ns = clock_monotonic_ns();
    exchange->request.identity = call->identity;
    exchange->is_cancelled = call->is_cancelled;
    exchange->headers = ARENA_ARRAY(arena, struct header, 2);
    add_header(exchange, "Content-Type", call->content_type);
    add_header(exchange, "Accept", call->accept);
    exchange->sink = local->events == NULL ? &collecting_sink : &calling_sink;
    exchange_identify(exchange, STR_EMPTY, STR_EMPTY);
}

static void run_here(struct exchange *exchange)
{
    router_run(exchange, NULL);
    /* There is no loop to keep free: what asks for a worker runs at once. */
    while (exchange->response.handed_over != NULL)
        router_run(exchange, exchange->response.handed_over);
}

static void give_answer(struct local_call *local, struct answer *out)
{
    const struct response *res = &local->exchange.response;
    struct str body = res->body;

    if (res->kind == REPLY_STREAM)
        body = arena_str(local->exchange.request.arena, buffer_str(&local->collected));
    *out = (struct answer){
        .code = res->code,
        .content_type = str_from(res->content_type),
        .body = local->exchange.is_head ? STR_EMPTY : body,
        .file = res->kind == REPLY_FILE ? res->file : NULL,
        .remove_file = res->remove_file,
    };
}

enum status router_call(struct router *router, struct arena *arena, const struct call *call,
                        event_sink events, void *events_context, struct answer *out,
                        struct error *err)
{
    struct local_call *local = ARENA_NEW(arena, struct local_call);
    struct exchange *exchange = &local->exchange;
    struct error problem;

    (void)err;
    local->events = events;
    local->events_context = events_context;
    fill_exchange(local, arena, call);
    if (router_prepare(router, exchange, call->method, call->target)) {
        if (give_body(local, call, &problem) != STATUS_OK)
            router_answer_error(exchange, http_code_of_status(problem.status), &problem);
        else
            run_here(exchange);
    }
    give_answer(local, out);
    buffer_free(&local->collected);
    if (local->spooled != NULL)
        unlink(local->spooled);
    return STATUS_OK;
}
