/* SPDX-License-Identifier: Apache-2.0 */
#include "net/outgoing.h"

#include "net/file_reply.h"
#include "net/reply.h"
#include "net/stream.h"
#include "net/tls.h"

static void on_written(uv_write_t *req, int status)
{
    struct connection *connection = container_of(req, struct connection, write_req);

    if (connection->state == CONNECTION_CLOSED)
        return;
    if (status < 0)
        connection_close(connection);
    else if (connection->is_sending)
        connection_sent(connection);
}

/* Takes off the front what has been written; the number of pieces left. */
static unsigned skip_written(uv_buf_t *pieces, unsigned count, size_t written)
{
    unsigned done = 0;

    while (done < count && written >= pieces[done].len)
        written -= pieces[done++].len;
    if (done == count)
        return 0;
    memmove(pieces, pieces + done, (count - done) * sizeof(*pieces));
    pieces[0].base += written;
    pieces[0].len -= written;
    return count - done;
}

static enum sent plain_send(struct connection *connection, uv_buf_t *pieces, unsigned count)
{
    uv_stream_t *stream = (uv_stream_t *)&connection->tcp;
    int written = uv_try_write(stream, pieces, count);

    if (written == UV_EAGAIN)
        written = 0;
    if (written >= 0)
        count = skip_written(pieces, count, (size_t)written);
    if (written >= 0 && count == 0)
        return SENT_ALL;
    if (written < 0 ||
        uv_write(&connection->write_req, stream, pieces, count, on_written) != 0) {
        connection_close(connection);
        return SENT_LOST;
    }
    return SENT_LATER;
}

enum sent connection_send(struct connection *connection, uv_buf_t *pieces, unsigned count)
{
    enum sent sent = connection->tls != NULL ? tls_send(connection, pieces, count)
                                             : plain_send(connection, pieces, count);

    connection->is_sending = sent == SENT_LATER;
    if (sent == SENT_LATER)
        connection_deadline(connection, connection->loop->settings->deadlines.idle_ms);
    return sent;
}

void connection_sent(struct connection *connection)
{
    struct turn *turn = connection->turn;

    connection->is_sending = false;
    if (connection->state != CONNECTION_SENDING || turn == NULL)
        return;
    if (turn->exchange.response.kind == REPLY_STREAM || turn->stream.is_open) {
        stream_sent(turn);
        stream_pump(connection);
    } else if (turn->file != NULL) {
        file_reply_next(connection);
    } else {
        connection_turn_over(connection, turn->exchange.response.code);
    }
}

/* Head and body in one piece where the body left room for it in front. */
static void reply_bytes(struct connection *connection)
{
    struct turn *turn = connection->turn;
    struct exchange *exchange = &turn->exchange;
    struct response *res = &exchange->response;
    const struct reply_frame frame = {
        .date = loop_date(connection->loop, exchange->request.start_ns),
        .keep_alive = turn->keep_alive,
        .is_old = turn->head.is_old,
        .has_length = true,
        .length = res->body.len,
    };
    char room[REPLY_HEAD_ROOM];
    struct str head = reply_head_write(exchange, &frame, room, sizeof(room));
    bool with_body = !exchange->is_head && reply_has_body(res->code) && res->body.len > 0;
    uv_buf_t pieces[2];
    unsigned count = 1;

    if (head.data == room && res->room != NULL) {
        memcpy(res->room - head.len, head.data, head.len);
        pieces[0] = uv_buf_init(res->room - head.len,
                                (unsigned)(head.len + (with_body ? res->body.len : 0)));
    } else {
        head = head.data == room ? arena_str(turn->arena, head) : head;
        pieces[0] = uv_buf_init((char *)(uintptr_t)head.data, (unsigned)head.len);
        pieces[1] = uv_buf_init((char *)(uintptr_t)res->body.data, (unsigned)res->body.len);
        count += with_body;
    }
    atomic_store_explicit(&turn->bytes_sent, with_body ? res->body.len : 0,
                          memory_order_relaxed);
    if (connection_send(connection, pieces, count) == SENT_ALL)
        connection_turn_over(connection, res->code);
}

void connection_reply(struct connection *connection)
{
    struct turn *turn = connection->turn;

    if (turn->stream.is_open) {
        /* The stream's head left long ago; this is its end. */
        stream_pump(connection);
        return;
    }
    connection->state = CONNECTION_SENDING;
    if (connection->has_ended || connection->loop->draining)
        turn->keep_alive = false;
    if (turn->file != NULL)
        file_reply_begin(connection);
    else
        reply_bytes(connection);
}

/* Who asked for what, as it was known before the handler began: the worker may still read it too. */
static void take_name(struct turn *turn, const struct turn *old)
{
    const struct exchange *from = &old->exchange;
    struct exchange *to = &turn->exchange;
    struct request *req = &to->request;

    to->stats = from->stats;
    to->door = from->door;
    to->is_head = from->is_head;
    turn->head.is_old = old->head.is_old;
    req->route = from->request.route;
    req->context = from->request.context;
    req->start_ns = from->request.start_ns;
    req->method = arena_str(turn->arena, from->request.method);
    req->path = to->target.path = arena_str(turn->arena, from->target.path);
    req->identity.role = from->request.identity.role;
    req->identity.user = arena_str(turn->arena, from->request.identity.user);
    req->request_id = arena_str(turn->arena, from->request.request_id);
    req->traceparent = arena_str(turn->arena, from->request.traceparent);
}

/* A new turn that says why; it carries on the name of the old one in metrics, log and reply. */
static struct turn *replacement(struct connection *connection)
{
    struct turn *turn = turn_new(connection);

    if (connection->turn != NULL)
        take_name(turn, connection->turn);
    return turn;
}

void outgoing_refuse(struct connection *connection, int code, const char *why)
{
    struct turn *old = connection->turn;
    struct turn *turn = old;
    enum status status = code >= 500 ? STATUS_UNAVAILABLE : STATUS_INVALID;
    struct error err;

    if (old == NULL || old->at_worker) {
        turn = replacement(connection);
        if (old != NULL)
            turn_abandon(old);
        connection->turn = turn;
    }
    if (turn->exchange.request.request_id.data == NULL)
        exchange_identify(&turn->exchange, STR_EMPTY, STR_EMPTY);
    error_set(&err, status, "%s", why);
    response_reset(&turn->exchange.response);
    router_answer_error(&turn->exchange, code, &err);
    turn->keep_alive = false;
    connection_reply(connection);
}

void outgoing_continue(struct connection *connection)
{
    char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    uv_buf_t piece = uv_buf_init(text, sizeof(text) - 1);

    /* Nothing else is under way, so it fits; if not, the client sends after a pause of its own. */
    if (connection->tls != NULL)
        tls_send(connection, &piece, 1);
    else
        uv_try_write((uv_stream_t *)&connection->tcp, &piece, 1);
}
