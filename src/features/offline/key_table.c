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
    struct buffer bytes;   /* all keys, encoded, one after the other */
    struct buffer scratch; /* the key that is looked for */
    struct entry *entries;
    size_t count, capacity;
    uint32_t *slots; /* entry + 1; 0 is free; a power of two of them, at most half in use */
    size_t slot_count;
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
    return table;
}

void key_table_free(struct key_table **table)
{
    if (*table == NULL)
        return;
    buffer_free(&(*table)->bytes);
    buffer_free(&(*table)->scratch);
    free((*table)->entries);
    free((*table)->slots);
    arena_free((*table)->arena);
    *table = NULL;
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

/* Text gets its length in front, unless it is the whole key. */
static void put_part(struct buffer *out, struct value value, bool alone)
{
    uint64_t len = value.text.len;

    if (is_text(value.type)) {
        if (!alone)
            buffer_append_bytes(out, &len, sizeof(len));
        buffer_append(out, value.text);
    } else if (value.type == TYPE_BOOL) {
        buffer_append_byte(out, value.boolean);
    } else {
        /* Integers, instants and floats are eight bytes each in a value. */
        buffer_append_bytes(out, &value.integer, sizeof(value.integer));
    }
}

/* False if a part is null. */
static bool encode(struct key_table *table, const struct column *const *columns, size_t row)
{
    buffer_clear(&table->scratch);
    for (size_t i = 0; i < table->column_count; i++) {
        struct value value = column_get(columns[i], row);

        if (value.is_null)
            return false;
        put_part(&table->scratch, value, table->column_count == 1);
    }
    return true;
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

/* The slot that holds the key in scratch, or the free one where it belongs. */
static uint32_t *slot_of(const struct key_table *table, uint64_t hash)
{
    size_t mask = table->slot_count - 1;

    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        const struct entry *entry;

        if (table->slots[i] == 0)
            return &table->slots[i];
        entry = &table->entries[table->slots[i] - 1];
        if (entry->hash == hash && entry->len == table->scratch.len &&
            (entry->len == 0 ||
             memcmp(table->bytes.data + entry->offset, table->scratch.data, entry->len) == 0))
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

static uint32_t add_key(struct key_table *table, uint32_t *slot, uint64_t hash)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity == 0 ? SLOTS_MIN : table->capacity * 2;
        table->entries = must_resize(table->entries, table->capacity, sizeof(*table->entries));
    }
    table->entries[table->count] = (struct entry){ hash, table->bytes.len, table->scratch.len };
    buffer_append(&table->bytes, buffer_str(&table->scratch));
    table->count++;
    *slot = (uint32_t)table->count;
    if (table->count * 2 > table->slot_count)
        widen(table);
    return (uint32_t)table->count - 1;
}

enum status key_table_ids(struct key_table *table, const struct column *const *columns,
                          size_t rows, bool add, uint32_t *ids, struct error *err)
{
    for (size_t row = 0; row < rows; row++) {
        uint32_t *slot;
        uint64_t hash;

        ids[row] = KEY_NONE;
        if (!encode(table, columns, row))
            continue;
        hash = hash64(table->scratch.data, table->scratch.len, 0);
        slot = slot_of(table, hash);
        if (*slot != 0)
            ids[row] = *slot - 1;
        else if (add && table->count >= KEY_NONE - 1)
            return error_set(err, STATUS_LIMIT, "there are more than %u keys", KEY_NONE - 1);
        else if (add)
            ids[row] = add_key(table, slot, hash);
    }
    return STATUS_OK;
}
