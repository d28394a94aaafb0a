/* SPDX-License-Identifier: Apache-2.0 */
/* What events mean: the only code that changes what an execution knows. */
#include "workflow/execution.h"

#include "base/clock.h"
#include "workflow/states/state.h"

struct application {
    struct execution *execution;
    struct cursor *cursor;
    const struct event *event;
    yyjson_val *details;      /* the inner object, or NULL */
    yyjson_val *private_part; /* or NULL */
};

typedef bool (*apply_function)(const struct application *a);

static struct str text_field(yyjson_val *object, const char *key)
{
    return json_str(yyjson_obj_get(object, key));
}

static struct str keep(const struct application *a, yyjson_val *object, const char *key)
{
    return arena_str(a->cursor->arena, text_field(object, key));
}

static struct fault kept_fault(const struct application *a, struct arena *arena)
{
    return (struct fault){ arena_str(arena, text_field(a->details, "error")),
                           arena_str(arena, text_field(a->details, "cause")) };
}

static void set_next(struct execution *execution, struct cursor *cursor, struct str next,
                     struct str data)
{
    struct arena *arena = arena_new(), *old = cursor->arena;

    *cursor = (struct cursor){
        .arena = arena,
        .phase = PHASE_NEXT,
        .state = machine_find(execution->machine, next),
        .input = arena_str(arena, data),
    };
    arena_free(old);
}

static bool apply_execution_started(const struct application *a)
{
    struct execution *execution = a->execution;

    execution->input = arena_str(execution->arena, text_field(a->details, "input"));
    execution->start_us = a->event->time_us;
    execution->status = EXECUTION_RUNNING;
    set_next(execution, a->cursor, execution->machine->start_at, execution->input);
    return true;
}

static bool apply_entered(const struct application *a)
{
    struct cursor *cursor = a->cursor;

    if (cursor->phase != PHASE_NEXT || cursor->state == NULL)
        return false;
    cursor->phase = PHASE_ENTERED;
    cursor->entered_id = a->event->id;
    cursor->entered_us = a->event->time_us;
    cursor->attempts = ARENA_ARRAY(cursor->arena, int64_t, cursor->state->retrier_count);
    return true;
}

static void apply_variables(const struct application *a)
{
    yyjson_val *assigned = yyjson_obj_get(a->details, "assignedVariables"), *key, *value;
    size_t i, count;

    if (assigned == NULL)
        return;
    yyjson_obj_foreach(assigned, i, count, key, value)
        variables_put(&a->execution->variables, json_str(key), json_str(value));
}

static bool apply_exited(const struct application *a)
{
    struct str output = text_field(a->details, "output");
    struct str next = text_field(a->private_part, "next");

    apply_variables(a);
    if (next.len == 0) {
        a->cursor->phase = PHASE_ENDED;
        a->cursor->result = arena_str(a->cursor->arena, output);
        return true;
    }
    set_next(a->execution, a->cursor, next, output);
    return a->cursor->state != NULL;
}

static bool apply_task_scheduled(const struct application *a)
{
    struct cursor *cursor = a->cursor;

    if (cursor->state == NULL)
        return false;
    cursor->phase = PHASE_SCHEDULED;
    cursor->parameters = keep(a, a->details, "parameters");
    cursor->token = keep(a, a->private_part, "token");
    cursor->timeout_us = yyjson_get_sint(yyjson_obj_get(a->details, "timeoutInSeconds")) *
                         US_PER_SECOND;
    cursor->heartbeat_us = yyjson_get_sint(yyjson_obj_get(a->details, "heartbeatInSeconds")) *
                           US_PER_SECOND;
    cursor->begun_us = a->event->time_us;
    cursor->scheduled_id = a->event->id;
    cursor->started = STR_EMPTY;
    return cursor->token.len > 0;
}

static bool apply_task_started(const struct application *a)
{
    a->cursor->phase = PHASE_STARTED;
    a->cursor->begun_us = a->event->time_us;
    a->cursor->started = arena_str(a->cursor->arena, a->event->private_part);
    return true;
}

static bool apply_task_submitted(const struct application *a)
{
    yyjson_val *begun = yyjson_obj_get(a->private_part, "begun_us");

    a->cursor->phase = PHASE_SUBMITTED;
    a->cursor->beat_us = a->event->time_us;
    if (begun != NULL)
        a->cursor->begun_us = yyjson_get_sint(begun);
    return true;
}

static bool apply_task_succeeded(const struct application *a)
{
    a->cursor->phase = PHASE_SUCCEEDED;
    a->cursor->result = keep(a, a->details, "output");
    return true;
}

static bool apply_task_failed(const struct application *a)
{
    struct cursor *cursor = a->cursor;
    yyjson_val *retrier = yyjson_obj_get(a->private_part, "retrier");
    size_t index = (size_t)yyjson_get_uint(retrier);

    cursor->phase = PHASE_FAILED;
    cursor->fault = kept_fault(a, cursor->arena);
    if (retrier == NULL)
        return true;
    if (cursor->state == NULL || index >= cursor->state->retrier_count)
        return false;
    cursor->phase = PHASE_RETRYING;
    cursor->attempts[index]++;
    cursor->retries++;
    cursor->wake_us = yyjson_get_sint(yyjson_obj_get(a->private_part, "wake_us"));
    return true;
}

