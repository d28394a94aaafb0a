/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/execution.h"

#include "base/clock.h"
#include "base/hash.h"
#include "workflow/states/state.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define EVENTS_MAX 25000 /* of one history, as in Step Functions */
#define ROLE "arn:aws:iam::000000000000:role/onggi"
#define ARN "arn:aws:states:local:000000000000:"

struct execution *execution_new(struct str id, struct str pipeline, struct str user)
{
    struct arena *arena = arena_new();
    struct execution *execution = ARENA_NEW(arena, struct execution);

    execution->arena = arena;
    execution->scratch = arena_new();
    execution->fresh_arena = arena_new();
    execution->cursor.arena = arena_new();
    execution->id = arena_str(arena, id);
    execution->pipeline = arena_str(arena, pipeline);
    execution->user = arena_str(arena, user);
    return execution;
}

void execution_free(struct execution *execution)
{
    if (execution == NULL)
        return;
    arena_free(execution->cursor.arena);
    arena_free(execution->fresh_arena);
    arena_free(execution->scratch);
    arena_free(execution->arena);
}

enum status execution_define(struct execution *execution, struct str definition,
                             resource_check check, void *check_context, struct error *err)
{
    execution->definition = arena_str(execution->arena, definition);
    return machine_parse(execution->arena, execution->definition, check, check_context,
                         &execution->machine, err);
}

void execution_clear_fresh(struct execution *execution)
{
    arena_reset(execution->fresh_arena);
    arena_reset(execution->scratch);
    execution->fresh = NULL;
    execution->fresh_count = execution->fresh_capacity = 0;
}

/* The chain of events: the first two both begin it. */
static int64_t previous_of(const struct execution *execution)
{
    return execution->last_id == 1 ? 0 : execution->last_id;
}

/* Makes an event and applies it. details is the inner object, shown under `name`EventDetails. */
static void emit(struct execution *execution, struct str type, const char *name,
                 yyjson_mut_doc *doc, yyjson_mut_val *details, struct str private_part)
{
    struct arena *arena = execution->fresh_arena;
    yyjson_mut_val *outer = yyjson_mut_obj(doc);
    struct event event = { .id = execution->last_id + 1,
                           .previous_id = previous_of(execution),
                           .time_us = execution->now_us,
                           .type = arena_str(arena, type),
                           .private_part = arena_str(arena, private_part) };
    struct error err;

    yyjson_mut_obj_add_val(doc, outer, name, details);
    event.details = json_mut_write(arena, outer);
    ARENA_PUSH(arena, execution->fresh, execution->fresh_count,
               execution->fresh_capacity) = event;
    if (execution_apply(execution, &event, &err) != STATUS_OK)
        abort(); /* what we make ourselves always fits */
}

static void add_truncated(yyjson_mut_doc *doc, yyjson_mut_val *details, const char *key)
{
    yyjson_mut_val *flag = yyjson_mut_obj_add_obj(doc, details, key);

    yyjson_mut_obj_add_bool(doc, flag, "truncated", false);
}

void execution_start(struct execution *execution, struct str input, int64_t now_us)
{
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc);

    execution->now_us = now_us;
    json_add_str(doc, details, "input", input);
    add_truncated(doc, details, "inputDetails");
    json_add_str(doc, details, "roleArn", STR(ROLE));
    emit(execution, STR("ExecutionStarted"), "executionStartedEventDetails", doc, details,
         STR_EMPTY);
}

static void emit_entered(struct execution *execution)
{
    const struct cursor *cursor = &execution->cursor;
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc);

    json_add_str(doc, details, "name", cursor->state->name);
    json_add_str(doc, details, "input", cursor->input);
    add_truncated(doc, details, "inputDetails");
    emit(execution, str_from(cursor->state->type->entered), "stateEnteredEventDetails", doc,
         details, STR_EMPTY);
}

static void emit_exited(struct execution *execution, struct str output, struct str next)
{
    const struct state *state = execution->cursor.state;
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc), *private_part = yyjson_mut_obj(doc);

    json_add_str(doc, details, "name", state->name);
    json_add_str(doc, details, "output", output);
    add_truncated(doc, details, "outputDetails");
    if (next.len > 0)
        json_add_str(doc, private_part, "next", next);
    emit(execution, str_from(state->type->exited), "stateExitedEventDetails", doc, details,
         json_mut_write(execution->scratch, private_part));
}

static void emit_succeeded(struct execution *execution)
{
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc);

    json_add_str(doc, details, "output", execution->cursor.result);
    add_truncated(doc, details, "outputDetails");
    emit(execution, STR("ExecutionSucceeded"), "executionSucceededEventDetails", doc, details,
         STR_EMPTY);
}

