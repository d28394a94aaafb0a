/* SPDX-License-Identifier: Apache-2.0 */
#include "net/connection.h"

#include "net/file_reply.h"
#include "net/incoming.h"
#include "net/outgoing.h"
#include "net/spool.h"
#include "net/tls.h"

#include "base/clock.h"

#include <limits.h>
#include <stdlib.h>

/* Bytes of coming requests that are kept while one is answered; then the client has to wait. */
#define AHEAD_MAX ((size_t)64 << 10)
#define LINGER_MS 2000
#define DRAIN_GRACE_MS 1000
#define KEPT_INPUT 4096
#define NEVER UINT64_MAX
#define SHORT_PATIENCE_MS 5000
/* A reader that takes less than 16 KiB/s of a reply does not want it. */
#define SENT_NS_PER_BYTE (UINT64_C(1000000000) >> 14)

void connection_ref(struct connection *connection)
{
    connection->refs++;
}

void connection_unref(struct connection *connection)
{
    if (--connection->refs > 0)
        return;
    buffer_free(&connection->input);
    tls_free(&connection->tls);
    free(connection);
}

void connection_deadline(struct connection *connection, unsigned timeout_ms)
{
    connection->deadline_ns = timeout_ms == UINT_MAX
                                  ? NEVER
                                  : clock_monotonic_ns() + timeout_ms * UINT64_C(1000000);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct connection *connection = container_of((uv_tcp_t *)handle, struct connection, tcp);

    struct loop *loop = connection->loop;

    loop->handles--;
    connection_unref(connection);
    loop_leave(loop);
}

static void close_handle(struct connection *connection)
{
    uv_close((uv_handle_t *)&connection->tcp, on_handle_closed);
}

/* A worker keeps its turn until it is done; an operation keeps its file. */
static void drop_turn(struct connection *connection)
{
    struct turn *turn = connection->turn;

    connection->turn = NULL;
    if (turn == NULL)
        return;
    turn_record(turn, 499);
    if (turn->at_worker) {
        turn_abandon(turn);
        return;
    }
    if (connection->operations > 0)
        turn->file = NULL;
    turn_free(turn);
}

void connection_close(struct connection *connection)
{
    struct loop *loop = connection->loop;

    if (connection->state == CONNECTION_CLOSED)
        return;
    connection->state = CONNECTION_CLOSED;
    *connection->back = connection->next;
    if (connection->next != NULL)
        connection->next->back = connection->back;
    atomic_fetch_sub(&loop->connection_count, 1);
    atomic_fetch_sub(&loop->server->connection_count, 1);
    drop_turn(connection);
    /* The kernel may be sending from the socket on another thread: its number must not be reused. */
    if (connection->operations == 0)
        close_handle(connection);
}

void connection_operation_begin(struct connection *connection)
{
    connection->operations++;
    connection_ref(connection);
}

bool connection_operation_over(struct connection *connection)
{
    bool is_open = connection->state != CONNECTION_CLOSED;

    connection->operations--;
    if (!is_open && connection->operations == 0)
        close_handle(connection);
    connection_unref(connection);
    return is_open;
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct connection *connection = container_of((uv_tcp_t *)handle, struct connection, tcp);

    (void)suggested;
    *out = uv_buf_init(connection->loop->read_buffer, READ_BUFFER);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *room)
{
    struct connection *connection = container_of((uv_tcp_t *)stream, struct connection, tcp);

    if (count == 0)
        return;
    if (count == UV_EOF)
        connection_end(connection);
    else if (count < 0)
        connection_close(connection);
    else if (connection->tls != NULL)
        tls_receive(connection, (struct str){ room->base, (size_t)count });
    else
        connection_receive(connection, (struct str){ room->base, (size_t)count });
}

void connection_pause(struct connection *connection)
{
    if (!connection->is_reading)
        return;
    connection->is_reading = false;
    uv_read_stop((uv_stream_t *)&connection->tcp);
}

static void resume(struct connection *connection)
{
    if (connection->is_reading || connection->has_ended ||
        connection->state == CONNECTION_CLOSED)
        return;
    connection->is_reading = true;
    if (uv_read_start((uv_stream_t *)&connection->tcp, on_allocate, on_read) != 0)
        connection_close(connection);
}

