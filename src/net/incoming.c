/* SPDX-License-Identifier: Apache-2.0 */
#include "net/incoming.h"

#include "net/host_check.h"
#include "net/outgoing.h"
#include "net/spool.h"

#include <stdio.h>

/* A body that nobody wants is read up to here to save the connection. */
#define DISCARD_MAX ((size_t)64 << 10)
#define RESERVE_MAX ((size_t)64 << 10)
/* Slower than 64 KiB/s and the body's deadline ends it. */
#define BODY_NS_PER_BYTE (UINT64_C(1000000000) >> 16)

static size_t refuse(struct connection *connection, size_t used)
{
    const struct refusal *refusal = &connection->message.refusal;

    outgoing_refuse(connection, refusal->code, refusal->why);
    return used;
}

static void answer_now(struct connection *connection, int code, enum status status,
                       const char *why)
{
    struct error err;

    error_set(&err, status, "%s", why);
    router_answer_error(&connection->turn->exchange, code, &err);
    connection->turn->is_answered = true;
}

/* What is decided by the head alone. */
static void route_request(struct connection *connection)
{
    struct turn *turn = connection->turn;
    const struct settings *settings = connection->loop->settings;
    const struct message_head *head = &turn->head;

    exchange_identify(&turn->exchange, head->request_id, head->traceparent);
    if (atomic_load_explicit(&connection->loop->server->check_host, memory_order_relaxed) &&
        (!host_is_ours(head->host, settings->hosts, settings->host_count) ||
         !origin_is_ours(head->origin, head->host, settings->hosts, settings->host_count))) {
        answer_now(
            connection, 403, STATUS_INVALID,
            "Host or Origin names another site; server.hosts lists those that may be used");
        return;
    }
    turn->is_answered = !router_prepare(connection->loop->server->router, &turn->exchange,
                                        head->method, head->target);
}

static size_t body_max(const struct turn *turn)
{
    return turn->is_answered ? DISCARD_MAX : turn->exchange.request.route->body_max;
}

static void refuse_body(struct connection *connection)
{
    const struct request *req = &connection->turn->exchange.request;
    char why[128];

    if (!connection->turn->is_answered) {
        snprintf(why, sizeof(why), "the body is too large; %s takes at most %zu bytes",
                 req->route->path, req->route->body_max);
        answer_now(connection, 413, STATUS_LIMIT, why);
    }
    connection->turn->keep_alive = false;
    connection_reply(connection);
}

static bool begin_spool(struct connection *connection)
{
    struct turn *turn = connection->turn;
    struct error err;

    if (turn->is_answered || turn->exchange.request.route->body_max < BODY_FILE)
        return true;
    if (spool_new(connection, &turn->spool, &err) == STATUS_OK)
        return true;
    outgoing_refuse(connection, 503, err.message);
    return false;
}

static void begin_body(struct connection *connection)
{
    struct turn *turn = connection->turn;
    const struct message_head *head = &turn->head;

    if (head->content_length > body_max(turn) ||
        (turn->is_answered && (head->is_chunked || head->expects_continue))) {
        refuse_body(connection);
        return;
    }
    if (!begin_spool(connection))
        return;
    connection->state = CONNECTION_BODY;
    turn->body_left = head->content_length;
    if (turn->spool == NULL && !turn->is_answered)
        buffer_reserve(&turn->body, head->content_length < RESERVE_MAX
                                        ? (size_t)head->content_length
                                        : RESERVE_MAX);
    connection_deadline(connection, connection->loop->settings->deadlines.body_ms);
    if (head->expects_continue && !head->is_old)
        outgoing_continue(connection);
}

static void begin_turn(struct connection *connection, struct str bytes)
{
    struct turn *turn = turn_new(connection);
    struct str head = arena_str(turn->arena, bytes);

    connection->turn = turn;
    if (message_parse(&connection->message, turn->arena, head, &turn->exchange, &turn->head) !=
        MESSAGE_COMPLETE) {
        turn->exchange.header_count = 0; /* half-read ones mean nothing */
        refuse(connection, 0);
        return;
    }
    turn->keep_alive = turn->head.keep_alive;
    route_request(connection);
    if (turn->head.is_chunked || turn->head.content_length > 0)
        begin_body(connection);
    else
        turn_dispatch(turn);
}