static void add_fault(yyjson_mut_doc *doc, yyjson_mut_val *details, const struct fault *fault)
{
    if (fault->error.len > 0)
        json_add_str(doc, details, "error", fault->error);
    if (fault->cause.len > 0)
        json_add_str(doc, details, "cause", fault->cause);
}

static void emit_end(struct execution *execution, struct str type, const char *name,
                     const struct fault *fault)
{
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc);

    add_fault(doc, details, fault);
    emit(execution, type, name, doc, details, STR_EMPTY);
}

static void add_resource(yyjson_mut_doc *doc, yyjson_mut_val *details,
                         const struct state *state)
{
    size_t colon = str_index(state->resource, ':');
    struct str rest = str_slice(state->resource, colon + (colon < state->resource.len),
                                state->resource.len);

    json_add_str(doc, details, "resourceType", str_slice(state->resource, 0, colon));
    json_add_str(doc, details, "resource", rest);
}

static void emit_task(struct execution *execution, struct str type, const char *name,
                      yyjson_mut_doc *doc, yyjson_mut_val *details, struct str private_part)
{
    add_resource(doc, details, execution->cursor.state);
    emit(execution, type, name, doc, details, private_part);
}

void execution_schedule_task(struct execution *execution, struct str parameters,
                             int64_t timeout_s, int64_t heartbeat_s)
{
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc), *private_part = yyjson_mut_obj(doc);

    json_add_str(doc, details, "region", STR("local"));
    json_add_str(doc, details, "parameters", parameters);
    if (timeout_s > 0)
        yyjson_mut_obj_add_int(doc, details, "timeoutInSeconds", timeout_s);
    if (heartbeat_s > 0)
        yyjson_mut_obj_add_int(doc, details, "heartbeatInSeconds", heartbeat_s);
    json_add_str(doc, private_part, "token", id_new(execution->scratch));
    emit_task(execution, STR("TaskScheduled"), "taskScheduledEventDetails", doc, details,
              json_mut_write(execution->scratch, private_part));
}

static bool is_current(const struct execution *execution, struct str token, enum phase from,
                       enum phase to)
{
    return execution->status == EXECUTION_RUNNING && execution->cursor.phase >= from &&
           execution->cursor.phase <= to && str_equal(execution->cursor.token, token);
}

bool execution_task_started(struct execution *execution, struct str token,
                            struct str private_part, int64_t now_us)
{
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);

    if (!is_current(execution, token, PHASE_SCHEDULED, PHASE_SCHEDULED))
        return false;
    execution->now_us = now_us;
    emit_task(execution, STR("TaskStarted"), "taskStartedEventDetails", doc,
              yyjson_mut_obj(doc), private_part);
    return true;
}

static void add_output(yyjson_mut_doc *doc, yyjson_mut_val *details, struct str output)
{
    json_add_str(doc, details, "output", output);
    add_truncated(doc, details, "outputDetails");
}

bool execution_task_submitted(struct execution *execution, struct str token, struct str output,
                              int64_t now_us)
{
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc);

    if (!is_current(execution, token, PHASE_STARTED, PHASE_STARTED))
        return false;
    execution->now_us = now_us;
    add_output(doc, details, output);
    emit_task(execution, STR("TaskSubmitted"), "taskSubmittedEventDetails", doc, details,
              STR_EMPTY);
    return true;
}

static struct fault too_large(const struct execution *execution)
{
    return (struct fault){
        ERROR_DATA_LIMIT,
        arena_printf(execution->scratch,
                     "The state/task '" STR_FMT "' returned a result with a size exceeding the "
                     "maximum number of bytes service limit.",
                     STR_ARG(execution->cursor.state->resource)),
    };
}

bool execution_task_succeeded(struct execution *execution, struct str token, struct str output,
                              int64_t now_us)
{
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc);
    struct fault fault;

    if (!is_current(execution, token, PHASE_STARTED, PHASE_SUBMITTED))
        return false;
    if (output.len > DATA_MAX) {
        fault = too_large(execution);
        return execution_task_failed(execution, token, &fault, now_us);
    }
    execution->now_us = now_us;
    add_output(doc, details, output);
    emit_task(execution, STR("TaskSucceeded"), "taskSucceededEventDetails", doc, details,
              STR_EMPTY);
    return true;
}

