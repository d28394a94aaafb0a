/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "support/test.h"

#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS 40

TEST(widths_are_those_of_a_terminal)
{
    assert_int_equal(text_width(STR("abc")), 3);
    assert_int_equal(text_width(STR("µs …")), 4);
    assert_int_equal(text_width(STR_EMPTY), 0);
    assert_int_equal(text_width(STR("a\xff\xe2")), 3);
}

TEST(a_line_is_cut_between_characters)
{
    assert_str_equal(text_cut(STR("12 µs"), 4), STR("12 µ"));
    assert_str_equal(text_cut(STR("12 µs"), 80), STR("12 µs"));
    assert_str_equal(text_cut(STR("12"), 0), STR_EMPTY);
}

TEST(what_a_terminal_would_obey_is_shown)
{
    static const char right_to_left[] = { '\xe2', '\x80', '\xae', 'x' };
    struct arena *arena = arena_new();
    struct str plain = STR("größer, 8 µs, 漢字");

    assert_ptr_equal(text_on_line(arena, plain).data, plain.data);
    assert_str_equal(text_on_line(arena, STR("a\033[2Kb\r\n\tc\x7f")),
                     STR("a\\x1b[2Kb\\r\\n\\tc\\x7f"));
    assert_str_equal(text_on_line(arena, STR("\xc2\x9b"
                                             "31m")),
                     STR("\\x9b31m"));
    assert_str_equal(text_on_line(arena, (struct str){ right_to_left, sizeof(right_to_left) }),
                     STR("\\u202ex"));
    assert_str_equal(text_on_line(arena, STR("\xff\xe2\x82")), STR("\\xff\\xe2\\x82"));
    assert_str_equal(text_of_lines(arena, STR("a\n\tb\033c")), STR("a\n\tb\\x1bc"));
    arena_free(arena);
}

TEST(a_value_is_one_line)
{
    struct arena *arena = arena_new();
    yyjson_val *json;
    struct error err;

    assert_ok(
        json_parse(arena, STR("{\"reason\": \"fine\\nREJECTED\\u001b[1A\"}"), &json, &err));
    assert_str_equal(json_field_text(arena, json, "reason"), STR("fine\\nREJECTED\\x1b[1A"));
    arena_free(arena);
}

/* What a second of work shows on this stderr. */
static struct str progress_on(struct arena *arena, int to, int from)
{
    int kept = dup(STDERR_FILENO);
    struct progress progress;
    char text[512];
    ssize_t len;

    if (kept < 0 || dup2(to, STDERR_FILENO) < 0)
        abort();
    progress_init(&progress);
    progress.start_ns = progress.shown_ns = progress.phase_ns = 0;
    progress_show(&progress, STR("a phase\nwith a long name µ"), 123456, 7890123, STR("rows"));
    progress_clear(&progress);
    len = read(from, text, sizeof(text));
    if (dup2(kept, STDERR_FILENO) < 0)
        abort();
    close(kept);
    assert_true(len > 0);
    return arena_str(arena, (struct str){ text, (size_t)len });
}

TEST(progress_keeps_to_one_line_of_the_terminal)
{
    const struct winsize size = { .ws_row = 24, .ws_col = COLUMNS };
    struct str start = STR("\r\033[K"), shown;
    struct arena *arena = arena_new();
    int terminal, other;

    assert_int_equal(setenv("TERM", "xterm", 1), 0);
    assert_int_equal(openpty(&terminal, &other, NULL, NULL, &size), 0);
    shown = progress_on(arena, other, terminal);
    assert_true(str_starts(shown, start) && str_ends(shown, start));
    shown = str_slice(shown, start.len, shown.len - start.len);
    assert_int_equal(text_width(shown), COLUMNS - 1);
    assert_str_contains(shown, STR("a phase\\nwith"));
    /* A terminal that cannot take a line back is spoken to as a file is. */
    assert_int_equal(setenv("TERM", "dumb", 1), 0);
    shown = progress_on(arena, other, terminal);
    assert_int_equal(str_index(shown, '\033'), shown.len);
    close(terminal);
    close(other);
    arena_free(arena);
}

TEST(progress_gives_a_file_whole_lines)
{
    struct arena *arena = arena_new();
    struct str shown;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    shown = progress_on(arena, ends[1], ends[0]);
    assert_true(str_ends(shown, STR("\n")) && text_width(shown) > COLUMNS);
    assert_int_equal(str_index(shown, '\033'), shown.len);
    assert_int_equal(str_index(shown, '\r'), shown.len);
    close(ends[0]);
    close(ends[1]);
    arena_free(arena);
}

TEST_MAIN(TEST_CASE(widths_are_those_of_a_terminal),
          TEST_CASE(a_line_is_cut_between_characters),
          TEST_CASE(what_a_terminal_would_obey_is_shown), TEST_CASE(a_value_is_one_line),
          TEST_CASE(progress_keeps_to_one_line_of_the_terminal),
          TEST_CASE(progress_gives_a_file_whole_lines))
