/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/sweep_segment.h"

#include <math.h>

/* Where doubles times a power of two neither overflow nor lose bits below. */
#define EXPONENT_MAX 900
#define BITS_64 62
#define BITS_128 126

/* --- scale ---------------------------------------------------------------- */

static bool is_float(enum value_type type)
{
    return type == TYPE_FLOAT32 || type == TYPE_FLOAT64;
}

static bool is_integer(enum value_type type)
{
    return type == TYPE_BOOL || type == TYPE_INT32 || type == TYPE_INT64;
}

/* Bits that hold every sum of `rows` values below 2^bits. */
static int bits_of_sum(int bits, size_t rows)
{
    return bits + (rows == 0 ? 0 : 64 - __builtin_clzll(rows));
}

static struct sum_scale scale_for(int bits, int exponent)
{
    struct sum_scale scale = { .width = SUM_WIDE, .unit = 1, .per_unit = 1 };

    if (bits > BITS_128 || exponent < -EXPONENT_MAX || exponent > EXPONENT_MAX)
        return scale;
    scale.width = bits <= BITS_64 ? SUM_64 : SUM_128;
    scale.unit = ldexp(1, exponent);
    scale.per_unit = ldexp(1, -exponent);
    return scale;
}

static struct sum_scale scale_of_integers(const struct column *column)
{
    uint64_t all = 0;

    for (size_t row = 0; row < column->count; row++) {
        int64_t integer;

        if (column_is_null(column, row))
            continue;
        integer = column->type == TYPE_BOOL    ? column->booleans[row]
                  : column->type == TYPE_INT32 ? column->int32s[row]
                                               : column->int64s[row];
        all |= (uint64_t)(integer < 0 ? ~integer : integer);
    }
    return scale_for(bits_of_sum(all == 0 ? 1 : 65 - __builtin_clzll(all), column->count), 0);
}

static struct sum_scale scale_of_floats(const struct column *column)
{
    int lowest = INT32_MAX, highest = INT32_MIN;

    for (size_t row = 0; row < column->count; row++) {
        double number;
        int exponent, top;

        if (column_is_null(column, row))
            continue;
        number = column->type == TYPE_FLOAT32 ? (double)column->float32s[row]
                                              : column->float64s[row];
        if (!isfinite(number))
            return (struct sum_scale){ SUM_WIDE, 1, 1 };
        if (exact_split(number, &exponent) == 0)
            continue;
        frexp(number, &top);
        lowest = exponent < lowest ? exponent : lowest;
        highest = top > highest ? top : highest;
    }
    if (lowest > highest)
        return scale_for(1, 0);
    return scale_for(bits_of_sum(highest - lowest, column->count), lowest);
}

struct sum_scale sum_scale_of(const struct column *column)
{
    if (is_integer(column->type))
        return scale_of_integers(column);
    if (is_float(column->type))
        return scale_of_floats(column);
    return (struct sum_scale){ SUM_WIDE, 1, 1 };
}

/* --- running totals ------------------------------------------------------- */

void column_work_counts(const struct segment *segment, size_t input, struct column_work *work)
{
    const struct column *column = &segment->sweep->columns[input];
    uint32_t *counts;

    if (work->counts != NULL || column->valid == NULL)
        return;
    counts = ARENA_ARRAY(segment->arena, uint32_t, segment->row_count + 1u);
    for (uint32_t i = 0; i < segment->row_count; i++)
        counts[i + 1] = counts[i] + column->valid[segment->rows[i]];
    work->counts = counts;
}

/* One value in units of the column's scale; a null is 0. */
static int64_t units_64(const struct column *column, const struct sum_scale *scale,
                        uint32_t row)
{
    if (column_is_null(column, row))
        return 0;
    switch (column->type) {
    case TYPE_BOOL:
        return column->booleans[row];
    case TYPE_INT32:
        return column->int32s[row];
    case TYPE_FLOAT32:
        return (int64_t)((double)column->float32s[row] * scale->per_unit);
    case TYPE_FLOAT64:
        return (int64_t)(column->float64s[row] * scale->per_unit);
    case TYPE_INT64:
    case TYPE_STRING:
    case TYPE_BYTES:
    case TYPE_TIMESTAMP:
        break;
    }
    return column->int64s[row];
}

int128 sweep_units(const struct column *column, const struct sum_scale *scale, uint32_t row)
{
    if (column_is_null(column, row) || !is_float(column->type))
        return units_64(column, scale, row);
    if (column->type == TYPE_FLOAT32)
        return (int128)((double)column->float32s[row] * scale->per_unit);
    return (int128)(column->float64s[row] * scale->per_unit);
}

void column_work_sums(const struct segment *segment, size_t input, struct column_work *work)
{
    const struct column *column = &segment->sweep->columns[input];
    const struct sum_scale *scale = &segment->sweep->scales[input];

    if (work->sums_64 != NULL || work->sums_128 != NULL)
        return;
    if (scale->width == SUM_64) {
        int64_t *sums = ARENA_ARRAY(segment->arena, int64_t, segment->row_count + 1u);

        for (uint32_t i = 0; i < segment->row_count; i++)
            sums[i + 1] = sums[i] + units_64(column, scale, segment->rows[i]);
        work->sums_64 = sums;
    } else {
        int128 *sums = ARENA_ARRAY(segment->arena, int128, segment->row_count + 1u);

        for (uint32_t i = 0; i < segment->row_count; i++)
            sums[i + 1] = sums[i] + sweep_units(column, scale, segment->rows[i]);
        work->sums_128 = sums;
    }
}

