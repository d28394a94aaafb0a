/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Expressions: "amount / customer_activity.amount_avg_7d", "hour(date) <= 6".
 * A text is compiled once, with the names and types it may use, into a typed
 * program; the same program runs on one request and on a million rows, so
 * that training and serving cannot differ. docs/expressions.md has the rules.
 *
 * A program is immutable: any number of threads may evaluate it at once.
 */
#include "base/arena.h"
#include "base/status.h"
#include "base/value.h"

#define EXPRESSION_TEXT_MAX 8192

struct expression; /* a compiled program; lives in the arena it was compiled into */

/* A name that the text may use. */
struct expression_name {
    struct str name; /* "amount", "customer_activity.amount_avg_7d" */
    enum value_type type;
};

/*
 * One column of rows, wide: ints and timestamps as int64_t, floats as double, string and bytes as
 * struct str, whatever the narrower type they came from. `nulls` has one entry a row, NULL when
 * no row is null; what stands in the place of a null is never looked at.
 */
struct expression_column {
    enum value_type type;
    const bool *nulls;
    union {
        const bool *booleans;
        const int64_t *integers;
        const double *numbers;
        const struct str *texts;
    };
};

/* Where in the text a compilation failed, from 1. */
struct expression_place {
    int line, column;
};

/*
 * INVALID with a sentence; where in the text goes into *place, if that is not NULL, for the caller
 * to put in front. The text and the names are copied.
 */
MUST_USE enum status expression_compile(struct arena *arena, struct str text,
                                        const struct expression_name *names, size_t count,
                                        const struct expression **out,
                                        struct expression_place *place, struct error *err);
/* Never int32 or float32: these are read as the wider types. */
enum value_type expression_type(const struct expression *expression);
struct str expression_text(const struct expression *expression);
/*
 * The names that the text really uses, in the order in which expression_eval() wants their
 * columns: inputs[i] is an index into the names given at compilation.
 */
const size_t *expression_inputs(const struct expression *expression, size_t *count);

/*
 * Over n ≥ 1 rows. One column for each input, of the type given at compilation. The result is
 * allocated in the arena, which also holds the scratch memory: mark and rewind it around a loop.
 * INVALID if the result of a row is beyond int64; the message names the row, from 1.
 */
MUST_USE enum status expression_eval(const struct expression *expression, struct arena *arena,
                                     const struct expression_column *inputs, size_t n,
                                     struct expression_column *out, struct error *err);
/* One row: the short way for requests. */
MUST_USE enum status expression_eval_row(const struct expression *expression,
                                         struct arena *arena, const struct value *inputs,
                                         struct value *out, struct error *err);
/* Of a bool expression: whether it is true; null is not. */
MUST_USE enum status expression_test(const struct expression *expression, struct arena *arena,
                                     const struct value *inputs, bool *out, struct error *err);
