/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Paths to routes: a tree of segments. A literal segment beats a parameter,
 * and a parameter with text behind it ("{model}:predict") one without;
 * {rest*} takes what nothing else wants.
 */
#include "net/exchange.h"

struct route_table;

/* A route where it is mounted. */
struct mounted {
    const struct route *route;
    const struct door *door;
    void *context;
    struct str param_names[PATH_PARAMS_MAX];
    size_t param_count;
    struct route_stats *stats;
    struct mounted *next_method; /* the same path */
    struct mounted *next;        /* in order of mounting */
};

struct route_table *route_table_new(struct arena *arena);
/* Ends the process when method and path are taken, or the pattern is malformed. */
struct mounted *route_table_add(struct route_table *table, const struct door *door,
                                const struct route *route, void *context);
/*
 * All methods of the path that the segments lead to, or NULL. Fills the exchange's parameter
 * values, not yet their names, which belong to one method's route.
 */
const struct mounted *route_table_find(const struct route_table *table,
                                       struct exchange *exchange);
const struct mounted *route_table_first(const struct route_table *table);
