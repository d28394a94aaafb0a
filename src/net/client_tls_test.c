/* SPDX-License-Identifier: Apache-2.0 */
#include "net/client.h"

#include "net/server.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"

#include "support/certificate.h"
#include "support/test.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#define DAY 86400L

static struct error err;
static struct arena *arena;
static char *folder;

/* ---- a server of ours behind a certificate */

static struct router *router;
static struct server *server;
static unsigned port;

static enum status on_echo(struct request *req, struct response *res, struct error *problem)
{
    (void)problem;
    return response_bytes(res, 200, "text/plain", req->body);
}

static const struct route routes[] = {
    { "GET", "/echo", on_echo, INLINE, PERMIT_ANYONE, .body_max = BODY_NONE },
    { "POST", "/echo", on_echo, INLINE, PERMIT_ANYONE, .body_max = BODY_BATCH },
    ROUTES_END,
};
static const struct door door = { .name = "test", .routes = routes };

static const char *path_of(const char *name)
{
    return arena_printf(arena, "%s/%s", folder, name).data;
}

static void serve(const char *name)
{
    struct server_config config = server_config_default();
    int listener;

    router = router_new();
    router_mount(router, &door, NULL);
    assert_ok(server_listen("127.0.0.1:0", &listener, 1, &port, &err));
    config.listeners = &listener;
    config.listener_count = 1;
    if (name != NULL) {
        config.tls.certificate = arena_printf(arena, "%s.pem", path_of(name)).data;
        config.tls.key = arena_printf(arena, "%s.key", path_of(name)).data;
    }
    assert_ok(server_start(router, &config, &server, &err));
    close(listener);
}

static void stop_serving(void)
{
    server_stop(&server);
    router_free(&router);
}

/* ---- a server that does what no server of ours would */

enum manners {
    HANG_UP,      /* closes the socket in the middle of an answer without length */
    SAY_GOOD_BYE, /* the same, with TLS's good-bye */
    ANSWER_EARLY, /* before the body of the request is here, and reads no more */
};

struct odd_server {
    pthread_t thread;
    int listener;
    const char *certificate, *key;
    enum manners manners;
    int connections; /* so many, one after the other */
    int resumed;     /* of these */
};

