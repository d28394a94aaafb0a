/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/key_table.h"

#include "base/buffer.h"
#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>

#define SLOTS_MIN 1024

struct entry {
    uint64_t hash;
    size_t offset; /* of its bytes in `bytes` */
    size_t len;
};

struct key_table {
    enum value_type *types;
    size_t column_count;
    struct arena *arena;
    struct buffer bytes; /* all keys, encoded, one after the other */
    struct entry *entries;
    size_t count, capacity;
    uint32_t *slots; /* entry + 1; 0 is free; a power of two of them, at most half in use */
    size_t slot_count;
    uint64_t *hashes; /* of the rows that are looked up */
    size_t hash_capacity;
};

static void *must_resize(void *memory, size_t count, size_t size)
{
    void *resized = reallocarray(memory, count, size);

    if (resized == NULL) {
        fprintf(stderr, "onggi: out of memory: %zu keys were wanted\n", count);
        abort();
    }
    return resized;
}

struct key_table *key_table_new(const enum value_type *types, size_t column_count)
{
    struct arena *arena = arena_new();
    struct key_table *table = ARENA_NEW(arena, struct key_table);

    table->arena = arena;
    table->column_count = column_count;
    table->types = ARENA_ARRAY(arena, enum value_type, column_count);
    memcpy(table->types, types, column_count * sizeof(*types));
    table->slot_count = SLOTS_MIN;
    table->slots = must_resize(NULL, SLOTS_MIN, sizeof(*table->slots));
    memset(table->slots, 0, SLOTS_MIN * sizeof(*table->slots));
    buffer_reserve(&table->bytes, SLOTS_MIN); /* so that an offset of 0 is in it */
    return table;
}

void key_table_free(struct key_table **table)
{
    if (*table == NULL)
        return;
    buffer_free(&(*table)->bytes);
    free((*table)->hashes);
    free((*table)->entries);
    free((*table)->slots);
    arena_free((*table)->arena);
    *table = NULL;
}

size_t key_table_memory(const struct key_table *table)
{
    return table->bytes.capacity + table->capacity * sizeof(*table->entries) +
           table->slot_count * sizeof(*table->slots) +
           table->hash_capacity * sizeof(*table->hashes);
}

uint32_t key_table_size(const struct key_table *table)
{
    return (uint32_t)table->count;
}

/* --- keys as bytes -------------------------------------------------------- */

static bool is_text(enum value_type type)
{
    return type == TYPE_STRING || type == TYPE_BYTES;
}

/* A number in the eight bytes in which a key holds it. */
union number {
    int64_t integer;
    double real;
};

/* Bytes of one part, in the column or in `number`. */
static inline struct str part_bytes(const struct column *column, size_t row,
                                    union number *number)
{
    switch (column->type) {
    case TYPE_STRING:
    case TYPE_BYTES:
        return column->texts[row];
    case TYPE_BOOL:
        return (struct str){ (const char *)&column->booleans[row], 1 };
    case TYPE_INT32:
        number->integer = column->int32s[row];
        break;
    case TYPE_INT64:
    case TYPE_TIMESTAMP:
        number->integer = column->int64s[row];
        break;
    case TYPE_FLOAT32:
        number->real = (double)column->float32s[row];
        break;
    case TYPE_FLOAT64:
        number->real = column->float64s[row];
        break;
    }
    return (struct str){ (const char *)number, sizeof(*number) };
}

/* Text gets its length in front, unless it is the whole key. */
static bool has_length(const struct key_table *table, size_t column)
{
    return table->column_count > 1 && is_text(table->types[column]);
}

static void append_key(struct key_table *table, const struct column *const *columns, size_t row)
{
    union number number;

    for (size_t i = 0; i < table->column_count; i++) {
        struct str part = part_bytes(columns[i], row, &number);
        uint64_t len = part.len;

        if (has_length(table, i))
            buffer_append_bytes(&table->bytes, &len, sizeof(len));
        buffer_append(&table->bytes, part);
    }
}

/* Is the key that begins at `at` that of the row? The rest may belong to the next key. */
static bool is_key(const struct key_table *table, struct str rest,
                   const struct column *const *columns, size_t row)
{
    union number number;

    for (size_t i = 0; i < table->column_count; i++) {
        struct str part = part_bytes(columns[i], row, &number);
        uint64_t len = part.len;

        if (has_length(table, i)) {
            if (memcmp(rest.data, &len, sizeof(len)) != 0)
                return false;
            rest = str_slice(rest, sizeof(len), rest.len);
        }
        if (part.len > rest.len ||
            (part.len > 0 && memcmp(rest.data, part.data, part.len) != 0))
            return false;
        rest = str_slice(rest, part.len, rest.len);
    }
    return rest.len == 0;
}

