/* SPDX-License-Identifier: Apache-2.0 */
#include "features/expression.h"

#include "base/clock.h"
#include "support/test.h"

#include <math.h>

static const struct expression_name names[] = {
    { STR_INIT("a"), TYPE_INT64 },        { STR_INIT("b"), TYPE_INT64 },
    { STR_INIT("x"), TYPE_FLOAT64 },      { STR_INIT("y"), TYPE_FLOAT32 },
    { STR_INIT("flag"), TYPE_BOOL },      { STR_INIT("text"), TYPE_STRING },
    { STR_INIT("date"), TYPE_TIMESTAMP }, { STR_INIT("later"), TYPE_TIMESTAMP },
    { STR_INIT("amount"), TYPE_FLOAT64 }, { STR_INIT("activity.avg_7d"), TYPE_FLOAT64 },
    { STR_INIT("odd-name"), TYPE_INT32 }, { STR_INIT("nothing"), TYPE_INT64 },
    { STR_INIT("no_flag"), TYPE_BOOL },   { STR_INIT("no_text"), TYPE_STRING },
    { STR_INIT("small"), TYPE_INT64 },    { STR_INIT("nan"), TYPE_FLOAT64 },
};

/* 2018-08-08 was a Wednesday. */
static struct value value_of(struct str name)
{
    int64_t date = 0;

    if (!time_parse_us(STR("2018-08-08T23:15:42.5Z"), &date))
        abort();
    if (str_equal(name, STR("a")))
        return (struct value){ .type = TYPE_INT64, .integer = 7 };
    if (str_equal(name, STR("b")))
        return (struct value){ .type = TYPE_INT64, .integer = -2 };
    if (str_equal(name, STR("x")))
        return (struct value){ .type = TYPE_FLOAT64, .number = 2.5 };
    if (str_equal(name, STR("y")))
        return (struct value){ .type = TYPE_FLOAT32, .number = 0.5 };
    if (str_equal(name, STR("flag")))
        return (struct value){ .type = TYPE_BOOL, .boolean = true };
    if (str_equal(name, STR("text")))
        return (struct value){ .type = TYPE_STRING, .text = STR("Söul 김치") };
    if (str_equal(name, STR("date")))
        return (struct value){ .type = TYPE_TIMESTAMP, .integer = date };
    if (str_equal(name, STR("later")))
        return (struct value){ .type = TYPE_TIMESTAMP, .integer = date + 90 * US_PER_MINUTE };
    if (str_equal(name, STR("amount")))
        return (struct value){ .type = TYPE_FLOAT64, .number = 12.5 };
    if (str_equal(name, STR("activity.avg_7d")))
        return (struct value){ .type = TYPE_FLOAT64, .number = 5 };
    if (str_equal(name, STR("odd-name")))
        return (struct value){ .type = TYPE_INT32, .integer = 3 };
    if (str_equal(name, STR("small")))
        return (struct value){ .type = TYPE_INT64, .integer = INT64_MIN };
    if (str_equal(name, STR("nan")))
        return (struct value){ .type = TYPE_FLOAT64, .number = (double)NAN };
    if (str_equal(name, STR("no_flag")))
        return value_null(TYPE_BOOL);
    if (str_equal(name, STR("no_text")))
        return value_null(TYPE_STRING);
    return value_null(TYPE_INT64);
}

static struct error err;

static enum status evaluate(struct arena *arena, const char *text, struct value *out)
{
    const struct expression *expression;
    struct value inputs[ARRAY_LEN(names)];
    const size_t *used;
    size_t count;

    TRY(expression_compile(arena, str_from(text), names, ARRAY_LEN(names), &expression, NULL,
                           &err));
    used = expression_inputs(expression, &count);
    for (size_t i = 0; i < count; i++)
        inputs[i] = value_of(names[used[i]].name);
    TRY(expression_eval_row(expression, arena, inputs, out, &err));
    assert_int_equal(out->type, expression_type(expression));
    return STATUS_OK;
}

/* The value and its type as text: "int64 5". */
static void gives(const char *text, const char *wanted)
{
    struct arena *arena = arena_new();
    struct value value;
    struct str found;

    if (evaluate(arena, text, &value) != STATUS_OK)
        fail_msg("%s: %s", text, err.message);
    found = arena_printf(arena, "%s " STR_FMT, value_type_name(value.type),
                         STR_ARG(value_format(arena, value)));
    if (!str_equal(found, str_from(wanted)))
        fail_msg("%s gave %s, wanted %s", text, found.data, wanted);
    arena_free(arena);
}