/* States.ALL spares what no second try can help. */
static bool error_matches(struct str pattern, struct str error)
{
    bool runtime = str_equal(error, ERROR_RUNTIME) || str_equal(error, ERROR_DATA_LIMIT);

    if (str_equal(pattern, error))
        return true;
    if (str_equal(pattern, ERROR_ALL))
        return !runtime;
    if (str_equal(pattern, ERROR_TASK_FAILED))
        return !runtime && !str_equal(error, ERROR_TIMEOUT);
    return str_equal(pattern, ERROR_TIMEOUT) && str_equal(error, ERROR_HEARTBEAT);
}

static bool any_matches(const struct str *patterns, size_t count, struct str error)
{
    for (size_t i = 0; i < count; i++)
        if (error_matches(patterns[i], error))
            return true;
    return false;
}

static int64_t retry_delay_us(const struct retrier *retrier, int64_t attempts)
{
    double seconds = retrier->interval_s * pow(retrier->backoff, (double)attempts);
    double most = retrier->max_delay_s > 0 ? retrier->max_delay_s : 1e9;

    if (!(seconds < most))
        seconds = most;
    if (retrier->full_jitter)
        seconds *= (double)(random_u64() >> 11) / (double)(UINT64_C(1) << 53);
    return (int64_t)(seconds * (double)US_PER_SECOND);
}

/* The first retrier that names the error decides, also when it has no tries left. */
static struct str retry_decision(struct execution *execution, struct str error)
{
    const struct cursor *cursor = &execution->cursor;

    for (size_t i = 0; i < cursor->state->retrier_count; i++) {
        const struct retrier *retrier = &cursor->state->retriers[i];

        if (!any_matches(retrier->errors, retrier->error_count, error))
            continue;
        if (cursor->attempts[i] >= retrier->max_attempts)
            break;
        return arena_printf(
            execution->scratch, "{\"retrier\":%zu,\"wake_us\":%lld}", i,
            (long long)(execution->now_us + retry_delay_us(retrier, cursor->attempts[i])));
    }
    return STR_EMPTY;
}

bool execution_task_failed(struct execution *execution, struct str token,
                           const struct fault *fault, int64_t now_us)
{
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc);
    bool late = str_equal(fault->error, ERROR_TIMEOUT) ||
                str_equal(fault->error, ERROR_HEARTBEAT);

    if (!is_current(execution, token, PHASE_SCHEDULED, PHASE_SUBMITTED))
        return false;
    execution->now_us = now_us;
    add_fault(doc, details, fault);
    emit_task(execution, late ? STR("TaskTimedOut") : STR("TaskFailed"),
              late ? "taskTimedOutEventDetails" : "taskFailedEventDetails", doc, details,
              retry_decision(execution, fault->error));
    return true;
}

void execution_abort(struct execution *execution, const struct fault *fault, int64_t now_us)
{
    execution->now_us = now_us;
    emit_end(execution, STR("ExecutionAborted"), "executionAbortedEventDetails", fault);
}

void execution_time_out(struct execution *execution, int64_t now_us)
{
    const struct fault fault = { STR_EMPTY, STR_EMPTY };

    execution->now_us = now_us;
    emit_end(execution, STR("ExecutionTimedOut"), "executionTimedOutEventDetails", &fault);
}

void execution_redrive(struct execution *execution, int64_t now_us)
{
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc);

    execution->now_us = now_us;
    yyjson_mut_obj_add_int(doc, details, "redriveCount", execution->redrive_count + 1);
    emit(execution, STR("ExecutionRedriven"), "executionRedrivenEventDetails", doc, details,
         STR_EMPTY);
}

static void add_time(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                     int64_t time_us)
{
    char text[TIME_TEXT_MAX];
    size_t len = time_format_us(time_us - time_us % 1000, text);

    json_add_str(doc, object, key, (struct str){ text, len });
}

static yyjson_mut_val *json_copy(struct arena *arena, yyjson_mut_doc *doc, struct str text)
{
    struct error err;
    yyjson_val *value;

    if (json_parse(arena, text, &value, &err) != STATUS_OK)
        return yyjson_mut_obj(doc);
    return yyjson_val_mut_copy(doc, value);
}

static void add_execution(struct execution *execution, struct scope *scope)
{
    yyjson_mut_doc *doc = scope->doc;
    yyjson_mut_val *object = yyjson_mut_obj_add_obj(doc, scope->context, "Execution");
    struct str id = arena_printf(scope->arena, ARN "execution:" STR_FMT ":" STR_FMT,
                                 STR_ARG(execution->pipeline), STR_ARG(execution->id));

    json_add_str(doc, object, "Id", id);
    yyjson_mut_obj_add_val(doc, object, "Input",
                           json_copy(scope->arena, doc, execution->input));
    add_time(doc, object, "StartTime", execution->start_us);
    json_add_str(doc, object, "Name", execution->id);
    json_add_str(doc, object, "RoleArn", STR(ROLE));
    yyjson_mut_obj_add_int(doc, object, "RedriveCount", execution->redrive_count);
    if (execution->redrive_count > 0)
        add_time(doc, object, "RedriveTime", execution->redrive_us);
}

