/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include "cli/terminal.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Of the first write to stdout that failed; later ones fail by it. */
static int output_error;

struct str json_text(struct arena *arena, yyjson_val *value)
{
    if (value == NULL || yyjson_is_null(value))
        return STR("-");
    if (yyjson_is_real(value))
        return arena_printf(arena, "%.6g", yyjson_get_real(value));
    return text_on_line(arena,
                        yyjson_is_str(value) ? json_str(value) : json_write(arena, value));
}

struct str json_field_text(struct arena *arena, yyjson_val *object, const char *key)
{
    return json_text(arena, json_find(object, str_from(key)));
}

const char *cli_text(struct cli *cli, yyjson_val *value)
{
    return arena_cstr(cli->arena, json_text(cli->arena, value));
}

const char *cli_field(struct cli *cli, yyjson_val *object, const char *key)
{
    return cli_text(cli, json_find(object, str_from(key)));
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

static void note_failure(void)
{
    if (output_error == 0 && ferror(stdout))
        output_error = errno != 0 ? errno : EIO;
}

void output_flush(void)
{
    if (fflush(stdout) != 0)
        note_failure();
}

void print_text(struct str text)
{
    if (text.len > 0 && fwrite(text.data, 1, text.len, stdout) != text.len)
        note_failure();
}

void print_json(struct cli *cli, yyjson_val *value)
{
    print_text(value == NULL ? STR("null") : json_write(cli->arena, value));
    print_text(STR("\n"));
}

void print_json_mut(struct cli *cli, const yyjson_mut_val *value)
{
    print_text(json_mut_write(cli->arena, value));
    print_text(STR("\n"));
}

void print_json_pretty(struct cli *cli, yyjson_val *value)
{
    yyjson_mut_doc *doc = json_mut_doc(cli->arena);

    print_text(json_mut_write_pretty(cli->arena, yyjson_val_mut_copy(doc, value)));
    print_text(STR("\n"));
}

void print_log(struct str text)
{
    struct arena *arena = arena_new();

    print_text(isatty(STDOUT_FILENO) == 1 ? text_of_lines(arena, text) : text);
    arena_free(arena);
}

static struct str format_line(struct arena *arena, const char *format, va_list args)
    PRINTF_LIKE(2, 0);

static struct str format_line(struct arena *arena, const char *format, va_list args)
{
    char *text = NULL;
    struct str line;

    if (vasprintf(&text, format, args) < 0)
        abort();
    line = arena_str(arena, text_of_lines(arena, str_from(text)));
    free(text);
    return line;
}

void print_line(const char *format, ...)
{
    struct arena *arena = arena_new();
    va_list args;

    va_start(args, format);
    print_text(format_line(arena, format, args));
    va_end(args);
    print_text(STR("\n"));
    output_flush();
    arena_free(arena);
}

void print_note(const char *format, ...)
{
    struct arena *arena = arena_new();
    struct str line;
    va_list args;

    output_flush();
    va_start(args, format);
    line = format_line(arena, format, args);
    va_end(args);
    fprintf(stderr, STR_FMT "\n", STR_ARG(line));
    arena_free(arena);
}

bool output_is_wanted(void)
{
    struct pollfd out = { .fd = STDOUT_FILENO };

    /* The writing end of a pipe that nobody reads any more says so without a write. */
    return output_error == 0 && (poll(&out, 1, 0) <= 0 || (out.revents & POLLERR) == 0);
}

enum status output_is_unwanted(struct cli *cli, struct error *err)
{
    cli->exit_code = EXIT_FAILED;
    *err = (struct error){ .status = STATUS_UNAVAILABLE };
    return STATUS_UNAVAILABLE;
}

int output_finish(void)
{
    output_flush();
    return output_error;
}
