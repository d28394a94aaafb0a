/* SPDX-License-Identifier: Apache-2.0 */
#include "net/client.h"

#include "net/event_reader.h"
#include "net/server.h"

#include "base/file.h"

#include "support/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static struct error err;
static struct arena *arena;
static struct router *router;
static struct server *server;
static char base[64];

static enum status on_echo(struct request *req, struct response *res, struct error *problem)
{
    (void)problem;
    response_header(res, "X-Ignored", STR("x"));
    return response_bytes(res, 200, "text/plain",
                          arena_printf(req->arena, STR_FMT " " STR_FMT " " STR_FMT " " STR_FMT,
                                       STR_ARG(req->method), STR_ARG(req->path),
                                       STR_ARG(req->body),
                                       STR_ARG(request_header(req, "Authorization"))));
}

static enum status on_upload(struct request *req, struct response *res, struct error *problem)
{
    if (req->body_file == NULL)
        return error_set(problem, STATUS_INVALID, "no file came");
    return response_file(res, 200, "application/octet-stream", req->body_file, false, problem);
}

static enum status on_events(struct request *req, struct response *res, struct error *problem)
{
    (void)req;
    for (int i = 0; i < 3; i++)
        TRY(response_event(res, "tick", arena_printf(req->arena, "%d", i), problem));
    return error_set(problem, STATUS_CONFLICT, "the end");
}

static enum status on_sleep(struct request *req, struct response *res, struct error *problem)
{
    (void)problem;
    while (!request_is_abandoned(req))
        usleep(5000);
    return response_empty(res, 204);
}

static const struct route routes[] = {
    { "GET", "/echo", on_echo, INLINE, PERMIT_ANYONE, .body_max = BODY_NONE },
    { "POST", "/echo", on_echo, INLINE, PERMIT_ANYONE, .body_max = BODY_SMALL },
    { "POST", "/upload", on_upload, DEFERRED, PERMIT_ANYONE, .body_max = BODY_FILE },
    { "GET", "/events", on_events, DEFERRED, PERMIT_ANYONE, .body_max = BODY_NONE },
    { "GET", "/sleep", on_sleep, DEFERRED, PERMIT_ANYONE, .body_max = BODY_NONE },
    ROUTES_END,
};
static const struct door door = { .name = "test", .routes = routes };

static int set_up(void **state)
{
    struct server_config config = server_config_default();
    int listener;
    unsigned port;

    (void)state;
    arena = arena_new();
    router = router_new();
    router_mount(router, &door, NULL);
    assert_ok(server_listen("127.0.0.1:0", &listener, 1, &port, &err));
    config.listeners = &listener;
    config.listener_count = 1;
    assert_ok(server_start(router, &config, &server, &err));
    close(listener);
    snprintf(base, sizeof(base), "http://127.0.0.1:%u", port);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    server_stop(&server);
    router_free(&router);
    arena_free(arena);
    return 0;
}

static const char *url(const char *path)
{
    return arena_printf(arena, "%s%s", base, path).data;
}

TEST(a_get_and_a_post)
{
    struct http_options options = { 0 };
    struct http_answer answer;

    assert_ok(http_call(arena, url("/echo?a=b"), &options, &answer, &err));
    assert_int_equal(answer.code, 200);
    assert_str_equal(answer.body, STR("GET /echo  "));
    assert_str_equal(answer.content_type, STR("text/plain"));
    assert_int_equal(answer.request_id.len, 16);
    options.body = STR("text");
    options.token = STR("t0k");
    assert_ok(http_call(arena, url("/echo"), &options, &answer, &err));
    assert_str_equal(answer.body, STR("POST /echo text Bearer t0k"));
}

TEST(an_error_of_the_server_is_an_answer)
{
    struct http_options options = { 0 };
    struct http_answer answer;

    assert_ok(http_call(arena, url("/nothing"), &options, &answer, &err));
    assert_int_equal(answer.code, 404);
    assert_str_contains(answer.body, STR("not_found"));
    options.method = "HEAD";
    assert_ok(http_call(arena, url("/echo"), &options, &answer, &err));
    assert_int_equal(answer.code, 200);
    assert_int_equal(answer.body.len, 0);
}

TEST(files_go_both_ways)
{
    char *folder = test_folder();
    const char *there = arena_printf(arena, "%s/there", folder).data;
    const char *back = arena_printf(arena, "%s/back", folder).data;
    struct http_options options = { .body_file = there, .answer_file = back };
    size_t size = 3 << 20;
    char *content = arena_alloc(arena, size);
    struct http_answer answer;
    struct str read;

    for (size_t i = 0; i < size; i++)
        content[i] = (char)(i * 31 + i / 251);
    assert_ok(file_write(there, (struct str){ content, size }, &err));
    assert_ok(http_call(arena, url("/upload"), &options, &answer, &err));
    assert_int_equal(answer.code, 200);
    assert_ok(file_read(arena, back, size, &read, &err));
    assert_true(str_equal(read, (struct str){ content, size }));
    /* What went wrong is said in the body, not written into the file. */
    options.body_file = NULL;
    assert_ok(unlink(back) == 0 ? STATUS_OK : STATUS_INTERNAL);
    assert_ok(http_call(arena, url("/upload"), &options, &answer, &err));
    assert_int_equal(answer.code, 405);
    assert_false(file_exists(back));
    assert_ok(folder_remove(folder, &err));
    free(folder);
}

