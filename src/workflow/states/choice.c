/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/choice.h"

#include "workflow/execution.h"
#include "workflow/states/state.h"

static const struct str own_fields[] = { STR_INIT("Choices"), STR_INIT("Default") };

static enum status parse(const struct machine_reader *reader, yyjson_val *json,
                         struct state *state, struct error *err)
{
    yyjson_val *choices = json_find(json, STR("Choices")), *rule;
    size_t i, count;

    if (!yyjson_is_arr(choices) || yyjson_arr_size(choices) == 0)
        return error_set(err, STATUS_INVALID, "Choices: must be a list of at least one rule");
    state->rule_count = yyjson_arr_size(choices);
    state->rules = ARENA_ARRAY(reader->arena, struct choice_rule, state->rule_count);
    yyjson_arr_foreach(choices, i, count, rule)
    {
        if (choice_rule_parse(reader->arena, rule, true, &state->rules[i], err) != STATUS_OK)
            return error_wrap(err, "Choices[%zu]", i);
    }
    return json_want_str(json, "Default", &state->default_next, err);
}

/* The first rule that holds decides. */
static bool choose(const struct scope *scope, const struct state *state, struct str *next,
                   yyjson_val **assign, struct fault *fault)
{
    for (size_t i = 0; i < state->rule_count; i++) {
        bool holds;

        if (!choice_rule_holds(scope, &state->rules[i], &holds, fault))
            return false;
        if (holds) {
            *next = state->rules[i].next;
            *assign = state->rules[i].assign;
            return true;
        }
    }
    *next = state->default_next;
    *assign = state->assign;
    if (next->len > 0)
        return true;
    /* The specification has States.NoChoiceMatched; Step Functions itself says this. */
    return fault_set(scope, fault, ERROR_RUNTIME,
                     "Failed to transition out of the state. The state does not point to a "
                     "next state.");
}

static void work(struct execution *execution, const struct state *state)
{
    struct arena *arena = arena_new();
    struct scope scope = execution_scope(execution, arena);
    struct fault fault;
    struct str next;
    yyjson_val *assign;

    if (!execution_select_input(execution, &scope, &fault) ||
        !choose(&scope, state, &next, &assign, &fault))
        execution_fail(execution, &fault);
    else
        execution_exit(execution, &scope, scope.input, &state->result_path, assign, next);
    arena_free(arena);
}

const struct state_type choice_state = {
    .name = "Choice",
    .entered = "ChoiceStateEntered",
    .exited = "ChoiceStateExited",
    .fields = FIELD_INPUT_OUTPUT | FIELD_ASSIGN,
    .own_fields = own_fields,
    .own_field_count = ARRAY_LEN(own_fields),
    .parse = parse,
    .work = work,
};
