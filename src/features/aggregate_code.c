/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partial aggregates as bytes: a version, the count, then what the function
 * keeps. Integers are zigzag varints, floats eight bytes, text its length and
 * bytes. Little endian.
 */
#include "features/aggregate.h"

#define VERSION 1
#define VARINT_MAX 19 /* bytes of 128 bits */

static void put_varint(struct buffer *out, int128 value)
{
    uint128 rest = (uint128)value << 1 ^ (uint128)(value >> 127);

    while (rest >= 0x80) {
        buffer_append_byte(out, (char)(rest | 0x80));
        rest >>= 7;
    }
    buffer_append_byte(out, (char)rest);
}

static bool take_varint(struct str *bytes, int128 *out)
{
    uint128 value = 0;

    for (unsigned i = 0; i < VARINT_MAX && i < bytes->len; i++) {
        uint8_t byte = (uint8_t)bytes->data[i];

        value |= (uint128)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *out = (int128)(value >> 1) ^ -(int128)(value & 1);
            *bytes = str_slice(*bytes, i + 1, bytes->len);
            return true;
        }
    }
    return false;
}

static bool take_int64(struct str *bytes, int64_t *out)
{
    int128 wide;

    if (!take_varint(bytes, &wide) || wide != (int64_t)wide)
        return false;
    *out = (int64_t)wide;
    return true;
}

static void put_value(struct buffer *out, struct value value)
{
    switch (value.type) {
    case TYPE_BOOL:
        buffer_append_byte(out, value.boolean);
        break;
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_TIMESTAMP:
        put_varint(out, value.integer);
        break;
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        buffer_append_bytes(out, &value.number, sizeof(value.number));
        break;
    case TYPE_STRING:
    case TYPE_BYTES:
        put_varint(out, (int128)value.text.len);
        buffer_append(out, value.text);
        break;
    }
}

static bool take_bytes(struct str *bytes, int64_t len, struct str *out)
{
    if (len < 0 || (uint64_t)len > bytes->len)
        return false;
    *out = str_slice(*bytes, 0, (size_t)len);
    *bytes = str_slice(*bytes, (size_t)len, bytes->len);
    return true;
}

static bool take_value(struct str *bytes, struct value *out)
{
    int64_t integer;
    struct str piece;

    switch (out->type) {
    case TYPE_BOOL:
        if (!take_bytes(bytes, 1, &piece))
            return false;
        out->boolean = piece.data[0] != 0;
        return true;
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_TIMESTAMP:
        return take_int64(bytes, &out->integer);
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        if (!take_bytes(bytes, sizeof(out->number), &piece))
            return false;
        memcpy(&out->number, piece.data, sizeof(out->number));
        return true;
    case TYPE_STRING:
    case TYPE_BYTES:
        break;
    }
    return take_int64(bytes, &integer) && take_bytes(bytes, integer, &out->text);
}

static bool keeps_age(const struct aggregate_spec *spec)
{
    return spec->function == AGGREGATE_FIRST || spec->function == AGGREGATE_LAST;
}

static bool keeps_number(const struct aggregate_spec *spec)
{
    return spec->input == TYPE_FLOAT32 || spec->input == TYPE_FLOAT64;
}

void aggregate_encode(const struct aggregate_spec *spec,
                      const struct aggregate_partial *partial, struct buffer *out)
{
    buffer_append_byte(out, VERSION);
    put_varint(out, partial->count);
    if (spec->function == AGGREGATE_COUNT || partial->count == 0)
        return;
    if (spec->function == AGGREGATE_SUM || spec->function == AGGREGATE_AVG) {
        if (keeps_number(spec))
            exact_sum_encode(&partial->number, out);
        else
            put_varint(out, partial->integer);
        return;
    }
    put_value(out, partial->row.value);
    if (keeps_age(spec)) {
        put_varint(out, partial->row.time_us);
        put_varint(out, partial->row.created_us);
        put_varint(out, partial->row.order);
    }
}

static bool take_row(const struct aggregate_spec *spec, struct str *bytes,
                     struct aggregate_row *row)
{
    row->value.type = spec->input;
    if (!take_value(bytes, &row->value))
        return false;
    return !keeps_age(spec) ||
           (take_int64(bytes, &row->time_us) && take_int64(bytes, &row->created_us) &&
            take_int64(bytes, &row->order));
}

enum status aggregate_decode(const struct aggregate_spec *spec, struct arena *arena,
                             struct str *bytes, struct aggregate_partial *out,
                             struct error *err)
{
    struct aggregate_partial partial;
    struct str version;
    bool whole = true;

    aggregate_init(spec, &partial);
    if (!take_bytes(bytes, 1, &version) || version.data[0] != VERSION)
        return error_set(err, STATUS_INVALID, "a stored aggregate is of an unknown version");
    if (!take_int64(bytes, &partial.count) || partial.count < 0)
        return error_set(err, STATUS_INVALID, "a stored aggregate is damaged");
    if (spec->function != AGGREGATE_COUNT && partial.count > 0) {
        if (spec->function != AGGREGATE_SUM && spec->function != AGGREGATE_AVG)
            whole = take_row(spec, bytes, &partial.row);
        else if (keeps_number(spec))
            TRY(exact_sum_decode(arena, bytes, &partial.number, err));
        else
            whole = take_varint(bytes, &partial.integer);
    }
    if (!whole)
        return error_set(err, STATUS_INVALID, "a stored aggregate is damaged");
    *out = partial;
    return STATUS_OK;
}
