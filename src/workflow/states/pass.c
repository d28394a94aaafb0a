/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/execution.h"
#include "workflow/states/state.h"

static const struct str own_fields[] = { STR_INIT("Result") };

static enum status parse(const struct machine_reader *reader, yyjson_val *json,
                         struct state *state, struct error *err)
{
    (void)reader;
    (void)err;
    state->result = json_find(json, STR("Result"));
    return STATUS_OK;
}

static void work(struct execution *execution, const struct state *state)
{
    struct arena *arena = arena_new();
    struct scope scope = execution_scope(execution, arena);
    yyjson_mut_val *result;
    struct fault fault;

    if (!execution_select_input(execution, &scope, &fault) ||
        (state->parameters != NULL &&
         !template_eval(&scope, state->parameters, &scope.input, &fault))) {
        execution_fail(execution, &fault);
    } else {
        result = state->result == NULL ? scope.input
                                       : yyjson_val_mut_copy(scope.doc, state->result);
        execution_exit(execution, &scope, result, &state->result_path, state->assign,
                       state->next);
    }
    arena_free(arena);
}

const struct state_type pass_state = {
    .name = "Pass",
    .entered = "PassStateEntered",
    .exited = "PassStateExited",
    .fields = FIELD_INPUT_OUTPUT | FIELD_PARAMETERS | FIELD_RESULT_PATH | FIELD_NEXT_END |
              FIELD_ASSIGN,
    .own_fields = own_fields,
    .own_field_count = ARRAY_LEN(own_fields),
    .parse = parse,
    .work = work,
};
