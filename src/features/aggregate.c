/* SPDX-License-Identifier: Apache-2.0 */
#include "features/aggregate.h"

#include <math.h>

const struct str aggregate_names[AGGREGATE_FUNCTION_COUNT] = {
    [AGGREGATE_COUNT] = STR_INIT("count"), [AGGREGATE_SUM] = STR_INIT("sum"),
    [AGGREGATE_AVG] = STR_INIT("avg"),     [AGGREGATE_MIN] = STR_INIT("min"),
    [AGGREGATE_MAX] = STR_INIT("max"),     [AGGREGATE_FIRST] = STR_INIT("first"),
    [AGGREGATE_LAST] = STR_INIT("last"),
};

const char *aggregate_name(enum aggregate_function function)
{
    return aggregate_names[function].data;
}

bool aggregate_parse(struct str name, enum aggregate_function *out)
{
    for (unsigned i = 0; i < AGGREGATE_FUNCTION_COUNT; i++) {
        if (str_equal(name, aggregate_names[i])) {
            *out = (enum aggregate_function)i;
            return true;
        }
    }
    return false;
}

static bool is_float(enum value_type type)
{
    return type == TYPE_FLOAT32 || type == TYPE_FLOAT64;
}

static bool is_integer(enum value_type type)
{
    return type == TYPE_BOOL || type == TYPE_INT32 || type == TYPE_INT64;
}

enum status aggregate_type(enum aggregate_function function, enum value_type input,
                           enum value_type *out, struct error *err)
{
    bool summing = function == AGGREGATE_SUM || function == AGGREGATE_AVG;

    if (summing && !is_float(input) && !is_integer(input))
        return error_set(err, STATUS_INVALID, "%s wants numbers or bools, not %s",
                         aggregate_name(function), value_type_name(input));
    if (function == AGGREGATE_COUNT || (function == AGGREGATE_SUM && is_integer(input)))
        *out = TYPE_INT64;
    else
        *out = summing ? TYPE_FLOAT64 : input;
    return STATUS_OK;
}

bool aggregate_is_invertible(enum aggregate_function function)
{
    return function == AGGREGATE_COUNT || function == AGGREGATE_SUM ||
           function == AGGREGATE_AVG;
}

/* --- order ---------------------------------------------------------------- */

static int compare_int64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* The bits of a double as an integer that sorts as the totally ordered doubles do. */
static int64_t ordered_bits(double number)
{
    int64_t bits;

    if (isnan(number))
        return INT64_MAX;
    memcpy(&bits, &number, sizeof(bits));
    return bits < 0 ? INT64_MIN - bits - 1 : bits;
}

int aggregate_compare(struct value a, struct value b)
{
    switch (a.type) {
    case TYPE_BOOL:
        return compare_int64(a.boolean, b.boolean);
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_TIMESTAMP:
        return compare_int64(a.integer, b.integer);
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        return compare_int64(ordered_bits(a.number), ordered_bits(b.number));
    case TYPE_STRING:
    case TYPE_BYTES:
        break;
    }
    return str_compare(a.text, b.text);
}

/* Which row came later: time, then created, then order. */
static int compare_age(const struct aggregate_row *a, const struct aggregate_row *b)
{
    int by_time = compare_int64(a->time_us, b->time_us);
    int by_created = compare_int64(a->created_us, b->created_us);

    if (by_time != 0)
        return by_time;
    return by_created != 0 ? by_created : compare_int64(a->order, b->order);
}

/* --- each function -------------------------------------------------------- */

struct kind {
    void (*add)(struct arena *arena, struct aggregate_partial *partial,
                const struct aggregate_row *row, int sign);
    void (*merge)(struct arena *arena, struct aggregate_partial *partial,
                  const struct aggregate_partial *other, int sign);
};

static void add_count(struct arena *arena, struct aggregate_partial *partial,
                      const struct aggregate_row *row, int sign)
{
    (void)arena;
    (void)row;
    partial->count += sign;
}

static void merge_count(struct arena *arena, struct aggregate_partial *partial,
                        const struct aggregate_partial *other, int sign)
{
    (void)arena;
    partial->count += sign * other->count;
}

static void add_integer(struct arena *arena, struct aggregate_partial *partial,
                        const struct aggregate_row *row, int sign)
{
    bool is_bool = row->value.type == TYPE_BOOL;

    (void)arena;
    partial->count += sign;
    partial->integer += (int128)sign * (is_bool ? row->value.boolean : row->value.integer);
}

static void merge_integer(struct arena *arena, struct aggregate_partial *partial,
                          const struct aggregate_partial *other, int sign)
{
    (void)arena;
    partial->count += sign * other->count;
    partial->integer += sign * other->integer;
}

static void add_number(struct arena *arena, struct aggregate_partial *partial,
                       const struct aggregate_row *row, int sign)
{
    partial->count += sign;
    if (sign > 0)
        exact_sum_add(&partial->number, arena, row->value.number);
    else
        exact_sum_remove(&partial->number, arena, row->value.number);
}

static void merge_number(struct arena *arena, struct aggregate_partial *partial,
                         const struct aggregate_partial *other, int sign)
{
    partial->count += sign * other->count;
    if (sign > 0)
        exact_sum_merge(&partial->number, arena, &other->number);
    else
        exact_sum_subtract(&partial->number, arena, &other->number);
}

/* Only the value counts, so only the value is kept: equal ones are then one and the same. */
static struct aggregate_row bare(const struct aggregate_row *row)
{
    struct aggregate_row kept = { .value = row->value };

    if (is_float(kept.value.type) && isnan(kept.value.number))
        kept.value.number = NAN;
    return kept;
}

