/* SPDX-License-Identifier: Apache-2.0 */
#include "features/online/online_row.h"

#include "support/test.h"

#include <math.h>

static struct value text(const char *s)
{
    return (struct value){ .type = TYPE_STRING, .text = str_from(s) };
}

static struct value whole(enum value_type type, int64_t integer)
{
    return (struct value){ .type = type, .integer = integer };
}

static struct str key(struct arena *arena, const struct value *values, size_t count)
{
    struct online_key encoded;

    assert_true(online_key_encode(values, count, &encoded));
    return arena_str(arena, (struct str){ encoded.bytes, encoded.len });
}

TEST(keys_differ_where_values_do)
{
    struct arena *arena = arena_new();
    struct value ab_c[] = { text("ab"), text("c") }, a_bc[] = { text("a"), text("bc") };
    struct value empty[] = { text("") };

    assert_false(str_equal(key(arena, ab_c, 2), key(arena, a_bc, 2)));
    assert_true(key(arena, empty, 1).len > 0);
    arena_free(arena);
}

TEST(blank_texts_stay_apart)
{
    char nuls[ONLINE_KEY_MAX + 2] = { 0 };
    struct arena *arena = arena_new();
    struct str last = STR_EMPTY;

    for (size_t len = 0; len < sizeof(nuls); len++) {
        struct value value = { .type = len % 2 == 0 ? TYPE_STRING : TYPE_BYTES,
                               .text = { nuls, len } };
        struct str found = key(arena, &value, 1);

        assert_true(found.len > 0 && found.len <= ONLINE_KEY_MAX);
        assert_false(str_equal(last, found));
        last = found;
    }
    arena_free(arena);
}

TEST(keys_do_not_know_widths)
{
    struct arena *arena = arena_new();
    struct value narrow[] = { whole(TYPE_INT32, -7) }, wide[] = { whole(TYPE_INT64, -7) };
    struct value zero[] = { { .type = TYPE_FLOAT64, .number = 0.0 } };
    struct value minus[] = { { .type = TYPE_FLOAT64, .number = -0.0 } };

    assert_str_equal(key(arena, narrow, 1), key(arena, wide, 1));
    assert_str_equal(key(arena, zero, 1), key(arena, minus, 1));
    arena_free(arena);
}

TEST(whole_numbers_sort_as_keys)
{
    static const int64_t numbers[] = { INT64_MIN, -1, 0, 1, 255, 256, INT64_MAX };
    struct arena *arena = arena_new();

    for (size_t i = 1; i < ARRAY_LEN(numbers); i++) {
        struct value less[] = { whole(TYPE_INT64, numbers[i - 1]) };
        struct value more[] = { whole(TYPE_INT64, numbers[i]) };

        assert_true(str_compare(key(arena, less, 1), key(arena, more, 1)) < 0);
    }
    arena_free(arena);
}

TEST(a_null_makes_no_key)
{
    struct value values[] = { text("a"), value_null(TYPE_STRING) };
    struct online_key encoded;

    assert_false(online_key_encode(values, 2, &encoded));
}

TEST(long_keys_stay_apart)
{
    struct arena *arena = arena_new();
    char *a = memset(arena_alloc(arena, 5001), 'x', 5000);
    char *b = memset(arena_alloc(arena, 5001), 'x', 5000);
    struct value one[] = { text(a) }, other[] = { text(b) };

    b[4999] = 'y';
    assert_int_equal(key(arena, one, 1).len, ONLINE_KEY_MAX);
    assert_false(str_equal(key(arena, one, 1), key(arena, other, 1)));
    arena_free(arena);
}

TEST(rows_come_back_as_they_were)
{
    const struct value values[] = {
        text("hello"),
        value_null(TYPE_STRING),
        whole(TYPE_INT32, -5),
        { .type = TYPE_FLOAT64, .number = NAN },
        { .type = TYPE_FLOAT32, .number = 0.5 },
        { .type = TYPE_BOOL, .boolean = true },
        text(""),
        whole(TYPE_TIMESTAMP, INT64_MIN),
        { .type = TYPE_BYTES, .text = { "\0\1", 2 } },
        value_null(TYPE_INT64),
    };
    size_t count = ARRAY_LEN(values);
    struct buffer out = { 0 };
    struct error err;
    int64_t time;

    buffer_append(&out, STR("before"));
    online_row_encode(-42, values, count, &out);
    buffer_consume(&out, 6);
    assert_ok(online_row_open(buffer_str(&out), count, &time, &err));
    assert_int_equal(time, -42);
    for (size_t i = 0; i < count; i++) {
        struct value value;

        assert_ok(online_row_get(buffer_str(&out), count, i, values[i].type, &value, &err));
        assert_true(value_identical(value, values[i]));
    }
    assert_fails(STATUS_INTERNAL, online_row_open(buffer_str(&out), count + 1, &time, &err));
    buffer_free(&out);
}

TEST(a_damaged_row_is_told_or_gives_some_value)
{
    const struct value values[] = { text("hello"), whole(TYPE_INT64, 5), text("world") };
    struct buffer out = { 0 };
    unsigned seed = 1;
    struct error err;

    online_row_encode(0, values, 3, &out);
    for (int round = 0; round < 2000; round++) {
        struct arena *arena = arena_new();
        size_t len = round % 2 == 0 ? out.len : (size_t)rand_r(&seed) % out.len;
        char *copy = memcpy(arena_alloc(arena, len), out.data, len);
        struct value value;
        int64_t time;

        if (len > 0)
            copy[(size_t)rand_r(&seed) % len] = (char)rand_r(&seed);
        if (online_row_open((struct str){ copy, len }, 3, &time, &err) == STATUS_OK)
            for (size_t i = 0; i < 3; i++)
                (void)!online_row_get((struct str){ copy, len }, 3, i, values[i].type, &value,
                                      &err);
        arena_free(arena);
    }
    buffer_free(&out);
}

TEST_MAIN(TEST_CASE(keys_differ_where_values_do), TEST_CASE(blank_texts_stay_apart),
          TEST_CASE(keys_do_not_know_widths), TEST_CASE(whole_numbers_sort_as_keys),
          TEST_CASE(a_null_makes_no_key), TEST_CASE(long_keys_stay_apart),
          TEST_CASE(rows_come_back_as_they_were),
          TEST_CASE(a_damaged_row_is_told_or_gives_some_value))
