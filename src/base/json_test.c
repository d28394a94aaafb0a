/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "support/test.h"

#include <math.h>

static struct arena *arena;
static struct error err;

static enum status parse(struct str text)
{
    yyjson_val *root;

    return json_parse(arena, text, &root, &err);
}

TEST(bad_text_is_refused_with_its_place)
{
    arena = arena_new();
    assert_fails(STATUS_INVALID, parse(STR("{\n  \"a\": nan}")));
    assert_str_contains(str_from(err.message), STR("line 2 column"));
    assert_fails(STATUS_INVALID, parse(STR("")));
    assert_fails(STATUS_INVALID, parse(STR("{} {}")));
    assert_fails(STATUS_INVALID, parse(STR("{\"a\": 1, \"b\": [{\"c\": 1, \"c\": 2}]}")));
    assert_str_contains(str_from(err.message), STR("'c' stands twice"));
    assert_fails(STATUS_INVALID, parse(STR("\"\xff\"")));
    arena_free(arena);
}

/* "[1,1,…]": no text becomes more for its size. */
static struct str many_ones(size_t count)
{
    char *text = arena_alloc_raw(arena, count * 2 + 1);

    for (size_t i = 0; i < count; i++)
        memcpy(text + i * 2, ",1", 2);
    text[0] = '[';
    text[count * 2] = ']';
    return (struct str){ text, count * 2 + 1 };
}

TEST(a_large_text_takes_what_its_values_need)
{
    const size_t count = 4000000;
    struct str text;
    size_t before;

    arena = arena_new();
    text = many_ones(count);
    before = arena_size(arena);
    assert_ok(parse(text));
    assert_in_range(arena_size(arena) - before, count * sizeof(yyjson_val),
                    text.len + count * sizeof(yyjson_val) * 8 / 5);
    arena_free(arena);
}

TEST(what_a_text_would_become_is_within_the_budget_or_refused)
{
    struct arena_budget budget = { .max = 40 << 20 };

    arena = arena_new();
    arena_set_budget(arena, &budget);
    assert_ok(parse(many_ones(1000000)));
    assert_fails(STATUS_UNAVAILABLE, parse(many_ones(1000000)));
    assert_str_contains(str_from(err.message), STR("1000001 values"));
    arena_free(arena);
    assert_int_equal(budget.held, 0);
}

TEST(what_python_writes_for_no_number_is_read_on_request)
{
    yyjson_val *value;
    struct str text = STR("{\"a\": NaN, \"b\": -Infinity, \"c\": 1}");

    arena = arena_new();
    assert_fails(STATUS_INVALID, json_parse(arena, text, &value, &err));
    assert_ok(json_parse_python(arena, text, &value, &err));
    assert_true(isnan(yyjson_get_real(json_find(value, STR("a")))));
    assert_true(isinf(yyjson_get_real(json_find(value, STR("b")))));
    assert_fails(STATUS_INVALID,
                 json_parse_python(arena, STR("{\"a\": 1, \"a\": 2}"), &value, &err));
    arena_free(arena);
}

TEST(deep_nesting_is_refused)
{
    char text[400];

    arena = arena_new();
    memset(text, '[', 200);
    memset(text + 200, ']', 200);
    assert_fails(STATUS_INVALID, parse((struct str){ text, 400 }));
    assert_ok(parse((struct str){ text + 100, 200 }));
    arena_free(arena);
}

TEST(a_wide_object_with_a_repeated_key_is_refused)
{
    struct buffer text = { 0 };

    arena = arena_new();
    buffer_append(&text, STR("{\"k7\": 0"));
    for (int i = 0; i < 50; i++)
        buffer_printf(&text, ", \"k%d\": %d", i, i);
    buffer_append(&text, STR("}"));
    assert_fails(STATUS_INVALID, parse(buffer_str(&text)));
    assert_str_contains(str_from(err.message), STR("'k7'"));
    buffer_free(&text);
    arena_free(arena);
}

static struct str written(struct value value)
{
    struct buffer out = { 0 };
    struct str text;

    json_write_value(&out, value);
    text = arena_str(arena, buffer_str(&out));
    buffer_free(&out);
    return text;
}

TEST(bytes_travel_as_base64)
{
    static const char *const texts[] = { "",     "AA==", "AAA=",     "AAAA",
                                         "/+8=", "gP8A", "Zm9vYg==", "Zm9vYmE=" };
    static const char *const other[] = { "AA", "AAA", "_-8=", "_-8", "Zm9vYg" };
    static const char *const wrong[] = { "A",    "A===", "=",    "AA=",
                                         "AB==", "AAB=", "AA A", "AAAA=" };
    struct value value;
    yyjson_val *json;

    arena = arena_new();
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct str text = arena_printf(arena, "\"%s\"", texts[i]);

        assert_ok(json_parse(arena, text, &json, &err));
        assert_ok(json_to_value(arena, json, TYPE_BYTES, &value, &err));
        assert_int_equal(value.text.len, strlen(texts[i]) / 4 * 3 -
                                             (strchr(texts[i], '=') != NULL) -
                                             (strstr(texts[i], "==") != NULL));
        assert_str_equal(written(value), text);
    }
    for (size_t i = 0; i < ARRAY_LEN(other); i++) {
        assert_ok(json_parse(arena, arena_printf(arena, "\"%s\"", other[i]), &json, &err));
        assert_ok(json_to_value(arena, json, TYPE_BYTES, &value, &err));
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_ok(json_parse(arena, arena_printf(arena, "\"%s\"", wrong[i]), &json, &err));
        assert_fails(STATUS_INVALID, json_to_value(arena, json, TYPE_BYTES, &value, &err));
    }
    arena_free(arena);
}

