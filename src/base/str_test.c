/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test.h"

TEST(numbers)
{
    int64_t i;
    double d;

    assert_true(str_to_int64(STR("-9223372036854775808"), &i));
    assert_true(i == INT64_MIN);
    assert_true(str_to_int64(STR("9223372036854775807"), &i));
    assert_false(str_to_int64(STR("9223372036854775808"), &i));
    assert_false(str_to_int64(STR("+1"), &i));
    assert_false(str_to_int64(STR(" 1"), &i));
    assert_false(str_to_int64(STR("-"), &i));
    assert_true(str_to_double(STR("1e-3"), &d));
    assert_false(str_to_double(STR("0x10"), &d));
    assert_false(str_to_double(STR("1e999"), &d));
    assert_false(str_to_double(STR("1 "), &d));
}

TEST(nearest_names)
{
    const struct str names[] = { STR("origin"), STR("destination"), STR("route") };

    assert_str_equal(str_nearest(STR("orgin"), names, 3), STR("origin"));
    assert_str_equal(str_nearest(STR("ruote"), names, 3), STR("route"));
    assert_str_equal(str_nearest(STR("customer"), names, 3), STR_EMPTY);
    assert_int_equal(str_distance(STR("abc"), STR("acb")), 1);
    assert_int_equal(str_distance(STR(""), STR("acb")), 3);
}

TEST(utf8)
{
    assert_true(str_is_utf8(STR("옹기 ✓ 🏺")));
    assert_false(str_is_utf8(STR("\xC0\x80")));
    assert_false(str_is_utf8(STR("\xED\xA0\x80")));
    assert_false(str_is_utf8(STR("\xF4\x90\x80\x80")));
    assert_false(str_is_utf8(STR("abc\xE2\x9C")));
}

TEST(splitting)
{
    struct str rest = STR("a,,b"), piece;

    assert_true(str_split(&rest, ',', &piece));
    assert_str_equal(piece, STR("a"));
    assert_true(str_split(&rest, ',', &piece));
    assert_str_equal(piece, STR(""));
    assert_true(str_split(&rest, ',', &piece));
    assert_str_equal(piece, STR("b"));
    assert_false(str_split(&rest, ',', &piece));
}

TEST(messages_too_long_end_in_an_ellipsis)
{
    struct error err;
    char text[700];

    memset(text, 'x', sizeof(text));
    text[699] = '\0';
    error_set(&err, STATUS_INVALID, "%s", text);
    assert_str_contains(str_from(err.message), STR("…"));
    error_set(&err, STATUS_NOT_FOUND, "no row");
    assert_int_equal(error_wrap(&err, "read %s", "users/42"), STATUS_NOT_FOUND);
    assert_string_equal(err.message, "read users/42: no row");
}

TEST_MAIN(TEST_CASE(numbers), TEST_CASE(nearest_names), TEST_CASE(utf8), TEST_CASE(splitting),
          TEST_CASE(messages_too_long_end_in_an_ellipsis))
