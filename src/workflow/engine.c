/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/engine.h"

#include "base/clock.h"
#include "base/crash_stack.h"
#include "base/log.h"
#include "workflow/retention.h"
#include "workflow/store.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define TRIES_MAX 64
#define EVENTS_PER_TURN \
    1000 /* so that an endless loop of Pass states does not starve the others */
/* What all executions together may hold until it is on disk: events carry whole states. */
#define BYTES_PER_TURN ((size_t)4 << 20)
#define COMMIT_RETRY_US US_PER_SECOND

const struct registered_type *engine_type_find(const struct workflow *workflow,
                                               struct str resource)
{
    for (size_t i = 0; i < workflow->type_count; i++)
        if (str_equal(str_from(workflow->types[i].type->resource), resource))
            return &workflow->types[i];
    return NULL;
}

enum status engine_check_resource(void *context, struct str resource, yyjson_val *parameters,
                                  struct error *err)
{
    const struct workflow *workflow = context;
    const struct registered_type *known = engine_type_find(workflow, resource);
    struct str names[TASK_TYPES_MAX], near;

    if (known != NULL && known->type->check == NULL)
        return STATUS_OK;
    if (known != NULL)
        return known->type->check(parameters, err) == STATUS_OK ? STATUS_OK
                                                                : error_wrap(err, "Parameters");
    for (size_t i = 0; i < workflow->type_count; i++)
        names[i] = str_from(workflow->types[i].type->resource);
    near = str_nearest(resource, names, workflow->type_count);
    if (near.len == 0)
        return error_set(err, STATUS_INVALID, "Resource: '" STR_FMT "' is not known",
                         STR_ARG(resource));
    return error_set(err, STATUS_INVALID,
                     "Resource: '" STR_FMT "' is not known; did you mean '" STR_FMT "'?",
                     STR_ARG(resource), STR_ARG(near));
}

enum status engine_send(struct workflow *workflow, struct message *message, struct error *err)
{
    pthread_mutex_lock(&workflow->lock);
    if (!workflow->running) {
        pthread_mutex_unlock(&workflow->lock);
        return error_set(err, STATUS_UNAVAILABLE, "the workflow engine does not run");
    }
    message->next = NULL;
    message->answered = false;
    *workflow->last = message;
    workflow->last = &message->next;
    pthread_cond_signal(&workflow->happened);
    while (!message->answered)
        pthread_cond_wait(&workflow->answered, &workflow->lock);
    pthread_mutex_unlock(&workflow->lock);
    if (message->status != STATUS_OK)
        *err = message->err;
    return message->status;
}

void engine_cancel(struct live *live, enum cancel_reason reason)
{
    int expected = CANCEL_NO;

    if (live->try != NULL)
        atomic_compare_exchange_strong(&live->try->cancelled, &expected, (int)reason);
}

void engine_tell(const struct workflow *workflow, struct str id, struct str pipeline,
                 enum execution_status status)
{
    if (workflow->on_change != NULL)
        workflow->on_change(workflow->on_change_context, id, pipeline, status);
}

static int64_t monotonic_us(void)
{
    return (int64_t)(clock_monotonic_ns() / 1000);
}

/*
 * Of a try that runs here the time that really passed counts, from its beginning: the wall clock may
 * be set, and a task may have queued. A submitted one outlives engines.
 */
static bool is_late(const struct live *live, int64_t now_us)
{
    const struct cursor *cursor = &live->execution->cursor;

    if (cursor->timeout_us == 0)
        return false;
    if (live->try != NULL)
        return monotonic_us() - live->begun_us >= cursor->timeout_us;
    return cursor->phase == PHASE_SUBMITTED && now_us >= cursor->begun_us + cursor->timeout_us;
}

