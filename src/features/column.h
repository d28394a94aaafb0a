/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Columns of values in memory, for work on millions of rows. A column owns its
 * memory (not an arena: it grows large and dies early). Validity is a byte a
 * row, so that threads can write rows of one column beside each other.
 */
#include "base/arena.h"
#include "base/status.h"
#include "base/value.h"

struct column {
    enum value_type type;
    size_t count;
    size_t capacity;
    uint8_t *valid; /* count bytes, 0 is null; NULL: no row is null */
    union {
        void *data;
        uint8_t *booleans;
        int32_t *int32s;
        int64_t *int64s; /* and timestamps, in microseconds */
        float *float32s;
        double *float64s;
        struct str *texts; /* strings and bytes, in `bytes` or in memory of others */
    };
    struct arena *bytes; /* of texts that the column copied; made when first needed */
};

/* Bytes of one row in data. */
size_t column_width(enum value_type type);
void column_init(struct column *column, enum value_type type);
void column_free(struct column *column); /* a zeroed or freed one is fine */
/* Room for `more` rows behind count. LIMIT when the system has no memory left. */
MUST_USE enum status column_reserve(struct column *column, size_t more, struct error *err);
/* `count` rows, all null; for writing them with column_set in any order, from any threads. */
MUST_USE enum status column_make(struct column *column, enum value_type type, size_t count,
                                 struct error *err);
/* Behind the last row; text is copied. */
MUST_USE enum status column_append(struct column *column, struct value value,
                                   struct error *err);
/* All rows of a column of the same type, behind the last row; texts are copied. */
MUST_USE enum status column_append_all(struct column *to, const struct column *from,
                                       struct error *err);
/* Makes `valid`, if there is none yet: all rows are valid up to the capacity. */
MUST_USE enum status column_need_valid(struct column *column, struct error *err);
/* A copy that lives as long as the column. */
struct str column_keep_text(struct column *column, struct str text);
/* Bytes held from the system. */
size_t column_memory(const struct column *column);
/* Text is not copied. A column from column_make, or one whose rows are all valid. */
void column_set(struct column *column, size_t row, struct value value);
struct value column_get(const struct column *column, size_t row);

static inline bool column_is_null(const struct column *column, size_t row)
{
    return column->valid != NULL && column->valid[row] == 0;
}

/* Columns of one length, with names. */
struct table {
    size_t rows;
    size_t column_count;
    struct str *names; /* in the arena of who made the table, like the array of columns */
    struct column *columns;
};

/* Columns are zeroed; give them names and types. */
void table_init(struct table *table, struct arena *arena, size_t column_count);
void table_free(struct table *table);
struct column *table_find(const struct table *table, struct str name); /* NULL if absent */
