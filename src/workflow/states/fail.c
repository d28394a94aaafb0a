/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/execution.h"
#include "workflow/states/state.h"

static const struct str own_fields[] = { STR_INIT("Error"), STR_INIT("Cause"),
                                         STR_INIT("ErrorPath"), STR_INIT("CausePath") };

static enum status parse(const struct machine_reader *reader, yyjson_val *json,
                         struct state *state, struct error *err)
{
    TRY(json_want_str(json, "Error", &state->error, err));
    TRY(json_want_str(json, "Cause", &state->cause, err));
    TRY(state_want_expression(reader->arena, json, "ErrorPath", &state->error_path, err));
    TRY(state_want_expression(reader->arena, json, "CausePath", &state->cause_path, err));
    if (state->error.len > 0 && state->error_path.len > 0)
        return error_set(err, STATUS_INVALID, "write either Error or ErrorPath");
    if (state->cause.len > 0 && state->cause_path.len > 0)
        return error_set(err, STATUS_INVALID, "write either Cause or CausePath");
    return STATUS_OK;
}

/* A constant, or what its path finds, which must be a string. */
static bool text_of(const struct scope *scope, struct str constant, struct str field,
                    struct str expression, struct str *out, struct fault *fault)
{
    yyjson_mut_val *value;

    *out = constant;
    if (expression.len == 0)
        return true;
    if (!expression_value(scope, field, expression, &value, fault))
        return false;
    if (!yyjson_mut_is_str(value))
        return fault_set(scope, fault, ERROR_RUNTIME,
                         "The " STR_FMT " field '" STR_FMT "' does not lead to a string",
                         STR_ARG(field), STR_ARG(expression));
    *out = (struct str){ yyjson_mut_get_str(value), yyjson_mut_get_len(value) };
    return true;
}

static void work(struct execution *execution, const struct state *state)
{
    struct arena *arena = arena_new();
    struct scope scope = execution_scope(execution, arena);
    struct fault fault, wanted;

    if (text_of(&scope, state->error, STR("ErrorPath"), state->error_path, &wanted.error,
                &fault) &&
        text_of(&scope, state->cause, STR("CausePath"), state->cause_path, &wanted.cause,
                &fault))
        fault = wanted;
    execution_fail(execution, &fault);
    arena_free(arena);
}

const struct state_type fail_state = {
    .name = "Fail",
    .entered = "FailStateEntered",
    .exited = NULL,
    .own_fields = own_fields,
    .own_field_count = ARRAY_LEN(own_fields),
    .parse = parse,
    .work = work,
};