void key_table_values(const struct key_table *table, uint32_t id, struct value *out)
{
    const struct entry *entry = &table->entries[id];
    struct str rest = { table->bytes.data + entry->offset, entry->len };
    uint64_t len;

    for (size_t i = 0; i < table->column_count; i++) {
        out[i] = (struct value){ .type = table->types[i] };
        if (is_text(table->types[i])) {
            len = rest.len;
            if (table->column_count > 1) {
                memcpy(&len, rest.data, sizeof(len));
                rest = str_slice(rest, sizeof(len), rest.len);
            }
            out[i].text = str_slice(rest, 0, len);
        } else if (table->types[i] == TYPE_BOOL) {
            len = 1;
            out[i].boolean = rest.data[0] != 0;
        } else {
            len = sizeof(out[i].integer);
            memcpy(&out[i].integer, rest.data, len);
        }
        rest = str_slice(rest, len, rest.len);
    }
}

struct str key_table_text(const struct key_table *table, struct arena *arena, uint32_t id)
{
    struct value *values = ARENA_ARRAY(arena, struct value, table->column_count);
    struct str text = STR_EMPTY;

    key_table_values(table, id, values);
    for (size_t i = 0; i < table->column_count; i++)
        text = arena_printf(arena, STR_FMT "%s" STR_FMT, STR_ARG(text), i > 0 ? ", " : "",
                            STR_ARG(value_format(arena, values[i])));
    return text;
}

/* --- looking up ----------------------------------------------------------- */

/* The slot that holds the row's key, or the free one where it belongs. */
static uint32_t *slot_of(const struct key_table *table, const struct column *const *columns,
                         size_t row)
{
    size_t mask = table->slot_count - 1;
    uint64_t hash = table->hashes[row];

    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        const struct entry *entry;

        if (table->slots[i] == 0)
            return &table->slots[i];
        entry = &table->entries[table->slots[i] - 1];
        if (entry->hash == hash &&
            is_key(table, (struct str){ table->bytes.data + entry->offset, entry->len },
                   columns, row))
            return &table->slots[i];
    }
}

static void widen(struct key_table *table)
{
    size_t mask;

    table->slot_count *= 2;
    table->slots = must_resize(table->slots, table->slot_count, sizeof(*table->slots));
    memset(table->slots, 0, table->slot_count * sizeof(*table->slots));
    mask = table->slot_count - 1;
    for (size_t entry = 0; entry < table->count; entry++) {
        size_t i = table->entries[entry].hash & mask;

        while (table->slots[i] != 0)
            i = (i + 1) & mask;
        table->slots[i] = (uint32_t)entry + 1;
    }
}

static uint32_t add_key(struct key_table *table, uint32_t *slot,
                        const struct column *const *columns, size_t row)
{
    size_t offset = table->bytes.len;

    if (table->count == table->capacity) {
        table->capacity = table->capacity == 0 ? SLOTS_MIN : table->capacity * 2;
        table->entries = must_resize(table->entries, table->capacity, sizeof(*table->entries));
    }
    append_key(table, columns, row);
    table->entries[table->count] = (struct entry){ table->hashes[row], offset,
                                                   table->bytes.len - offset };
    table->count++;
    *slot = (uint32_t)table->count;
    if (table->count * 2 > table->slot_count)
        widen(table);
    return (uint32_t)table->count - 1;
}

/* Column by column; ids[row] becomes KEY_NONE where a part is null, else 0. */
static void hash_rows(struct key_table *table, const struct column *const *columns, size_t rows,
                      uint32_t *ids)
{
    if (rows > table->hash_capacity) {
        table->hashes = must_resize(table->hashes, rows, sizeof(*table->hashes));
        table->hash_capacity = rows;
    }
    memset(table->hashes, 0, rows * sizeof(*table->hashes));
    memset(ids, 0, rows * sizeof(*ids));
    for (size_t i = 0; i < table->column_count; i++) {
        for (size_t row = 0; row < rows; row++) {
            union number number;
            struct str part;

            if (column_is_null(columns[i], row)) {
                ids[row] = KEY_NONE;
                continue;
            }
            part = part_bytes(columns[i], row, &number);
            table->hashes[row] = hash64(part.data, part.len, table->hashes[row]);
        }
    }
}

enum status key_table_ids(struct key_table *table, const struct column *const *columns,
                          size_t rows, bool add, uint32_t *ids, struct error *err)
{
    if (rows == 0)
        return STATUS_OK;
    hash_rows(table, columns, rows, ids);
    for (size_t row = 0; row < rows; row++) {
        uint32_t *slot;

        if (ids[row] == KEY_NONE)
            continue;
        slot = slot_of(table, columns, row);
        if (*slot != 0)
            ids[row] = *slot - 1;
        else if (!add)
            ids[row] = KEY_NONE;
        else if (table->count >= KEY_NONE - 1)
            return error_set(err, STATUS_LIMIT, "there are more than %u keys", KEY_NONE - 1);
        else
            ids[row] = add_key(table, slot, columns, row);
    }
    return STATUS_OK;
}
