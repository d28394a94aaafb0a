/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"
#include "cli/output.h"
#include "cli/terminal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define COLUMN_GAP 2

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
    ARENA_PUSH(table->arena, table->cells, table->count,
               table->capacity) = text_on_line(table->arena, text);
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

static void append_padded(struct buffer *out, struct str text, size_t width, bool right,
                          bool last)
{
    size_t own = text_width(text);
    int padding = own < width ? (int)(width - own) : 0;

    if (right)
        buffer_printf(out, "%*s", padding, "");
    buffer_append(out, text);
    if (!last)
        buffer_printf(out, "%*s", (right ? 0 : padding) + COLUMN_GAP, "");
}

void table_print(const struct table *table)
{
    size_t *widths = ARENA_ARRAY(table->arena, size_t, table->columns);
    bool *numeric = ARENA_ARRAY(table->arena, bool, table->columns);
    struct buffer out = { 0 };

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

        append_padded(&out, table->cells[i], widths[column], numeric[column], last);
        if (last)
            buffer_append_byte(&out, '\n');
    }
    print_text(buffer_str(&out));
    buffer_free(&out);
}
