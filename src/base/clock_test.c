/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "support/test.h"

static int64_t parsed(const char *text)
{
    int64_t us = -1;

    if (!time_parse_us(str_from(text), &us))
        fail_msg("'%s' was not read", text);
    return us;
}

TEST(times_are_read)
{
    assert_int_equal(parsed("1970-01-01T00:00:00Z"), 0);
    assert_int_equal(parsed("1970-01-01"), 0);
    assert_int_equal(parsed("1970-01-01 00:00:01.5"), 1500000);
    assert_int_equal(parsed("1970-01-01T09:00:00+09:00"), 0);
    assert_int_equal(parsed("1970-01-01T00:00:00.1234569Z"), 123456);
    assert_int_equal(parsed("1969-12-31T23:59:59.9999999Z"), -1);
    assert_int_equal(parsed("2001-02-28T23:59"), INT64_C(983404740000000));
    assert_int_equal(parsed("2000-02-29"), INT64_C(951782400000000));
}

TEST(nonsense_is_refused)
{
    static const char *const wrong[] = { "",
                                         "2001",
                                         "2001-13-01",
                                         "2001-02-29",
                                         "2001-01-01T24:00",
                                         "2001-01-01T00:00:60",
                                         "2001-01-01T00:00:00.Z",
                                         "2001-01-01Z",
                                         "2001-01-01T00:00:00Zx",
                                         "2001-01-01T00:00:00+24:00",
                                         "0000-01-01",
                                         "2001-1-1" };
    int64_t us;

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        if (time_parse_us(str_from(wrong[i]), &us))
            fail_msg("'%s' was read", wrong[i]);
}

TEST(writing_reads_back)
{
    static const int64_t times[] = { 0,
                                     -1,
                                     1,
                                     1500000,
                                     INT64_C(983404740000000),
                                     INT64_C(-62135596800000000),
                                     INT64_C(253402300799999999) };

    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        char text[TIME_TEXT_MAX];

        time_format_us(times[i], text);
        assert_int_equal(parsed(text), times[i]);
    }
}

TEST(durations)
{
    char text[TIME_TEXT_MAX];
    int64_t us;

    assert_true(duration_parse_us(STR("7d"), &us));
    assert_int_equal(us, 7 * US_PER_DAY);
    duration_format_us(us, text);
    assert_string_equal(text, "7d");
    assert_true(duration_parse_us(STR("500ms"), &us));
    assert_int_equal(us, 500000);
    assert_true(duration_parse_us(STR("0"), &us));
    assert_false(duration_parse_us(STR("7"), &us));
    assert_false(duration_parse_us(STR("-7d"), &us));
    assert_false(duration_parse_us(STR("7 d"), &us));
    assert_false(duration_parse_us(STR("99999999999999d"), &us));
}

TEST(floors_go_down_before_1970_too)
{
    assert_int_equal(floor_to_int64(-1, 10), -10);
    assert_int_equal(floor_to_int64(-10, 10), -10);
    assert_int_equal(floor_to_int64(9, 10), 0);
    assert_int_equal(floor_div_int64(-1, 10), -1);
}

TEST_MAIN(TEST_CASE(times_are_read), TEST_CASE(nonsense_is_refused),
          TEST_CASE(writing_reads_back), TEST_CASE(durations),
          TEST_CASE(floors_go_down_before_1970_too))
