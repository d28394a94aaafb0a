/* SPDX-License-Identifier: Apache-2.0 */
#include "features/online/online_row.h"

#include "base/hash.h"

#include <endian.h>

/* --- keys ----------------------------------------------------------------- */

static uint64_t number_bits(double number)
{
    uint64_t bits;

    number = number == 0 ? 0 : number; /* −0 is the same entity */
    memcpy(&bits, &number, sizeof(bits));
    return bits;
}

static size_t value_width(struct value value, bool is_last)
{
    bool is_text = value.type == TYPE_STRING || value.type == TYPE_BYTES;

    return is_text ? value.text.len + (is_last ? 0 : sizeof(uint32_t)) : sizeof(uint64_t);
}

/* Text in front of another value carries its length, or "ab","c" and "a","bc" would be one. */
static char *put_value(char *to, struct value value, bool is_last)
{
    uint64_t bits;
    uint32_t len;

    switch (value.type) {
    case TYPE_STRING:
    case TYPE_BYTES:
        len = htobe32((uint32_t)value.text.len);
        if (!is_last)
            to = (char *)memcpy(to, &len, sizeof(len)) + sizeof(len);
        if (value.text.len > 0)
            memcpy(to, value.text.data, value.text.len);
        return to + value.text.len;
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        bits = number_bits(value.number);
        break;
    case TYPE_BOOL:
        bits = value.boolean;
        break;
    default:
        /* The sign turned: keys then sort as their values do. */
        bits = (uint64_t)value.integer ^ (UINT64_C(1) << 63);
        break;
    }
    bits = htobe64(bits);
    return (char *)memcpy(to, &bits, sizeof(bits)) + sizeof(bits);
}

/* What fits, then the hash of everything. */
static void encode_long(const struct value *values, size_t count, size_t len,
                        struct online_key *out)
{
    struct arena *arena = arena_new();
    char *whole = arena_alloc(arena, len), *to = whole;
    struct str hash;

    for (size_t i = 0; i < count; i++)
        to = put_value(to, values[i], i + 1 == count);
    hash = sha256_hex(arena, (struct str){ whole, len });
    memcpy(out->bytes, whole, ONLINE_KEY_MAX - SHA256_HEX_LEN);
    memcpy(out->bytes + ONLINE_KEY_MAX - SHA256_HEX_LEN, hash.data, SHA256_HEX_LEN);
    out->len = ONLINE_KEY_MAX;
    arena_free(arena);
}

/* Nothing but NUL bytes, or nothing at all, which no store takes for a key. */
static bool is_blank_text(const struct value *values, size_t count)
{
    if (count != 1 || (values[0].type != TYPE_STRING && values[0].type != TYPE_BYTES))
        return false;
    for (size_t i = 0; i < values[0].text.len; i++) {
        if (values[0].text.data[i] != '\0')
            return false;
    }
    return true;
}

bool online_key_encode(const struct value *values, size_t count, struct online_key *out)
{
    char *to = out->bytes;
    size_t len = 0;

    for (size_t i = 0; i < count; i++) {
        if (values[i].is_null)
            return false;
        len += value_width(values[i], i + 1 == count);
    }
    if (len + 1 >= ONLINE_KEY_MAX) {
        encode_long(values, count, len, out);
        return true;
    }
    for (size_t i = 0; i < count; i++)
        to = put_value(to, values[i], i + 1 == count);
    /* One more for each of them, so that no two become one. */
    if (is_blank_text(values, count))
        *to++ = '\0';
    out->len = (size_t)(to - out->bytes);
    return true;
}

/* --- rows ----------------------------------------------------------------- */

#define ROW_HEADER 12
#define SLOT sizeof(uint64_t)

static size_t slots_at(size_t count)
{
    return ROW_HEADER + (count + 7) / 8;
}

static uint64_t slot_of(struct value value, size_t text_at)
{
    switch (value.type) {
    case TYPE_BOOL:
        return value.boolean;
    case TYPE_FLOAT32:
    case TYPE_FLOAT64: {
        uint64_t bits;

        /* NOLINTNEXTLINE(-Wanalyzer-use-of-uninitialized-value): a number is set whole */
        memcpy(&bits, &value.number, sizeof(bits));
        return bits;
    }
    case TYPE_STRING:
    case TYPE_BYTES:
        return (uint64_t)text_at << 32 | (uint32_t)value.text.len;
    default:
        return (uint64_t)value.integer;
    }
}

static bool is_text(enum value_type type)
{
    return type == TYPE_STRING || type == TYPE_BYTES;
}

void online_row_encode(int64_t time_us, const struct value *values, size_t count,
                       struct buffer *out)
{
    size_t start = out->len, head = slots_at(count) + count * SLOT;
    uint16_t columns = htole16((uint16_t)count);
    uint64_t time = htole64((uint64_t)time_us);
    char *row = memset(buffer_reserve(out, head), 0, head);

    out->len += head;
    row[0] = ONLINE_ROW_VERSION;
    memcpy(row + 2, &columns, sizeof(columns));
    memcpy(row + 4, &time, sizeof(time));
    for (size_t i = 0; i < count; i++) {
        uint64_t slot = htole64(slot_of(values[i], out->len - start));

        row = out->data + start; /* appending may have moved it */
        if (values[i].is_null) {
            row[ROW_HEADER + i / 8] = (char)(row[ROW_HEADER + i / 8] | 1 << i % 8);
            continue;
        }
        memcpy(row + slots_at(count) + i * SLOT, &slot, SLOT);
        if (is_text(values[i].type))
            buffer_append(out, values[i].text);
    }
}

static enum status damaged(struct error *err)
{
    return error_set(err, STATUS_INTERNAL,
                     "the stored row is damaged; `onggi features materialize` builds it anew");
}

enum status online_row_open(struct str row, size_t count, int64_t *time_us, struct error *err)
{
    uint16_t columns;
    uint64_t time;

    if (row.len < slots_at(count) + count * SLOT || row.data[0] != ONLINE_ROW_VERSION)
        return damaged(err);
    memcpy(&columns, row.data + 2, sizeof(columns));
    memcpy(&time, row.data + 4, sizeof(time));
    if (le16toh(columns) != count)
        return damaged(err);
    *time_us = (int64_t)le64toh(time);
    return STATUS_OK;
}

enum status online_row_get(struct str row, size_t count, size_t index, enum value_type type,
                           struct value *out, struct error *err)
{
    struct value value = { .type = type };
    uint64_t slot;

    if ((row.data[ROW_HEADER + index / 8] >> index % 8 & 1) != 0) {
        *out = value_null(type);
        return STATUS_OK;
    }
    memcpy(&slot, row.data + slots_at(count) + index * SLOT, SLOT);
    slot = le64toh(slot);
    if (is_text(type)) {
        size_t from = slot >> 32, len = (uint32_t)slot;

        if (from > row.len || row.len - from < len)
            return damaged(err);
        value.text = str_slice(row, from, from + len);
    } else if (type == TYPE_FLOAT32 || type == TYPE_FLOAT64) {
        memcpy(&value.number, &slot, sizeof(slot));
    } else if (type == TYPE_BOOL) {
        value.boolean = slot != 0;
    } else {
        value.integer = (int64_t)slot;
    }
    *out = value;
    return STATUS_OK;
}
