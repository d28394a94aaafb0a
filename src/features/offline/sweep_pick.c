/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/sweep_segment.h"

#include <math.h>

/* Aggregates that pick one of the window's values: min, max, first, last. */

void sweep_put_picked(const struct segment *segment, const struct sweep_feature *feature,
                      uint32_t question, uint32_t row)
{
    struct value value = segment_value(segment, feature, row);
    bool is_extreme = feature->spec.function == AGGREGATE_MIN ||
                      feature->spec.function == AGGREGATE_MAX;

    /* NaNs are all the same to min and max. */
    if (is_extreme && (value.type == TYPE_FLOAT32 || value.type == TYPE_FLOAT64) &&
        isnan(value.number))
        value.number = NAN;
    column_set(feature->out, segment->questions[question], value);
}

/*
 * Candidates in a queue, best in front: a row that is beaten by a later one can never be the
 * answer again.
 */
enum status sweep_extreme(const struct segment *segment, const struct sweep_feature *feature,
                          const struct bounds *bounds, struct column_work *work,
                          struct error *err)
{
    const struct column *column = &segment->sweep->columns[feature->input];
    uint32_t *queue = ARENA_ARRAY(segment->arena, uint32_t, segment->row_count);
    int sign = feature->spec.function == AGGREGATE_MIN ? 1 : -1;
    uint32_t front = 0, back = 0, next = 0;

    (void)work;
    (void)err;
    for (uint32_t i = 0; i < segment->question_count; i++) {
        for (; next < bounds->high[i]; next++) {
            struct value value;

            if (column_is_null(column, segment->rows[next]))
                continue;
            value = segment_value(segment, feature, next);
            while (back > front &&
                   sign * aggregate_compare(segment_value(segment, feature, queue[back - 1]),
                                            value) >=
                       0)
                back--;
            queue[back++] = next;
        }
        while (front < back && queue[front] < bounds->low[i])
            front++;
        if (front < back)
            sweep_put_picked(segment, feature, i, queue[front]);
    }
    return STATUS_OK;
}

void column_work_valid(const struct segment *segment, size_t input, struct column_work *work)
{
    const struct column *column = &segment->sweep->columns[input];
    uint32_t count = segment->row_count;
    uint32_t *next, *last;

    if (work->next_valid != NULL)
        return;
    next = ARENA_ARRAY(segment->arena, uint32_t, count + 1u);
    last = ARENA_ARRAY(segment->arena, uint32_t, count + 1u);
    last[0] = NO_ROW;
    for (uint32_t i = 0; i < count; i++)
        last[i + 1] = column_is_null(column, segment->rows[i]) ? last[i] : i;
    next[count] = NO_ROW;
    for (uint32_t i = count; i-- > 0;)
        next[i] = column_is_null(column, segment->rows[i]) ? next[i + 1] : i;
    work->next_valid = next;
    work->last_valid = last;
}

enum status sweep_end(const struct segment *segment, const struct sweep_feature *feature,
                      const struct bounds *bounds, struct column_work *work, struct error *err)
{
    bool first = feature->spec.function == AGGREGATE_FIRST;

    (void)err;
    column_work_valid(segment, feature->input, work);
    for (uint32_t i = 0; i < segment->question_count; i++) {
        uint32_t low = bounds->low[i], high = bounds->high[i];
        uint32_t row = first ? work->next_valid[low] : work->last_valid[high];

        if (row != NO_ROW && row >= low && row < high)
            sweep_put_picked(segment, feature, i, row);
    }
    return STATUS_OK;
}
