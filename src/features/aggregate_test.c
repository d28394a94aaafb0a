/* SPDX-License-Identifier: Apache-2.0 */
#include "features/aggregate.h"
#include "support/test.h"

#include <math.h>

#define ROWS 60

static struct error err;

static uint64_t random_state = 2463534242u;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static struct value random_value(enum value_type type)
{
    static const double numbers[] = { 0.1, -0.0, 0.0, 1e300, -1e300, 1e-300, NAN, INFINITY };
    static const struct str texts[] = { STR_INIT("a"), STR_INIT("ab"), STR_INIT(""),
                                        STR_INIT("\xff") };
    uint64_t r = random_next();
    struct value value = { .type = type, .is_null = r % 7 == 0 };

    r >>= 8;
    switch (type) {
    case TYPE_BOOL:
        value.boolean = r % 2 != 0;
        break;
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_TIMESTAMP:
        value.integer = (int64_t)(r % 20) - 10;
        break;
    case TYPE_FLOAT32:
        value.number = (double)(r % 100) / 4;
        break;
    case TYPE_FLOAT64:
        value.number = r % 40 < ARRAY_LEN(numbers) ? numbers[r % 40] : (double)(r % 1000) / 10;
        break;
    case TYPE_STRING:
    case TYPE_BYTES:
        value.text = texts[r % ARRAY_LEN(texts)];
        break;
    }
    return value;
}

static void random_rows(enum value_type type, struct aggregate_row *rows)
{
    for (int i = 0; i < ROWS; i++) {
        rows[i] = (struct aggregate_row){
            .value = random_value(type),
            .time_us = (int64_t)(random_next() % 5),
            .created_us = random_next() % 3 == 0 ? CREATED_NULL : (int64_t)(random_next() % 3),
            .order = i,
        };
    }
}

static void shuffle(struct aggregate_row *rows)
{
    for (size_t i = ROWS - 1; i > 0; i--) {
        size_t other = random_next() % (i + 1);
        struct aggregate_row row = rows[i];

        rows[i] = rows[other];
        rows[other] = row;
    }
}

/* Splits the rows into parts, sends each through bytes, and merges them from the last to the first. */
static struct value merged_value(const struct aggregate_spec *spec, struct arena *arena,
                                 const struct aggregate_row *rows)
{
    struct aggregate_partial total, part, decoded;
    struct value value;

    aggregate_init(spec, &total);
    for (int end = ROWS; end > 0; end -= 6) {
        struct buffer *bytes = ARENA_NEW(arena, struct buffer);
        struct str rest;

        aggregate_init(spec, &part);
        for (int i = end - 6; i < end; i++)
            aggregate_add(spec, arena, &part, &rows[i]);
        aggregate_encode(spec, &part, bytes);
        rest = arena_str(arena, buffer_str(bytes));
        buffer_free(bytes);
        assert_ok(aggregate_decode(spec, arena, &rest, &decoded, &err));
        assert_int_equal(rest.len, 0);
        aggregate_merge(spec, arena, &total, &decoded);
    }
    assert_ok(aggregate_finish(spec, &total, &value, &err));
    return value;
}

static struct value added_value(const struct aggregate_spec *spec, struct arena *arena,
                                const struct aggregate_row *rows, int count)
{
    struct aggregate_partial partial;
    struct value value;

    aggregate_init(spec, &partial);
    for (int i = 0; i < count; i++)
        aggregate_add(spec, arena, &partial, &rows[i]);
    assert_ok(aggregate_finish(spec, &partial, &value, &err));
    return value;
}

static void check_removal(const struct aggregate_spec *spec, struct arena *arena,
                          const struct aggregate_row *rows, struct value half)
{
    struct aggregate_partial partial;
    struct value value;

    aggregate_init(spec, &partial);
    for (int i = ROWS - 1; i >= 0; i--)
        aggregate_add(spec, arena, &partial, &rows[i]);
    for (int i = ROWS / 2; i < ROWS; i++)
        aggregate_remove(spec, arena, &partial, &rows[i]);
    assert_ok(aggregate_finish(spec, &partial, &value, &err));
    assert_true(value_identical(value, half));
}

static void check_spec(const struct aggregate_spec *spec)
{
    struct aggregate_row rows[ROWS];
    struct arena *arena = arena_new();
    struct value value;
    enum value_type type;

    random_rows(spec->input, rows);
    value = added_value(spec, arena, rows, ROWS);
    assert_ok(aggregate_type(spec->function, spec->input, &type, &err));
    assert_int_equal(type, value.type);
    if (aggregate_is_invertible(spec->function))
        check_removal(spec, arena, rows, added_value(spec, arena, rows, ROWS / 2));
    shuffle(rows);
    assert_true(value_identical(value, added_value(spec, arena, rows, ROWS)));
    assert_true(value_identical(value, merged_value(spec, arena, rows)));
    arena_free(arena);
}

TEST(order_and_bytes_do_not_show)
{
    for (int round = 0; round < 30; round++) {
        for (unsigned function = 0; function < AGGREGATE_FUNCTION_COUNT; function++) {
            for (unsigned type = 0; type < VALUE_TYPE_COUNT; type++) {
                struct aggregate_spec spec = { .function = (enum aggregate_function)function,
                                               .input = (enum value_type)type };
                enum value_type out;

                if (aggregate_type(spec.function, spec.input, &out, &err) == STATUS_OK)
                    check_spec(&spec);
            }
        }
    }
}

