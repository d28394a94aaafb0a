/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The features of many rows of one entity at many times, in one pass over each
 * key: rows and questions are both in order of time, so that the two ends of a
 * window only ever move forward. docs/windows.md says which rows a window has.
 */
#include "features/aggregate.h"
#include "features/offline/key_table.h"
#include "features/offline/row_order.h"

/* How a column's values are summed exactly: as integers × 2^exponent, or in wide accumulators. */
enum sum_width { SUM_64, SUM_128, SUM_WIDE };
struct sum_scale {
    enum sum_width width;
    double unit;     /* 2^exponent */
    double per_unit; /* 2^−exponent */
};
/* Good for any selection of the column's rows. */
struct sum_scale sum_scale_of(const struct column *column);

struct sweep_feature {
    struct str label; /* "view.feature", for messages */
    bool is_column;   /* the newest row's value; else an aggregate: */
    struct aggregate_spec spec;
    int64_t window_us; /* 0: no lower end */
    int64_t hop_us;    /* 0: the lower end moves with the upper one */
    int64_t delay_us;
    bool include_current;
    size_t input;       /* which column; unused by count: "*" */
    struct column *out; /* from column_make, a row for each question */
};

struct sweep {
    const struct column *columns;   /* of the rows */
    const struct sum_scale *scales; /* one for each column */
    const int64_t *times;
    const int64_t *created; /* NULL: none has one */
    const struct row_order *rows;
    const int64_t *question_times;
    const struct row_order *questions; /* one key more than rows: those whose key has no rows */
    const struct key_table *keys;
    bool as_known;  /* rows count only once they were created */
    int64_t ttl_us; /* of columns; 0: no limit */
    const struct sweep_feature *features;
    size_t feature_count;
};

/* LIMIT names feature and key if a sum of ints does not fit. */
MUST_USE enum status sweep_run(const struct sweep *sweep, unsigned threads, struct error *err);