void connection_end(struct connection *connection)
{
    connection->has_ended = true;
    connection_pause(connection);
    switch (connection->state) {
    case CONNECTION_RUNNING:
    case CONNECTION_SENDING:
        /* Most likely it has left; a client that only shut its sending half still gets the reply. */
        if (connection->turn != NULL)
            atomic_store_explicit(&connection->turn->exchange.abandoned, true,
                                  memory_order_relaxed);
        break;
    case CONNECTION_SPOOLING:
    case CONNECTION_CLOSED:
        break;
    case CONNECTION_HEAD:
    case CONNECTION_BODY:
    case CONNECTION_LINGERING:
        connection_close(connection);
        break;
    }
}

static bool is_busy(const struct connection *connection)
{
    return connection->state == CONNECTION_RUNNING || connection->state == CONNECTION_SENDING ||
           connection->state == CONNECTION_SPOOLING;
}

/* What waits, after the reply before it has left. */
static void consume_waiting(struct connection *connection)
{
    size_t used;

    if (connection->input.len > 0) {
        used = incoming_consume(connection, buffer_str(&connection->input));
        if (connection->state == CONNECTION_CLOSED)
            return;
        buffer_consume(&connection->input, used);
    }
    if (connection->input.len == 0 && connection->input.capacity > KEPT_INPUT)
        buffer_free(&connection->input);
    if (connection->input.len < AHEAD_MAX || !is_busy(connection))
        resume(connection);
}

void connection_receive(struct connection *connection, struct str bytes)
{
    size_t used = 0;

    if (connection->state == CONNECTION_LINGERING || connection->state == CONNECTION_CLOSED)
        return;
    if (connection->input.len > 0) {
        buffer_append(&connection->input, bytes);
        if (!is_busy(connection))
            consume_waiting(connection);
    } else {
        if (!is_busy(connection))
            used = incoming_consume(connection, bytes);
        if (connection->state == CONNECTION_CLOSED || used == bytes.len)
            return;
        buffer_append(&connection->input, str_slice(bytes, used, bytes.len));
    }
    if (connection->input.len >= AHEAD_MAX && is_busy(connection))
        connection_pause(connection);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    struct connection *connection = container_of(req, struct connection, shutdown_req);

    if (status < 0 || connection->has_ended)
        connection_close(connection);
}

/* Closing at once would reset the connection under a client that still sends, and eat the reply. */
static void linger(struct connection *connection)
{
    connection->state = CONNECTION_LINGERING;
    if (connection->tls != NULL)
        tls_shutdown(connection);
    if (connection->state == CONNECTION_CLOSED)
        return;
    connection_deadline(connection, LINGER_MS);
    resume(connection);
    if (connection->state != CONNECTION_CLOSED &&
        uv_shutdown(&connection->shutdown_req, (uv_stream_t *)&connection->tcp, on_shutdown) !=
            0)
        connection_close(connection);
}

void connection_turn_over(struct connection *connection, int code)
{
    struct loop *loop = connection->loop;
    struct turn *turn = connection->turn;
    bool keep_alive = turn->keep_alive && !connection->has_ended;
    struct removal *removal = turn->exchange.response.remove_file ? file_reply_removal(turn)
                                                                  : NULL;

    turn_record(turn, code);
    connection->turn = NULL;
    turn_free(turn);
    file_reply_remove(loop, removal);
    if (!keep_alive || loop->draining) {
        linger(connection);
        return;
    }
    connection->state = CONNECTION_HEAD;
    connection->deadline_ns = loop->now_ns +
                              loop->settings->deadlines.idle_ms * UINT64_C(1000000);
    if (!connection->is_consuming)
        consume_waiting(connection);
}

void connection_spooled(struct connection *connection)
{
    if (connection->state == CONNECTION_SPOOLING && spool_is_idle(connection->turn->spool)) {
        turn_dispatch(connection->turn);
        return;
    }
    if (connection->state == CONNECTION_BODY)
        resume(connection);
}

void connection_spool_failed(struct connection *connection, int error_number)
{
    struct error err;

    if (connection->state != CONNECTION_BODY && connection->state != CONNECTION_SPOOLING)
        return;
    error_errno(&err, error_number, "keep the body on disk");
    outgoing_refuse(connection, 503, err.message);
}

/* Who is ahead of its deadline does not save that up: a pause may be so long, and not longer. */
static void cap_deadline(struct connection *connection, uint64_t now_ns, unsigned most_ms)
{
    uint64_t most_ns = now_ns + most_ms * UINT64_C(1000000);

    if (connection->deadline_ns > most_ns)
        connection->deadline_ns = most_ns;
}

