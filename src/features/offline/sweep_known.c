/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/sweep_segment.h"

#include <stdlib.h>

/*
 * Windows as they were known then. As time goes on, rows come in at the head, leave at the tail, and
 * become known wherever they stand; none is ever unknown again. So what can be taken away again is kept
 * as one total, and what cannot (min, max, first, last) as a tree of winners over the known rows: each
 * row is met a few times, however many questions there are and however late it came.
 */

/* --- when rows become known ------------------------------------------------ */

static int64_t created_of(const struct segment *segment, uint32_t row)
{
    return segment->sweep->created[segment->rows[row]];
}

static int compare_created(const void *a, const void *b, void *context)
{
    const struct segment *segment = context;
    int64_t left = created_of(segment, *(const uint32_t *)a);
    int64_t right = created_of(segment, *(const uint32_t *)b);

    return (left > right) - (left < right);
}

void known_prepare(struct segment *segment)
{
    uint32_t *known = ARENA_ARRAY(segment->arena, uint32_t, segment->question_count);
    uint32_t *by_created = ARENA_ARRAY(segment->arena, uint32_t, segment->row_count);
    uint32_t row = 0;

    for (uint32_t i = 0; i < segment->question_count; i++) {
        while (row < segment->row_count &&
               created_of(segment, row) <= segment->question_times[i])
            row++;
        known[i] = row;
    }
    for (uint32_t i = 0; i < segment->row_count; i++)
        by_created[i] = i;
    if (segment->row_count > 0)
        qsort_r(by_created, segment->row_count, sizeof(*by_created), compare_created, segment);
    segment->known = known;
    segment->by_created = by_created;
}

bool known_differs(const struct segment *segment, const struct bounds *bounds)
{
    for (uint32_t i = 0; segment->known != NULL && i < segment->question_count; i++) {
        if (bounds->high[i] > segment->known[i] && bounds->high[i] > bounds->low[i])
            return true;
    }
    return false;
}

/* --- totals --------------------------------------------------------------- */

struct total {
    const struct segment *segment;
    const struct sweep_feature *feature;
    const struct column *column; /* NULL: rows are counted */
    const struct sum_scale *scale;
    bool is_wide; /* the sum is in partial, else in sum */
    struct aggregate_partial partial;
    int128 sum;
    int64_t count;
};

static bool sums(const struct sweep_feature *feature)
{
    return feature->spec.function == AGGREGATE_SUM || feature->spec.function == AGGREGATE_AVG;
}

static void total_init(struct total *total, const struct segment *segment,
                       const struct sweep_feature *feature)
{
    *total = (struct total){ .segment = segment, .feature = feature };
    if (!feature->spec.counts_rows)
        total->column = &segment->sweep->columns[feature->input];
    if (sums(feature))
        total->scale = &segment->sweep->scales[feature->input];
    total->is_wide = total->scale != NULL && total->scale->width == SUM_WIDE;
    aggregate_init(&feature->spec, &total->partial);
}

/* A row comes in, or leaves. */
static void total_add(struct total *total, uint32_t row, int sign)
{
    const struct segment *segment = total->segment;
    struct aggregate_row one = { 0 };

    if (total->column != NULL && column_is_null(total->column, segment->rows[row]))
        return;
    total->count += sign;
    if (total->scale == NULL)
        return;
    if (!total->is_wide) {
        total->sum += sign * sweep_units(total->column, total->scale, segment->rows[row]);
        return;
    }
    one.value = segment_value(segment, total->feature, row);
    if (sign > 0)
        aggregate_add(&total->feature->spec, segment->arena, &total->partial, &one);
    else
        aggregate_remove(&total->feature->spec, segment->arena, &total->partial, &one);
}

static enum status total_put(const struct total *total, uint32_t question, struct error *err)
{
    const struct segment *segment = total->segment;
    struct value value;

    if (total->scale != NULL && !total->is_wide)
        return sweep_put_sum(segment, total->feature, question, total->sum, total->count, err);
    value = (struct value){ .type = TYPE_INT64, .integer = total->count };
    if (total->is_wide &&
        aggregate_finish(&total->feature->spec, &total->partial, &value, err) != STATUS_OK)
        return segment_failed(segment, total->feature, err);
    column_set(total->feature->out, segment->questions[question], value);
    return STATUS_OK;
}

