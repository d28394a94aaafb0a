/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/json.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static _Atomic int least = LOG_INFO;
static _Atomic bool is_forced;
static _Atomic bool as_json;

static const char *const level_names[] = { "debug", "info", "warn", "error" };

void log_set_level(enum log_level level)
{
    if (!is_forced)
        least = (int)level;
}

void log_force_level(enum log_level level)
{
    is_forced = true;
    least = (int)level;
}

bool log_level_parse(struct str name, enum log_level *out)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (str_equal(name, str_from(level_names[i]))) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_set_json(bool json)
{
    as_json = json;
}

static void write_line(const struct buffer *line)
{
    size_t done = 0;

    while (done < line->len) {
        ssize_t n = write(STDERR_FILENO, line->data + done, line->len - done);

        if (n <= 0)
            return; /* nobody to tell */
        done += (size_t)n;
    }
}

static void append_plain(struct buffer *line, struct str message)
{
    for (size_t i = 0; i < message.len; i++) {
        unsigned char c = (unsigned char)message.data[i];

        if (c < 0x20 || c == 0x7F)
            buffer_printf(line, "\\x%02x", c);
        else
            buffer_append_byte(line, (char)c);
    }
}

void log_write(enum log_level level, const char *format, ...)
{
    char message[2048];
    char now[TIME_TEXT_MAX];
    struct buffer line = { 0 };
    va_list args;

    if ((int)level < least)
        return;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    time_format_us(clock_now_us() / 1000 * 1000, now);
    if (as_json) {
        buffer_printf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":", now,
                      level_names[level]);
        json_write_str(&line, str_from(message));
        buffer_append(&line, STR("}\n"));
    } else {
        buffer_printf(&line, "%s %-5s ", now, level_names[level]);
        append_plain(&line, str_from(message));
        buffer_append_byte(&line, '\n');
    }
    write_line(&line);
    buffer_free(&line);
}
