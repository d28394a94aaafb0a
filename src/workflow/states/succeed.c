/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/execution.h"
#include "workflow/states/state.h"

static void work(struct execution *execution, const struct state *state)
{
    struct arena *arena = arena_new();
    struct scope scope = execution_scope(execution, arena);
    struct fault fault;

    if (!execution_select_input(execution, &scope, &fault))
        execution_fail(execution, &fault);
    else
        execution_exit(execution, &scope, scope.input, &state->result_path, NULL, STR_EMPTY);
    arena_free(arena);
}

const struct state_type succeed_state = {
    .name = "Succeed",
    .entered = "SucceedStateEntered",
    .exited = "SucceedStateExited",
    .fields = FIELD_INPUT_OUTPUT,
    .work = work,
};
