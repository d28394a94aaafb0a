/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/variables.h"

void variables_init(struct variables *variables, struct arena *arena)
{
    *variables = (struct variables){ .arena = arena };
}

void variables_fini(struct variables *variables)
{
    for (size_t i = 0; i < variables->count; i++)
        arena_free(variables->items[i].arena);
    *variables = (struct variables){ .arena = variables->arena };
}

static struct variable *find(const struct variables *variables, struct str name)
{
    for (size_t i = 0; i < variables->count; i++)
        if (str_equal(variables->items[i].name, name))
            return &variables->items[i];
    return NULL;
}

const struct variable *variables_find(const struct variables *variables, struct str name)
{
    return find(variables, name);
}

void variables_put(struct variables *variables, struct str name, struct str json)
{
    struct variable *variable = find(variables, name);
    struct arena *arena = arena_new();

    if (variable == NULL) {
        variable = &ARENA_PUSH(variables->arena, variables->items, variables->count,
                               variables->capacity);
        *variable = (struct variable){ .name = arena_str(variables->arena, name) };
    }
    variables->bytes = variables->bytes - variable->json.len + json.len;
    arena_free(variable->arena);
    variable->arena = arena;
    variable->json = arena_str(arena, json);
}
