/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/execution_internal.h"
#include "workflow/states/state.h"

#define SECONDS_MAX INT64_C(99999999)

static const struct str own_fields[] = {
    STR_INIT("Resource"),
    STR_INIT("TimeoutSeconds"),
    STR_INIT("TimeoutSecondsPath"),
    STR_INIT("HeartbeatSeconds"),
    STR_INIT("HeartbeatSecondsPath"),
};

static enum status parse_limits(const struct machine_reader *reader, yyjson_val *json,
                                struct state *state, struct error *err)
{
    TRY(state_want_int(json, "TimeoutSeconds", 1, SECONDS_MAX, &state->timeout_s, err));
    TRY(state_want_int(json, "HeartbeatSeconds", 1, SECONDS_MAX, &state->heartbeat_s, err));
    TRY(state_want_expression(reader->arena, json, "TimeoutSecondsPath", &state->timeout_path,
                              err));
    TRY(state_want_expression(reader->arena, json, "HeartbeatSecondsPath",
                              &state->heartbeat_path, err));
    if (state->timeout_s > 0 && state->timeout_path.len > 0)
        return error_set(err, STATUS_INVALID,
                         "write either TimeoutSeconds or TimeoutSecondsPath");
    if (state->heartbeat_s > 0 && state->heartbeat_path.len > 0)
        return error_set(err, STATUS_INVALID,
                         "write either HeartbeatSeconds or HeartbeatSecondsPath");
    if (state->timeout_s > 0 && state->heartbeat_s >= state->timeout_s)
        return error_set(
            err, STATUS_INVALID,
            "HeartbeatSeconds: must be less than TimeoutSeconds, or it says nothing");
    return STATUS_OK;
}

static enum status parse(const struct machine_reader *reader, yyjson_val *json,
                         struct state *state, struct error *err)
{
    TRY(json_need_str(json, "Resource", &state->resource, err));
    TRY(parse_limits(reader, json, state, err));
    if (reader->check == NULL)
        return STATUS_OK;
    return reader->check(reader->check_context, state->resource, state->parameters, err);
}

/* A constant number of seconds, or what its path finds. */
static bool seconds_of(const struct scope *scope, int64_t constant, struct str field,
                       struct str expression, int64_t *out, struct fault *fault)
{
    yyjson_mut_val *value;
    struct str seen;

    *out = constant;
    if (expression.len == 0)
        return true;
    if (!expression_select(scope, expression, &value, fault))
        return false;
    *out = yyjson_mut_get_sint(value);
    if (yyjson_mut_is_int(value) && *out > 0 && *out <= SECONDS_MAX)
        return true;
    seen = yyjson_mut_is_str(value)
               ? (struct str){ yyjson_mut_get_str(value), yyjson_mut_get_len(value) }
               : json_mut_write(scope->arena, value);
    return fault_set(scope, fault, ERROR_RUNTIME,
                     "The " STR_FMT " field refers to value \"" STR_FMT
                     "\" which is not a valid integer: " STR_FMT,
                     STR_ARG(field), STR_ARG(seen), STR_ARG(expression));
}

static bool prepare(struct execution *execution, const struct state *state, struct scope *scope,
                    int64_t *timeout_s, int64_t *heartbeat_s, struct fault *fault)
{
    if (!execution_select_input(execution, scope, fault) ||
        !seconds_of(scope, state->timeout_s, STR("TimeoutSecondsPath"), state->timeout_path,
                    timeout_s, fault) ||
        !seconds_of(scope, state->heartbeat_s, STR("HeartbeatSecondsPath"),
                    state->heartbeat_path, heartbeat_s, fault))
        return false;
    return state->parameters == NULL ||
           template_eval(scope, state->parameters, &scope->input, fault);
}

static void work(struct execution *execution, const struct state *state)
{
    struct arena *arena = arena_new();
    struct scope scope = execution_scope(execution, arena);
    int64_t timeout_s, heartbeat_s;
    struct fault fault;
    struct str parameters;

    if (!prepare(execution, state, &scope, &timeout_s, &heartbeat_s, &fault)) {
        execution_fail(execution, &fault);
    } else {
        parameters = json_mut_write(arena, scope.input);
        if (execution_data_is_good(execution, parameters, &fault))
            execution_schedule_task(execution, parameters, timeout_s, heartbeat_s);
        else
            execution_fail(execution, &fault);
    }
    arena_free(arena);
}

const struct state_type task_state = {
    .name = "Task",
    .entered = "TaskStateEntered",
    .exited = "TaskStateExited",
    .fields = FIELD_INPUT_OUTPUT | FIELD_PARAMETERS | FIELD_RESULT_SELECTOR |
              FIELD_RESULT_PATH | FIELD_RETRY_CATCH | FIELD_NEXT_END | FIELD_ASSIGN,
    .own_fields = own_fields,
    .own_field_count = ARRAY_LEN(own_fields),
    .parse = parse,
    .work = work,
};
