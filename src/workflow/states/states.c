/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/states/state.h"

/* In the order of the language's specification; later types join here. */
static const struct state_type *const types[] = {
    &pass_state, &task_state, &choice_state, &succeed_state, &fail_state,
};

const struct state_type *state_type_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_equal(str_from(types[i]->name), name))
            return types[i];
    return NULL;
}

struct str state_type_names(struct arena *arena)
{
    struct str names = STR_EMPTY;

    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        names = arena_printf(arena, STR_FMT "%s%s", STR_ARG(names), i == 0 ? "" : ", ",
                             types[i]->name);
    return names;
}

bool state_type_is_entered_event(struct str event)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_equal(str_from(types[i]->entered), event))
            return true;
    return false;
}

bool state_type_is_exited_event(struct str event)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (types[i]->exited != NULL && str_equal(str_from(types[i]->exited), event))
            return true;
    return false;
}