static void refuses(const char *text, const char *message)
{
    struct arena *arena = arena_new();
    struct value value;

    if (evaluate(arena, text, &value) == STATUS_OK)
        fail_msg("%s was accepted", text);
    assert_str_contains(str_from(err.message), str_from(message));
    arena_free(arena);
}

TEST(arithmetic_keeps_ints_and_divides_into_floats)
{
    gives("1 + 2 * 3", "int64 7");
    gives("(1 + 2) * 3", "int64 9");
    gives("a - b - 1", "int64 8");
    gives("a / 2", "float64 3.5");
    gives("amount / activity.avg_7d", "float64 2.5");
    gives("a // b", "int64 -4");
    gives("a % b", "int64 -1");
    gives("-7 // 2", "int64 -4");
    gives("-7 % 2", "int64 1");
    gives("7.5 // 2", "float64 3.0");
    gives("-7.5 % 2", "float64 0.5");
    gives("x + y", "float64 3.0");
    gives("a + x", "float64 9.5");
    gives("-x", "float64 -2.5");
    gives("- -a", "int64 7");
    gives("\"odd-name\" + 1", "int64 4");
    gives("1e3", "float64 1000.0");
    gives("-9223372036854775808", "int64 -9223372036854775808");
}

TEST(what_has_no_answer_is_null)
{
    gives("a / 0", "float64 null");
    gives("a // 0", "int64 null");
    gives("a % 0", "int64 null");
    gives("x % 0.0", "float64 null");
    gives("log(0)", "float64 null");
    gives("log(-1)", "float64 null");
    gives("log1p(-1)", "float64 null");
    gives("sqrt(-1)", "float64 null");
    gives("pow(-8, 0.5)", "float64 null");
    gives("pow(0, -1)", "float64 null");
    gives("exp(1000)", "float64 Infinity");
    gives("sqrt(nan)", "float64 NaN");
    gives("int(nan)", "int64 null");
}

TEST(an_overflow_is_an_error_only_where_it_reaches_the_result)
{
    refuses("9223372036854775807 + 1", "row 1: '9223372036854775807 + 1' goes beyond int64");
    refuses("small - 1", "goes beyond int64");
    refuses("-small", "goes beyond int64");
    refuses("abs(small)", "goes beyond int64");
    refuses("small // -1", "goes beyond int64");
    refuses("small * 2 * 0", "goes beyond int64");
    refuses("int(1e19)", "goes beyond int64");
    refuses("is_null(small - 1)", "goes beyond int64");
    gives("small % -1", "int64 0");
    gives("if(small < 0, 0, small - 1)", "int64 0");
    gives("coalesce(1, small - 1)", "int64 1");
    gives("false and small - 1 > 0", "bool false");
    gives("nothing + (small - 1) is null or true", "bool true");
}

TEST(nulls_are_unknown)
{
    gives("a + nothing", "int64 null");
    gives("nothing = nothing", "bool null");
    gives("nothing is null", "bool true");
    gives("a is not null", "bool true");
    gives("is_null(x)", "bool false");
    gives("no_flag and false", "bool false");
    gives("no_flag and true", "bool null");
    gives("no_flag or true", "bool true");
    gives("no_flag or false", "bool null");
    gives("not no_flag", "bool null");
    gives("if(no_flag, 1, 2)", "int64 2");
    gives("coalesce(nothing, 5)", "int64 5");
    gives("coalesce(nothing, null, 2.5)", "float64 2.5");
    gives("coalesce(nothing, null)", "int64 null");
    gives("min(1, nothing)", "int64 null");
    gives("length(no_text)", "int64 null");
    gives("lower(no_text)", "string null");
    gives("no_text = 'x'", "bool null");
    gives("a in (1, null)", "bool null");
    gives("if(flag, null, 1)", "int64 null");
}

TEST(comparisons_and_logic)
{
    gives("a > 6 and not b >= 0", "bool true");
    gives("a = 7.0", "bool true");
    gives("a == 7", "bool true");
    gives("a <> 7", "bool false");
    gives("a != 8 or false", "bool true");
    gives("x <= 2.5", "bool true");
    gives("flag = true", "bool true");
    gives("text < 'T'", "bool true");
    gives("text = 'Söul 김치'", "bool true");
    gives("nan = nan", "bool false");
    gives("nan != nan", "bool true");
    gives("nan < 1", "bool false");
    gives("a in (1, 7)", "bool true");
    gives("a not in (1, 7)", "bool false");
    gives("text in ('a', 'b')", "bool false");
    gives("NOT FALSE AND TRUE", "bool true");
    gives("true or false and false", "bool true");
    gives("not a = 7", "bool false");
}