static void end_execution(const struct application *a, enum execution_status status)
{
    a->execution->status = status;
    a->execution->stop_us = a->event->time_us;
    a->execution->fault = kept_fault(a, a->execution->arena);
}

static bool apply_execution_succeeded(const struct application *a)
{
    end_execution(a, EXECUTION_SUCCEEDED);
    a->execution->output = arena_str(a->execution->arena, text_field(a->details, "output"));
    return true;
}

static bool apply_execution_failed(const struct application *a)
{
    end_execution(a, EXECUTION_FAILED);
    return true;
}

static bool apply_execution_aborted(const struct application *a)
{
    end_execution(a, EXECUTION_ABORTED);
    a->execution->stopped_by = arena_str(a->execution->arena,
                                         text_field(a->private_part, "user"));
    return true;
}

static bool apply_execution_timed_out(const struct application *a)
{
    end_execution(a, EXECUTION_TIMED_OUT);
    return true;
}

/* The state that failed is done again, with the input it had and its retries not yet used. */
static bool apply_execution_redriven(const struct application *a)
{
    struct execution *execution = a->execution;
    struct cursor *cursor = a->cursor;

    execution->status = EXECUTION_RUNNING;
    execution->stop_us = 0;
    execution->fault = (struct fault){ STR_EMPTY, STR_EMPTY };
    execution->redrive_count++;
    execution->redrive_us = a->event->time_us;
    execution->stopped_by = STR_EMPTY;
    execution->redriven_by = arena_str(execution->arena, text_field(a->private_part, "user"));
    cursor->retries = 0;
    if (cursor->phase != PHASE_NEXT && cursor->phase != PHASE_ENDED)
        cursor->phase = PHASE_ENTERED;
    if (cursor->attempts != NULL)
        memset(cursor->attempts, 0, cursor->state->retrier_count * sizeof(*cursor->attempts));
    return true;
}

static const struct {
    struct str type;
    apply_function apply;
} meanings[] = {
    { STR_INIT("ExecutionStarted"), apply_execution_started },
    { STR_INIT("TaskScheduled"), apply_task_scheduled },
    { STR_INIT("TaskStarted"), apply_task_started },
    { STR_INIT("TaskSubmitted"), apply_task_submitted },
    { STR_INIT("TaskSucceeded"), apply_task_succeeded },
    { STR_INIT("TaskFailed"), apply_task_failed },
    { STR_INIT("TaskTimedOut"), apply_task_failed },
    { STR_INIT("ExecutionSucceeded"), apply_execution_succeeded },
    { STR_INIT("ExecutionFailed"), apply_execution_failed },
    { STR_INIT("ExecutionAborted"), apply_execution_aborted },
    { STR_INIT("ExecutionTimedOut"), apply_execution_timed_out },
    { STR_INIT("ExecutionRedriven"), apply_execution_redriven },
};

static apply_function meaning_of(struct str type)
{
    if (state_type_is_entered_event(type))
        return apply_entered;
    if (state_type_is_exited_event(type))
        return apply_exited;
    for (size_t i = 0; i < ARRAY_LEN(meanings); i++)
        if (str_equal(meanings[i].type, type))
            return meanings[i].apply;
    return NULL;
}

static enum status parse_optional(struct arena *arena, struct str text, yyjson_val **out,
                                  struct error *err)
{
    *out = NULL;
    return text.len == 0 ? STATUS_OK : json_parse(arena, text, out, err);
}

enum status execution_apply(struct execution *execution, const struct event *event,
                            struct error *err)
{
    struct application a = { execution, &execution->cursor, event, NULL, NULL };
    apply_function apply = meaning_of(event->type);
    struct arena_mark mark = arena_mark(execution->scratch);
    yyjson_val *outer;
    bool fits = false;

    if (apply != NULL && event->id == execution->last_id + 1 &&
        parse_optional(execution->scratch, event->details, &outer, err) == STATUS_OK &&
        parse_optional(execution->scratch, event->private_part, &a.private_part, err) ==
            STATUS_OK) {
        yyjson_obj_iter iter = yyjson_obj_iter_with(outer);

        a.details = yyjson_obj_iter_get_val(yyjson_obj_iter_next(&iter));
        fits = apply(&a);
    }
    arena_rewind(execution->scratch, mark);
    if (!fits)
        return error_set(err, STATUS_INTERNAL,
                         "history of execution " STR_FMT ": event %lld (" STR_FMT
                         ") does not follow from those before it",
                         STR_ARG(execution->id), (long long)event->id, STR_ARG(event->type));
    execution->last_id = event->id;
    return STATUS_OK;
}
