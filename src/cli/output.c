/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include "base/clock.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define NS_PER_SECOND 1000000000.0
#define SHOW_EVERY_TERMINAL_NS 100000000u
#define SHOW_EVERY_LINE_NS 5000000000u
#define SILENT_AT_FIRST_NS 1000000000u

struct str json_text(struct arena *arena, yyjson_val *value)
{
    if (value == NULL || yyjson_is_null(value))
        return STR("-");
    if (yyjson_is_str(value))
        return json_str(value);
    if (yyjson_is_real(value))
        return arena_printf(arena, "%.6g", yyjson_get_real(value));
    return json_write(arena, value);
}

struct str json_field_text(struct arena *arena, yyjson_val *object, const char *key)
{
    return json_text(arena, json_find(object, str_from(key)));
}

const char *cli_field(struct cli *cli, yyjson_val *object, const char *key)
{
    return arena_cstr(cli->arena, json_field_text(cli->arena, object, key));
}

double json_field_number(yyjson_val *object, const char *key)
{
    return yyjson_get_num(json_find(object, str_from(key)));
}

struct str text_count(struct arena *arena, int64_t count)
{
    char digits[24], *text = arena_alloc(arena, 40);
    int len = snprintf(digits, sizeof(digits), "%lld", (long long)count), at = 0;
    int first = digits[0] == '-';

    for (int i = 0; i < len; i++) {
        if (i > first && (len - i) % 3 == 0)
            text[at++] = ',';
        text[at++] = digits[i];
    }
    return (struct str){ text, (size_t)at };
}

struct str text_seconds(struct arena *arena, double seconds)
{
    if (seconds < 0.0995)
        return arena_printf(arena, "%.0f ms", seconds * 1000);
    if (seconds < 60)
        return arena_printf(arena, "%.1f s", seconds);
    if (seconds < 3600)
        return arena_printf(arena, "%d m %02d s", (int)seconds / 60, (int)seconds % 60);
    return arena_printf(arena, "%d h %02d m", (int)(seconds / 3600), (int)seconds / 60 % 60);
}

struct str text_bytes(struct arena *arena, int64_t bytes)
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
    double amount = (double)bytes;
    size_t unit = 0;

    while (amount >= 1000 && unit + 1 < ARRAY_LEN(units)) {
        amount /= 1000;
        unit++;
    }
    return arena_printf(arena, unit == 0 ? "%.0f %s" : "%.1f %s", amount, units[unit]);
}

void print_json(struct cli *cli, yyjson_val *value)
{
    struct str text = value == NULL ? STR("null") : json_write(cli->arena, value);

    printf(STR_FMT "\n", STR_ARG(text));
}

void print_json_pretty(struct cli *cli, yyjson_val *value)
{
    yyjson_mut_doc *doc = json_mut_doc(cli->arena);

    print_text(json_mut_write_pretty(cli->arena, yyjson_val_mut_copy(doc, value)));
    putchar('\n');
}

void print_text(struct str text)
{
    if (text.len > 0)
        (void)fwrite(text.data, 1, text.len, stdout); /* the end asks stdout what failed */
}

void print_line(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

void print_note(const char *format, ...)
{
    va_list args;

    fflush(stdout);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

/* ---- progress */

void progress_init(struct progress *progress)
{
    *progress = (struct progress){ .terminal = isatty(STDERR_FILENO) == 1 };
    progress->start_ns = progress->phase_ns = progress->shown_ns = clock_monotonic_ns();
}

static void enter_phase(struct progress *progress, struct str phase, uint64_t now)
{
    if (str_equal(str_from(progress->phase), phase))
        return;
    snprintf(progress->phase, sizeof(progress->phase), STR_FMT, STR_ARG(phase));
    progress->phase_ns = now;
}

/* "41 %  1,230 of 3,000 rows, 400/s, 4.4 s left", without what is not known. */
static struct str amounts(struct arena *arena, int64_t done, int64_t total, struct str unit,
                          double seconds)
{
    double rate = seconds > 0.05 ? (double)done / seconds : 0;
    struct str text = text_count(arena, done), of = text_count(arena, total);

    if (total > 0)
        text = arena_printf(arena, "%3.0f %%  " STR_FMT " of " STR_FMT,
                            100.0 * (double)done / (double)total, STR_ARG(text), STR_ARG(of));
    text = arena_printf(arena, STR_FMT " " STR_FMT, STR_ARG(text), STR_ARG(unit));
    if (rate >= 1) {
        struct str each = text_count(arena, (int64_t)rate);

        text = arena_printf(arena, STR_FMT ", " STR_FMT "/s", STR_ARG(text), STR_ARG(each));
    }
    if (rate > 0 && total > done) {
        struct str left = text_seconds(arena, (double)(total - done) / rate);

        text = arena_printf(arena, STR_FMT ", " STR_FMT " left", STR_ARG(text), STR_ARG(left));
    }
    return text;
}

void progress_show(struct progress *progress, struct str phase, int64_t done, int64_t total,
                   struct str unit)
{
    uint64_t now = clock_monotonic_ns();
    uint64_t every = progress->terminal ? SHOW_EVERY_TERMINAL_NS : SHOW_EVERY_LINE_NS;
    struct arena *arena;
    struct str text;

    enter_phase(progress, phase, now);
    /* What is done within a second needs no line. */
    if (now - progress->start_ns < SILENT_AT_FIRST_NS || now - progress->shown_ns < every)
        return;
    arena = arena_new();
    text = amounts(arena, done, total, unit,
                   (double)(now - progress->phase_ns) / NS_PER_SECOND);
    fprintf(stderr,
            progress->terminal ? "\r\033[K  " STR_FMT ": " STR_FMT
                               : "  " STR_FMT ": " STR_FMT "\n",
            STR_ARG(phase), STR_ARG(text));
    arena_free(arena);
    progress->shown_ns = now;
    progress->visible = progress->terminal;
}

void progress_clear(struct progress *progress)
{
    if (progress->visible)
        fputs("\r\033[K", stderr);
    progress->visible = false;
}
