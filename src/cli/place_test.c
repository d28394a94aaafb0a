/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/place.h"
#include "support/test.h"

#include <unistd.h>

TEST(a_path_is_written_from_where_one_stands)
{
    static const struct {
        const char *folder, *to, *expected;
    } cases[] = {
        { "/a/build/demo/flights", "/a/build/release/onggi", "../../release/onggi" },
        { "/a/b", "/a/b/c", "c" },
        { "/a/b", "/a/b", "." },
        { "/a/b/c", "/a/b", "../" },
        { "/a/bc", "/a/b", "../b" },
        { "/a/b", "/c/d", "/c/d" }, /* the root alone is no neighbourhood */
        { "/", "/c/d", "/c/d" },
    };
    struct arena *arena = arena_new();

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_str_equal(place_from(arena, str_from(cases[i].folder), str_from(cases[i].to)),
                         str_from(cases[i].expected));
    arena_free(arena);
}

TEST(a_path_is_made_absolute_and_plain)
{
    struct arena *arena = arena_new();
    char here[4096];

    assert_non_null(getcwd(here, sizeof(here)));
    assert_str_equal(place_absolute(arena, STR("/a//b/./../c/")), STR("/a/c"));
    assert_str_equal(place_absolute(arena, STR("/../..")), STR("/"));
    assert_str_equal(place_absolute(arena, STR("x/../y")), arena_printf(arena, "%s/y", here));
    assert_str_equal(place_from_here(arena, arena_printf(arena, "%s/y/z", here)), STR("y/z"));
    assert_str_equal(place_from_here(arena, STR("/elsewhere")), STR("/elsewhere"));
    arena_free(arena);
}

TEST(a_shell_takes_it_as_one_word)
{
    struct arena *arena = arena_new();

    assert_str_equal(place_in_shell(arena, STR("../a-b/c.1")), STR("../a-b/c.1"));
    assert_str_equal(place_in_shell(arena, STR("my flights")), STR("'my flights'"));
    assert_str_equal(place_in_shell(arena, STR("it's")), STR("'it'\\''s'"));
    arena_free(arena);
}

TEST(the_program_is_called_as_it_was)
{
    struct cli cli = { .arena = arena_new(), .called = "onggi" };

    assert_str_equal(place_command(&cli, STR("/a/b")), STR("onggi"));
    cli.called = "/a/bin/onggi";
    assert_str_equal(place_command(&cli, STR("/a/b")), STR("../bin/onggi"));
    assert_str_equal(place_command(&cli, STR("/a/bin")), STR("./onggi"));
    assert_str_equal(place_command(&cli, STR("/c")), STR("/a/bin/onggi"));
    arena_free(cli.arena);
}

TEST_MAIN(TEST_CASE(a_path_is_written_from_where_one_stands),
          TEST_CASE(a_path_is_made_absolute_and_plain), TEST_CASE(a_shell_takes_it_as_one_word),
          TEST_CASE(the_program_is_called_as_it_was))
