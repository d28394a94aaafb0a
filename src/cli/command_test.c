/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"
#include "cli/output.h"
#include "support/test.h"

static const struct command_option get_options[] = {
    { "service", "NAME", "whose", true },
    { "explain", NULL, "why", false },
    { 0 },
};
static const struct command some[] = {
    { "apply", "", "record", "onggi apply", NULL, 0, 0, ACCESS_WRITE, false, NULL },
    { "features get", "k=v …", "read", "", get_options, 0, -1, ACCESS_READ, false, NULL },
    { "features list", "", "all", "", NULL, 0, 0, ACCESS_READ, false, NULL },
    { "runs list", "", "all", "", NULL, 0, 0, ACCESS_READ, false, NULL },
    { "predict", "ENDPOINT", "ask", "", NULL, 1, 1, ACCESS_READ, false, NULL },
    COMMANDS_END,
};
static const struct command *const tables[] = { some, NULL };

static enum status parse(struct arena *arena, const char *words, struct command_line *line,
                         struct error *err)
{
    struct str rest = str_from(words), word;
    char **argv = ARENA_ARRAY(arena, char *, 32);
    int argc = 0;

    argv[argc++] = arena_cstr(arena, STR("onggi"));
    while (str_split(&rest, ' ', &word))
        argv[argc++] = arena_cstr(arena, word);
    return command_line_parse(arena, tables, argc, argv, line, err);
}

static void assert_usage(const char *words, const char *sentence)
{
    struct arena *arena = arena_new();
    struct command_line line;
    struct error err;

    assert_fails(STATUS_INVALID, parse(arena, words, &line, &err));
    assert_str_contains(str_from(err.message), str_from(sentence));
    arena_free(arena);
}

TEST(flags_may_stand_anywhere)
{
    static const char *const same[] = {
        "features get --service s a=1 b=2 --json",
        "--json features get a=1 --service=s b=2",
        "--project p features get a=1 b=2 --service other --service s --json",
    };
    struct arena *arena = arena_new();
    struct command_line line;
    struct error err;

    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        assert_ok(parse(arena, same[i], &line, &err));
        assert_string_equal(line.command->name, "features get");
        assert_int_equal(line.arg_count, 2);
        assert_str_equal(line.args[1], STR("b=2"));
        assert_str_equal(command_line_option(&line, "service"), STR("s"));
        assert_str_equal(command_line_option(&line, "json"), STR("true"));
        assert_str_equal(command_line_option(&line, "explain"), STR_EMPTY);
    }
    assert_ok(parse(arena, "predict -- --odd", &line, &err));
    assert_str_equal(line.args[0], STR("--odd"));
    arena_free(arena);
}

TEST(help_is_found_everywhere)
{
    struct arena *arena = arena_new();
    struct command_line line;
    struct error err;

    assert_ok(parse(arena, "help features get", &line, &err));
    assert_true(line.help && line.command == &some[1]);
    assert_ok(parse(arena, "apply -h", &line, &err));
    assert_true(line.help && line.command == &some[0]);
    assert_ok(parse(arena, "features", &line, &err));
    assert_true(line.help && line.command == NULL);
    assert_str_contains(command_help(arena, tables, &line), STR("features list"));
    assert_ok(parse(arena, "features get --help", &line, &err));
    assert_str_contains(command_help(arena, tables, &line), STR("--service NAME"));
    arena_free(arena);
}

TEST(mistakes_are_told_with_what_was_meant)
{
    assert_usage("aply", "did you mean 'onggi apply'?");
    assert_usage("features gte", "did you mean 'onggi features get'?");
    assert_usage("features get --sevice x", "did you mean '--service'?");
    assert_usage("features get --service", "needs a value: --service NAME");
    assert_usage("features get --service --json", "needs a value: --service NAME");
    assert_usage("features get a=1", "'onggi features get' needs --service NAME: whose");
    assert_usage("get a=1", "did you mean 'onggi features get'?");
    assert_usage("lst", "did you mean 'onggi features list' or 'onggi runs list'?");
    assert_usage("feature get", "did you mean 'onggi features get'?");
    assert_usage("runs get", "did you mean 'onggi features get'?");
    assert_usage("--colour", "see 'onggi --help'");
    assert_usage("apply --colour", "see 'onggi apply --help'");
    assert_usage("features get --explain=yes", "takes no value");
    assert_usage("apply now", "'now' is one argument too many");
    assert_usage("predict", "usage: onggi predict ENDPOINT");
}

TEST(a_version_needs_no_command)
{
    static const char *const ways[] = { "--version", "-v", "-V", "--version --json",
                                        "--json -v" };
    struct arena *arena = arena_new();
    struct command_line line;
    struct error err;

    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        assert_ok(parse(arena, ways[i], &line, &err));
        assert_true(line.version && line.command == NULL);
    }
    assert_ok(parse(arena, "-h", &line, &err));
    assert_true(line.help);
    /* It would be taken for the version of what the command is about. */
    assert_usage("predict x --version", "there is no option '--version'");
    arena_free(arena);
}

TEST(numbers_are_read_easily)
{
    struct arena *arena = arena_new();

    assert_str_equal(text_count(arena, 1234567), STR("1,234,567"));
    assert_str_equal(text_count(arena, -1000), STR("-1,000"));
    assert_str_equal(text_count(arena, 999), STR("999"));
    assert_str_equal(text_seconds(arena, 0.0123), STR("12 ms"));
    assert_str_equal(text_seconds(arena, 83), STR("1 m 23 s"));
    assert_str_equal(text_bytes(arena, 1500000), STR("1.5 MB"));
    arena_free(arena);
}

TEST_MAIN(TEST_CASE(flags_may_stand_anywhere), TEST_CASE(help_is_found_everywhere),
          TEST_CASE(mistakes_are_told_with_what_was_meant),
          TEST_CASE(a_version_needs_no_command), TEST_CASE(numbers_are_read_easily))