static enum status known_totals(const struct segment *segment,
                                const struct sweep_feature *feature,
                                const struct bounds *bounds, struct error *err)
{
    uint32_t low = 0, high = 0, created = 0;
    struct total total;

    total_init(&total, segment, feature);
    for (uint32_t i = 0; i < segment->question_count; i++) {
        int64_t now = segment->question_times[i];

        for (; created < segment->row_count &&
               created_of(segment, segment->by_created[created]) <= now;
             created++) {
            uint32_t row = segment->by_created[created];

            if (row >= low && row < high)
                total_add(&total, row, 1);
        }
        for (; high < bounds->high[i]; high++) {
            if (created_of(segment, high) <= now)
                total_add(&total, high, 1);
        }
        for (; low < bounds->low[i]; low++) {
            if (created_of(segment, low) <= now)
                total_add(&total, low, -1);
        }
        TRY(total_put(&total, i, err));
    }
    return STATUS_OK;
}

/* --- winners -------------------------------------------------------------- */

/* A node has the better row of its two children, the leaves are the rows; NO_ROW is none. */
struct tree {
    const struct segment *segment;
    const struct sweep_feature *feature; /* NULL: the last row, also where a column is null */
    uint32_t *winners;                   /* 2 × the number of rows; the root is 1 */
    uint32_t created;                    /* how many rows of by_created are in it */
};

static void tree_init(struct tree *tree, const struct segment *segment,
                      const struct sweep_feature *feature)
{
    size_t count = 2 * (size_t)segment->row_count + 2;

    *tree = (struct tree){ .segment = segment, .feature = feature };
    tree->winners = ARENA_ARRAY(segment->arena, uint32_t, count);
    for (size_t i = 0; i < count; i++)
        tree->winners[i] = NO_ROW;
}

static uint32_t better(const struct tree *tree, uint32_t a, uint32_t b)
{
    enum aggregate_function function = tree->feature == NULL ? AGGREGATE_LAST
                                                             : tree->feature->spec.function;
    int order;

    if (a == NO_ROW || b == NO_ROW)
        return a == NO_ROW ? b : a;
    if (function == AGGREGATE_FIRST || function == AGGREGATE_LAST)
        return (function == AGGREGATE_FIRST) == (a < b) ? a : b;
    order = aggregate_compare(segment_value(tree->segment, tree->feature, a),
                              segment_value(tree->segment, tree->feature, b));
    return function == AGGREGATE_MIN ? (order <= 0 ? a : b) : (order >= 0 ? a : b);
}

static void tree_add(struct tree *tree, uint32_t row)
{
    const struct segment *segment = tree->segment;
    size_t node = (size_t)segment->row_count + row;

    if (tree->feature != NULL &&
        column_is_null(&segment->sweep->columns[tree->feature->input], segment->rows[row]))
        return;
    for (; node > 0; node /= 2) {
        uint32_t winner = better(tree, tree->winners[node], row);

        if (winner == tree->winners[node])
            return;
        tree->winners[node] = winner;
    }
}

/* Rows that were created by then. */
static void tree_advance(struct tree *tree, int64_t now)
{
    const struct segment *segment = tree->segment;

    for (; tree->created < segment->row_count; tree->created++) {
        uint32_t row = segment->by_created[tree->created];

        if (created_of(segment, row) > now)
            return;
        tree_add(tree, row);
    }
}

/* Of the rows from low to below high. */
static uint32_t tree_best(const struct tree *tree, uint32_t low, uint32_t high)
{
    size_t from = (size_t)tree->segment->row_count + low;
    size_t to = (size_t)tree->segment->row_count + high;
    uint32_t best = NO_ROW;

    for (; from < to; from /= 2, to /= 2) {
        if (from % 2 == 1)
            best = better(tree, best, tree->winners[from++]);
        if (to % 2 == 1)
            best = better(tree, best, tree->winners[--to]);
    }
    return best;
}

static void known_picks(const struct segment *segment, const struct sweep_feature *feature,
                        const struct bounds *bounds)
{
    struct tree tree;

    tree_init(&tree, segment, feature);
    for (uint32_t i = 0; i < segment->question_count; i++) {
        uint32_t best;

        tree_advance(&tree, segment->question_times[i]);
        best = tree_best(&tree, bounds->low[i], bounds->high[i]);
        if (best != NO_ROW)
            sweep_put_picked(segment, feature, i, best);
    }
}

void known_last(const struct segment *segment, const struct bounds *bounds, uint32_t *rows)
{
    struct tree tree;

    tree_init(&tree, segment, NULL);
    for (uint32_t i = 0; i < segment->question_count; i++) {
        tree_advance(&tree, segment->question_times[i]);
        rows[i] = tree_best(&tree, bounds->low[i], bounds->high[i]);
    }
}

enum status sweep_known(const struct segment *segment, const struct sweep_feature *feature,
                        const struct bounds *bounds, struct error *err)
{
    if (aggregate_is_invertible(feature->spec.function))
        return known_totals(segment, feature, bounds, err);
    known_picks(segment, feature, bounds);
    return STATUS_OK;
}