static void add_machine_and_state(struct execution *execution, struct scope *scope)
{
    const struct cursor *cursor = &execution->cursor;
    yyjson_mut_doc *doc = scope->doc;
    yyjson_mut_val *machine = yyjson_mut_obj_add_obj(doc, scope->context, "StateMachine");
    yyjson_mut_val *state = yyjson_mut_obj_add_obj(doc, scope->context, "State");

    json_add_str(
        doc, machine, "Id",
        arena_printf(scope->arena, ARN "stateMachine:" STR_FMT, STR_ARG(execution->pipeline)));
    json_add_str(doc, machine, "Name", execution->pipeline);
    json_add_str(doc, state, "Name", cursor->state->name);
    add_time(doc, state, "EnteredTime", cursor->entered_us);
    if (cursor->state->type == &task_state)
        yyjson_mut_obj_add_uint(doc, state, "RetryCount", cursor->retries);
}

struct scope execution_scope(struct execution *execution, struct arena *arena)
{
    struct scope scope = { .arena = arena, .doc = json_mut_doc(arena) };

    scope.context = yyjson_mut_obj(scope.doc);
    add_execution(execution, &scope);
    add_machine_and_state(execution, &scope);
    scope.input = json_copy(arena, scope.doc, execution->cursor.input);
    return scope;
}

static bool select_path(const struct scope *scope, struct str field,
                        const struct state_path *path, yyjson_mut_val **value,
                        struct fault *fault)
{
    switch (path->presence) {
    case PATH_ABSENT:
        break;
    case PATH_IS_NULL:
        *value = yyjson_mut_obj(scope->doc);
        break;
    case PATH_GIVEN:
        return path_value(scope, field, &path->path, value, fault);
    }
    return true;
}

bool execution_select_input(struct execution *execution, struct scope *scope,
                            struct fault *fault)
{
    return select_path(scope, STR("InputPath"), &execution->cursor.state->input_path,
                       &scope->input, fault);
}

/* The state's input as it came, with the result where ResultPath says. */
static bool place_result(struct execution *execution, const struct scope *scope,
                         const struct state_path *path, yyjson_mut_val **result,
                         struct fault *fault)
{
    yyjson_mut_val *raw, *value = yyjson_mut_val_mut_copy(scope->doc, *result);

    if (path->presence == PATH_ABSENT)
        return true;
    raw = json_copy(scope->arena, scope->doc, execution->cursor.input);
    *result = path->presence == PATH_IS_NULL
                  ? raw
                  : json_path_put(&path->path, scope->doc, raw, value);
    if (*result != NULL)
        return true;
    return fault_set(scope, fault, ERROR_RESULT_PATH,
                     "Unable to apply ReferencePath " STR_FMT " to input " STR_FMT,
                     STR_ARG(path->path.text), STR_ARG(execution->cursor.input));
}

void execution_exit(struct execution *execution, struct scope *scope, yyjson_mut_val *result,
                    const struct state_path *result_path, struct str next)
{
    struct fault fault;
    struct str output;

    if (!place_result(execution, scope, result_path, &result, &fault)) {
        execution_fail(execution, &fault);
        return;
    }
    scope->input = result;
    if (!select_path(scope, STR("OutputPath"), &execution->cursor.state->output_path, &result,
                     &fault)) {
        execution_fail(execution, &fault);
        return;
    }
    output = json_mut_write(execution->scratch, result);
    if (output.len > DATA_MAX) {
        fault = too_large(execution);
        execution_fail(execution, &fault);
        return;
    }
    emit_exited(execution, output, next);
}

static const struct catcher *catcher_for(const struct state *state, struct str error)
{
    for (size_t i = 0; i < state->catcher_count; i++)
        if (any_matches(state->catchers[i].errors, state->catchers[i].error_count, error))
            return &state->catchers[i];
    return NULL;
}

