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

TEST(values_are_written_as_people_expect)
{
    arena = arena_new();
    assert_str_equal(written((struct value){ .type = TYPE_FLOAT32, .number = (double)0.1f }),
                     STR("0.1"));
    assert_str_equal(written((struct value){ .type = TYPE_FLOAT64, .number = 0.1 }), STR("0.1"));
    assert_str_equal(written((struct value){ .type = TYPE_FLOAT64, .number = 3 }), STR("3.0"));
    assert_str_equal(written((struct value){ .type = TYPE_FLOAT64, .number = (double)NAN }),
                     STR("\"NaN\""));
    assert_str_equal(written((struct value){ .type = TYPE_INT64, .integer = INT64_MIN }),
                     STR("-9223372036854775808"));
    assert_str_equal(written((struct value){ .type = TYPE_TIMESTAMP, .integer = 1500000 }),
                     STR("\"1970-01-01T00:00:01.5Z\""));
    assert_str_equal(written((struct value){ .type = TYPE_STRING, .text = STR("a\"\n\x01") }),
                     STR("\"a\\\"\\n\\u0001\""));
    assert_str_equal(written((struct value){ .type = TYPE_BYTES, .text = STR("a\xff" "b") }),
                     STR("\"a\xEF\xBF\xBD" "b\""));
    assert_str_equal(written(value_null(TYPE_BOOL)), STR("null"));
    arena_free(arena);
}

TEST(fields_are_checked)
{
    static const struct str known[] = { STR_INIT("entities"), STR_INIT("request") };
    yyjson_val *root;
    int64_t number = 7;
    struct str text;

    arena = arena_new();
    assert_ok(json_parse(arena, STR("{\"entitis\": {}, \"n\": 1.5, \"z\": null}"), &root, &err));
    assert_fails(STATUS_INVALID, json_only_keys(root, known, 2, &err));
    assert_str_contains(str_from(err.message), STR("did you mean 'entities'?"));
    assert_fails(STATUS_INVALID, json_want_int64(root, "n", &number, &err));
    assert_ok(json_want_int64(root, "z", &number, &err));
    assert_int_equal(number, 7);
    assert_fails(STATUS_INVALID, json_need_str(root, "z", &text, &err));
    arena_free(arena);
}

TEST_MAIN(TEST_CASE(bad_text_is_refused_with_its_place), TEST_CASE(deep_nesting_is_refused),
          TEST_CASE(a_wide_object_with_a_repeated_key_is_refused),
          TEST_CASE(values_are_written_as_people_expect), TEST_CASE(fields_are_checked))
