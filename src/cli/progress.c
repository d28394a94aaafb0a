/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include "base/clock.h"
#include "cli/output.h"
#include "cli/terminal.h"

#include <stdio.h>
#include <unistd.h>

#define NS_PER_SECOND 1000000000.0
#define SHOW_EVERY_TERMINAL_NS 100000000u
#define SHOW_EVERY_LINE_NS 5000000000u
#define SILENT_AT_FIRST_NS 1000000000u
#define WAIT_EVERY_NS 1000000000u

void progress_init(struct progress *progress)
{
    *progress = (struct progress){ .terminal = terminal_moves(STDERR_FILENO) };
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

/* A line that wraps could not be taken away again. */
static void show_line(struct progress *progress, struct str text)
{
    if (progress->terminal)
        text = text_cut(text, terminal_columns(STDERR_FILENO) - 1);
    fprintf(stderr, progress->terminal ? "\r\033[K" STR_FMT : STR_FMT "\n", STR_ARG(text));
    progress->visible = progress->terminal;
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
    text = arena_printf(arena, "  " STR_FMT ": " STR_FMT, STR_ARG(phase), STR_ARG(text));
    show_line(progress, text_on_line(arena, text));
    arena_free(arena);
    progress->shown_ns = now;
}

void progress_wait(struct progress *progress, struct str phase, double seconds)
{
    uint64_t now = clock_monotonic_ns();
    struct arena *arena;
    struct str text;

    if (!progress->terminal || seconds < 1 || now - progress->shown_ns < WAIT_EVERY_NS)
        return;
    arena = arena_new();
    text = text_seconds(arena, seconds);
    show_line(progress, text_on_line(arena, arena_printf(arena, "  " STR_FMT ": " STR_FMT,
                                                         STR_ARG(phase), STR_ARG(text))));
    arena_free(arena);
    progress->shown_ns = now;
}

void progress_clear(struct progress *progress)
{
    if (progress->visible)
        fputs("\r\033[K", stderr);
    progress->visible = false;
}