TEST(functions_of_numbers)
{
    gives("abs(b)", "int64 2");
    gives("abs(-2.5)", "float64 2.5");
    gives("min(3, 1, 2)", "int64 1");
    gives("max(3, 1.5, 2)", "float64 3.0");
    gives("max(nan, 1)", "float64 NaN");
    gives("min(1, nan)", "float64 NaN");
    gives("floor(-2.5)", "float64 -3.0");
    gives("ceil(2.1)", "float64 3.0");
    gives("round(2.5)", "float64 3.0");
    gives("round(-2.5)", "float64 -3.0");
    gives("round(a)", "int64 7");
    gives("int(-2.9)", "int64 -2");
    gives("int(flag) + 1", "int64 2");
    gives("float(a)", "float64 7.0");
    gives("sqrt(16)", "float64 4.0");
    gives("pow(2, 10)", "float64 1024.0");
    gives("exp(0)", "float64 1.0");
    gives("log(exp(1.0))", "float64 1.0");
    gives("sin(0) + cos(0)", "float64 1.0");
    gives("is_nan(nan)", "bool true");
    gives("round(haversine(37.4602, 126.4407, 40.6413, -73.7781))", "float64 11090.0");
    gives("haversine(1, 2, 1, 2)", "float64 0.0");
}

TEST(functions_of_times)
{
    gives("hour(date)", "int64 23");
    gives("minute(date)", "int64 15");
    gives("second(date)", "int64 42");
    gives("weekday(date)", "int64 2");
    gives("day(date)", "int64 8");
    gives("month(date)", "int64 8");
    gives("year(date)", "int64 2018");
    gives("hour(date, '+09:00')", "int64 8");
    gives("weekday(date, '+09:00')", "int64 3");
    gives("hour(date, '-03:30')", "int64 19");
    gives("hour(date, 'UTC')", "int64 23");
    gives("later - date", "float64 5400.0");
    gives("date < later", "bool true");
    gives("date >= '2018-08-08'", "bool true");
    gives("date - '2018-08-08T23:15:42Z'", "float64 0.5");
    gives("max(date, later) = later", "bool true");
    refuses("hour(date, 'Asia/Seoul')", "a zone is 'UTC' or an offset like '+09:00'");
    refuses("date > 'tomorrow'", "'tomorrow' is no time");
}

TEST(times_before_1970_have_parts_too)
{
    struct arena *arena = arena_new();
    const struct expression *expression;
    struct value date = { .type = TYPE_TIMESTAMP, .integer = -1 }, out;

    assert_ok(expression_compile(arena, STR("hour(date) * 100 + weekday(date)"), &names[6], 1,
                                 &expression, NULL, &err));
    assert_ok(expression_eval_row(expression, arena, &date, &out, &err));
    assert_int_equal(out.integer, 2302);
    date.integer = INT64_MIN;
    assert_ok(expression_eval_row(expression, arena, &date, &out, &err));
    arena_free(arena);
}

TEST(functions_of_strings)
{
    gives("length(text)", "int64 7");
    gives("upper('abcXYZ-1')", "string ABCXYZ-1");
    gives("lower('ABCxyz')", "string abcxyz");
    gives("contains(text, 'öul')", "bool true");
    gives("starts_with(text, 'S')", "bool true");
    gives("ends_with(text, 'S')", "bool false");
    gives("'it''s'", "string it's");
    gives("if(length('') = 0, 'empty', text)", "string empty");
}

TEST(mistakes_are_told_with_what_would_be_right)
{
    refuses("amout + 1", "unknown name 'amout'; did you mean 'amount'?");
    refuses("activity.avg_7", "did you mean 'activity.avg_7d'?");
    refuses("hours(date)", "unknown function 'hours'; did you mean 'hour'?");
    refuses("hour(text)", "hour does not take (string); it takes (timestamp)");
    refuses("hour()", "hour does not take (); it takes (timestamp)");
    refuses("text + 1", "'+' does not take string and int64");
    refuses("not a", "'not' does not take int64");
    refuses("a && b", "write 'and', 'or' and 'not' as words");
    refuses("1 <", "a value is missing at the end");
    refuses("(1", "expected ')' at the end");
    refuses("1 2", "expected an operator before '2'");
    refuses("0 < x < 5", "comparisons do not chain");
    refuses("'open", "this quote is never closed");
    refuses("", "the expression is empty");
    refuses("null", "this is always null");
    refuses("1.2.3", "this is no number");
    refuses("9223372036854775808", "does not fit into int64");
    refuses("1e999", "does not fit into float64");
    refuses("a in ()", "the list after 'in' is empty");
    refuses("a is 5", "expected 'null' after 'is'");
    refuses("@shift(date, 1)", "'@' has no meaning here");
    refuses("min(1)", "min does not take (int64)");
}

