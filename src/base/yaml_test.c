/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml.h"
#include "support/test.h"

static struct arena *arena;
static struct yaml_node *documents;
static size_t count;
static struct error err;

static enum status parse(const char *text)
{
    arena_free(arena);
    arena = arena_new();
    return yaml_parse(arena, STR("x.yaml"), str_from(text), &documents, &count, &err);
}

static void refused(const char *text, const char *message)
{
    assert_fails(STATUS_INVALID, parse(text));
    assert_str_contains(str_from(err.message), str_from(message));
}

TEST(documents_become_trees_that_know_their_places)
{
    const struct yaml_node *features;

    assert_ok(
        parse("# a comment\nview: a\nfeatures:\n  one: {count: \"*\", window: 1d}\n---\n---\n"
              "- 1\n- 'x y'\n- \n"));
    assert_int_equal(count, 2);
    features = yaml_find(&documents[0], "features");
    assert_int_equal(features->kind, YAML_MAPPING);
    assert_int_equal(features->keys[0].line, 4);
    assert_int_equal(features->keys[0].column, 3);
    assert_str_equal(yaml_find(&features->items[0], "count")->text, STR("*"));
    assert_true(yaml_find(&features->items[0], "count")->quoted);
    assert_int_equal(documents[1].kind, YAML_SEQUENCE);
    assert_int_equal(documents[1].count, 3);
    assert_str_equal(documents[1].items[1].text, STR("x y"));
    assert_int_equal(documents[1].items[2].kind, YAML_NULL);
    assert_null(yaml_find(&documents[0], "absent"));
    arena_free(arena);
    arena = NULL;
}

TEST(block_text_keeps_its_lines)
{
    assert_ok(parse("sql: |\n  SELECT 1\n  FROM t\ntext: >\n  one\n  two\n"));
    assert_str_equal(yaml_find(&documents[0], "sql")->text, STR("SELECT 1\nFROM t\n"));
    assert_str_equal(yaml_find(&documents[0], "text")->text, STR("one two\n"));
    assert_int_equal(yaml_find(&documents[0], "sql")->line, 2);
    assert_int_equal(yaml_find(&documents[0], "sql")->column, 1);
}

TEST(an_empty_text_has_no_documents)
{
    assert_ok(parse(""));
    assert_int_equal(count, 0);
    assert_ok(parse("# nothing\n---\n...\n"));
    assert_int_equal(count, 0);
}

TEST(what_definitions_do_not_need_is_refused_with_its_place)
{
    refused("a:\n\tb: 1\n", "x.yaml:2:1: tabs may not indent; use spaces");
    refused("a: b\n\tc: 1\n", "x.yaml:2:1: tabs may not indent; use spaces");
    refused("a: 1\nb: 2\na: 3\n", "x.yaml:3:1: 'a' is here twice; it is in line 1 already");
    refused("a: &x 1\n", "x.yaml:1:7: anchors are not supported");
    refused("a: &x [1]\nb: *x\n", "anchors are not supported");
    refused("a: !!str 1\n", "tags are not supported");
    refused("a: !x {b: 1}\n", "tags are not supported");
    refused("a: {b: 1}\nc:\n  <<: {d: 1}\n", "x.yaml:3:3: merge keys are not supported");
    refused("? [a, b]\n: 1\n", "a key must be one word of text");
    refused("a: [1, 2\nb: 3\n", "x.yaml:3:1: flow sequence without");
    refused("a: 'open\n", "x.yaml:1:");
    refused("a: b: c\n", "x.yaml:1:");
    refused("ok: 1\nbad: \xff\n", "x.yaml:2:1: this line is not UTF-8");
}

TEST(depth_and_size_have_limits)
{
    char deep[4 * (YAML_DEPTH_MAX + 2)] = "";
    char *large = test_malloc(YAML_SIZE_MAX + 1);

    memset(deep, '[', YAML_DEPTH_MAX + 2);
    refused(deep, "nested too deeply");
    memset(large, ' ', YAML_SIZE_MAX + 1);
    assert_fails(STATUS_LIMIT,
                 yaml_parse(arena, STR("x.yaml"), (struct str){ large, YAML_SIZE_MAX + 1 },
                            &documents, &count, &err));
    test_free(large);
}