static size_t consume_head(struct connection *connection, struct str bytes)
{
    size_t len = 0;

    switch (message_scan(&connection->message, bytes, &len)) {
    case MESSAGE_REFUSED:
        return refuse(connection, bytes.len);
    case MESSAGE_PARTIAL:
        /* The clock of the head runs from its first byte on. */
        if (connection->input.len == 0)
            connection_deadline(connection, connection->loop->settings->deadlines.head_ms);
        return 0;
    default:
        if (len > 2)
            begin_turn(connection, str_slice(bytes, 0, len));
        return len;
    }
}

/* What has come earns the time for as much again; what was only announced earns nothing. */
static void body_came(struct connection *connection, uint64_t bytes, bool is_all)
{
    connection->turn->body_came_late |= !is_all;
    connection->deadline_ns += bytes * BODY_NS_PER_BYTE;
}

static void body_complete(struct connection *connection)
{
    struct turn *turn = connection->turn;
    struct request *req = &turn->exchange.request;

    if (turn->spool != NULL) {
        req->body_file = spool_path(turn->spool);
        connection->state = CONNECTION_SPOOLING;
        connection_deadline(connection, connection->loop->settings->deadlines.body_ms);
        turn->body_came_late = true;
        if (!spool_is_idle(turn->spool))
            return;
    } else if (!turn->is_answered) {
        req->body = buffer_str(&turn->body);
    }
    turn_dispatch(turn);
}

/* Many bodies that are each within their limit may still be more than there is memory. */
static void refuse_for_memory(struct connection *connection)
{
    outgoing_refuse(connection, 503, "too many large requests are under way; try again later");
}

static size_t consume_plain(struct connection *connection, struct str bytes)
{
    struct turn *turn = connection->turn;
    size_t len = bytes.len < turn->body_left ? bytes.len : (size_t)turn->body_left;
    struct str piece = str_slice(bytes, 0, len);

    if (turn->spool != NULL)
        spool_write(turn->spool, piece);
    else if (!turn->is_answered)
        buffer_append(&turn->body, piece);
    turn->body_left -= len;
    body_came(connection, len, turn->body_left == 0);
    if (!turn_count_body(turn))
        refuse_for_memory(connection);
    else if (turn->body_left == 0)
        body_complete(connection);
    return len;
}

static size_t consume_chunks(struct connection *connection, struct str bytes)
{
    struct turn *turn = connection->turn;
    size_t before = turn->body.len, used = 0;
    enum message_progress progress = message_chunks(&connection->message, bytes, &used,
                                                    &turn->body);

    if (progress == MESSAGE_REFUSED)
        return refuse(connection, bytes.len);
    turn->body_seen += turn->body.len - before;
    body_came(connection, turn->body.len - before, progress == MESSAGE_COMPLETE);
    if (turn->body_seen > body_max(turn) ||
        message_chunk_left(&connection->message) > body_max(turn) - turn->body_seen) {
        refuse_body(connection);
        return bytes.len;
    }
    if (!turn_count_body(turn)) {
        refuse_for_memory(connection);
        return bytes.len;
    }
    if (turn->spool != NULL) {
        spool_write(turn->spool, buffer_str(&turn->body));
        buffer_clear(&turn->body);
    }
    if (progress == MESSAGE_COMPLETE)
        body_complete(connection);
    return used;
}

size_t incoming_consume(struct connection *connection, struct str bytes)
{
    size_t used = 0, step = 1;

    connection->is_consuming = true;
    while (step > 0 && used < bytes.len) {
        struct str rest = str_slice(bytes, used, bytes.len);

        if (connection->state == CONNECTION_HEAD)
            step = consume_head(connection, rest);
        else if (connection->state == CONNECTION_BODY && connection->turn->head.is_chunked)
            step = consume_chunks(connection, rest);
        else if (connection->state == CONNECTION_BODY)
            step = consume_plain(connection, rest);
        else
            break;
        used += step;
    }
    connection->is_consuming = false;
    return used;
}