TEST(a_mistake_has_a_place)
{
    struct arena *arena = arena_new();
    const struct expression *expression;
    struct expression_place place = { 0, 0 };

    assert_fails(STATUS_INVALID,
                 expression_compile(arena, STR("1 +\n  amout"), names, ARRAY_LEN(names),
                                    &expression, &place, &err));
    assert_int_equal(place.line, 2);
    assert_int_equal(place.column, 3);
    arena_free(arena);
}

TEST(depth_and_length_are_bounded)
{
    struct arena *arena = arena_new();
    char deep[1000] = "";
    struct str nested = STR("flag");

    memset(deep, '(', 500);
    refuses(deep, "nested too deeply");
    memset(deep, '-', 500);
    refuses(deep, "nested too deeply");
    for (int i = 0; i < 40; i++)
        nested = arena_printf(arena, "(" STR_FMT ") in (true, false)", STR_ARG(nested));
    refuses(nested.data, "this expression is too long");
    arena_free(arena);
}

/* 3000 rows: more than two blocks, the last one not full. */
#define ROWS ((size_t)3000)

TEST(columns_give_what_single_rows_give)
{
    static int64_t a[ROWS];
    static double x[ROWS];
    static bool a_nulls[ROWS];
    static const struct str text = STR_INIT("if(a % 3 = 0, x / a, coalesce(float(a), x) + 1)");
    struct arena *arena = arena_new();
    const struct expression *expression;
    struct expression_column columns[2] = { { .type = TYPE_INT64, .nulls = a_nulls },
                                            { .type = TYPE_FLOAT64 } };
    struct expression_column out;

    columns[0].integers = a;
    columns[1].numbers = x;
    for (size_t i = 0; i < ROWS; i++) {
        a[i] = (int64_t)i - 100;
        a_nulls[i] = i % 7 == 0;
        x[i] = (double)i / 4;
    }
    assert_ok(expression_compile(arena, text, (struct expression_name[]){ names[0], names[2] },
                                 2, &expression, NULL, &err));
    assert_ok(expression_eval(expression, arena, columns, ROWS, &out, &err));
    for (size_t i = 0; i < ROWS; i++) {
        struct value inputs[2] = {
            { .type = TYPE_INT64, .is_null = a_nulls[i], .integer = a[i] },
            { .type = TYPE_FLOAT64, .number = x[i] }
        };
        struct value one;

        assert_ok(expression_eval_row(expression, arena, inputs, &one, &err));
        assert_int_equal(one.is_null, out.nulls[i]);
        if (!one.is_null)
            assert_memory_equal(&one.number, &out.numbers[i], sizeof(double));
    }
    a[2500] = INT64_MAX;
    a_nulls[2500] = false;
    assert_ok(expression_compile(arena, STR("a + 1"), names, 1, &expression, NULL, &err));
    assert_fails(STATUS_INVALID, expression_eval(expression, arena, columns, ROWS, &out, &err));
    assert_str_contains(str_from(err.message), STR("row 2501: 'a + 1' goes beyond int64"));
    arena_free(arena);
}

TEST(a_null_test_is_not_true)
{
    struct arena *arena = arena_new();
    const struct expression *expression;
    struct value score = { .type = TYPE_FLOAT64, .number = 0.9 };
    bool is_true = false;

    assert_ok(
        expression_compile(arena, STR("x >= 0.8"), &names[2], 1, &expression, NULL, &err));
    assert_ok(expression_test(expression, arena, &score, &is_true, &err));
    assert_true(is_true);
    score = value_null(TYPE_FLOAT64);
    assert_ok(expression_test(expression, arena, &score, &is_true, &err));
    assert_false(is_true);
    arena_free(arena);
}

TEST_MAIN(TEST_CASE(arithmetic_keeps_ints_and_divides_into_floats),
          TEST_CASE(what_has_no_answer_is_null),
          TEST_CASE(an_overflow_is_an_error_only_where_it_reaches_the_result),
          TEST_CASE(nulls_are_unknown), TEST_CASE(comparisons_and_logic),
          TEST_CASE(functions_of_numbers), TEST_CASE(functions_of_times),
          TEST_CASE(times_before_1970_have_parts_too), TEST_CASE(functions_of_strings),
          TEST_CASE(mistakes_are_told_with_what_would_be_right),
          TEST_CASE(a_mistake_has_a_place), TEST_CASE(depth_and_length_are_bounded),
          TEST_CASE(columns_give_what_single_rows_give), TEST_CASE(a_null_test_is_not_true))
