/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine's messages do to its executions, on its thread. */
#include "workflow/engine.h"

#include "base/clock.h"
#include "base/log.h"
#include "workflow/retention.h"
#include "workflow/store.h"

#include <stdlib.h>

static struct live *live_find(struct workflow *workflow, struct str id)
{
    struct live *live = workflow->live;

    while (live != NULL && !str_equal(live->execution->id, id))
        live = live->next;
    return live;
}

static struct live *live_with_token(struct workflow *workflow, struct str token)
{
    struct live *live = workflow->live;

    /* The answer may be there before the task has finished asking. */
    while (live != NULL && !(live->execution->status == EXECUTION_RUNNING &&
                             (live->execution->cursor.phase == PHASE_SUBMITTED ||
                              live->execution->cursor.phase == PHASE_STARTED) &&
                             str_equal(live->execution->cursor.token, token)))
        live = live->next;
    return live;
}

static struct live *live_add(struct workflow *workflow, struct execution *execution)
{
    struct live *live = calloc(1, sizeof(*live));

    if (live == NULL)
        abort();
    live->execution = execution;
    live->changed = true;
    live->next = workflow->live;
    workflow->live = live;
    return live;
}

/* A try that an earlier life of the engine left running is ended, then counts as failed. */
static void interrupt(struct workflow *workflow, struct live *live)
{
    const struct fault fault = { ERROR_INTERRUPTED,
                                 STR("the engine ended while the task ran") };
    struct cursor *cursor = &live->execution->cursor;
    const struct registered_type *known = engine_type_find(workflow, cursor->state->resource);
    struct arena *arena = arena_new();
    yyjson_val *private_part = NULL;
    struct error err;

    if (cursor->started.len > 0 &&
        json_parse(arena, cursor->started, &private_part, &err) != STATUS_OK)
        log_error("workflow: %s", err.message);
    if (known != NULL && known->type->clean_up != NULL)
        known->type->clean_up(workflow->project, private_part);
    (void)execution_task_failed(live->execution, arena_str(arena, cursor->token), &fault,
                                clock_now_us());
    arena_free(arena);
}

static struct live *adopt(struct workflow *workflow, struct execution *execution)
{
    struct live *live = live_add(workflow, execution);

    if (execution->cursor.phase == PHASE_STARTED)
        interrupt(workflow, live);
    return live;
}

static enum status on_load(struct workflow *workflow, struct message *message)
{
    struct execution *execution;

    if (live_find(workflow, message->id) != NULL)
        return STATUS_OK;
    TRY(store_load(workflow->db, message->id, &execution, &message->err));
    (void)adopt(workflow, execution);
    return STATUS_OK;
}

/* RUNNING on disk, but what happened to it cannot be read: it ends there. */
static enum status stop_unreadable(struct workflow *workflow, struct message *message)
{
    struct arena *arena = arena_new();
    struct str pipeline;
    enum status status = store_abort(workflow->db, arena, message->id, &message->fault,
                                     message->user, clock_now_us(), &pipeline, &message->err);

    if (status == STATUS_OK)
        engine_tell(workflow, message->id, pipeline, EXECUTION_ABORTED);
    arena_free(arena);
    return status;
}

static enum status on_stop(struct workflow *workflow, struct message *message)
{
    struct live *live = live_find(workflow, message->id);
    struct execution *execution = live == NULL ? NULL : live->execution;

    if (live == NULL &&
        store_load(workflow->db, message->id, &execution, &message->err) != STATUS_OK)
        return stop_unreadable(workflow, message);
    if (execution->status != EXECUTION_RUNNING) {
        if (live == NULL)
            execution_free(execution);
        return error_set(&message->err, STATUS_CONFLICT,
                         "execution " STR_FMT " does not run any more", STR_ARG(message->id));
    }
    if (live == NULL)
        live = adopt(workflow, execution);
    execution_abort(live->execution, &message->fault, message->user, clock_now_us());
    engine_cancel(live, CANCEL_STOPPED);
    live->changed = true;
    return STATUS_OK;
}

static enum status check_redrive(const struct workflow *workflow,
                                 const struct execution *execution, struct error *err)
{
    if (execution->status == EXECUTION_RUNNING)
        return error_set(err, STATUS_CONFLICT, "execution " STR_FMT " still runs",
                         STR_ARG(execution->id));
    if (execution->status == EXECUTION_SUCCEEDED)
        return error_set(err, STATUS_CONFLICT,
                         "execution " STR_FMT " has succeeded; there is nothing to do again",
                         STR_ARG(execution->id));
    if (execution->last_id >= HISTORY_EVENTS_MAX - 1)
        return error_set(err, STATUS_CONFLICT,
                         "the history of execution " STR_FMT
                         " has reached its limit of %d events; start the pipeline again",
                         STR_ARG(execution->id), HISTORY_EVENTS_MAX);
    return execution->pipeline.len == 0 ? STATUS_OK
                                        : retention_check(workflow, execution->id, err);
}