/* Unlike a result, a caught error goes on without OutputPath. */
static void exit_caught(struct execution *execution, const struct catcher *catcher,
                        const struct fault *fault)
{
    struct scope scope = execution_scope(execution, execution->scratch);
    yyjson_mut_val *error = yyjson_mut_obj(scope.doc);
    struct fault placing;

    json_add_str(scope.doc, error, "Error", fault->error);
    json_add_str(scope.doc, error, "Cause", fault->cause);
    if (place_result(execution, &scope, &catcher->result_path, &error, &placing))
        emit_exited(execution, json_mut_write(execution->scratch, error), catcher->next);
    else
        emit_end(execution, STR("ExecutionFailed"), "executionFailedEventDetails", &placing);
}

void execution_fail(struct execution *execution, const struct fault *fault)
{
    const struct cursor *cursor = &execution->cursor;
    const struct catcher *catcher = catcher_for(cursor->state, fault->error);
    struct fault told = *fault;

    if (str_equal(fault->error, ERROR_RUNTIME) || str_equal(fault->error, ERROR_RESULT_PATH) ||
        str_equal(fault->error, ERROR_INTRINSIC) || str_equal(fault->error, ERROR_NO_CHOICE))
        told.cause = arena_printf(execution->scratch,
                                  "An error occurred while executing the state '" STR_FMT
                                  "' (entered at the event id #%lld). " STR_FMT,
                                  STR_ARG(cursor->state->name), (long long)cursor->entered_id,
                                  STR_ARG(fault->cause));
    if (catcher != NULL)
        exit_caught(execution, catcher, &told);
    else
        emit_end(execution, STR("ExecutionFailed"), "executionFailedEventDetails", &told);
}

static void leave_task(struct execution *execution)
{
    const struct state *state = execution->cursor.state;
    struct scope scope = execution_scope(execution, execution->scratch);
    yyjson_mut_val *result;
    struct fault fault;

    scope.input = json_copy(scope.arena, scope.doc, execution->cursor.result);
    result = scope.input;
    if (state->result_selector != NULL &&
        !template_eval(&scope, state->result_selector, &result, &fault))
        execution_fail(execution, &fault);
    else
        execution_exit(execution, &scope, result, &state->result_path, state->next);
}

static void fail_too_long(struct execution *execution)
{
    const struct fault fault = { ERROR_RUNTIME,
                                 STR("the history has reached its limit of 25000 events") };

    emit_end(execution, STR("ExecutionFailed"), "executionFailedEventDetails", &fault);
}

/* One step. False when there is nothing to do but wait. */
static bool step(struct execution *execution)
{
    struct cursor *cursor = &execution->cursor;

    switch (cursor->phase) {
    case PHASE_NEXT:
        emit_entered(execution);
        return true;
    case PHASE_RETRYING:
        if (execution->now_us < cursor->wake_us)
            return false;
        cursor->state->type->work(execution, cursor->state);
        return true;
    case PHASE_ENTERED:
        cursor->state->type->work(execution, cursor->state);
        return true;
    case PHASE_SUCCEEDED:
        leave_task(execution);
        return true;
    case PHASE_FAILED:
        execution_fail(execution, &cursor->fault);
        return true;
    case PHASE_ENDED:
        emit_succeeded(execution);
        return true;
    case PHASE_SCHEDULED:
    case PHASE_STARTED:
    case PHASE_SUBMITTED:
        break;
    }
    return false;
}

bool execution_advance(struct execution *execution, int64_t now_us, size_t events_max)
{
    execution->now_us = now_us;
    while (execution->status == EXECUTION_RUNNING) {
        if (execution->fresh_count >= events_max)
            return false;
        if (execution->last_id >= EVENTS_MAX - 1)
            fail_too_long(execution);
        else if (!step(execution))
            break;
        arena_reset(execution->scratch);
    }
    return true;
}

int64_t execution_deadline_us(const struct execution *execution)
{
    int64_t from = execution->redrive_us > 0 ? execution->redrive_us : execution->start_us;
    int64_t timeout_s = execution->machine->timeout_s;

    if (execution->status != EXECUTION_RUNNING || timeout_s == 0)
        return INT64_MAX;
    return from + timeout_s * US_PER_SECOND;
}

int64_t execution_wake_us(const struct execution *execution)
{
    const struct cursor *cursor = &execution->cursor;
    int64_t wake = execution_deadline_us(execution);

    if (execution->status != EXECUTION_RUNNING)
        return INT64_MAX;
    if (cursor->phase == PHASE_RETRYING && cursor->wake_us < wake)
        wake = cursor->wake_us;
    if (cursor->phase >= PHASE_SCHEDULED && cursor->phase <= PHASE_SUBMITTED &&
        cursor->timeout_us > 0 && cursor->begun_us + cursor->timeout_us < wake)
        wake = cursor->begun_us + cursor->timeout_us;
    return wake;
}
