/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/runners/python_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum style { STYLE_REPR, STYLE_JSON };

struct writer {
    struct arena *arena;
    struct buffer out;
    enum style style;
};

static yyjson_val *plain(const yyjson_val *value)
{
    return (yyjson_val *)(uintptr_t)value; /* yyjson's readers take no const */
}

static int by_key(const void *a, const void *b)
{
    return str_compare(json_str(*(yyjson_val *const *)a), json_str(*(yyjson_val *const *)b));
}

yyjson_val **python_sorted_keys(struct arena *arena, const yyjson_val *object, size_t *count)
{
    yyjson_val **keys, *key, *value;
    size_t i, len;

    *count = yyjson_obj_size(plain(object));
    keys = ARENA_ARRAY(arena, yyjson_val *, *count + 1);
    yyjson_obj_foreach(plain(object), i, len, key, value) keys[i] = key;
    qsort(keys, *count, sizeof(*keys), by_key);
    return keys;
}

/* The fewest digits that read back as the number; *exponent is that of the first digit. */
static size_t shortest_digits(double number, char digits[32], int *exponent)
{
    char text[40], *e;
    size_t count = 0;

    for (int precision = 0; precision < 17; precision++) {
        snprintf(text, sizeof(text), "%.*e", precision, number);
        if (strtod(text, NULL) == number)
            break;
    }
    e = strchr(text, 'e');
    *exponent = atoi(e + 1);
    for (const char *c = text; c < e; c++)
        if (*c >= '0' && *c <= '9')
            digits[count++] = *c;
    while (count > 1 && digits[count - 1] == '0')
        count--;
    return count;
}

static void write_fixed(struct buffer *out, const char *digits, size_t count, int exponent)
{
    if (exponent < 0)
        buffer_append(out, STR("0."));
    for (int zeros = exponent + 1; zeros < 0; zeros++)
        buffer_append_byte(out, '0');
    for (size_t i = 0; i < count || (int)i <= exponent; i++) {
        buffer_append_byte(out, i < count ? digits[i] : '0');
        if (exponent >= 0 && (int)i == exponent)
            buffer_append_byte(out, '.');
    }
    if (exponent >= 0 && count <= (size_t)exponent + 1)
        buffer_append_byte(out, '0');
}