/* A large reply that waits for its reader holds what others lack when memory is short. */
static unsigned patience_ms(const struct connection *connection, size_t unsent)
{
    unsigned idle_ms = connection->loop->settings->deadlines.idle_ms;

    if (idle_ms > SHORT_PATIENCE_MS && unsent >= ARENA_LARGE && connection->turn != NULL &&
        !arena_may_take(connection->turn->arena, 0))
        return SHORT_PATIENCE_MS;
    return idle_ms;
}

/* What has left earns time, so a reader that takes a byte now and then does not hold a large reply. */
static void sweep_unsent(struct connection *connection, uint64_t now_ns)
{
    size_t unsent = uv_stream_get_write_queue_size((uv_stream_t *)&connection->tcp);

    cap_deadline(connection, now_ns, patience_ms(connection, unsent));
    if (unsent == 0)
        connection_deadline(connection, connection->loop->settings->deadlines.idle_ms);
    else if (unsent < connection->unsent)
        connection->deadline_ns += (connection->unsent - unsent) * SENT_NS_PER_BYTE;
    connection->unsent = unsent;
    if (now_ns > connection->deadline_ns)
        connection_close(connection);
}

static void sweep_sending(struct connection *connection, uint64_t now_ns)
{
    struct turn *turn = connection->turn;

    if (turn != NULL && turn->at_worker && turn->exchange.request.deadline_ns != 0 &&
        now_ns > turn->exchange.request.deadline_ns) {
        connection_close(connection);
        return;
    }
    sweep_unsent(connection, now_ns);
}

void connection_sweep(struct connection *connection, uint64_t now_ns)
{
    if (connection->state == CONNECTION_SENDING) {
        sweep_sending(connection, now_ns);
        return;
    }
    if (connection->state == CONNECTION_BODY)
        cap_deadline(connection, now_ns, connection->loop->settings->deadlines.body_ms);
    if (now_ns <= connection->deadline_ns)
        return;
    switch (connection->state) {
    case CONNECTION_HEAD:
        if (connection->input.len > 0)
            outgoing_refuse(connection, 408, "the head of the request took too long");
        else
            connection_close(connection);
        break;
    case CONNECTION_BODY:
        outgoing_refuse(connection, 408, "the body of the request took too long");
        break;
    case CONNECTION_SPOOLING:
    case CONNECTION_RUNNING:
        outgoing_refuse(connection, 503, "the request took too long to answer");
        break;
    default:
        connection_close(connection);
        break;
    }
}

void connection_drain(struct connection *connection)
{
    const struct server_deadlines *deadlines = &connection->loop->settings->deadlines;
    unsigned grace_ms = deadlines->drain_ms / 2 < DRAIN_GRACE_MS ? deadlines->drain_ms / 2
                                                                 : DRAIN_GRACE_MS;

    /* Its next request may be on its way; that one is answered, with Connection: close. */
    if (connection->state == CONNECTION_HEAD && connection->input.len == 0)
        connection_deadline(connection, grace_ms);
}

static struct connection *connection_new(struct loop *loop)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    if (connection == NULL)
        abort();
    connection->loop = loop;
    connection->refs = 1;
    message_init(&connection->message, &loop->server->message_limits);
    uv_tcp_init(&loop->uv, &connection->tcp);
    loop->handles++;
    connection->next = loop->connections;
    connection->back = &loop->connections;
    if (connection->next != NULL)
        connection->next->back = &connection->next;
    loop->connections = connection;
    atomic_fetch_add(&loop->connection_count, 1);
    return connection;
}

static void begin_tls(struct connection *connection)
{
    struct server *server = connection->loop->server;

    pthread_mutex_lock(&server->tls_lock);
    if (server->tls != NULL)
        connection->tls = tls_new(server->tls);
    pthread_mutex_unlock(&server->tls_lock);
}

void connection_accept(struct loop *loop)
{
    struct server *server = loop->server;
    struct connection *connection = connection_new(loop);
    size_t open = atomic_fetch_add(&server->connection_count, 1);

    if (uv_accept((uv_stream_t *)&loop->listener, (uv_stream_t *)&connection->tcp) != 0) {
        connection_close(connection);
        return;
    }
    /* A reply leaves in one write: there is nothing to wait for. */
    uv_tcp_nodelay(&connection->tcp, 1);
    begin_tls(connection);
    connection_deadline(connection, loop->settings->deadlines.idle_ms);
    if (open >= loop->settings->connections_max && connection->tls == NULL &&
        open - loop->settings->connections_max < loop->settings->refused_max) {
        outgoing_refuse(connection, 503, "too many connections are open; try again later");
        return;
    }
    if (open >= loop->settings->connections_max)
        connection_close(connection);
    else
        resume(connection);
}