static struct value aggregate_of(enum aggregate_function function, enum value_type type,
                                 const struct value *values, int count)
{
    struct aggregate_spec spec = { .function = function, .input = type };
    struct arena *arena = arena_new();
    struct aggregate_row rows[8];
    struct value value;

    for (int i = 0; i < count; i++)
        rows[i] = (struct aggregate_row){ .value = values[i], .order = i };
    value = added_value(&spec, arena, rows, count);
    arena_free(arena);
    return value;
}

TEST(nothing_gives_null_but_a_count_of_zero)
{
    const struct value nulls[] = { value_null(TYPE_INT64), value_null(TYPE_INT64) };
    struct aggregate_spec rows = { .counts_rows = true, .input = TYPE_INT64 };
    struct arena *arena = arena_new();
    const struct aggregate_row row = { .value = value_null(TYPE_INT64) };

    assert_int_equal(aggregate_of(AGGREGATE_COUNT, TYPE_INT64, nulls, 2).integer, 0);
    assert_true(aggregate_of(AGGREGATE_SUM, TYPE_INT64, nulls, 2).is_null);
    assert_true(aggregate_of(AGGREGATE_AVG, TYPE_FLOAT64, NULL, 0).is_null);
    assert_true(aggregate_of(AGGREGATE_MIN, TYPE_STRING, NULL, 0).is_null);
    assert_int_equal(added_value(&rows, arena, &row, 1).integer, 1);
    arena_free(arena);
}

TEST(an_average_divides_the_exact_sum_once)
{
    const struct value numbers[] = { { .type = TYPE_FLOAT64, .number = 1e308 },
                                     { .type = TYPE_FLOAT64, .number = 1 },
                                     { .type = TYPE_FLOAT64, .number = -1e308 } };
    const struct value bools[] = { { .type = TYPE_BOOL, .boolean = true },
                                   { .type = TYPE_BOOL },
                                   { .type = TYPE_BOOL } };

    assert_true(aggregate_of(AGGREGATE_AVG, TYPE_FLOAT64, numbers, 3).number == 1.0 / 3);
    assert_true(aggregate_of(AGGREGATE_AVG, TYPE_BOOL, bools, 3).number == 1.0 / 3);
}

TEST(a_sum_beyond_int64_is_an_error)
{
    struct aggregate_spec spec = { .function = AGGREGATE_SUM, .input = TYPE_INT64 };
    const struct aggregate_row huge = {
        .value = { .type = TYPE_INT64, .integer = INT64_MAX },
    };
    struct aggregate_partial partial;
    struct value value;

    aggregate_init(&spec, &partial);
    aggregate_add(&spec, NULL, &partial, &huge);
    aggregate_add(&spec, NULL, &partial, &huge);
    assert_fails(STATUS_LIMIT, aggregate_finish(&spec, &partial, &value, &err));
    /* It is not lost on the way: taken back, the sum is good again. */
    aggregate_remove(&spec, NULL, &partial, &huge);
    assert_ok(aggregate_finish(&spec, &partial, &value, &err));
    assert_int_equal(value.integer, INT64_MAX);
}

TEST(nan_is_the_greatest_and_minus_zero_below_zero)
{
    const struct value numbers[] = { { .type = TYPE_FLOAT64, .number = NAN },
                                     { .type = TYPE_FLOAT64, .number = 0.0 },
                                     { .type = TYPE_FLOAT64, .number = -0.0 },
                                     { .type = TYPE_FLOAT64, .number = INFINITY } };

    assert_true(signbit(aggregate_of(AGGREGATE_MIN, TYPE_FLOAT64, numbers, 3).number));
    assert_true(isnan(aggregate_of(AGGREGATE_MAX, TYPE_FLOAT64, numbers, 4).number));
    assert_true(isinf(aggregate_of(AGGREGATE_MIN, TYPE_FLOAT64, numbers + 3, 1).number));
}

TEST(ties_in_time_go_by_created_then_order)
{
    struct aggregate_spec spec = { .function = AGGREGATE_LAST, .input = TYPE_INT64 };
    struct aggregate_row rows[] = {
        { .value = { .type = TYPE_INT64, .integer = 1 }, .created_us = 5, .order = 0 },
        { .value = { .type = TYPE_INT64, .integer = 2 },
          .created_us = CREATED_NULL,
          .order = 1 },
        { .value = { .type = TYPE_INT64, .integer = 3 }, .created_us = 5, .order = 2 },
    };

    assert_int_equal(added_value(&spec, NULL, rows, 2).integer, 1);
    assert_int_equal(added_value(&spec, NULL, rows, 3).integer, 3);
    spec.function = AGGREGATE_FIRST;
    assert_int_equal(added_value(&spec, NULL, rows, 3).integer, 2);
}

TEST(sums_want_numbers)
{
    enum value_type type;

    assert_fails(STATUS_INVALID, aggregate_type(AGGREGATE_SUM, TYPE_STRING, &type, &err));
    assert_fails(STATUS_INVALID, aggregate_type(AGGREGATE_AVG, TYPE_TIMESTAMP, &type, &err));
}

TEST_MAIN(TEST_CASE(order_and_bytes_do_not_show),
          TEST_CASE(nothing_gives_null_but_a_count_of_zero),
          TEST_CASE(an_average_divides_the_exact_sum_once),
          TEST_CASE(a_sum_beyond_int64_is_an_error),
          TEST_CASE(nan_is_the_greatest_and_minus_zero_below_zero),
          TEST_CASE(ties_in_time_go_by_created_then_order), TEST_CASE(sums_want_numbers))
