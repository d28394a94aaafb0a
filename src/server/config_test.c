/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config.h"
#include "server/users_text.h"
#include "support/test.h"

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define USER(name, role) "{name: " name ", role: " role ", token_sha256: " HASH "}"

static enum status parse(struct arena *arena, const char *text, struct config *out,
                         struct error *err)
{
    return config_parse(arena, STR("onggi.yaml"), str_from(text), out, err);
}

static void assert_refused(const char *text, const char *sentence)
{
    struct arena *arena = arena_new();
    struct config config;
    struct error err;

    assert_fails(STATUS_INVALID, parse(arena, text, &config, &err));
    assert_str_contains(str_from(err.message), str_from(sentence));
    arena_free(arena);
}

TEST(an_empty_file_has_every_default)
{
    static const char *const texts[] = { "", "# nothing\n", "server:\n", "users: []\n" };
    struct arena *arena = arena_new();
    struct config config;
    struct error err;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_ok(parse(arena, texts[i], &config, &err));
        assert_str_equal(config.server.host, STR("127.0.0.1"));
        assert_int_equal(config.server.port, DEFAULT_PORT);
        assert_int_equal(config.server.head_ms, 10000);
        assert_int_equal(config.server.connections, 10000);
        assert_str_equal(config.online, STR("lmdb:.onggi/online"));
        assert_int_equal(config.user_count, 0);
    }
    arena_free(arena);
}

TEST(what_is_said_is_taken)
{
    static const char text[] = "job: {memory: 2GiB, threads: 3}\n"
                               "pipelines: {keep_runs: 7}\n"
                               "python: env/bin/python\n"
                               "server:\n"
                               "  listen: \"[::1]:9000\"\n"
                               "  hosts: [a.example, b.example]\n"
                               "  deadlines: {head: 2s, drain: 1500ms}\n"
                               "  tls: {certificate: c.pem, key: k.pem}\n"
                               "users:\n"
                               "  - " USER("anna", "approver") "\n";
    struct arena *arena = arena_new();
    struct config config;
    struct error err;

    assert_ok(parse(arena, text, &config, &err));
    assert_true(config.job_memory == (size_t)2 << 30);
    assert_int_equal(config.job_threads, 3);
    assert_int_equal(config.keep_runs, 7);
    assert_int_equal(config.keep_logs, 0);
    assert_str_equal(config.server.host, STR("::1"));
    assert_int_equal(config.server.port, 9000);
    assert_int_equal(config.server.host_count, 2);
    assert_int_equal(config.server.head_ms, 2000);
    assert_int_equal(config.server.drain_ms, 1500);
    assert_str_equal(config.server.key, STR("k.pem"));
    assert_int_equal(config.users[0].role, PERMIT_APPROVE);
    arena_free(arena);
}

TEST(what_is_wrong_is_said_with_its_place)
{
    assert_refused("sever: {}\n", "onggi.yaml:1:1: ");
    assert_refused("sever: {}\n", "server");
    assert_refused("server:\n  listen: 99999\n", "onggi.yaml:2:11: '99999' is no address");
    assert_refused("server: {listen: example.com:80}\n", "expected an IP address");
    assert_refused("job: {memory: lots}\n", "expected a size");
    assert_refused("server: {threads: -1}\n", "expected 0 to");
    assert_refused("server: {tls: {certificate: c.pem}}\n", "key");
    assert_refused("users: [{name: a, role: boss, token_sha256: " HASH "}]\n",
                   "viewer, editor");
    assert_refused("users: [{name: a, role: admin, token_sha256: abc}]\n", "64 hexadecimal");
    assert_refused("users: [" USER("a", "admin") ", " USER("a", "viewer") "]\n",
                   "two users 'a'");
    assert_refused("a: 1\n---\nb: 2\n", "second document");
}

TEST(addresses_are_read_as_people_write_them)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
    } good[] = {
        { "127.0.0.1:8470", "127.0.0.1", 8470 },
        { "[::1]:0", "::1", 0 },
        { ":80", "0.0.0.0", 80 },
        { "9000", "127.0.0.1", 9000 },
        { "localhost:1", "127.0.0.1", 1 },
    };
    static const char *const bad[] = {
        "", ":", "1.2.3.4", "1.2.3.4:65536", "1.2.3.4:-1", "a:b"
    };
    struct arena *arena = arena_new();
    struct str host;
    struct error err;
    uint16_t port;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_ok(config_listen_parse(arena, str_from(good[i].text), &host, &port, &err));
        assert_str_equal(host, str_from(good[i].host));
        assert_int_equal(port, good[i].port);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_fails(STATUS_INVALID,
                     config_listen_parse(arena, str_from(bad[i]), &host, &port, &err));
    arena_free(arena);
}

/* ---- users in the text */

TEST(a_user_is_added_and_the_rest_stays)
{
    static const struct {
        const char *before, *after;
    } cases[] = {
        { "", "users:\n  - NEW\n" },
        { "# kept\npython: p # too", "# kept\npython: p # too\nusers:\n  - NEW\n" },
        { "users: []\npython: p\n", "users:\n  - NEW\npython: p\n" },
        { "users:\n# first\n- " USER("a", "admin") "\n",
          "users:\n# first\n- NEW\n- " USER("a", "admin") "\n" },
    };
    struct arena *arena = arena_new();
    struct error err;
    struct str text;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_ok(users_text_add(arena, str_from(cases[i].before), STR("NEW"), &text, &err));
        assert_str_equal(text, str_from(cases[i].after));
    }
    assert_fails(STATUS_INVALID,
                 users_text_add(arena, STR("users: [{name: a}]\n"), STR("NEW"), &text, &err));
    arena_free(arena);
}

TEST(a_user_is_removed_and_the_rest_stays)
{
    static const char two[] =
        "a: 1\nusers:\n  - name: a\n    role: admin\n  - {name: b}\nz: 2\n";
    struct arena *arena = arena_new();
    struct error err;
    struct str text;

    assert_ok(users_text_remove(arena, str_from(two), 0, &text, &err));
    assert_str_equal(text, STR("a: 1\nusers:\n  - {name: b}\nz: 2\n"));
    assert_ok(users_text_remove(arena, text, 0, &text, &err));
    assert_str_equal(text, STR("a: 1\nz: 2\n"));
    assert_fails(STATUS_INVALID, users_text_remove(arena, text, 0, &text, &err));
    arena_free(arena);
}

TEST_MAIN(TEST_CASE(an_empty_file_has_every_default), TEST_CASE(what_is_said_is_taken),
          TEST_CASE(what_is_wrong_is_said_with_its_place),
          TEST_CASE(addresses_are_read_as_people_write_them),
          TEST_CASE(a_user_is_added_and_the_rest_stays),
          TEST_CASE(a_user_is_removed_and_the_rest_stays))
