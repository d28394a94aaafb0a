/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The steps of the training set job. For the training_set_*.c files of this folder. */
#include "features/offline/entity_rows.h"
#include "features/offline/key_table.h"
#include "features/offline/row_order.h"
#include "features/offline/training_set_stage.h"

/* The entity rows by one entity's key: views of the same entity share it. */
struct key_set {
    const size_t *keys; /* indices into spec->keys */
    size_t key_count;
    struct key_table *table;
    struct row_order
        questions; /* with one key more than the table: rows whose key has a null part */
};

struct engine {
    struct offline *offline;
    struct arena *arena;
    struct job *job;
    const struct training_set_spec *spec;
    struct entity_rows rows;
    struct key_set *sets;
    size_t set_count;
    size_t *view_sets;    /* for each view: its key set */
    struct column *slots; /* spec->slot_count columns of rows.count rows */
    struct arena **texts; /* of sources: what the slots' texts point into */
    size_t text_count, text_capacity;
    const struct training_set_stage *stage; /* or NULL */
    struct table made;                      /* by the stage */
    size_t column_count;                    /* of the file, once it is written */
    struct sha256 *hash;                    /* of the fingerprint, while it is made */
    struct str stamps;                      /* how the files lay there when they were hashed */
};

/* What entity rows, features and the rows of sources may take together; DuckDB has its own share. */
uint64_t engine_memory_max(const struct engine *engine);
/* What of it is taken, with the features, but without the rows of a source that is being read. */
uint64_t engine_memory(const struct engine *engine);
/* LIMIT with the numbers. */
MUST_USE enum status engine_check_memory(const struct engine *engine, struct error *err);
MUST_USE enum status engine_prepare(struct engine *engine, struct error *err);
/* Fills the slots of all views. */
MUST_USE enum status engine_stored(struct engine *engine, struct error *err);
/* Fills the slots of all expressions, in their order. */
MUST_USE enum status engine_expressions(struct engine *engine, struct error *err);
/* The outputs by their names; they share their slots' memory. */
void engine_features(const struct engine *engine, struct table *out);
/* Runs the stage, if there is one. */
MUST_USE enum status engine_stage(struct engine *engine, struct error *err);
/* Writes the file; the result is on disk under its name, or nothing is. */
MUST_USE enum status engine_write(struct engine *engine, uint64_t *bytes, struct error *err);
/* Where it is written before it is whole. */
struct str training_set_temporary(struct arena *arena, const struct training_set_spec *spec);
/* The fingerprint begins with what was asked and the files that will be read … */
MUST_USE enum status engine_hash_files(struct engine *engine, const yyjson_val *json,
                                       struct error *err);
/* … and ends with rows that SQL made. CONFLICT if a file is not what it was when it was hashed. */
MUST_USE enum status engine_fingerprint(struct engine *engine, struct str *out,
                                        struct error *err);
void engine_free(struct engine *engine);
