/* SPDX-License-Identifier: Apache-2.0 */
/* Replies and lines of logs are written straight into their buffer, without a tree in between. */
#include "base/json.h"

#include "base/base64.h"
#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What JSON wants escaped, and DEL left as it is. */
static bool needs_escape(char c)
{
    return (unsigned char)c < 0x20 || c == '"' || c == '\\';
}

static void write_escape(struct buffer *out, char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char named[] = "\bb\ff\nn\rr\tt\"\"\\\\";

    for (size_t i = 0; i + 1 < sizeof(named); i += 2) {
        if (named[i] == c) {
            buffer_append_byte(out, '\\');
            buffer_append_byte(out, named[i + 1]);
            return;
        }
    }
    buffer_append(out, STR("\\u00"));
    buffer_append_byte(out, hex[(unsigned char)c >> 4]);
    buffer_append_byte(out, hex[(unsigned char)c & 15]);
}

/* Bytes that are no UTF-8 become U+FFFD, so that a reply is valid whatever was stored. */
static void write_mended(struct buffer *out, struct str s)
{
    size_t i = 0;

    while (i < s.len) {
        size_t len = 1;

        while (len <= 4 && i + len <= s.len && !str_is_utf8(str_slice(s, i, i + len)))
            len++;
        if (len > 4 || i + len > s.len) {
            buffer_append(out, STR("\xEF\xBF\xBD"));
            i++;
        } else {
            if (len == 1 && needs_escape(s.data[i]))
                write_escape(out, s.data[i]);
            else
                buffer_append(out, str_slice(s, i, i + len));
            i += len;
        }
    }
}

void json_write_str(struct buffer *out, struct str s)
{
    size_t from = 0;

    buffer_append_byte(out, '"');
    if (!str_is_utf8(s)) {
        write_mended(out, s);
    } else {
        for (size_t i = 0; i < s.len; i++) {
            if (!needs_escape(s.data[i]))
                continue;
            buffer_append(out, str_slice(s, from, i));
            write_escape(out, s.data[i]);
            from = i + 1;
        }
        buffer_append(out, str_slice(s, from, s.len));
    }
    buffer_append_byte(out, '"');
}

static bool write_odd(struct buffer *out, double number)
{
    if (isnan(number))
        buffer_append(out, STR("\"NaN\""));
    else if (isinf(number))
        buffer_append(out, number > 0 ? STR("\"Infinity\"") : STR("\"-Infinity\""));
    else
        return false;
    return true;
}

void json_write_double(struct buffer *out, double number)
{
    yyjson_val value = { 0 };

    if (write_odd(out, number))
        return;
    yyjson_set_real(&value, number);
    {
        /* yyjson's writer is shortest and exact, and takes one value into a pool on the stack. */
        char pool[1024];
        yyjson_alc allocator;
        size_t len = 0;
        char *text = NULL;

        if (yyjson_alc_pool_init(&allocator, pool, sizeof(pool)))
            text = yyjson_val_write_opts(&value, 0, &allocator, &len, NULL);
        if (text != NULL)
            buffer_append(out, (struct str){ text, len });
        else
            buffer_printf(out, "%.17g", number);
    }
}

/* Digits before and after the point; one of them is not 0. */
static void write_places(struct buffer *out, bool is_negative, uint64_t digits, unsigned places)
{
    char text[40];
    size_t at = sizeof(text);

    for (unsigned i = 0; digits > 0 || i <= places; i++) {
        if (i == places)
            text[--at] = '.';
        text[--at] = (char)('0' + digits % 10);
        digits /= 10;
    }
    if (is_negative)
        text[--at] = '-';
    buffer_append_bytes(out, text + at, sizeof(text) - at);
}

/*
 * The fewest places that cannot be read as a neighbour. Nine digits always do, so everything here
 * is exact in a double but the quotient; the margin is many times its error.
 */
static bool write_shortest(struct buffer *out, float number)
{
    static const double powers[] = { 1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6, 1e7,
                                     1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14 };
    float positive = number < 0 ? -number : number, below;
    double exact = (double)positive, margin;
    uint32_t bits;

    if (!(positive >= 1e-4F && positive < 1e7F))
        return false;
    memcpy(&bits, &positive, sizeof(bits));
    bits--;
    memcpy(&below, &bits, sizeof(below));
    margin = (exact - (double)below) * 0.49999;
    for (unsigned places = 1; places < ARRAY_LEN(powers); places++) {
        uint64_t digits = (uint64_t)(exact * powers[places] + 0.5);
        double back = (double)digits / powers[places];

        if (back - exact < margin && exact - back < margin) {
            write_places(out, number < 0, digits, places);
            return true;
        }
    }
    return false;
}

void json_write_float(struct buffer *out, float number)
{
    char text[40];

    if (write_odd(out, (double)number) || write_shortest(out, number))
        return;
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, (double)number);
        if (strtof(text, NULL) == number)
            break;
    }
    buffer_append(out, str_from(text));
    if (strpbrk(text, ".e") == NULL)
        buffer_append(out, STR(".0"));
}

void json_write_int64(struct buffer *out, int64_t number)
{
    char digits[24];
    size_t at = sizeof(digits);
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0)
        digits[--at] = '-';
    buffer_append_bytes(out, digits + at, sizeof(digits) - at);
}

static void write_time(struct buffer *out, int64_t time_us)
{
    char text[TIME_TEXT_MAX];
    size_t len = time_format_us(time_us, text);

    buffer_append_byte(out, '"');
    buffer_append_bytes(out, text, len);
    buffer_append_byte(out, '"');
}

void json_write_value(struct buffer *out, struct value value)
{
    if (value.is_null) {
        buffer_append(out, STR("null"));
        return;
    }
    switch (value.type) {
    case TYPE_BOOL:
        buffer_append(out, value.boolean ? STR("true") : STR("false"));
        break;
    case TYPE_INT32:
    case TYPE_INT64:
        json_write_int64(out, value.integer);
        break;
    case TYPE_FLOAT32:
        json_write_float(out, (float)value.number);
        break;
    case TYPE_FLOAT64:
        json_write_double(out, value.number);
        break;
    case TYPE_STRING:
        json_write_str(out, value.text);
        break;
    case TYPE_BYTES:
        buffer_append_byte(out, '"');
        base64_encode(out, value.text);
        buffer_append_byte(out, '"');
        break;
    case TYPE_TIMESTAMP:
        write_time(out, value.integer);
        break;
    }
}