/* As float.__repr__: an exponent from 1e16 on, and below 1e-4. */
static void write_real(struct buffer *out, double number)
{
    char digits[32];
    int exponent;
    size_t count;

    if (signbit(number))
        buffer_append_byte(out, '-');
    if (!isfinite(number)) {
        buffer_append(out, isnan(number) ? STR("nan") : STR("inf"));
        return;
    }
    count = shortest_digits(fabs(number), digits, &exponent);
    if (exponent >= -4 && exponent < 16) {
        write_fixed(out, digits, count, exponent);
        return;
    }
    buffer_append_byte(out, digits[0]);
    if (count > 1)
        buffer_printf(out, ".%.*s", (int)count - 1, digits + 1);
    buffer_printf(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
}

/* Of valid UTF-8; *at goes behind the character. */
static uint32_t next_character(struct str text, size_t *at)
{
    unsigned char first = (unsigned char)text.data[(*at)++];
    uint32_t c = first < 0x80   ? first
                 : first < 0xE0 ? first & 0x1Fu
                 : first < 0xF0 ? first & 0x0Fu
                                : first & 0x07u;

    while (*at < text.len && ((unsigned char)text.data[*at] & 0xC0) == 0x80)
        c = c << 6 | ((unsigned char)text.data[(*at)++] & 0x3Fu);
    return c;
}

static char short_escape(uint32_t c, enum style style)
{
    switch (c) {
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '\\':
        return '\\';
    case '\b':
        return style == STYLE_JSON ? 'b' : '\0';
    case '\f':
        return style == STYLE_JSON ? 'f' : '\0';
    default:
        return '\0';
    }
}

static void write_escape(struct writer *writer, uint32_t c)
{
    if (writer->style == STYLE_REPR)
        buffer_printf(&writer->out, "\\x%02x", (unsigned)c);
    else if (c < 0x10000)
        buffer_printf(&writer->out, "\\u%04x", (unsigned)c);
    else
        buffer_printf(&writer->out, "\\u%04x\\u%04x", (unsigned)(0xD7C0 + (c >> 10)),
                      (unsigned)(0xDC00 + (c & 0x3FF)));
}

/* repr() leaves what can be printed as it is; json.dumps() only what is ASCII. */
static void write_text(struct writer *writer, struct str text)
{
    bool json = writer->style == STYLE_JSON;
    bool single = !json &&
                  !(str_index(text, '\'') < text.len && str_index(text, '"') == text.len);
    char quote = single ? '\'' : '"';

    buffer_append_byte(&writer->out, quote);
    for (size_t at = 0, from; at < text.len;) {
        uint32_t c;
        char escape;

        from = at;
        c = next_character(text, &at);
        escape = c == (unsigned char)quote ? quote : short_escape(c, writer->style);
        if (escape != '\0')
            buffer_printf(&writer->out, "\\%c", escape);
        else if (c < 0x20 || (c >= 0x7F && c < 0xA0) || (json && c >= 0xA0))
            write_escape(writer, c);
        else
            buffer_append(&writer->out, str_slice(text, from, at));
    }
    buffer_append_byte(&writer->out, quote);
}

static void write_value(struct writer *writer, yyjson_val *value);

static void write_list(struct writer *writer, yyjson_val *list)
{
    yyjson_val *item;
    size_t i, count;

    buffer_append_byte(&writer->out, '[');
    yyjson_arr_foreach(list, i, count, item)
    {
        if (i > 0)
            buffer_append(&writer->out, writer->style == STYLE_JSON ? STR(",") : STR(", "));
        write_value(writer, item);
    }
    buffer_append_byte(&writer->out, ']');
}

/* repr() keeps the order of the text, json.dumps() sorts here. */
static void write_object(struct writer *writer, yyjson_val *object)
{
    bool json = writer->style == STYLE_JSON;
    yyjson_val **keys, *key, *value;
    size_t i, count;

    keys = python_sorted_keys(writer->arena, object, &count);
    if (!json)
        yyjson_obj_foreach(object, i, count, key, value) keys[i] = key;
    buffer_append_byte(&writer->out, '{');
    for (i = 0; i < count; i++) {
        if (i > 0)
            buffer_append(&writer->out, json ? STR(",") : STR(", "));
        write_text(writer, json_str(keys[i]));
        buffer_append(&writer->out, json ? STR(":") : STR(": "));
        write_value(writer, unsafe_yyjson_get_next(keys[i]));
    }
    buffer_append_byte(&writer->out, '}');
}

static void write_value(struct writer *writer, yyjson_val *value)
{
    bool json = writer->style == STYLE_JSON;
    struct buffer *out = &writer->out;

    if (yyjson_is_obj(value))
        write_object(writer, value);
    else if (yyjson_is_arr(value))
        write_list(writer, value);
    else if (yyjson_is_str(value))
        write_text(writer, json_str(value));
    else if (yyjson_is_real(value))
        write_real(out, yyjson_get_real(value));
    else if (yyjson_is_bool(value))
        buffer_append(out, yyjson_get_bool(value) ? (json ? STR("true") : STR("True"))
                                                  : (json ? STR("false") : STR("False")));
    else if (yyjson_is_num(value))
        buffer_append(out, json_write(writer->arena, value));
    else
        buffer_append(out, json ? STR("null") : STR("None"));
}

static struct str written(struct arena *arena, const yyjson_val *value, enum style style)
{
    struct writer writer = { .arena = arena, .style = style };
    struct str copy;

    write_value(&writer, plain(value));
    copy = arena_str(arena, buffer_str(&writer.out));
    buffer_free(&writer.out);
    return copy;
}

struct str python_str(struct arena *arena, const yyjson_val *value)
{
    return yyjson_is_str(plain(value)) ? json_str(value) : written(arena, value, STYLE_REPR);
}

struct str python_json(struct arena *arena, const yyjson_val *value)
{
    return written(arena, value, STYLE_JSON);
}
