/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Entity keys as small numbers: the first key met is 0, the next one 1, … A
 * key of several columns is one key. Used by one thread at a time.
 */
#include "features/column.h"

/* Of a row in which a part of the key is null, and of a key that is not there. */
#define KEY_NONE UINT32_MAX

/* More columns than this make no key. */
#define KEY_COLUMNS_MAX 16

struct key_table;

/* Columns of these types make up a key. */
struct key_table *key_table_new(const enum value_type *types, size_t column_count);
void key_table_free(struct key_table **table); /* a NULL one is fine */
uint32_t key_table_size(const struct key_table *table);
size_t key_table_memory(const struct key_table *table); /* bytes held from the system */
/*
 * The numbers of `rows` rows; columns[i] is the i-th part of the key, of its type. With `add`,
 * keys not met before get a number, without, KEY_NONE. LIMIT beyond 2^32 − 2 keys.
 */
MUST_USE enum status key_table_ids(struct key_table *table, const struct column *const *columns,
                                   size_t rows, bool add, uint32_t *ids, struct error *err);
/* The parts of a key, one value for each column; text points into the table. */
void key_table_values(const struct key_table *table, uint32_t id, struct value *out);
/* "ATL" or "ATL, ORD": for messages. */
struct str key_table_text(const struct key_table *table, struct arena *arena, uint32_t id);
