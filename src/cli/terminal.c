/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include "base/buffer.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define COLUMNS_DEFAULT 80
#define COLUMNS_MIN 20

/* The first character and its length in bytes; of what is no UTF-8 one byte, and false. */
static bool first_point(struct str text, uint32_t *point, size_t *len)
{
    static const unsigned char masks[] = { 0x7f, 0x1f, 0x0f, 0x07 };
    unsigned char first = (unsigned char)text.data[0];

    *len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    *point = first;
    if (*len > text.len || !str_is_utf8(str_slice(text, 0, *len))) {
        *len = 1;
        return false;
    }
    *point = first & masks[*len - 1];
    for (size_t i = 1; i < *len; i++)
        *point = *point << 6 | ((unsigned char)text.data[i] & 0x3f);
    return true;
}

/* glibc knows the widths of all characters in any UTF-8 locale; main sets C.UTF-8. */
static size_t point_width(uint32_t point)
{
    int columns = wcwidth((wchar_t)point);

    return columns < 0 ? 1 : (size_t)columns;
}

struct str text_cut(struct str text, size_t columns)
{
    size_t at = 0, width = 0;

    while (at < text.len) {
        uint32_t point;
        size_t len;

        first_point(str_slice(text, at, text.len), &point, &len);
        width += point_width(point);
        if (width > columns)
            break;
        at += len;
    }
    return str_slice(text, 0, at);
}

size_t text_width(struct str text)
{
    size_t width = 0, len;
    uint32_t point;

    for (; text.len > 0; text = str_slice(text, len, text.len)) {
        first_point(text, &point, &len);
        width += point_width(point);
    }
    return width;
}

/* ---- what a terminal would obey */

static bool is_obeyed(uint32_t point, bool lines)
{
    if (lines && (point == '\n' || point == '\t'))
        return false;
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || /* C0, DEL, C1 */
           point == 0x061c || point == 0x200e || point == 0x200f ||
           (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

static void write_point(struct buffer *out, uint32_t point)
{
    static const char *const names[0x20] = { ['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t" };

    if (point < 0x20 && names[point] != NULL)
        buffer_append(out, str_from(names[point]));
    else
        buffer_printf(out, point < 0x100 ? "\\x%02x" : "\\u%04x", (unsigned)point);
}

static struct str shown(struct arena *arena, struct str text, bool lines)
{
    struct buffer out = { 0 };
    struct str result = text, rest = text;
    bool changed = false;

    while (rest.len > 0) {
        uint32_t point;
        size_t len;

        if (first_point(rest, &point, &len) && !is_obeyed(point, lines)) {
            buffer_append(&out, str_slice(rest, 0, len));
        } else {
            write_point(&out, point);
            changed = true;
        }
        rest = str_slice(rest, len, rest.len);
    }
    if (changed)
        result = arena_str(arena, buffer_str(&out));
    buffer_free(&out);
    return result;
}

struct str text_on_line(struct arena *arena, struct str text)
{
    return shown(arena, text, false);
}

struct str text_of_lines(struct arena *arena, struct str text)
{
    return shown(arena, text, true);
}

/* ---- the terminal itself */

bool terminal_moves(int fd)
{
    const char *kind = getenv("TERM");

    return isatty(fd) == 1 && (kind == NULL || !str_equal(str_from(kind), STR("dumb")));
}

size_t terminal_columns(int fd)
{
    struct winsize size = { 0 };

    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return COLUMNS_DEFAULT;
    return size.ws_col < COLUMNS_MIN ? COLUMNS_MIN : size.ws_col;
}