static void answer_oddly(const struct odd_server *odd, SSL *ssl)
{
    static const char endless[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf";
    static const char early[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly";
    char bytes[512];

    if (SSL_accept(ssl) != 1 || SSL_read(ssl, bytes, sizeof(bytes)) <= 0)
        return;
    if (odd->manners == ANSWER_EARLY)
        SSL_write(ssl, early, sizeof(early) - 1);
    else
        SSL_write(ssl, endless, sizeof(endless) - 1);
    if (odd->manners == SAY_GOOD_BYE)
        SSL_shutdown(ssl);
}

static void *odd_main(void *argument)
{
    struct odd_server *odd = argument;
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    int kept[8], kept_count = 0;

    /* Without them every handshake fails, which is seen. */
    (void)SSL_CTX_use_certificate_file(context, odd->certificate, SSL_FILETYPE_PEM);
    (void)SSL_CTX_use_PrivateKey_file(context, odd->key, SSL_FILETYPE_PEM);
    for (int i = 0; i < odd->connections; i++) {
        SSL *ssl = SSL_new(context);
        int fd = accept(odd->listener, NULL, NULL), on = 1;

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        SSL_set_fd(ssl, fd);
        answer_oddly(odd, ssl);
        odd->resumed += SSL_session_reused(ssl);
        SSL_free(ssl);
        if (odd->manners == ANSWER_EARLY)
            kept[kept_count++] = fd; /* what it did not read stays unread */
        else
            close(fd);
    }
    while (kept_count > 0)
        close(kept[--kept_count]);
    SSL_CTX_free(context);
    return NULL;
}

static void serve_oddly(struct odd_server *odd)
{
    odd->certificate = path_of("good.pem");
    odd->key = path_of("good.key");
    assert_ok(server_listen("127.0.0.1:0", &odd->listener, 1, &port, &err));
    assert_int_equal(listen(odd->listener, 8), 0);
    assert_int_equal(fcntl(odd->listener, F_SETFL, 0), 0); /* accept() waits */
    assert_int_equal(pthread_create(&odd->thread, NULL, odd_main, odd), 0);
}

static void stop_odd(struct odd_server *odd)
{
    pthread_join(odd->thread, NULL);
    close(odd->listener);
}

/* ---- the client */

static uv_loop_t loop;
static struct http_client *client;

struct outcome {
    int answers;
    int code; /* 0: none */
    struct buffer body;
    struct error err;
};

static void on_done(void *context, const struct http_answer *answer,
                    const struct error *problem)
{
    struct outcome *outcome = context;

    outcome->answers++;
    outcome->code = answer == NULL ? 0 : answer->code;
    buffer_clear(&outcome->body);
    if (answer == NULL)
        outcome->err = *problem;
    else
        buffer_append(&outcome->body, answer->body);
}

static const char *url(const char *host)
{
    return arena_printf(arena, "https://%s:%u/echo", host, port).data;
}

#define assert_answered(outcome) \
    do { \
        if ((outcome)->code != 200) \
            fail_msg("no answer: %s", (outcome)->err.message); \
    } while (0)

static void ask(const char *text, const struct http_options *options, struct outcome *outcome)
{
    int before = outcome->answers;

    http_client_call(client, text, options, on_done, outcome);
    while (outcome->answers == before)
        uv_run(&loop, UV_RUN_ONCE);
}

static struct http_options trusting(void)
{
    return (struct http_options){ .ca_file = path_of("authority.pem"), .timeout_ms = 20000 };
}

static void refused_with(const char *host, const char *ca_file, const char *sentence)
{
    const struct http_options options = { .ca_file = ca_file, .timeout_ms = 20000 };
    struct outcome outcome = { 0 };
    struct http_answer answer;

    ask(url(host), &options, &outcome);
    assert_int_equal(outcome.code, 0);
    assert_int_equal(outcome.err.status, STATUS_UNAVAILABLE);
    assert_str_contains(str_from(outcome.err.message), str_from(sentence));
    assert_str_contains(str_from(outcome.err.message), str_from(host));
    /* The client that blocks says the same. */
    assert_fails(STATUS_UNAVAILABLE, http_call(arena, url(host), &options, &answer, &err));
    assert_str_contains(str_from(err.message), str_from(sentence));
    assert_str_contains(str_from(err.message), str_from(host));
    buffer_free(&outcome.body);
}

static int set_up(void **state)
{
    const struct http_client_config config = { .connections_max = 2 };

    (void)state;
    uv_loop_init(&loop);
    client = http_client_new(&loop, &config);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    http_client_free(&client);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

TEST(calls_over_tls_share_connections)
{
    struct http_options options = trusting();
    struct outcome outcome = { 0 };

    serve("good");
    options.body = STR("x");
    for (int i = 0; i < 50; i++)
        http_client_call(client, url(i % 2 ? "localhost" : "127.0.0.1"), &options, on_done,
                         &outcome);
    while (outcome.answers < 50)
        uv_run(&loop, UV_RUN_ONCE);
    assert_answered(&outcome);
    assert_str_equal(buffer_str(&outcome.body), STR("x"));
    assert_int_equal(server_connections(server), 4); /* two hosts, two each */
    stop_serving();
    buffer_free(&outcome.body);
}

TEST(large_bodies_go_both_ways)
{
    size_t size = 20 << 20;
    char *content = arena_alloc(arena, size);
    struct http_options options = trusting();
    struct outcome outcome = { 0 };

    for (size_t i = 0; i < size; i++)
        content[i] = (char)(i * 31 + i / 251);
    serve("good");
    options.body = (struct str){ content, size };
    ask(url("localhost"), &options, &outcome);
    assert_true(str_equal(buffer_str(&outcome.body), options.body));
    stop_serving();
    buffer_free(&outcome.body);
}

TEST(who_is_not_who_they_should_be_is_refused)
{
    const char *authority = path_of("authority.pem");

    serve("elsewhere");
    refused_with("localhost", authority, "the certificate is for another name");
    refused_with("127.0.0.1", authority, "the certificate is for another name");
    stop_serving();
    serve("expired");
    refused_with("localhost", authority, "the certificate has expired");
    stop_serving();
    serve("tomorrow");
    refused_with("localhost", authority, "the certificate is not valid yet");
    stop_serving();
    serve("alone");
    refused_with("localhost", authority,
                 "a self-signed certificate; to trust it, give it as ca_file");
    stop_serving();
    serve("good");
    refused_with("localhost", NULL, "signed by nobody who is trusted here");
    stop_serving();
    serve(NULL);
    refused_with("localhost", authority, "does not speak TLS");
    stop_serving();
}

TEST(a_certificate_that_is_given_is_trusted)
{
    struct http_options options = { .ca_file = path_of("alone.pem") };
    struct outcome outcome = { 0 };

    serve("alone");
    ask(url("localhost"), &options, &outcome);
    assert_answered(&outcome);
    /* And by those calls only that give it: trust is not shared with other calls to this host. */
    options.ca_file = path_of("authority.pem");
    ask(url("localhost"), &options, &outcome);
    assert_int_equal(outcome.code, 0);
    options.ca_file = path_of("nowhere.pem");
    ask(url("localhost"), &options, &outcome);
    assert_int_equal(outcome.err.status, STATUS_INVALID);
    assert_str_contains(str_from(outcome.err.message), STR("nowhere.pem"));
    stop_serving();
    buffer_free(&outcome.body);
}

TEST(an_answer_without_an_end_is_cut_off)
{
    struct odd_server odd = { .manners = HANG_UP, .connections = 1 };
    const struct http_options options = trusting();
    struct outcome outcome = { 0 };

    serve_oddly(&odd);
    ask(url("localhost"), &options, &outcome);
    assert_int_equal(outcome.code, 0);
    assert_int_equal(outcome.err.status, STATUS_UNAVAILABLE);
    assert_str_contains(str_from(outcome.err.message), STR("hung up without saying so"));
    stop_odd(&odd);
    odd.manners = SAY_GOOD_BYE;
    serve_oddly(&odd);
    ask(url("localhost"), &options, &outcome);
    assert_answered(&outcome);
    assert_str_equal(buffer_str(&outcome.body), STR("half"));
    stop_odd(&odd);
    buffer_free(&outcome.body);
}

TEST(the_second_handshake_is_a_short_one)
{
    struct odd_server odd = { .manners = SAY_GOOD_BYE, .connections = 3 };
    const struct http_options options = trusting();
    struct outcome outcome = { 0 };

    serve_oddly(&odd);
    for (int i = 0; i < 3; i++) {
        ask(url("localhost"), &options, &outcome);
        assert_answered(&outcome);
    }
    stop_odd(&odd);
    assert_int_equal(odd.resumed, 2);
    buffer_free(&outcome.body);
}

/* The rest of the body must neither be sent from freed memory nor run into the next request. */
TEST(who_answers_before_all_is_asked_is_not_asked_again)
{
    struct odd_server odd = { .manners = ANSWER_EARLY, .connections = 2 };
    struct http_options options = trusting();
    struct outcome outcome = { 0 };
    size_t size = 40 << 20;

    options.body = (struct str){ arena_alloc(arena, size), size };
    serve_oddly(&odd);
    for (int i = 0; i < 2; i++) {
        ask(url("localhost"), &options, &outcome);
        assert_answered(&outcome);
        assert_str_equal(buffer_str(&outcome.body), STR("early"));
    }
    stop_odd(&odd);
    buffer_free(&outcome.body);
}

TEST(a_handshake_that_takes_too_long_is_given_up)
{
    struct http_options options = { .connect_ms = 150 };
    struct outcome outcome = { 0 };
    uint64_t start_ns = clock_monotonic_ns();
    int listener;

    assert_ok(server_listen("127.0.0.1:0", &listener, 1, &port, &err));
    assert_int_equal(listen(listener, 8), 0);
    ask(url("127.0.0.1"), &options, &outcome);
    assert_int_equal(outcome.err.status, STATUS_TIMEOUT);
    assert_str_contains(str_from(outcome.err.message), STR("TLS handshake: no answer in time"));
    options = (struct http_options){ .timeout_ms = 150 };
    ask(url("127.0.0.1"), &options, &outcome);
    assert_int_equal(outcome.err.status, STATUS_TIMEOUT);
    assert_true(clock_monotonic_ns() - start_ns < UINT64_C(4000000000));
    /* And one that is under way when the client ends is told. */
    http_client_call(client, url("127.0.0.1"), &options, on_done, &outcome);
    for (int i = 0; i < 5; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    http_client_free(&client);
    assert_int_equal(outcome.answers, 3);
    close(listener);
}

static int make_certificates(void **state)
{
    const char *issuer, *names = "DNS:localhost,IP:127.0.0.1";

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    arena = arena_new();
    folder = test_folder();
    issuer = path_of("authority");
    test_certificate_write(issuer, &(struct test_certificate){ NULL, -DAY, DAY, true, NULL });
    test_certificate_write(path_of("good"),
                           &(struct test_certificate){ names, -DAY, DAY, false, issuer });
    test_certificate_write(path_of("expired"),
                           &(struct test_certificate){ names, -2 * DAY, -DAY, false, issuer });
    test_certificate_write(path_of("tomorrow"),
                           &(struct test_certificate){ names, DAY, 2 * DAY, false, issuer });
    test_certificate_write(path_of("alone"),
                           &(struct test_certificate){ names, -DAY, DAY, false, NULL });
    test_certificate_write(
        path_of("elsewhere"),
        &(struct test_certificate){ "DNS:example.com,IP:192.0.2.1", -DAY, DAY, false, issuer });
    return 0;
}

static int remove_certificates(void **state)
{
    (void)state;
    assert_ok(folder_remove(folder, &err));
    free(folder);
    arena_free(arena);
    return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(calls_over_tls_share_connections),
        CASE(large_bodies_go_both_ways),
        CASE(who_is_not_who_they_should_be_is_refused),
        CASE(a_certificate_that_is_given_is_trusted),
        CASE(an_answer_without_an_end_is_cut_off),
        CASE(the_second_handshake_is_a_short_one),
        CASE(who_answers_before_all_is_asked_is_not_asked_again),
        CASE(a_handshake_that_takes_too_long_is_given_up),
    };

    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
