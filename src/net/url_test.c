/* SPDX-License-Identifier: Apache-2.0 */
#include "net/url.h"

#include "support/test.h"

static struct error err;

static struct url_target parsed(struct arena *arena, const char *text)
{
    struct url_target target = { 0 };

    assert_ok(url_target_parse(arena, str_from(text), &target, &err));
    return target;
}

TEST(target_splits_into_segments_and_query)
{
    struct arena *arena = arena_new();
    struct url_target target = parsed(arena, "/api/v1/a%20b?x=1&y=a+b%2Bc&flag&=e");

    assert_int_equal(target.segment_count, 3);
    assert_str_equal(target.segments[2], STR("a b"));
    assert_str_equal(target.path, STR("/api/v1/a b"));
    assert_str_equal(target.raw_query, STR("x=1&y=a+b%2Bc&flag&=e"));
    assert_int_equal(target.query_count, 4);
    assert_str_equal(target.query[1].value, STR("a b+c"));
    assert_str_equal(target.query[2].name, STR("flag"));
    assert_str_equal(target.query[2].value, STR_EMPTY);
    assert_str_equal(target.query[3].name, STR_EMPTY);
    arena_free(arena);
}

TEST(root_is_one_empty_segment)
{
    struct arena *arena = arena_new();
    struct url_target target = parsed(arena, "/");

    assert_int_equal(target.segment_count, 1);
    assert_str_equal(target.segments[0], STR_EMPTY);
    arena_free(arena);
}

TEST(an_encoded_slash_stays_in_its_segment)
{
    struct arena *arena = arena_new();
    struct url_target target = parsed(arena, "/models/a%2Fb/infer");

    assert_int_equal(target.segment_count, 3);
    assert_str_equal(target.segments[1], STR("a/b"));
    arena_free(arena);
}

TEST(decoding_happens_once)
{
    struct arena *arena = arena_new();
    struct url_target target = parsed(arena, "/a%2525");

    assert_str_equal(target.segments[0], STR("a%25"));
    arena_free(arena);
}

TEST(what_is_ambiguous_is_refused)
{
    static const char *const bad[] = {
        "",        "a",    "*",         "/%",       "/%4",         "/%zz",      "/%00",
        "/a/../b", "/.",   "/%2e%2e/b", "/a/%2E",   "/a b",        "/\xC3\xA4", "/%C3",
        "/%ff",    "/a#b", "/a?b=%",    "/a?b=%00", "/a?%c0%af=1", "/a\tb",     "http://h/",
    };
    struct arena *arena = arena_new();

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct url_target target;

        if (url_target_parse(arena, str_from(bad[i]), &target, &err) != STATUS_INVALID)
            fail_msg("'%s' was taken", bad[i]);
    }
    arena_free(arena);
}

TEST(too_many_segments_and_parameters_are_refused)
{
    struct arena *arena = arena_new();
    char text[2048] = "/";
    struct url_target target;

    for (int i = 0; i < URL_SEGMENTS_MAX; i++)
        /* NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.strcpy): text has room for it */
        strcat(text, "a/");
    assert_fails(STATUS_INVALID, url_target_parse(arena, str_from(text), &target, &err));
    strcpy(text, "/?");
    for (int i = 0; i <= URL_QUERY_MAX; i++)
        /* NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.strcpy): text has room for it */
        strcat(text, "a=b&");
    assert_fails(STATUS_INVALID, url_target_parse(arena, str_from(text), &target, &err));
    arena_free(arena);
}

TEST(encoding_round_trips)
{
    struct arena *arena = arena_new();
    struct str text = STR("a b/c?d=ä&e+%"), back;
    struct str encoded = url_encode(arena, text);

    assert_str_equal(encoded, STR("a%20b%2Fc%3Fd%3D%C3%A4%26e%2B%25"));
    assert_ok(url_decode(arena, encoded, true, &back, &err));
    assert_str_equal(back, text);
    arena_free(arena);
}

TEST_MAIN(TEST_CASE(target_splits_into_segments_and_query),
          TEST_CASE(root_is_one_empty_segment),
          TEST_CASE(an_encoded_slash_stays_in_its_segment), TEST_CASE(decoding_happens_once),
          TEST_CASE(what_is_ambiguous_is_refused),
          TEST_CASE(too_many_segments_and_parameters_are_refused),
          TEST_CASE(encoding_round_trips))