static bool is_silent(const struct live *live, int64_t now_us)
{
    const struct cursor *cursor = &live->execution->cursor;

    if (cursor->heartbeat_us == 0)
        return false;
    if (live->try != NULL)
        return monotonic_us() - atomic_load(&live->try->heartbeat_us) > cursor->heartbeat_us;
    return cursor->phase == PHASE_SUBMITTED && now_us >= cursor->beat_us + cursor->heartbeat_us;
}

static void check_task_time(struct live *live, int64_t now_us)
{
    const struct cursor *cursor = &live->execution->cursor;
    bool late = is_late(live, now_us);
    const struct fault fault = { late ? ERROR_TIMEOUT : ERROR_HEARTBEAT, STR_EMPTY };

    if (cursor->phase < PHASE_SCHEDULED || cursor->phase > PHASE_SUBMITTED ||
        (!late && !is_silent(live, now_us)))
        return;
    if (live->try == NULL)
        (void)execution_task_failed(live->execution, cursor->token, &fault, now_us);
    else
        /* Recorded when the try has really ended. */
        engine_cancel(live, late ? CANCEL_TIMEOUT : CANCEL_HEARTBEAT);
    live->changed = live->changed || live->execution->fresh_count > 0;
}

static void check_time(struct live *live, int64_t now_us)
{
    struct execution *execution = live->execution;

    if (execution->status != EXECUTION_RUNNING)
        return;
    if (now_us >= execution_deadline_us(execution)) {
        execution_time_out(execution, now_us);
        engine_cancel(live, CANCEL_STOPPED);
        live->changed = true;
        return;
    }
    check_task_time(live, now_us);
    if (execution->cursor.phase == PHASE_RETRYING && now_us >= execution->cursor.wake_us)
        live->changed = true;
}

static void decide(struct workflow *workflow, struct live *live, size_t bytes_max)
{
    struct execution *execution = live->execution;
    struct cursor *cursor = &execution->cursor;
    const struct registered_type *known;

    (void)execution_advance(execution, clock_now_us(), EVENTS_PER_TURN, bytes_max);
    if (execution->status != EXECUTION_RUNNING || cursor->phase != PHASE_SCHEDULED)
        return;
    known = engine_type_find(workflow, cursor->state->resource);
    if (known != NULL && known->type->start == TASK_START_AT_ONCE)
        (void)execution_task_started(execution, arena_str(execution->scratch, cursor->token),
                                     STR_EMPTY, execution->now_us);
}

/* The first that found the turn full becomes the first of the list. */
static void rotate(struct workflow *workflow)
{
    struct live **link = &workflow->live, *first;

    while (*link != NULL && !(*link)->undecided)
        link = &(*link)->next;
    first = *link;
    if (first == NULL)
        return;
    *link = NULL;
    for (link = &first; *link != NULL;)
        link = &(*link)->next;
    *link = workflow->live;
    workflow->live = first;
}

static void decide_all(struct workflow *workflow)
{
    size_t held = 0;

    for (struct live *live = workflow->live; live != NULL; live = live->next)
        held += live->execution->fresh_bytes;
    for (struct live *live = workflow->live; live != NULL; live = live->next) {
        struct execution *execution = live->execution;

        live->undecided = live->changed && execution->status == EXECUTION_RUNNING &&
                          held >= BYTES_PER_TURN;
        if (!live->changed || live->undecided)
            continue;
        held -= execution->fresh_bytes;
        decide(workflow, live, held < BYTES_PER_TURN ? BYTES_PER_TURN - held : 0);
        held += execution->fresh_bytes;
    }
    rotate(workflow);
}

/* What is on disk now is told: that a redriven one runs again, before how it ended. */
static void tell_of(const struct workflow *workflow, struct live *live)
{
    const struct execution *execution = live->execution;

    if (live->redriven)
        engine_tell(workflow, execution->id, execution->pipeline, EXECUTION_RUNNING);
    if (execution->status != EXECUTION_RUNNING)
        engine_tell(workflow, execution->id, execution->pipeline, execution->status);
    live->redriven = false;
}