TEST(fields_are_read_by_name_and_type)
{
    struct str text = STR("default");
    bool flag = false;
    int64_t integer = 7, us = 0;
    double number = 0;

    assert_ok(parse("s: hello\nb: true\ni: -5\nd: 2.5\nt: 12h\nempty:\nq: \"1\"\nl: [1]\n"));
    assert_ok(yaml_need_str(&documents[0], "s", &text, &err));
    assert_str_equal(text, STR("hello"));
    assert_ok(yaml_want_bool(&documents[0], "b", &flag, &err));
    assert_true(flag);
    assert_ok(yaml_want_int64(&documents[0], "i", &integer, &err));
    assert_int_equal(integer, -5);
    assert_ok(yaml_want_int64(&documents[0], "empty", &integer, &err));
    assert_int_equal(integer, -5);
    assert_ok(yaml_want_double(&documents[0], "d", &number, &err));
    assert_true(number == 2.5);
    assert_ok(yaml_want_duration_us(&documents[0], "t", &us, &err));
    assert_int_equal(us, INT64_C(12) * 3600 * 1000000);
    assert_fails(STATUS_INVALID, yaml_want_int64(&documents[0], "q", &integer, &err));
    assert_fails(STATUS_INVALID, yaml_want_bool(&documents[0], "s", &flag, &err));
    assert_string_equal(err.message, "x.yaml:1:4: 's': expected true or false, found 'hello'");
    assert_fails(STATUS_INVALID, yaml_want_str(&documents[0], "l", &text, &err));
    assert_string_equal(err.message, "x.yaml:8:4: 'l': expected text, found a list");
    assert_fails(STATUS_INVALID, yaml_need_str(&documents[0], "none", &text, &err));
    assert_string_equal(err.message, "x.yaml:1:1: 'none' is missing");
}

TEST(an_unknown_key_is_told_with_the_nearest_known_one)
{
    const struct str known[] = { STR_INIT("window"), STR_INIT("delay") };

    assert_ok(parse("window: 1d\ndely: 2d\n"));
    assert_fails(STATUS_INVALID, yaml_only_keys(&documents[0], known, 2, &err));
    assert_string_equal(err.message, "x.yaml:2:1: unknown key 'dely'; did you mean 'delay'?");
}

TEST(json_keeps_every_scalar_as_it_was)
{
    struct str json;
    struct yaml_node *again;

    assert_ok(parse(
        "a: 1.50\nb: '1.50'\nc: true\nd: 'true'\ne: 2018-07-25\nf: \ng: [007, 1e5, +1]\n"));
    json = json_mut_write(arena, yaml_to_json(json_mut_doc(arena), &documents[0]));
    assert_str_equal(
        json, STR("{\"a\":1.50,\"b\":\"1.50\",\"c\":true,\"d\":\"true\",\"e\":\"2018-07-25\","
                  "\"f\":null,\"g\":[\"007\",1e5,\"+1\"]}"));
    assert_ok(yaml_from_json(arena, STR("x.yaml"), 3, json, &again, &err));
    assert_false(yaml_find(again, "a")->quoted);
    assert_str_equal(yaml_find(again, "a")->text, STR("1.50"));
    assert_true(yaml_find(again, "b")->quoted);
    assert_int_equal(yaml_find(again, "g")->line, 3);
    assert_str_equal(json, json_mut_write(arena, yaml_to_json(json_mut_doc(arena), again)));
    arena_free(arena);
    arena = NULL;
}

TEST_MAIN(TEST_CASE(documents_become_trees_that_know_their_places),
          TEST_CASE(block_text_keeps_its_lines), TEST_CASE(an_empty_text_has_no_documents),
          TEST_CASE(what_definitions_do_not_need_is_refused_with_its_place),
          TEST_CASE(depth_and_size_have_limits), TEST_CASE(fields_are_read_by_name_and_type),
          TEST_CASE(an_unknown_key_is_told_with_the_nearest_known_one),
          TEST_CASE(json_keeps_every_scalar_as_it_was))
