/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The bytes that the online store keeps: keys of entities, and rows of views
 * that carry plain columns. Both are the same on every machine.
 */
#include "base/buffer.h"
#include "base/status.h"
#include "base/value.h"
#include "features/online/online.h"

struct online_key {
    size_t len;
    char bytes[ONLINE_KEY_MAX];
};
/* Goes into the layout of each generation. */
#define ONLINE_KEY_VERSION 2
/*
 * Equal values, equal bytes, whatever the widths of their types; a key too long for the store
 * ends with a hash of the whole. False if one of the values is null: such an entity has no row.
 */
bool online_key_encode(const struct value *values, size_t count, struct online_key *out);

/*
 * u8 version, u8 0, u16 columns, i64 event time, then a bit a column (1: null), 8 bytes a column,
 * and the text that those of strings point to (u32 from the row's start, u32 length).
 */
#define ONLINE_ROW_VERSION 1

void online_row_encode(int64_t time_us, const struct value *values, size_t count,
                       struct buffer *out);
/* INTERNAL if it is not a row of that many columns. */
MUST_USE enum status online_row_open(struct str row, size_t count, int64_t *time_us,
                                     struct error *err);
/* Of a row that was opened. Text points into it. */
MUST_USE enum status online_row_get(struct str row, size_t count, size_t index,
                                    enum value_type type, struct value *out, struct error *err);