static void add_min(struct arena *arena, struct aggregate_partial *partial,
                    const struct aggregate_row *row, int sign)
{
    (void)arena;
    (void)sign;
    if (partial->count++ == 0 || aggregate_compare(row->value, partial->row.value) < 0)
        partial->row = bare(row);
}

static void add_max(struct arena *arena, struct aggregate_partial *partial,
                    const struct aggregate_row *row, int sign)
{
    (void)arena;
    (void)sign;
    if (partial->count++ == 0 || aggregate_compare(row->value, partial->row.value) > 0)
        partial->row = bare(row);
}

static void add_first(struct arena *arena, struct aggregate_partial *partial,
                      const struct aggregate_row *row, int sign)
{
    (void)arena;
    (void)sign;
    if (partial->count++ == 0 || compare_age(row, &partial->row) < 0)
        partial->row = *row;
}

static void add_last(struct arena *arena, struct aggregate_partial *partial,
                     const struct aggregate_row *row, int sign)
{
    (void)arena;
    (void)sign;
    if (partial->count++ == 0 || compare_age(row, &partial->row) > 0)
        partial->row = *row;
}

/* The row that `other` kept, as if it were added; then the rest of its count. */
#define MERGE_BY_ROW(name, add) \
    static void name(struct arena *arena, struct aggregate_partial *partial, \
                     const struct aggregate_partial *other, int sign) \
    { \
        if (other->count == 0) \
            return; \
        add(arena, partial, &other->row, sign); \
        partial->count += other->count - 1; \
    }
MERGE_BY_ROW(merge_min, add_min)
MERGE_BY_ROW(merge_max, add_max)
MERGE_BY_ROW(merge_first, add_first)
MERGE_BY_ROW(merge_last, add_last)

static const struct kind integer_sums = { add_integer, merge_integer };
static const struct kind number_sums = { add_number, merge_number };
static const struct kind kinds[AGGREGATE_FUNCTION_COUNT] = {
    [AGGREGATE_COUNT] = { add_count, merge_count },
    [AGGREGATE_MIN] = { add_min, merge_min },
    [AGGREGATE_MAX] = { add_max, merge_max },
    [AGGREGATE_FIRST] = { add_first, merge_first },
    [AGGREGATE_LAST] = { add_last, merge_last },
};

static bool is_sum(const struct aggregate_spec *spec)
{
    return spec->function == AGGREGATE_SUM || spec->function == AGGREGATE_AVG;
}

static const struct kind *kind_of(const struct aggregate_spec *spec)
{
    if (is_sum(spec))
        return is_float(spec->input) ? &number_sums : &integer_sums;
    return &kinds[spec->function];
}

void aggregate_init(const struct aggregate_spec *spec, struct aggregate_partial *partial)
{
    *partial = (struct aggregate_partial){ 0 };
    if (is_sum(spec) && is_float(spec->input))
        exact_sum_init(&partial->number);
}

void aggregate_add(const struct aggregate_spec *spec, struct arena *arena,
                   struct aggregate_partial *partial, const struct aggregate_row *row)
{
    if (spec->counts_rows || !row->value.is_null)
        kind_of(spec)->add(arena, partial, row, 1);
}

void aggregate_remove(const struct aggregate_spec *spec, struct arena *arena,
                      struct aggregate_partial *partial, const struct aggregate_row *row)
{
    if (spec->counts_rows || !row->value.is_null)
        kind_of(spec)->add(arena, partial, row, -1);
}

void aggregate_merge(const struct aggregate_spec *spec, struct arena *arena,
                     struct aggregate_partial *partial, const struct aggregate_partial *other)
{
    kind_of(spec)->merge(arena, partial, other, 1);
}

void aggregate_subtract(const struct aggregate_spec *spec, struct arena *arena,
                        struct aggregate_partial *partial,
                        const struct aggregate_partial *other)
{
    kind_of(spec)->merge(arena, partial, other, -1);
}

enum status aggregate_finish(const struct aggregate_spec *spec,
                             const struct aggregate_partial *partial, struct value *out,
                             struct error *err)
{
    if (spec->function == AGGREGATE_COUNT) {
        *out = (struct value){ .type = TYPE_INT64, .integer = partial->count };
        return STATUS_OK;
    }
    if (!is_sum(spec)) {
        *out = partial->count > 0 ? partial->row.value : value_null(spec->input);
        return STATUS_OK;
    }
    if (spec->function == AGGREGATE_SUM && !is_float(spec->input))
        return aggregate_finish_sum(partial->integer, partial->count, out, err);
    *out = aggregate_finish_number(spec->function,
                                   is_float(spec->input) ? exact_sum_round(&partial->number)
                                                         : exact_round(partial->integer, 0),
                                   partial->count);
    return STATUS_OK;
}

enum status aggregate_finish_sum(int128 sum, int64_t count, struct value *out,
                                 struct error *err)
{
    *out = value_null(TYPE_INT64);
    if (count == 0)
        return STATUS_OK;
    if (sum != (int64_t)sum)
        return error_set(err, STATUS_LIMIT, "the sum of %lld values is beyond int64",
                         (long long)count);
    *out = (struct value){ .type = TYPE_INT64, .integer = (int64_t)sum };
    return STATUS_OK;
}

struct value aggregate_finish_number(enum aggregate_function function, double sum,
                                     int64_t count)
{
    if (count == 0)
        return value_null(TYPE_FLOAT64);
    if (function == AGGREGATE_AVG)
        sum /= (double)count;
    return (struct value){ .type = TYPE_FLOAT64, .number = sum };
}
