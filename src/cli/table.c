/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

#define COLUMN_GAP 2

static uint32_t next_code_point(struct str *rest)
{
    static const unsigned char masks[] = { 0x7f, 0x1f, 0x0f, 0x07 };
    unsigned char first = (unsigned char)rest->data[0];
    size_t len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t point;

    if (len > rest->len)
        len = rest->len;
    point = first & masks[len - 1];
    for (size_t i = 1; i < len; i++)
        point = point << 6 | ((unsigned char)rest->data[i] & 0x3f);
    *rest = str_slice(*rest, len, rest->len);
    return point;
}

size_t text_width(struct str text)
{
    size_t width = 0;

    while (text.len > 0) {
        /* glibc knows the widths of all characters in any UTF-8 locale; main sets C.UTF-8. */
        int columns = wcwidth((wchar_t)next_code_point(&text));

        width += columns < 0 ? 1 : (size_t)columns;
    }
    return width;
}

struct table *table_new(struct arena *arena, const char *const *titles)
{
    struct table *table = ARENA_NEW(arena, struct table);

    table->arena = arena;
    while (titles[table->columns] != NULL)
        table_cell(table, str_from(titles[table->columns++]));
    return table;
}

void table_cell(struct table *table, struct str text)
{
    ARENA_PUSH(table->arena, table->cells, table->count, table->capacity) = text;
}

void table_cellf(struct table *table, const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    table_cell(table, arena_str(table->arena, str_from(text)));
    free(text);
}

static bool is_number(struct str text)
{
    size_t digits = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        digits += c >= '0' && c <= '9';
        if (!(c >= '0' && c <= '9') && memchr("+-.,e%", c, 6) == NULL)
            return false;
    }
    return digits > 0;
}

/* A column of numbers is set to the right, its title with it. */
static bool column_is_numeric(const struct table *table, size_t column)
{
    size_t numbers = 0;

    for (size_t i = table->columns + column; i < table->count; i += table->columns) {
        if (table->cells[i].len == 0 || str_equal(table->cells[i], STR("-")))
            continue;
        if (!is_number(table->cells[i]))
            return false;
        numbers++;
    }
    return numbers > 0;
}

static void print_padded(struct str text, size_t width, bool right, bool last)
{
    size_t own = text_width(text);
    int padding = own < width ? (int)(width - own) : 0;

    if (right)
        printf("%*s" STR_FMT, padding, "", STR_ARG(text));
    else
        printf(STR_FMT "%*s", STR_ARG(text), last ? 0 : padding, "");
    printf("%*s", last ? 0 : COLUMN_GAP, "");
}

void table_print(const struct table *table)
{
    size_t *widths = ARENA_ARRAY(table->arena, size_t, table->columns);
    bool *numeric = ARENA_ARRAY(table->arena, bool, table->columns);

    for (size_t i = 0; i < table->count; i++) {
        size_t width = text_width(table->cells[i]);

        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    for (size_t column = 0; column < table->columns; column++)
        numeric[column] = column_is_numeric(table, column);
    for (size_t i = 0; i < table->count; i++) {
        size_t column = i % table->columns;
        bool last = column + 1 == table->columns;

        print_padded(table->cells[i], widths[column], numeric[column], last);
        if (last)
            putchar('\n');
    }
}
