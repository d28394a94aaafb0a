/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/key_table.h"

#include "support/test.h"

#include <math.h>

static struct error err;

static void append_text(struct column *column, const char *text)
{
    struct value value = { .type = TYPE_STRING, .is_null = text == NULL };

    if (text != NULL)
        value.text = str_from(text);
    assert_ok(column_append(column, value, &err));
}

TEST(parts_do_not_run_into_each_other)
{
    static const char *const rows[][2] = { { "a", "bc" }, { "ab", "c" }, { "", "abc" },
                                           { "abc", "" }, { "a", "bc" }, { "a", NULL } };
    static const uint32_t wanted[] = { 0, 1, 2, 3, 0, KEY_NONE };
    const enum value_type types[] = { TYPE_STRING, TYPE_STRING };
    struct key_table *table = key_table_new(types, 2);
    struct arena *arena = arena_new();
    struct column columns[2];
    const struct column *parts[] = { &columns[0], &columns[1] };
    uint32_t ids[ARRAY_LEN(rows)];

    column_init(&columns[0], TYPE_STRING);
    column_init(&columns[1], TYPE_STRING);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        append_text(&columns[0], rows[i][0]);
        append_text(&columns[1], rows[i][1]);
    }
    assert_ok(key_table_ids(table, parts, ARRAY_LEN(rows), true, ids, &err));
    assert_memory_equal(ids, wanted, sizeof(wanted));
    assert_str_equal(key_table_text(table, arena, 1), STR("ab, c"));
    column_free(&columns[0]);
    column_free(&columns[1]);
    key_table_free(&table);
    arena_free(arena);
}

TEST(keys_are_found_again_however_many_there_are)
{
    enum { MANY = 50000 };
    const enum value_type type = TYPE_INT64;
    struct key_table *table = key_table_new(&type, 1);
    struct column column;
    const struct column *parts[] = { &column };
    uint32_t *ids = test_malloc(MANY * sizeof(*ids));
    struct value value;

    column_init(&column, type);
    for (int64_t i = 0; i < MANY; i++)
        assert_ok(
            column_append(&column, (struct value){ .type = type, .integer = i << 40 }, &err));
    assert_ok(key_table_ids(table, parts, MANY / 2, true, ids, &err));
    assert_int_equal(key_table_size(table), MANY / 2);
    /* Without adding, the other half stays unknown. */
    assert_ok(key_table_ids(table, parts, MANY, false, ids, &err));
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(ids[i], i < MANY / 2 ? i : KEY_NONE);
    key_table_values(table, 77, &value);
    assert_int_equal(value.integer, INT64_C(77) << 40);
    test_free(ids);
    column_free(&column);
    key_table_free(&table);
}

/* Of each type, alone and beside others; -0 and 0 are two keys, as their bytes are. */
TEST(parts_of_every_type_come_back)
{
    static const enum value_type types[] = { TYPE_BOOL,    TYPE_INT32,    TYPE_INT64,
                                             TYPE_FLOAT32, TYPE_FLOAT64,  TYPE_STRING,
                                             TYPE_BYTES,   TYPE_TIMESTAMP };
    const struct value rows[][ARRAY_LEN(types)] = {
        { { .boolean = true },
          { .integer = -7 },
          { .integer = INT64_MIN },
          { .number = 0.5 },
          { .number = -0.0 },
          { .text = STR_EMPTY },
          { .text = STR("\0x") },
          { .integer = 1 } },
        { { .boolean = true },
          { .integer = -7 },
          { .integer = INT64_MIN },
          { .number = 0.5 },
          { .number = 0.0 },
          { .text = STR_EMPTY },
          { .text = STR("\0x") },
          { .integer = 1 } },
    };
    struct key_table *table = key_table_new(types, ARRAY_LEN(types));
    struct column columns[ARRAY_LEN(types)];
    const struct column *parts[ARRAY_LEN(types)];
    struct value values[ARRAY_LEN(types)];
    uint32_t ids[2];

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        column_init(&columns[i], types[i]);
        parts[i] = &columns[i];
        for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
            struct value value = rows[row][i];

            value.type = types[i];
            assert_ok(column_append(&columns[i], value, &err));
        }
    }
    assert_ok(key_table_ids(table, parts, 2, true, ids, &err));
    assert_int_equal(ids[0], 0);
    assert_int_equal(ids[1], 1);
    key_table_values(table, 0, values);
    assert_true(values[0].boolean);
    assert_int_equal(values[1].integer, -7);
    assert_int_equal(values[2].integer, INT64_MIN);
    assert_true(values[3].number == 0.5);
    assert_true(signbit(values[4].number));
    assert_str_equal(values[5].text, STR_EMPTY);
    assert_str_equal(values[6].text, STR("\0x"));
    assert_int_equal(values[7].integer, 1);
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        column_free(&columns[i]);
    key_table_free(&table);
}

TEST_MAIN(TEST_CASE(parts_do_not_run_into_each_other), TEST_CASE(parts_of_every_type_come_back),
          TEST_CASE(keys_are_found_again_however_many_there_are))
