/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The rows that a training set is asked for. All of their columns stay in
 * DuckDB, as a table; what the features need of them is read into memory.
 */
#include "base/hash.h"
#include "features/offline/offline_internal.h"
#include "features/offline/training_set_spec.h"

/* The table in DuckDB: every column as it was given, in the order of the rows. */
#define ENTITY_ROWS_TABLE "onggi_entity_rows"

/* What of a job's memory all but DuckDB may take. */
#define ROWS_SHARE(bytes) ((bytes) / 5 * 2)

struct entity_rows {
    size_t count;
    struct offline_column *columns; /* of the table */
    size_t column_count;
    struct column *keys; /* one for each of spec->keys */
    struct column
        *request;        /* one for each of spec->request; with no rows if nothing reads it */
    struct column times; /* a null one is INT64_MIN: before everything */
};

MUST_USE enum status entity_rows_read(struct offline *offline, struct arena *arena,
                                      const struct training_set_spec *spec, struct job *job,
                                      struct entity_rows *out, struct error *err);
/* Bytes held from the system. */
uint64_t entity_rows_memory(const struct training_set_spec *spec,
                            const struct entity_rows *rows);
/* Adds all of the table, for those rows that no file's content stands for. */
MUST_USE enum status entity_rows_hash(struct offline *offline, const struct entity_rows *rows,
                                      struct sha256 *hash, struct error *err);
void entity_rows_free(const struct training_set_spec *spec, struct entity_rows *rows);
