/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The variables of an execution, as Assign sets them: JSON texts by name. */
#include "base/arena.h"

/* What all of them together, and what one Assign, may weigh, as in Step Functions. */
#define VARIABLES_MAX ((size_t)10 << 20)
#define ASSIGN_MAX ((size_t)256 << 10)
#define VARIABLE_NAME_MAX 80

struct variable {
    struct str name;
    struct arena *arena; /* of this value: a loop sets it over and over */
    struct str json;
};

struct variables {
    struct arena *arena; /* of the names */
    struct variable *items;
    size_t count, capacity;
    size_t bytes; /* of all values */
};

void variables_init(struct variables *variables, struct arena *arena);
void variables_fini(struct variables *variables);
/* The text is copied. */
void variables_put(struct variables *variables, struct str name, struct str json);
/* NULL if there is none. */
const struct variable *variables_find(const struct variables *variables, struct str name);