static enum status on_redrive(struct workflow *workflow, struct message *message)
{
    struct execution *execution;
    enum status status;

    if (live_find(workflow, message->id) != NULL)
        return error_set(&message->err, STATUS_CONFLICT, "execution " STR_FMT " still runs",
                         STR_ARG(message->id));
    TRY(store_load(workflow->db, message->id, &execution, &message->err));
    status = check_redrive(workflow, execution, &message->err);
    if (status != STATUS_OK) {
        execution_free(execution);
        return status;
    }
    execution_redrive(execution, message->user, clock_now_us());
    live_add(workflow, execution)->redriven = true;
    return STATUS_OK;
}

static enum status on_started(struct workflow *workflow, struct message *message)
{
    struct live *live = live_find(workflow, message->id);

    if (live == NULL || live->try != message->try ||
        atomic_load(&live->try->cancelled) != CANCEL_NO ||
        !execution_task_started(live->execution, message->try->task.token, message->text,
                                clock_now_us()))
        return error_set(&message->err, STATUS_CONFLICT, "the task is not wanted any more");
    live->changed = true;
    return STATUS_OK;
}

static void record_end(struct live *live, const struct message *message)
{
    struct execution *execution = live->execution;
    struct str token = message->try->task.token;
    int64_t now_us = clock_now_us();
    struct fault fault = message->fault;

    switch ((enum cancel_reason)atomic_load(&message->try->cancelled)) {
    case CANCEL_STOPPED:
    case CANCEL_CLOSING:
        if (message->result != STATUS_OK)
            return; /* an interruption: the next engine finds the task started, and not ended */
        break;
    case CANCEL_TIMEOUT:
        fault = (struct fault){
            ERROR_TIMEOUT,
            arena_printf(execution->scratch,
                         "the step took longer than its time limit of %lld s: " STR_FMT,
                         (long long)(execution->cursor.timeout_us / US_PER_SECOND),
                         STR_ARG(fault.cause)),
        };
        break;
    case CANCEL_HEARTBEAT:
        fault = (struct fault){ ERROR_HEARTBEAT, fault.cause };
        break;
    case CANCEL_NO:
        break;
    }
    /* Whoever failed before it had started by itself has now both started and failed. */
    if (message->result == STATUS_OK && execution->cursor.phase == PHASE_SCHEDULED)
        (void)execution_task_started(execution, token, STR_EMPTY, now_us);
    if (message->result != STATUS_OK)
        (void)execution_task_failed(execution, token, &fault, now_us);
    else if (message->try->submitted)
        (void)execution_task_submitted(execution, token, message->text, now_us);
    else
        (void)execution_task_succeeded(execution, token, message->text, now_us);
}

static enum status on_done(struct workflow *workflow, struct message *message)
{
    struct live *live = live_find(workflow, message->id);

    if (live == NULL || live->try != message->try)
        return STATUS_OK;
    record_end(live, message);
    live->try = NULL;
    workflow->tries_begun--;
    live->changed = true;
    return STATUS_OK;
}

static enum status on_token(struct workflow *workflow, struct message *message)
{
    struct live *live = live_with_token(workflow, message->token);
    int64_t now_us = clock_now_us();

    if (live == NULL)
        return error_set(&message->err, STATUS_NOT_FOUND, "no task waits for this token");
    if (message->kind == MESSAGE_SUCCEED)
        (void)execution_task_succeeded(live->execution, message->token, message->text, now_us);
    else
        (void)execution_task_failed(live->execution, message->token, &message->fault, now_us);
    live->changed = true;
    return STATUS_OK;
}

enum status engine_handle(struct workflow *workflow, struct message *message)
{
    switch (message->kind) {
    case MESSAGE_LOAD:
        return on_load(workflow, message);
    case MESSAGE_STOP:
        return on_stop(workflow, message);
    case MESSAGE_REDRIVE:
        return on_redrive(workflow, message);
    case MESSAGE_STARTED:
        return on_started(workflow, message);
    case MESSAGE_DONE:
        return on_done(workflow, message);
    case MESSAGE_SUCCEED:
    case MESSAGE_FAIL:
        return on_token(workflow, message);
    }
    return STATUS_OK;
}
