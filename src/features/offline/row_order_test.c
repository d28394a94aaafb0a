/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/row_order.h"

#include "features/offline/key_table.h"
#include "support/test.h"

#define ROWS 20000
#define KEYS 7

struct rows {
    uint32_t keys[ROWS];
    int64_t times[ROWS], created[ROWS];
};

static uint64_t random_state = 42;

static uint64_t random_below(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

/* Few different times, so that ties are many. */
static void fill(struct rows *rows)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        rows->keys[i] = random_below(10) == 0 ? KEY_NONE : (uint32_t)random_below(KEYS);
        rows->times[i] = (int64_t)random_below(200) - 100;
        rows->created[i] = random_below(3) == 0 ? INT64_MIN : (int64_t)random_below(3);
    }
}

static void assert_before(const struct rows *rows, bool has_created, uint32_t a, uint32_t b)
{
    if (rows->times[a] != rows->times[b]) {
        assert_true(rows->times[a] < rows->times[b]);
    } else if (has_created && rows->created[a] != rows->created[b]) {
        assert_true(rows->created[a] < rows->created[b]);
    } else {
        assert_true(a < b);
    }
}

static void check(bool has_created)
{
    struct rows *rows = test_malloc(sizeof(*rows));
    struct row_order_input input = { rows->keys, rows->times, NULL, ROWS, KEYS };
    struct row_order order;
    struct error err;
    uint32_t kept = 0;

    fill(rows);
    if (has_created)
        input.created = rows->created;
    assert_ok(row_order_make(&input, 2, &order, &err));
    for (uint32_t i = 0; i < ROWS; i++)
        kept += rows->keys[i] != KEY_NONE;
    assert_int_equal(order.starts[KEYS], kept);
    for (uint32_t key = 0; key < KEYS; key++) {
        for (uint32_t i = order.starts[key]; i < order.starts[key + 1]; i++) {
            assert_int_equal(rows->keys[order.rows[i]], key);
            if (i > order.starts[key])
                assert_before(rows, has_created, order.rows[i - 1], order.rows[i]);
        }
    }
    row_order_free(&order);
    test_free(rows);
}

TEST(rows_are_by_key_then_time_then_as_they_came)
{
    check(false);
}

TEST(created_breaks_ties_with_null_first)
{
    check(true);
}

TEST_MAIN(TEST_CASE(rows_are_by_key_then_time_then_as_they_came),
          TEST_CASE(created_breaks_ties_with_null_first))
