/* SPDX-License-Identifier: Apache-2.0 */
#include "net/access_log.h"
#include "net/connection.h"
#include "net/file_reply.h"
#include "net/spool.h"
#include "net/stream.h"

#include "base/clock.h"

#include <stdlib.h>

#define FREE_TURNS_MAX 64
/* A turn that needed more gives it back to the system. */
#define KEPT_BYTES ((size_t)64 << 10)

/* Memory of a turn that has ended is the next one's: no malloc a request. */
static struct turn *turn_take(struct loop *loop)
{
    struct turn *turn = loop->free_turns;

    if (turn != NULL) {
        loop->free_turns = turn->next_free;
        loop->free_turn_count--;
        memset(turn, 0, offsetof(struct turn, loop));
        return turn;
    }
    turn = calloc(1, sizeof(*turn));
    if (turn == NULL)
        abort();
    turn->loop = loop;
    turn->arena = arena_new();
    arena_set_budget(turn->arena, &loop->server->memory);
    stream_init(&turn->stream);
    return turn;
}

struct turn *turn_new(struct connection *connection)
{
    struct turn *turn = turn_take(connection->loop);

    turn->connection = connection;
    turn->exchange.request.arena = turn->arena;
    turn->exchange.request.start_ns = clock_monotonic_ns();
    turn->exchange.sink = &turn_sink;
    turn->exchange.target.path = STR_EMPTY;
    return turn;
}

static void turn_destroy(struct turn *turn)
{
    arena_free(turn->arena);
    buffer_free(&turn->body);
    stream_fini(&turn->stream);
    free(turn);
}

void turn_free(struct turn *turn)
{
    struct loop *loop = turn->loop;

    if (turn->body_counted > 0)
        atomic_fetch_sub_explicit(&loop->server->memory.held, turn->body_counted,
                                  memory_order_relaxed);
    file_reply_free(&turn->file);
    spool_free(&turn->spool);
    stream_reset(&turn->stream);
    if (loop->free_turn_count == FREE_TURNS_MAX || turn->body.capacity > KEPT_BYTES ||
        arena_size(turn->arena) > KEPT_BYTES) {
        turn_destroy(turn);
        return;
    }
    arena_reset(turn->arena);
    buffer_clear(&turn->body);
    turn->next_free = loop->free_turns;
    loop->free_turns = turn;
    loop->free_turn_count++;
}

bool turn_count_body(struct turn *turn)
{
    struct arena_budget *memory = &turn->loop->server->memory;
    size_t more = turn->body.capacity - turn->body_counted;

    if (turn->body.capacity <= KEPT_BYTES || more == 0)
        return true;
    turn->body_counted += more;
    return atomic_fetch_add_explicit(&memory->held, more, memory_order_relaxed) + more <=
           memory->max;
}

void turns_free(struct loop *loop)
{
    while (loop->free_turns != NULL) {
        struct turn *turn = loop->free_turns;

        loop->free_turns = turn->next_free;
        turn_destroy(turn);
    }
    loop->free_turn_count = 0;
}

static unsigned handler_timeout_ms(const struct turn *turn)
{
    unsigned own = turn->exchange.request.route->timeout_ms;

    return own != 0 ? own : turn->loop->settings->deadlines.handler_ms;
}

/* The worker is done with it: the turn is the loop's again. */
static void on_done(struct post *post)
{
    struct turn *turn = container_of(post, struct turn, done);

    turn->at_worker = false;
    turn->loop->turns_at_workers--;
    if (turn->connection == NULL)
        turn_free(turn);
    else
        connection_reply(turn->connection);
}

static void run_at_worker(struct work *work)
{
    struct turn *turn = container_of(work, struct turn, work);
    struct response *res = &turn->exchange.response;

    if (!atomic_load_explicit(&turn->is_gone, memory_order_relaxed)) {
        router_run(&turn->exchange, res->handed_over);
        while (res->handed_over != NULL)
            router_run(&turn->exchange, res->handed_over);
        file_reply_open(turn);
        stream_finish(turn);
    }
    loop_post(turn->loop, &turn->done);
}

static void answer_too_many(struct turn *turn)
{
    struct error err;

    error_set(&err, STATUS_UNAVAILABLE, "too many requests wait for a worker; try again");
    response_header(&turn->exchange.response, "Retry-After", STR("1"));
    router_answer_error(&turn->exchange, 503, &err);
}

static void lend(struct turn *turn)
{
    struct connection *connection = turn->connection;
    enum route_mode mode = turn->exchange.request.route->mode;
    bool is_decision = mode == INLINE_DECISION || mode == DEFERRED_DECISION;
    struct response *res = &turn->exchange.response;

    turn->at_worker = true;
    turn->loop->turns_at_workers++;
    turn->work.run = run_at_worker;
    turn->done.run = on_done;
    connection->state = CONNECTION_RUNNING;
    connection_deadline(connection, handler_timeout_ms(turn));
    if (workers_submit(turn->loop->server->workers, is_decision ? LANE_DECISION : LANE_CONTROL,
                       &turn->work))
        return;
    turn->at_worker = false;
    turn->loop->turns_at_workers--;
    res->handed_over = NULL;
    if (res->refused != NULL)
        router_run(&turn->exchange, res->refused);
    else
        answer_too_many(turn);
    file_reply_open(turn);
    connection_reply(connection);
}

void turn_dispatch(struct turn *turn)
{
    struct request *req = &turn->exchange.request;
    unsigned timeout_ms;

    if (turn->is_answered) {
        connection_reply(turn->connection);
        return;
    }
    timeout_ms = handler_timeout_ms(turn);
    if (timeout_ms != UINT_MAX)
        req->deadline_ns = (turn->body_came_late ? clock_monotonic_ns() : req->start_ns) +
                           timeout_ms * UINT64_C(1000000);
    if (req->route->mode == INLINE || req->route->mode == INLINE_DECISION) {
        router_run(&turn->exchange, NULL);
        if (turn->exchange.response.handed_over == NULL) {
            file_reply_open(turn);
            connection_reply(turn->connection);
            return;
        }
    }
    lend(turn);
}

void turn_abandon(struct turn *turn)
{
    atomic_store_explicit(&turn->exchange.abandoned, true, memory_order_relaxed);
    atomic_store_explicit(&turn->is_gone, true, memory_order_relaxed);
    turn->connection = NULL;
    stream_wake(turn);
}

void turn_record(struct turn *turn, int code)
{
    const struct exchange *exchange = &turn->exchange;
    struct server *server = turn->loop->server;
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t took_ns = now_ns - exchange->request.start_ns;

    turn->loop->now_ns = now_ns;
    route_stats_record(exchange->stats != NULL ? exchange->stats : server->other_stats, code,
                       took_ns);
    if (turn->loop->settings->access_log != NULL)
        access_log_write(turn->loop->settings->access_log, turn, code, took_ns);
}
