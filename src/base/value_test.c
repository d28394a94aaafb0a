/* SPDX-License-Identifier: Apache-2.0 */
#include "base/value.h"
#include "support/test.h"

#include <math.h>

TEST(text_becomes_a_value_of_the_type_asked_for)
{
    struct arena *arena = arena_new();
    struct value value;
    struct error err;

    assert_ok(value_parse(arena, TYPE_INT32, STR("-5"), &value, &err));
    assert_int_equal(value.integer, -5);
    assert_fails(STATUS_INVALID,
                 value_parse(arena, TYPE_INT32, STR("3000000000"), &value, &err));
    assert_fails(STATUS_INVALID, value_parse(arena, TYPE_INT64, STR("1.5"), &value, &err));
    assert_str_contains(str_from(err.message), STR("expected int64, found '1.5'"));
    assert_ok(value_parse(arena, TYPE_FLOAT64, STR("NaN"), &value, &err));
    assert_true(isnan(value.number));
    assert_ok(value_parse(arena, TYPE_BOOL, STR("true"), &value, &err));
    assert_fails(STATUS_INVALID, value_parse(arena, TYPE_BOOL, STR("yes"), &value, &err));
    assert_fails(STATUS_INVALID, value_parse(arena, TYPE_STRING, STR("\xff"), &value, &err));
    arena_free(arena);
}

TEST(conversions_lose_nothing)
{
    struct value whole = { .type = TYPE_FLOAT64, .number = 12 };
    struct value half = { .type = TYPE_FLOAT64, .number = 0.5 };
    struct value wide = { .type = TYPE_INT64, .integer = (INT64_C(1) << 53) + 1 };
    struct value out;
    struct error err;

    assert_ok(value_convert(whole, TYPE_INT64, &out, &err));
    assert_int_equal(out.integer, 12);
    assert_fails(STATUS_INVALID, value_convert(half, TYPE_INT64, &out, &err));
    assert_fails(STATUS_INVALID, value_convert(wide, TYPE_FLOAT64, &out, &err));
    assert_ok(value_convert(value_null(TYPE_INT32), TYPE_FLOAT32, &out, &err));
    assert_true(out.is_null);
}

TEST(identity_is_by_bits)
{
    struct value zero = { .type = TYPE_FLOAT64, .number = 0.0 };
    struct value minus_zero = { .type = TYPE_FLOAT64, .number = -0.0 };
    struct value nan = { .type = TYPE_FLOAT64, .number = (double)NAN };

    assert_false(value_identical(zero, minus_zero));
    assert_true(value_identical(nan, nan));
    assert_false(value_identical(zero, value_null(TYPE_FLOAT64)));
}

TEST_MAIN(TEST_CASE(text_becomes_a_value_of_the_type_asked_for),
          TEST_CASE(conversions_lose_nothing), TEST_CASE(identity_is_by_bits))
