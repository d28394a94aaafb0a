/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The part of a source that some views need, in memory: their input columns,
 * times, and for each view the number of each row's key. Rows whose key nobody
 * asks about are left out.
 */
#include "features/offline/key_table.h"
#include "features/offline/offline.h"

/* Keys of one view, as columns of the source. */
struct source_keys {
    const struct str *columns;
    const enum value_type *types;
    size_t column_count;
    struct key_table *table;
    bool add;      /* whether keys not yet in the table are put there */
    uint32_t *ids; /* made by source_rows_read: one for each row kept */
};

struct source_rows {
    struct source_keys *keys;
    size_t key_count;
    struct column *inputs; /* in the order of `wants` */
    size_t input_count;
    struct column times;
    struct column created; /* no rows if the source has none; a null one is CREATED_NULL */
    size_t count;
};

struct source_rows_want {
    const struct source_spec *source;
    const struct offline_want *inputs;
    size_t input_count;
    struct source_keys *keys; /* which get their ids */
    size_t key_count;
    struct offline_range range;
    uint64_t memory_max; /* LIMIT beyond it */
    struct job *job;     /* for progress; may be NULL */
    const char *phase;
};

MUST_USE enum status source_rows_read(struct offline *offline, struct arena *arena,
                                      const struct source_rows_want *want,
                                      struct source_rows *out, struct error *err);
void source_rows_free(struct source_rows *rows);