TEST(values_are_written_as_people_expect)
{
    arena = arena_new();
    assert_str_equal(written((struct value){ .type = TYPE_FLOAT32, .number = (double)0.1f }),
                     STR("0.1"));
    assert_str_equal(written((struct value){ .type = TYPE_FLOAT64, .number = 0.1 }),
                     STR("0.1"));
    assert_str_equal(written((struct value){ .type = TYPE_FLOAT64, .number = 3 }), STR("3.0"));
    assert_str_equal(written((struct value){ .type = TYPE_FLOAT64, .number = (double)NAN }),
                     STR("\"NaN\""));
    assert_str_equal(written((struct value){ .type = TYPE_INT64, .integer = INT64_MIN }),
                     STR("-9223372036854775808"));
    assert_str_equal(written((struct value){ .type = TYPE_TIMESTAMP, .integer = 1500000 }),
                     STR("\"1970-01-01T00:00:01.5Z\""));
    assert_str_equal(written((struct value){ .type = TYPE_STRING, .text = STR("a\"\n\x01") }),
                     STR("\"a\\\"\\n\\u0001\""));
    assert_str_equal(written((struct value){ .type = TYPE_BYTES,
                                             .text = STR("a\xff"
                                                         "b") }),
                     STR("\"Yf9i\""));
    assert_str_equal(written(value_null(TYPE_BOOL)), STR("null"));
    arena_free(arena);
}

static const char *float_text(struct buffer *out, float number)
{
    buffer_clear(out);
    json_write_float(out, number);
    buffer_append_byte(out, '\0');
    return out->data;
}

TEST(floats_are_written_short_and_read_back_the_same)
{
    static const struct {
        float number;
        const char *text;
    } cases[] = {
        { 0.1F, "0.1" },       { 1.0F, "1.0" },
        { -2.5F, "-2.5" },     { 0.3333333F, "0.3333333" },
        { 0.0F, "0.0" },       { 16777216, "16777216.0" },
        { 0.0001F, "0.0001" }, { 123456.7F, "123456.7" },
        { 5e-7F, "5e-07" },    { 0.99999994F, "0.99999994" },
    };
    uint32_t random = 1;
    struct buffer out = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(float_text(&out, cases[i].number), cases[i].text);
    for (unsigned i = 0; i < 300000; i++) {
        char longest[40];
        float number;

        random = random * 1664525 + 1013904223;
        memcpy(&number, &random, sizeof(number));
        if (!isfinite(number))
            continue;
        assert_true(strtof(float_text(&out, number), NULL) == number);
        snprintf(longest, sizeof(longest), "%.9g", (double)number);
        /* A point or an exponent may come on top. */
        assert_true(strlen(out.data) <= strlen(longest) + strlen(".e+08"));
    }
    buffer_free(&out);
}

TEST(fields_are_checked)
{
    static const struct str known[] = { STR_INIT("entities"), STR_INIT("request") };
    yyjson_val *root;
    int64_t number = 7;
    struct str text;

    arena = arena_new();
    assert_ok(
        json_parse(arena, STR("{\"entitis\": {}, \"n\": 1.5, \"z\": null}"), &root, &err));
    assert_fails(STATUS_INVALID, json_only_keys(root, known, 2, &err));
    assert_str_contains(str_from(err.message), STR("did you mean 'entities'?"));
    assert_fails(STATUS_INVALID, json_want_int64(root, "n", &number, &err));
    assert_ok(json_want_int64(root, "z", &number, &err));
    assert_int_equal(number, 7);
    assert_fails(STATUS_INVALID, json_need_str(root, "z", &text, &err));
    arena_free(arena);
}

TEST_MAIN(TEST_CASE(bad_text_is_refused_with_its_place),
          TEST_CASE(a_large_text_takes_what_its_values_need),
          TEST_CASE(what_a_text_would_become_is_within_the_budget_or_refused),
          TEST_CASE(what_python_writes_for_no_number_is_read_on_request),
          TEST_CASE(deep_nesting_is_refused),
          TEST_CASE(a_wide_object_with_a_repeated_key_is_refused),
          TEST_CASE(bytes_travel_as_base64), TEST_CASE(values_are_written_as_people_expect),
          TEST_CASE(floats_are_written_short_and_read_back_the_same),
          TEST_CASE(fields_are_checked))
