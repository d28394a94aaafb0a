/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Rows by key, and within a key by time, then by created time (null first),
 * then as they came. Rows are not moved; the order is a list of row numbers.
 */
#include "features/column.h"

struct row_order {
    uint32_t *rows; /* row numbers, key by key */
    uint32_t *
        starts; /* key_count + 1: the rows of key k are rows[starts[k]] to rows[starts[k + 1]] */
    uint32_t key_count;
};

struct row_order_input {
    const uint32_t *keys; /* below key_count; others are left out, such as KEY_NONE */
    const int64_t *times;
    const int64_t *created; /* NULL: none has one; a null is INT64_MIN */
    size_t rows;            /* below 2^32 */
    uint32_t key_count;
};

MUST_USE enum status row_order_make(const struct row_order_input *input, unsigned threads,
                                    struct row_order *out, struct error *err);
void row_order_free(struct row_order *order);

/*
 * Portions of keys with about as many rows each, for threads: portion i has the keys firsts[i] to
 * firsts[i + 1] − 1. Returns their number; firsts has room for row_order_tasks_max().
 */
size_t row_order_tasks(const struct row_order *order, uint32_t *firsts);
size_t row_order_tasks_max(const struct row_order *order);