static enum status note(void *context, struct str event, struct str data, struct error *problem)
{
    struct buffer *seen = context;

    buffer_printf(seen, STR_FMT ":" STR_FMT ";", STR_ARG(event), STR_ARG(data));
    if (str_equal(data, STR("stop")))
        return error_set(problem, STATUS_CONFLICT, "stopped");
    return STATUS_OK;
}

TEST(events_arrive_one_by_one)
{
    struct buffer seen = { 0 };
    struct http_options options = { .events = note, .events_context = &seen };
    struct http_answer answer;

    assert_ok(http_call(arena, url("/events"), &options, &answer, &err));
    assert_str_contains(buffer_str(&seen),
                        STR("tick:0;tick:1;tick:2;error:{\"error\":{\"code\":"
                            "\"conflict\",\"message\":\"the end\""));
    buffer_free(&seen);
}

TEST(events_are_read_however_they_are_cut)
{
    static const char text[] =
        ": a comment\nevent: a\ndata: 1\ndata:2\r\n\r\nid: 7\ndata: x\n\n"
        "event: none\n\nevent: last\ndata: stop\n\n";
    struct buffer seen = { 0 };
    struct event_reader reader = { .sink = note, .context = &seen };
    enum status status = STATUS_OK;

    for (size_t i = 0; i + 1 < sizeof(text) && status == STATUS_OK; i++)
        status = event_reader_feed(&reader, (struct str){ text + i, 1 }, &err);
    assert_int_equal(status, STATUS_CONFLICT);
    assert_str_equal(buffer_str(&seen), STR("a:1\n2;message:x;last:stop;"));
    event_reader_fini(&reader);
    buffer_free(&seen);
}

TEST(what_does_not_answer_is_said)
{
    struct http_options options = { .timeout_ms = 100, .connect_ms = 500 };
    struct http_answer answer;

    assert_fails(STATUS_TIMEOUT, http_call(arena, url("/sleep"), &options, &answer, &err));
    assert_fails(STATUS_UNAVAILABLE,
                 http_call(arena, "http://127.0.0.1:1/", &options, &answer, &err));
    assert_str_contains(str_from(err.message), STR("127.0.0.1:1: connect: Connection refused"));
    assert_fails(STATUS_INVALID, http_call(arena, "ftp://a/", &options, &answer, &err));
    assert_fails(STATUS_INVALID, http_call(arena, "http://a:b/", &options, &answer, &err));
    assert_fails(STATUS_INVALID, http_call(arena, "http://u@a/", &options, &answer, &err));
    assert_fails(STATUS_INVALID, http_call(arena, "http://a/b c", &options, &answer, &err));
    options.answer_max = 5;
    assert_fails(STATUS_LIMIT, http_call(arena, url("/echo"), &options, &answer, &err));
}

struct outcome {
    int answers;
    int codes[8];       /* by hundreds */
    enum status status; /* of the last failure */
    struct buffer bodies;
    struct http_client *client;
    int again; /* so many more calls from inside the callback */
};

static void on_done(void *context, const struct http_answer *answer,
                    const struct error *problem)
{
    const struct http_options options = { .body = STR_INIT("again") };
    struct outcome *outcome = context;

    outcome->answers++;
    if (answer == NULL) {
        outcome->status = problem->status;
    } else {
        outcome->codes[answer->code / 100]++;
        buffer_append(&outcome->bodies, answer->body);
    }
    if (outcome->again > 0) {
        outcome->again--;
        http_client_call(outcome->client, url("/echo"), &options, on_done, outcome);
    }
}

/* The loop runs until so many calls are answered. */
static void run_until(uv_loop_t *loop, const struct outcome *outcome, int answers)
{
    while (outcome->answers < answers)
        uv_run(loop, UV_RUN_ONCE);
}

static void end_client(uv_loop_t *loop, struct http_client **client)
{
    http_client_free(client);
    uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0);
}

TEST(calls_on_a_loop_share_connections)
{
    const struct http_client_config config = { .connections_max = 3 };
    const struct http_options options = { .body = STR_INIT("x") };
    struct outcome outcome = { .again = 10 };
    uv_loop_t loop;

    uv_loop_init(&loop);
    outcome.client = http_client_new(&loop, &config);
    for (int i = 0; i < 50; i++)
        http_client_call(outcome.client, url("/echo"), &options, on_done, &outcome);
    assert_int_equal(outcome.answers, 0);
    run_until(&loop, &outcome, 60);
    assert_int_equal(outcome.codes[2], 60);
    assert_int_equal(server_connections(server), 3);
    assert_str_contains(buffer_str(&outcome.bodies), STR("POST /echo again"));
    end_client(&loop, &outcome.client);
    buffer_free(&outcome.bodies);
}

