/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/execution.h"

#include "base/clock.h"
#include "workflow/execution_internal.h"
#include "workflow/states/state.h"

#include <stdlib.h>

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
    variables_init(&execution->variables, arena);
    return execution;
}

void execution_free(struct execution *execution)
{
    if (execution == NULL)
        return;
    variables_fini(&execution->variables);
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
    execution->fresh_count = execution->fresh_capacity = execution->fresh_bytes = 0;
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

/* Step Functions has no machine without a name. */
static struct str machine_name(const struct execution *execution)
{
    return execution->pipeline.len > 0 ? execution->pipeline : STR("unnamed");
}

static void add_execution(struct execution *execution, struct scope *scope)
{
    yyjson_mut_doc *doc = scope->doc;
    yyjson_mut_val *object = yyjson_mut_obj_add_obj(doc, scope->context, "Execution");
    struct str id = arena_printf(scope->arena, ARN "execution:" STR_FMT ":" STR_FMT,
                                 STR_ARG(machine_name(execution)), STR_ARG(execution->id));

    json_add_str(doc, object, "Id", id);
    yyjson_mut_obj_add_val(doc, object, "Input",
                           json_copy(scope->arena, doc, execution->input));
    add_time(doc, object, "StartTime", execution->start_us);
    json_add_str(doc, object, "Name", execution->id);
    json_add_str(doc, object, "RoleArn", STR(EXECUTION_ROLE));
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

    json_add_str(doc, machine, "Id",
                 arena_printf(scope->arena, ARN "stateMachine:" STR_FMT,
                              STR_ARG(machine_name(execution))));
    json_add_str(doc, machine, "Name", machine_name(execution));
    json_add_str(doc, state, "Name", cursor->state->name);
    add_time(doc, state, "EnteredTime", cursor->entered_us);
    if (cursor->state->type == &task_state)
        yyjson_mut_obj_add_uint(doc, state, "RetryCount", cursor->retries);
}

struct scope execution_scope(struct execution *execution, struct arena *arena)
{
    struct scope scope = { .arena = arena,
                           .doc = json_mut_doc(arena),
                           .variables = &execution->variables };

    scope.context = yyjson_mut_obj(scope.doc);
    add_execution(execution, &scope);
    add_machine_and_state(execution, &scope);
    scope.input = json_copy(arena, scope.doc, execution->cursor.input);
    return scope;
}

static bool select_path(const struct scope *scope, const struct state_path *path,
                        yyjson_mut_val **value, struct fault *fault)
{
    switch (path->presence) {
    case PATH_ABSENT:
        break;
    case PATH_IS_NULL:
        *value = yyjson_mut_obj(scope->doc);
        break;
    case PATH_GIVEN:
        return path_select(scope, &path->path, value, fault);
    }
    return true;
}

bool execution_select_input(struct execution *execution, struct scope *scope,
                            struct fault *fault)
{
    return select_path(scope, &execution->cursor.state->input_path, &scope->input, fault);
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

static bool weighs_too_much(struct execution *execution, size_t bytes, struct fault *fault)
{
    if (bytes <= ASSIGN_MAX && execution->variables.bytes + bytes <= VARIABLES_MAX)
        return false;
    *fault = (struct fault){
        ERROR_DATA_LIMIT,
        arena_printf(execution->scratch,
                     "The variables that the state '" STR_FMT
                     "' assigns exceed the limit of %zu bytes, or all variables that of %zu.",
                     STR_ARG(execution->cursor.state->name), ASSIGN_MAX, VARIABLES_MAX),
    };
    return true;
}

/* "$" is the result; all values are seen before any is set. *out stays NULL if there are none. */
static bool evaluate_assign(struct execution *execution, struct scope *scope,
                            yyjson_val *assign, yyjson_mut_val *result, yyjson_mut_val **out,
                            struct fault *fault)
{
    yyjson_mut_val *values, *texts, *key, *value;
    size_t i, count, bytes = 0;

    *out = NULL;
    if (yyjson_obj_size(assign) == 0)
        return true;
    scope->input = result;
    if (!template_eval(scope, assign, &values, fault))
        return false;
    texts = yyjson_mut_obj(scope->doc);
    yyjson_mut_obj_foreach(values, i, count, key, value)
    {
        struct str text = json_mut_write(scope->arena, value);

        bytes += text.len;
        yyjson_mut_obj_add(texts, yyjson_mut_val_mut_copy(scope->doc, key),
                           yyjson_mut_strncpy(scope->doc, text.data, text.len));
    }
    *out = texts;
    return !weighs_too_much(execution, bytes, fault);
}

void execution_exit(struct execution *execution, struct scope *scope, yyjson_mut_val *result,
                    const struct state_path *result_path, yyjson_val *assign, struct str next)
{
    yyjson_mut_val *assigned;
    struct fault fault;
    struct str output;

    if (!evaluate_assign(execution, scope, assign, result, &assigned, &fault) ||
        !place_result(execution, scope, result_path, &result, &fault)) {
        execution_fail(execution, &fault);
        return;
    }
    scope->input = result;
    if (!select_path(scope, &execution->cursor.state->output_path, &result, &fault)) {
        execution_fail(execution, &fault);
        return;
    }
    output = json_mut_write(execution->scratch, result);
    if (execution_data_is_good(execution, output, &fault))
        execution_make_exited(execution, output, assigned, next);
    else
        execution_fail(execution, &fault);
}

static const struct catcher *catcher_for(const struct state *state, struct str error)
{
    for (size_t i = 0; i < state->catcher_count; i++)
        if (error_matches_any(state->catchers[i].errors, state->catchers[i].error_count, error))
            return &state->catchers[i];
    return NULL;
}

static void make_failed(struct execution *execution, const struct fault *fault)
{
    execution_make_end(execution, STR("ExecutionFailed"), "executionFailedEventDetails", fault);
}

/* Unlike a result, a caught error goes on without OutputPath. */
static void exit_caught(struct execution *execution, const struct catcher *catcher,
                        const struct fault *fault)
{
    struct scope scope = execution_scope(execution, execution->scratch);
    yyjson_mut_val *error = yyjson_mut_obj(scope.doc), *assigned;
    struct fault placing;
    struct str output;

    json_add_str(scope.doc, error, "Error", fault->error);
    json_add_str(scope.doc, error, "Cause", fault->cause);
    if (!evaluate_assign(execution, &scope, catcher->assign, error, &assigned, &placing) ||
        !place_result(execution, &scope, &catcher->result_path, &error, &placing)) {
        make_failed(execution, &placing);
        return;
    }
    output = json_mut_write(execution->scratch, error);
    if (execution_data_is_good(execution, output, &placing))
        execution_make_exited(execution, output, assigned, catcher->next);
    else
        make_failed(execution, &placing);
}

void execution_fail(struct execution *execution, const struct fault *fault)
{
    const struct cursor *cursor = &execution->cursor;
    const struct catcher *catcher = catcher_for(cursor->state, fault->error);
    struct fault told = *fault;

    if (str_equal(fault->error, ERROR_RUNTIME) || str_equal(fault->error, ERROR_RESULT_PATH))
        told.cause = arena_printf(execution->scratch,
                                  "An error occurred while executing the state '" STR_FMT
                                  "' (entered at the event id #%lld). " STR_FMT,
                                  STR_ARG(cursor->state->name), (long long)cursor->entered_id,
                                  STR_ARG(fault->cause));
    told = fault_clipped(&told);
    if (catcher != NULL)
        exit_caught(execution, catcher, &told);
    else
        make_failed(execution, &told);
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
        execution_exit(execution, &scope, result, &state->result_path, state->assign,
                       state->next);
}

static void fail_too_long(struct execution *execution)
{
    const struct fault fault = {
        ERROR_RUNTIME,
        STR("The execution reached the maximum number of history events (25000).")
    };

    make_failed(execution, &fault);
}

/* One step. False when there is nothing to do but wait. */
static bool step(struct execution *execution)
{
    struct cursor *cursor = &execution->cursor;

    switch (cursor->phase) {
    case PHASE_NEXT:
        execution_make_entered(execution);
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
        execution_make_succeeded(execution);
        return true;
    case PHASE_SCHEDULED:
    case PHASE_STARTED:
    case PHASE_SUBMITTED:
        break;
    }
    return false;
}

bool execution_advance(struct execution *execution, int64_t now_us, size_t events_max,
                       size_t bytes_max)
{
    execution->now_us = now_us;
    while (execution->status == EXECUTION_RUNNING) {
        if (execution->fresh_count >= events_max || execution->fresh_bytes >= bytes_max)
            return false;
        if (execution->last_id >= HISTORY_EVENTS_MAX - 1)
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
    if (cursor->phase != PHASE_SUBMITTED)
        return wake;
    if (cursor->timeout_us > 0 && cursor->begun_us + cursor->timeout_us < wake)
        wake = cursor->begun_us + cursor->timeout_us;
    if (cursor->heartbeat_us > 0 && cursor->beat_us + cursor->heartbeat_us < wake)
        wake = cursor->beat_us + cursor->heartbeat_us;
    return wake;
}
