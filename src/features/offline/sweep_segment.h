/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One key's part of a sweep. For the sweep_*.c files. */
#include "features/offline/sweep.h"

#define NO_ROW UINT32_MAX

struct segment {
    const struct sweep *sweep;
    struct arena *arena; /* for this key */
    uint32_t key;
    const uint32_t *rows; /* row numbers, in order of time */
    const int64_t *times; /* of these rows */
    uint32_t row_count;
    const uint32_t *questions; /* question numbers, in order of time */
    const int64_t *question_times;
    uint32_t question_count;
    /* as_known, else NULL: for each question, how many rows from the first on were all created by then; */
    const uint32_t *known;
    const uint32_t *by_created; /* and the rows in the order in which they were created */
};

/* The rows of one window, for each question: from low to below high, both only grow. */
struct bounds {
    const struct sweep_feature *like; /* has the window's numbers */
    uint32_t *low;
    uint32_t *high;
};

static inline struct value segment_value(const struct segment *segment,
                                         const struct sweep_feature *feature, uint32_t row)
{
    return column_get(&segment->sweep->columns[feature->input], segment->rows[row]);
}

/* What the features over one column share; made when the first of them asks. */
struct column_work {
    const uint32_t *counts; /* values that are not null before each row; NULL: all are */
    const int64_t *sums_64; /* of all values before each row, in units of the scale */
    const int128 *sums_128;
    const uint32_t *next_valid; /* nearest row at or behind, and before, that is not null */
    const uint32_t *last_valid;
};

void column_work_counts(const struct segment *segment, size_t input, struct column_work *work);
void column_work_sums(const struct segment *segment, size_t input, struct column_work *work);
void column_work_valid(const struct segment *segment, size_t input, struct column_work *work);

/* Each writes the feature for all questions of the segment. */
MUST_USE enum status sweep_count(const struct segment *segment,
                                 const struct sweep_feature *feature,
                                 const struct bounds *bounds, struct column_work *work,
                                 struct error *err);
MUST_USE enum status sweep_sum(const struct segment *segment,
                               const struct sweep_feature *feature, const struct bounds *bounds,
                               struct column_work *work, struct error *err);
MUST_USE enum status sweep_extreme(const struct segment *segment,
                                   const struct sweep_feature *feature,
                                   const struct bounds *bounds, struct column_work *work,
                                   struct error *err);
MUST_USE enum status sweep_end(const struct segment *segment,
                               const struct sweep_feature *feature, const struct bounds *bounds,
                               struct column_work *work, struct error *err);

/* One value in units of the column's scale, which is not wide; a null is 0. */
int128 sweep_units(const struct column *column, const struct sum_scale *scale, uint32_t row);
/* The sum of count values in these units, as the feature's value. */
MUST_USE enum status sweep_put_sum(const struct segment *segment,
                                   const struct sweep_feature *feature, uint32_t question,
                                   int128 sum, int64_t count, struct error *err);
/* Row `row` of the segment is what min, max, first or last picked for a question. */
void sweep_put_picked(const struct segment *segment, const struct sweep_feature *feature,
                      uint32_t question, uint32_t row);

/* as_known: fills known and by_created. */
void known_prepare(struct segment *segment);
/* Whether some question's window has a row that was not yet created then. */
bool known_differs(const struct segment *segment, const struct bounds *bounds);
/* Any aggregate over the rows of the windows that were created by then. */
MUST_USE enum status sweep_known(const struct segment *segment,
                                 const struct sweep_feature *feature,
                                 const struct bounds *bounds, struct error *err);
/* The last row within the bounds that was created by then, or NO_ROW. */
void known_last(const struct segment *segment, const struct bounds *bounds, uint32_t *rows);

/* Puts feature and key in front of a message. */
enum status segment_failed(const struct segment *segment, const struct sweep_feature *feature,
                           struct error *err);
