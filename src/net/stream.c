/* SPDX-License-Identifier: Apache-2.0 */
#include "net/stream.h"

#include "net/connection.h"
#include "net/reply.h"

#include <stdio.h>
#include <errno.h>
#include <time.h>

/* More than this under way and the worker waits. */
#define IN_FLIGHT_MAX ((size_t)256 << 10)
/* How often a waiting worker looks whether its time is over. */
#define LOOK_MS 200

static struct turn *turn_of(struct exchange *exchange)
{
    return container_of(exchange, struct turn, exchange);
}

static void on_stream_post(struct post *post)
{
    struct turn *turn = container_of(post, struct turn, stream.post);

    pthread_mutex_lock(&turn->stream.lock);
    turn->stream.posted = false;
    pthread_mutex_unlock(&turn->stream.lock);
    if (turn->connection != NULL)
        stream_pump(turn->connection);
}

void stream_init(struct stream *stream)
{
    *stream = (struct stream){ .post.run = on_stream_post };
    pthread_mutex_init(&stream->lock, NULL);
    pthread_cond_init(&stream->moved, NULL);
}

void stream_reset(struct stream *stream)
{
    if (!stream->is_open)
        return;
    buffer_free(&stream->pending);
    buffer_free(&stream->sending);
    stream->in_flight = 0;
    stream->is_open = false;
}

void stream_fini(struct stream *stream)
{
    stream_reset(stream);
    pthread_mutex_destroy(&stream->lock);
    pthread_cond_destroy(&stream->moved);
}

/* With the lock held. */
static void add_pending(struct turn *turn, struct str bytes)
{
    buffer_append(&turn->stream.pending, bytes);
    turn->stream.in_flight += bytes.len;
}

/* With the lock held. */
static void tell_loop(struct turn *turn)
{
    if (turn->stream.posted)
        return;
    turn->stream.posted = true;
    loop_post(turn->loop, &turn->stream.post);
}

static enum status turn_begin(struct exchange *exchange, struct error *err)
{
    struct turn *turn = turn_of(exchange);
    char date[DATE_LEN + 1];
    struct reply_frame frame;
    struct str head;

    if (!turn->at_worker)
        return error_set(err, STATUS_INTERNAL, "only DEFERRED handlers may stream");
    if (!workers_begin_long(turn->loop->server->workers))
        return error_set(err, STATUS_UNAVAILABLE, "too many streams are open; try again later");
    turn->stream.is_open = true;
    turn->stream.chunked = !turn->head.is_old;
    date_format(date);
    /* Without chunks only the end of the connection tells the end of the body. */
    frame = (struct reply_frame){ .date = date,
                                  .is_old = turn->head.is_old,
                                  .is_chunked = turn->stream.chunked,
                                  .keep_alive = turn->keep_alive && turn->stream.chunked };
    turn->keep_alive = frame.keep_alive;
    head = reply_head_write(exchange, &frame, NULL, 0);
    pthread_mutex_lock(&turn->stream.lock);
    add_pending(turn, head);
    tell_loop(turn);
    pthread_mutex_unlock(&turn->stream.lock);
    return STATUS_OK;
}

/* With the lock held: until there is room, or nobody reads any more. */
static void wait_for_room(struct turn *turn)
{
    struct stream *stream = &turn->stream;

    while (stream->in_flight > IN_FLIGHT_MAX &&
           !request_is_abandoned(&turn->exchange.request)) {
        struct timespec until;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOOK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&stream->moved, &stream->lock, &until);
    }
}

static enum status turn_write(struct exchange *exchange, struct str bytes, struct error *err)
{
    struct turn *turn = turn_of(exchange);
    struct stream *stream = &turn->stream;
    char length[24];
    bool left;

    pthread_mutex_lock(&stream->lock);
    wait_for_room(turn);
    left = request_is_abandoned(&exchange->request);
    if (!left && !exchange->is_head) {
        snprintf(length, sizeof(length), "%zx\r\n", bytes.len);
        if (stream->chunked)
            add_pending(turn, str_from(length));
        add_pending(turn, bytes);
        if (stream->chunked)
            add_pending(turn, STR("\r\n"));
        atomic_fetch_add_explicit(&turn->bytes_sent, bytes.len, memory_order_relaxed);
        tell_loop(turn);
    }
    pthread_mutex_unlock(&stream->lock);
    return left ? error_set(err, STATUS_UNAVAILABLE, "the client has left") : STATUS_OK;
}

const struct stream_sink turn_sink = { turn_begin, turn_write, NULL };

void stream_finish(struct turn *turn)
{
    struct stream *stream = &turn->stream;

    if (!stream->is_open || !stream->chunked || turn->exchange.is_head ||
        turn->exchange.response.cut)
        return;
    pthread_mutex_lock(&stream->lock);
    add_pending(turn, STR("0\r\n\r\n"));
    pthread_mutex_unlock(&stream->lock);
}

/* Takes what the worker has written meanwhile; false when there is nothing. */
static bool take_pending(struct stream *stream)
{
    struct buffer empty = stream->sending;

    pthread_mutex_lock(&stream->lock);
    stream->sending = stream->pending;
    stream->pending = empty;
    pthread_mutex_unlock(&stream->lock);
    return stream->sending.len > 0;
}

void stream_sent(struct turn *turn)
{
    struct stream *stream = &turn->stream;

    pthread_mutex_lock(&stream->lock);
    stream->in_flight -= stream->sending.len;
    buffer_clear(&stream->sending);
    pthread_cond_signal(&stream->moved);
    pthread_mutex_unlock(&stream->lock);
}

void stream_pump(struct connection *connection)
{
    struct turn *turn = connection->turn;
    enum sent sent = SENT_ALL;

    if (connection->is_sending)
        return;
    connection->state = CONNECTION_SENDING;
    while (sent == SENT_ALL && take_pending(&turn->stream)) {
        uv_buf_t piece = uv_buf_init(turn->stream.sending.data,
                                     (unsigned)turn->stream.sending.len);

        sent = connection_send(connection, &piece, 1);
        if (sent == SENT_ALL)
            stream_sent(turn);
    }
    if (sent != SENT_ALL || turn->at_worker)
        return;
    if (turn->exchange.response.cut)
        connection_close(connection);
    else
        connection_turn_over(connection, turn->exchange.response.code);
}

void stream_wake(struct turn *turn)
{
    pthread_mutex_lock(&turn->stream.lock);
    pthread_cond_signal(&turn->stream.moved);
    pthread_mutex_unlock(&turn->stream.lock);
}