/* Brings the fresh events of all executions to disk. */
static enum status commit(struct workflow *workflow, struct error *err)
{
    struct arena *arena = arena_new();
    struct execution **changed = NULL;
    size_t count = 0, capacity = 0;
    enum status status = STATUS_OK;

    for (struct live *live = workflow->live; live != NULL; live = live->next)
        if (live->execution->fresh_count > 0)
            ARENA_PUSH(arena, changed, count, capacity) = live->execution;
    if (count > 0)
        status = store_append(workflow->db, changed, count, err);
    for (struct live *live = workflow->live; status == STATUS_OK && live != NULL;
         live = live->next) {
        if (live->execution->fresh_count == 0)
            continue;
        execution_clear_fresh(live->execution);
        tell_of(workflow, live);
    }
    arena_free(arena);
    return status;
}

static void fail_unknown(struct live *live)
{
    struct cursor *cursor = &live->execution->cursor;
    const struct fault fault = {
        ERROR_RUNTIME, STR("this program has no task type for the state's Resource")
    };

    (void)execution_task_failed(live->execution, cursor->token, &fault, clock_now_us());
    live->changed = true;
}

/* After the commit: a task that is scheduled or started on disk may begin. */
static void begin_try(struct workflow *workflow, struct live *live)
{
    const struct cursor *cursor = &live->execution->cursor;
    const struct registered_type *known;

    if (live->try != NULL || live->execution->status != EXECUTION_RUNNING ||
        (cursor->phase != PHASE_SCHEDULED && cursor->phase != PHASE_STARTED))
        return;
    known = engine_type_find(workflow, cursor->state->resource);
    if (known == NULL) {
        fail_unknown(live);
    } else if (workflow->tries_begun < TRIES_MAX && !workflow->draining) {
        live->begun_us = monotonic_us();
        execution_task_begun(live->execution, clock_now_us());
        live->try = try_begin(workflow, live->execution, known);
        workflow->tries_begun++;
    }
}

/* Ended executions leave memory once their last try has left. */
static void remove_ended(struct workflow *workflow)
{
    struct live **link = &workflow->live;

    while (*link != NULL) {
        struct live *live = *link;

        if (live->execution->status == EXECUTION_RUNNING || live->try != NULL ||
            live->changed) {
            link = &live->next;
            continue;
        }
        *link = live->next;
        workflow->has_ended = true;
        execution_free(live->execution);
        free(live);
    }
}

static void take_effect(struct workflow *workflow)
{
    for (struct live *live = workflow->live; live != NULL; live = live->next) {
        if (live->undecided)
            continue;
        /* More than a turn's events were due: go on in the next. */
        live->changed = live->changed && live->execution->status == EXECUTION_RUNNING &&
                        live->execution->cursor.phase != PHASE_SCHEDULED &&
                        live->execution->cursor.phase != PHASE_STARTED &&
                        live->execution->cursor.phase != PHASE_SUBMITTED &&
                        live->execution->cursor.phase != PHASE_RETRYING;
        begin_try(workflow, live);
    }
    remove_ended(workflow);
    if (workflow->has_ended)
        retention_look(workflow->retention, workflow);
    workflow->has_ended = false;
}

static void answer_all(struct workflow *workflow, struct message *messages)
{
    pthread_mutex_lock(&workflow->lock);
    for (struct message *message = messages, *next; message != NULL; message = next) {
        next = message->next;
        message->answered = true;
    }
    workflow->generation++;
    pthread_cond_broadcast(&workflow->answered);
    pthread_cond_broadcast(&workflow->moved);
    pthread_mutex_unlock(&workflow->lock);
}

static void fail_all(struct message *messages, const struct error *err)
{
    for (struct message *message = messages; message != NULL; message = message->next) {
        if (message->status == STATUS_OK) {
            message->status = err->status;
            message->err = *err;
        }
    }
}

