/* SPDX-License-Identifier: Apache-2.0 */
#include "base/value.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/json.h"

#include <math.h>

static const struct str type_names[VALUE_TYPE_COUNT] = {
    [TYPE_BOOL] = STR_INIT("bool"),       [TYPE_INT32] = STR_INIT("int32"),
    [TYPE_INT64] = STR_INIT("int64"),     [TYPE_FLOAT32] = STR_INIT("float32"),
    [TYPE_FLOAT64] = STR_INIT("float64"), [TYPE_STRING] = STR_INIT("string"),
    [TYPE_BYTES] = STR_INIT("bytes"),     [TYPE_TIMESTAMP] = STR_INIT("timestamp"),
};

const char *value_type_name(enum value_type type)
{
    return type_names[type].data;
}

bool value_type_parse(struct str name, enum value_type *out)
{
    for (unsigned i = 0; i < VALUE_TYPE_COUNT; i++) {
        if (str_equal(name, type_names[i])) {
            *out = (enum value_type)i;
            return true;
        }
    }
    return false;
}

bool value_type_is_number(enum value_type type)
{
    return type == TYPE_INT32 || type == TYPE_INT64 || type == TYPE_FLOAT32 ||
           type == TYPE_FLOAT64;
}

struct value value_null(enum value_type type)
{
    return (struct value){ .type = type, .is_null = true };
}

bool value_identical(struct value a, struct value b)
{
    if (a.type != b.type || a.is_null != b.is_null)
        return false;
    if (a.is_null)
        return true;
    switch (a.type) {
    case TYPE_BOOL:
        return a.boolean == b.boolean;
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_TIMESTAMP:
        return a.integer == b.integer;
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        return (isnan(a.number) && isnan(b.number)) ||
               /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): -0 is not 0 here */
               memcmp(&a.number, &b.number, sizeof(a.number)) == 0;
    case TYPE_STRING:
    case TYPE_BYTES:
        return str_equal(a.text, b.text);
    }
    return false;
}

static enum status unreadable(enum value_type type, struct str text, struct error *err)
{
    return error_set(err, STATUS_INVALID, "expected %s, found '" STR_FMT "'",
                     value_type_name(type), STR_ARG(str_slice(text, 0, 80)));
}

static bool parse_bool(struct str text, bool *out)
{
    *out = str_equal(text, STR("true"));
    return *out || str_equal(text, STR("false"));
}

static bool parse_number(struct str text, double *out)
{
    if (str_equal_nocase(text, STR("nan")))
        *out = (double)NAN;
    else if (str_equal_nocase(text, STR("inf")) || str_equal(text, STR("Infinity")))
        *out = (double)INFINITY;
    else if (str_equal_nocase(text, STR("-inf")) || str_equal(text, STR("-Infinity")))
        *out = (double)-INFINITY;
    else
        return str_to_double(text, out);
    return true;
}

static bool fits_int32(int64_t integer)
{
    return integer >= INT32_MIN && integer <= INT32_MAX;
}

enum status value_parse(struct arena *arena, enum value_type type, struct str text,
                        struct value *out, struct error *err)
{
    struct value value = { .type = type };
    bool good = true;

    switch (type) {
    case TYPE_BOOL:
        good = parse_bool(text, &value.boolean);
        break;
    case TYPE_INT32:
        good = str_to_int64(text, &value.integer) && fits_int32(value.integer);
        break;
    case TYPE_INT64:
        good = str_to_int64(text, &value.integer);
        break;
    case TYPE_FLOAT32:
        good = parse_number(text, &value.number);
        value.number = (double)(float)value.number;
        break;
    case TYPE_FLOAT64:
        good = parse_number(text, &value.number);
        break;
    case TYPE_TIMESTAMP:
        good = time_parse_us(text, &value.integer);
        break;
    case TYPE_STRING:
        good = str_is_utf8(text);
        value.text = arena_str(arena, text);
        break;
    case TYPE_BYTES:
        value.text = arena_str(arena, text);
        break;
    }
    if (!good)
        return unreadable(type, text, err);
    *out = value;
    return STATUS_OK;
}

struct str value_format(struct arena *arena, struct value value)
{
    struct buffer buffer = { 0 };
    struct str text;

    if (value.is_null)
        return STR("null");
    if (value.type == TYPE_STRING || value.type == TYPE_BYTES)
        return arena_str(arena, value.text);
    json_write_value(&buffer, value);
    text = buffer_str(&buffer);
    if (text.len > 1 && text.data[0] == '"')
        text = str_slice(text, 1, text.len - 1);
    text = arena_str(arena, text);
    buffer_free(&buffer);
    return text;
}

#define EXACT_IN_DOUBLE (INT64_C(1) << 53)

static bool to_integer(struct value value, int64_t *out)
{
    if (value.type == TYPE_INT32 || value.type == TYPE_INT64) {
        *out = value.integer;
        return true;
    }
    if (value.type != TYPE_FLOAT32 && value.type != TYPE_FLOAT64)
        return false;
    /* NOLINTNEXTLINE(cppcheck-incorrectLogicOperator): it cannot read 0x1p63 */
    if (!(value.number >= -0x1p63 && value.number < 0x1p63) ||
        value.number != floor(value.number))
        return false;
    *out = (int64_t)value.number;
    return true;
}

static bool to_number(struct value value, double *out)
{
    if (value.type == TYPE_FLOAT32 || value.type == TYPE_FLOAT64) {
        *out = value.number;
        return true;
    }
    if (value.type != TYPE_INT32 && value.type != TYPE_INT64)
        return false;
    *out = (double)value.integer;
    return value.integer >= -EXACT_IN_DOUBLE && value.integer <= EXACT_IN_DOUBLE;
}

enum status value_convert(struct value value, enum value_type type, struct value *out,
                          struct error *err)
{
    struct value result = { .type = type, .is_null = value.is_null };
    bool good = value.type == type;

    if (good) {
        *out = value;
        return STATUS_OK;
    }
    if (value.is_null) {
        *out = result;
        return STATUS_OK;
    }
    if (type == TYPE_INT64)
        good = to_integer(value, &result.integer);
    else if (type == TYPE_INT32)
        good = to_integer(value, &result.integer) && fits_int32(result.integer);
    else if (type == TYPE_FLOAT64)
        good = to_number(value, &result.number);
    else if (type == TYPE_FLOAT32)
        good = to_number(value, &result.number) &&
               (isnan(result.number) || (double)(float)result.number == result.number);
    else if (type == TYPE_BYTES && value.type == TYPE_STRING) {
        good = true;
        result.text = value.text;
    }
    if (!good)
        return error_set(err, STATUS_INVALID, "a %s cannot become %s without loss",
                         value_type_name(value.type), value_type_name(type));
    *out = result;
    return STATUS_OK;
}