/* --- features ------------------------------------------------------------- */

static int64_t count_between(const struct column_work *work, uint32_t low, uint32_t high)
{
    return work->counts == NULL ? high - low : work->counts[high] - work->counts[low];
}

enum status sweep_count(const struct segment *segment, const struct sweep_feature *feature,
                        const struct bounds *bounds, struct column_work *work,
                        struct error *err)
{
    const struct column_work all = { 0 };

    (void)err;
    if (!feature->spec.counts_rows)
        column_work_counts(segment, feature->input, work);
    else
        work = NULL;
    for (uint32_t i = 0; i < segment->question_count; i++) {
        uint32_t question = segment->questions[i];

        feature->out->int64s[question] = count_between(work == NULL ? &all : work,
                                                       bounds->low[i], bounds->high[i]);
        feature->out->valid[question] = 1;
    }
    return STATUS_OK;
}

static void put_number(const struct sweep_feature *feature, uint32_t question, double sum,
                       int64_t count)
{
    if (count == 0)
        return;
    feature->out->float64s[question] = feature->spec.function == AGGREGATE_AVG
                                           ? sum / (double)count
                                           : sum;
    feature->out->valid[question] = 1;
}

static enum status put_integer(const struct segment *segment,
                               const struct sweep_feature *feature, uint32_t question,
                               int128 sum, int64_t count, struct error *err)
{
    struct value value;

    if (aggregate_finish_sum(sum, count, &value, err) != STATUS_OK)
        return segment_failed(segment, feature, err);
    column_set(feature->out, segment->questions[question], value);
    return STATUS_OK;
}

/* A conversion rounds once, a power of two times it not at all. */
enum status sweep_put_sum(const struct segment *segment, const struct sweep_feature *feature,
                          uint32_t question, int128 sum, int64_t count, struct error *err)
{
    if (feature->out->type == TYPE_INT64)
        return put_integer(segment, feature, question, sum, count, err);
    put_number(feature, segment->questions[question],
               (double)sum * segment->sweep->scales[feature->input].unit, count);
    return STATUS_OK;
}

static void sum_to_floats(const struct segment *segment, const struct sweep_feature *feature,
                          const struct bounds *bounds, const struct column_work *work)
{
    double unit = segment->sweep->scales[feature->input].unit;

    for (uint32_t i = 0; i < segment->question_count; i++) {
        uint32_t low = bounds->low[i], high = bounds->high[i];
        double sum = work->sums_64 != NULL
                         ? (double)(work->sums_64[high] - work->sums_64[low])
                         : (double)(work->sums_128[high] - work->sums_128[low]);

        put_number(feature, segment->questions[i], sum * unit, count_between(work, low, high));
    }
}

static enum status sum_to_integers(const struct segment *segment,
                                   const struct sweep_feature *feature,
                                   const struct bounds *bounds, const struct column_work *work,
                                   struct error *err)
{
    for (uint32_t i = 0; i < segment->question_count; i++) {
        uint32_t low = bounds->low[i], high = bounds->high[i];
        int128 sum = work->sums_64 != NULL ? work->sums_64[high] - work->sums_64[low]
                                           : work->sums_128[high] - work->sums_128[low];

        TRY(put_integer(segment, feature, i, sum, count_between(work, low, high), err));
    }
    return STATUS_OK;
}

/* Rows come in at the head and leave at the tail. */
static void sum_wide(const struct segment *segment, const struct sweep_feature *feature,
                     const struct bounds *bounds)
{
    struct arena_mark mark = arena_mark(segment->arena);
    struct aggregate_partial partial;
    uint32_t low = 0, high = 0;

    aggregate_init(&feature->spec, &partial);
    for (uint32_t i = 0; i < segment->question_count; i++) {
        struct aggregate_row row = { 0 };

        if (bounds->low[i] >= high) {
            arena_rewind(segment->arena, mark);
            aggregate_init(&feature->spec, &partial);
            low = high = bounds->low[i];
        }
        for (; high < bounds->high[i]; high++) {
            row.value = segment_value(segment, feature, high);
            aggregate_add(&feature->spec, segment->arena, &partial, &row);
        }
        for (; low < bounds->low[i]; low++) {
            row.value = segment_value(segment, feature, low);
            aggregate_remove(&feature->spec, segment->arena, &partial, &row);
        }
        put_number(feature, segment->questions[i], exact_sum_round(&partial.number),
                   partial.count);
    }
}

enum status sweep_sum(const struct segment *segment, const struct sweep_feature *feature,
                      const struct bounds *bounds, struct column_work *work, struct error *err)
{
    if (segment->sweep->scales[feature->input].width == SUM_WIDE) {
        sum_wide(segment, feature, bounds);
        return STATUS_OK;
    }
    column_work_counts(segment, feature->input, work);
    column_work_sums(segment, feature->input, work);
    if (feature->out->type == TYPE_INT64)
        return sum_to_integers(segment, feature, bounds, work, err);
    sum_to_floats(segment, feature, bounds, work);
    return STATUS_OK;
}