/* One turn. False if the events could not be brought to disk: they stay, to be tried again. */
static bool turn(struct workflow *workflow, struct message *messages)
{
    int64_t now_us = clock_now_us();
    struct error err;
    bool committed;

    for (struct message *message = messages; message != NULL; message = message->next)
        message->status = engine_handle(workflow, message);
    for (struct live *live = workflow->live; live != NULL; live = live->next)
        check_time(live, now_us);
    decide_all(workflow);
    committed = commit(workflow, &err) == STATUS_OK;
    if (committed) {
        take_effect(workflow);
    } else {
        log_error("workflow: events are not on disk; trying again every second: %s",
                  err.message);
        fail_all(messages, &err);
    }
    answer_all(workflow, messages);
    return committed;
}

/* When the try that runs is to be looked at. */
static int64_t try_due_us(const struct live *live, int64_t now_us)
{
    const struct cursor *cursor = &live->execution->cursor;
    int64_t due = INT64_MAX;

    if (live->try == NULL)
        return due;
    if (cursor->timeout_us > 0)
        due = now_us + cursor->timeout_us - (monotonic_us() - live->begun_us);
    if (cursor->heartbeat_us > 0 && now_us + US_PER_SECOND < due)
        due = now_us + US_PER_SECOND;
    return due;
}

static int64_t next_wake_us(const struct workflow *workflow, bool committed)
{
    int64_t now_us = clock_now_us(), wake = committed ? INT64_MAX : now_us + COMMIT_RETRY_US;

    for (const struct live *live = workflow->live; committed && live != NULL;
         live = live->next) {
        int64_t due = live->changed ? now_us : execution_wake_us(live->execution);
        int64_t try_due = try_due_us(live, now_us);

        if (try_due < due)
            due = try_due;
        /* What is late already waits for its try to end; looking once a second is enough. */
        if (live->try != NULL && due <= now_us)
            due = now_us + US_PER_SECOND;
        if (due < wake)
            wake = due;
    }
    return wake;
}

static void cancel_all(struct workflow *workflow)
{
    for (struct live *live = workflow->live; live != NULL; live = live->next)
        engine_cancel(live, CANCEL_CLOSING);
}

static void free_all(struct workflow *workflow)
{
    while (workflow->live != NULL) {
        struct live *live = workflow->live;

        workflow->live = live->next;
        execution_free(live->execution);
        free(live);
    }
}

/* Under the lock. Returns what has been sent meanwhile. */
static struct message *wait_for_messages(struct workflow *workflow, int64_t wake_us)
{
    struct timespec until = { .tv_sec = wake_us / US_PER_SECOND,
                              .tv_nsec = wake_us % US_PER_SECOND * 1000 };
    struct message *messages;
    int waited = 0;

    while (workflow->first == NULL && !workflow->closing && waited == 0)
        waited = wake_us == INT64_MAX
                     ? pthread_cond_wait(&workflow->happened, &workflow->lock)
                     : pthread_cond_timedwait(&workflow->happened, &workflow->lock, &until);
    /* Tries were cancelled in the turn before; each tells when it has left. */
    if (workflow->draining && workflow->first == NULL && workflow->try_count > 0)
        pthread_cond_wait(&workflow->happened, &workflow->lock);
    messages = workflow->first;
    workflow->first = NULL;
    workflow->last = &workflow->first;
    return messages;
}

void *engine_main(void *context)
{
    struct workflow *workflow = context;
    int64_t wake_us = 0;
    bool over = false;

    crash_stack_ready();
    while (!over) {
        struct message *messages;

        pthread_mutex_lock(&workflow->lock);
        messages = wait_for_messages(workflow, wake_us);
        over = workflow->closing && workflow->try_count == 0 && messages == NULL;
        workflow->draining = workflow->closing;
        if (over)
            workflow->running = false;
        pthread_mutex_unlock(&workflow->lock);
        if (workflow->draining)
            cancel_all(workflow);
        if (!over)
            wake_us = next_wake_us(workflow, turn(workflow, messages));
    }
    free_all(workflow);
    return NULL;
}
