/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Partial aggregates: what is kept of some rows so that it can be added to,
 * merged with others in any order, stored, and turned into a feature value in
 * the end. Training sets, materialisation and the online store use these and
 * nothing else, so that they cannot differ by a bit.
 *
 * A partial skips nulls, unless it counts rows. Floats are ordered totally:
 * −inf … −0 < 0 … inf < NaN.
 */
#include "base/arena.h"
#include "base/buffer.h"
#include "base/status.h"
#include "base/value.h"
#include "features/exact_sum.h"

enum aggregate_function {
    AGGREGATE_COUNT, /* of rows (input "*") or of values that are not null */
    AGGREGATE_SUM,
    AGGREGATE_AVG,
    AGGREGATE_MIN,
    AGGREGATE_MAX,
    AGGREGATE_FIRST,
    AGGREGATE_LAST,
};
#define AGGREGATE_FUNCTION_COUNT 7

/* A row without a created time is older than all with one. */
#define CREATED_NULL INT64_MIN

/* One row of a source as an aggregate sees it. */
struct aggregate_row {
    struct value value;
    int64_t time_us;
    int64_t created_us; /* or CREATED_NULL */
    int64_t order;      /* in the files, or of arrival: the last word in a tie */
};

struct aggregate_partial {
    int64_t count; /* of what was added */
    union {
        int128 integer;           /* sum, avg of ints and bools */
        struct exact_sum number;  /* sum, avg of floats */
        struct aggregate_row row; /* min, max, first, last; valid when count > 0 */
    };
};

/* What an aggregation is: the partials of one spec belong together. */
struct aggregate_spec {
    enum aggregate_function function;
    enum value_type input; /* TYPE_INT64 for count: "*" */
    bool counts_rows;      /* count: "*" */
};

/* "count", "sum", … */
const char *aggregate_name(enum aggregate_function function);
bool aggregate_parse(struct str name, enum aggregate_function *out);
/* "count", "sum", …: for "did you mean". */
extern const struct str aggregate_names[AGGREGATE_FUNCTION_COUNT];
/* The type of the result. INVALID if the function does not take such input: sum of a string. */
MUST_USE enum status aggregate_type(enum aggregate_function function, enum value_type input,
                                    enum value_type *out, struct error *err);
/* Whether what was added can be removed again: count, sum and avg. */
bool aggregate_is_invertible(enum aggregate_function function);

void aggregate_init(const struct aggregate_spec *spec, struct aggregate_partial *partial);
/*
 * A string is not copied: it must live as long as the partial. The arena is for float sums that
 * grow wide. `row->value` must be of the spec's input type.
 */
void aggregate_add(const struct aggregate_spec *spec, struct arena *arena,
                   struct aggregate_partial *partial, const struct aggregate_row *row);
/* `other` stays as it is; its strings are shared. */
void aggregate_merge(const struct aggregate_spec *spec, struct arena *arena,
                     struct aggregate_partial *partial, const struct aggregate_partial *other);
/* Only where aggregate_is_invertible. */
void aggregate_remove(const struct aggregate_spec *spec, struct arena *arena,
                      struct aggregate_partial *partial, const struct aggregate_row *row);
/* Takes a whole partial away again. Only where aggregate_is_invertible. */
void aggregate_subtract(const struct aggregate_spec *spec, struct arena *arena,
                        struct aggregate_partial *partial,
                        const struct aggregate_partial *other);
/*
 * The feature's value, of the type aggregate_type tells. Count of nothing is 0, all else of
 * nothing is null. LIMIT if a sum of ints is beyond int64.
 */
MUST_USE enum status aggregate_finish(const struct aggregate_spec *spec,
                                      const struct aggregate_partial *partial,
                                      struct value *out, struct error *err);

/* What aggregate_finish does, for those who keep sums of their own: the exact sum of ints … */
MUST_USE enum status aggregate_finish_sum(int128 sum, int64_t count, struct value *out,
                                          struct error *err);
/* … and the rounded sum of floats, or of ints to average: sum and avg (divided once). */
struct value aggregate_finish_number(enum aggregate_function function, double sum,
                                     int64_t count);

/* Versioned and compact: 2 to 34 bytes for numbers that fit 128 bits. */
void aggregate_encode(const struct aggregate_spec *spec,
                      const struct aggregate_partial *partial, struct buffer *out);
/* Takes one partial off the front of *bytes; strings point into it. */
MUST_USE enum status aggregate_decode(const struct aggregate_spec *spec, struct arena *arena,
                                      struct str *bytes, struct aggregate_partial *out,
                                      struct error *err);

/* The order that min and max use, for two values of one type, neither null. */
int aggregate_compare(struct value a, struct value b);
