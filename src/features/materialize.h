/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Materialisation: the store's process says what is to be built, a job process
 * reads the sources and writes generations, and the store publishes them.
 */
#include "features/feature_store_view.h"
#include "features/offline/offline.h"

/* A view as the job sees it, which has no definitions. */
struct materialize_view {
    struct str name;
    struct str source;
    struct str layout; /* goes into the generation as it is */
    struct field *keys;
    size_t key_count;
    struct field *columns; /* none: it has windows instead */
    size_t column_count;
    struct aggregation *windows;
    size_t window_count;
};

struct materialize_spec {
    struct str project;
    struct str online;     /* location of the online store */
    struct str generation; /* of all views; reserved before the job began */
    struct offline_range range;
    struct source_spec *sources; /* in an order in which SQL finds what it reads */
    size_t source_count;
    struct materialize_view *views;
    size_t view_count;
};

/* The other way round than materialize_spec_parse. */
struct str materialize_spec_json(struct arena *arena, const struct definitions *definitions,
                                 struct str online, struct str generation,
                                 struct offline_range range, const struct view *const *views,
                                 size_t view_count);
MUST_USE enum status materialize_spec_parse(struct arena *arena, const yyjson_val *json,
                                            struct materialize_spec *out, struct error *err);