TEST(calls_on_a_loop_fail_by_callback)
{
    const struct http_client_config config = { .connections_max = 1 };
    struct http_options options = { .timeout_ms = 60 };
    struct outcome outcome = { 0 };
    uv_loop_t loop;

    uv_loop_init(&loop);
    outcome.client = http_client_new(&loop, &config);
    http_client_call(outcome.client, "http://127.0.0.1:1/", &options, on_done, &outcome);
    run_until(&loop, &outcome, 1);
    assert_int_equal(outcome.status, STATUS_UNAVAILABLE);
    http_client_call(outcome.client, "ftp://a/", &options, on_done, &outcome);
    assert_int_equal(outcome.answers, 1);
    run_until(&loop, &outcome, 2);
    assert_int_equal(outcome.status, STATUS_INVALID);
    /* The second waits in line behind the first; neither gets an answer in time. */
    http_client_call(outcome.client, url("/sleep"), &options, on_done, &outcome);
    http_client_call(outcome.client, url("/sleep"), &options, on_done, &outcome);
    run_until(&loop, &outcome, 4);
    assert_int_equal(outcome.status, STATUS_TIMEOUT);
    options.timeout_ms = 0;
    http_client_call(outcome.client, url("/sleep"), &options, on_done, &outcome);
    http_client_call(outcome.client, "http://localhost:1/", &options, on_done, &outcome);
    uv_run(&loop, UV_RUN_NOWAIT);
    end_client(&loop, &outcome.client);
    assert_int_equal(outcome.answers, 6);
    assert_int_equal(outcome.status, STATUS_UNAVAILABLE);
    assert_int_equal(outcome.codes[2], 0);
}

TEST(a_kept_connection_that_went_away_is_replaced)
{
    const struct http_client_config config = { 0 };
    const struct http_options options = { 0 };
    struct outcome outcome = { 0 };
    struct server_config again = server_config_default();
    uv_loop_t loop;
    unsigned port;
    int listener;

    uv_loop_init(&loop);
    outcome.client = http_client_new(&loop, &config);
    http_client_call(outcome.client, url("/echo"), &options, on_done, &outcome);
    run_until(&loop, &outcome, 1);
    server_stop(&server);
    router_free(&router);
    router = router_new();
    router_mount(router, &door, NULL);
    assert_ok(server_listen(base + strlen("http://"), &listener, 1, &port, &err));
    again.listeners = &listener;
    again.listener_count = 1;
    assert_ok(server_start(router, &again, &server, &err));
    close(listener);
    http_client_call(outcome.client, url("/echo"), &options, on_done, &outcome);
    run_until(&loop, &outcome, 2);
    assert_int_equal(outcome.codes[2], 2);
    end_client(&loop, &outcome.client);
    buffer_free(&outcome.bodies);
}

/* Answers when the first bytes are here, says that the connection goes on, and reads no more. */
static void *answer_early(void *argument)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly";
    const int *listener = argument;
    char bytes[512];
    int fds[2];

    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = accept(*listener, NULL, NULL);
        if (fds[i] >= 0 && recv(fds[i], bytes, sizeof(bytes), 0) > 0)
            (void)send(fds[i], answer, sizeof(answer) - 1, MSG_NOSIGNAL);
    }
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    return NULL;
}

/* The rest of a body must neither be sent from freed memory nor run into the next request. */
TEST(who_answers_before_all_is_asked_is_not_asked_again)
{
    const struct http_client_config config = { .connections_max = 1 };
    size_t size = 40 << 20;
    const struct http_options options = { .body = { arena_alloc(arena, size), size },
                                          .timeout_ms = 10000 };
    struct outcome outcome = { 0 };
    pthread_t thread;
    unsigned port;
    int listener;
    uv_loop_t loop;

    assert_ok(server_listen("127.0.0.1:0", &listener, 1, &port, &err));
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(fcntl(listener, F_SETFL, 0), 0); /* accept() waits */
    assert_int_equal(pthread_create(&thread, NULL, answer_early, &listener), 0);
    snprintf(base, sizeof(base), "http://localhost:%u", port);
    uv_loop_init(&loop);
    outcome.client = http_client_new(&loop, &config);
    for (int i = 0; i < 2; i++)
        http_client_call(outcome.client, url("/echo"), &options, on_done, &outcome);
    run_until(&loop, &outcome, 2);
    assert_str_equal(buffer_str(&outcome.bodies), STR("earlyearly"));
    end_client(&loop, &outcome.client);
    pthread_join(thread, NULL);
    close(listener);
    buffer_free(&outcome.bodies);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

TEST_MAIN(CASE(a_get_and_a_post), CASE(an_error_of_the_server_is_an_answer),
          CASE(files_go_both_ways), CASE(events_arrive_one_by_one),
          TEST_CASE(events_are_read_however_they_are_cut), CASE(what_does_not_answer_is_said),
          CASE(calls_on_a_loop_share_connections), CASE(calls_on_a_loop_fail_by_callback),
          CASE(a_kept_connection_that_went_away_is_replaced),
          CASE(who_answers_before_all_is_asked_is_not_asked_again))
