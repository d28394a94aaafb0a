/* SPDX-License-Identifier: Apache-2.0 */
#include "net/router.h"

#include "base/file.h"
#include "base/json.h"

#include "support/test.h"

#include <unistd.h>

static struct error err;

static enum status on_echo(struct request *req, struct response *res, struct error *problem)
{
    struct str text = arena_printf(req->arena, "%s " STR_FMT "|" STR_FMT "|" STR_FMT,
                                   req->route->path, STR_ARG(request_path_param(req, "view")),
                                   STR_ARG(request_query(req, "q")), STR_ARG(req->body));
    (void)problem;
    return response_bytes(res, 200, "text/plain", text);
}

static enum status on_failure(struct request *req, struct response *res, struct error *problem)
{
    (void)req;
    (void)res;
    return error_set(problem, STATUS_CONFLICT, "view 'a' exists");
}

static enum status on_silence(struct request *req, struct response *res, struct error *problem)
{
    (void)req;
    (void)res;
    (void)problem;
    return STATUS_OK;
}

static enum status on_hand_over(struct request *req, struct response *res,
                                struct error *problem)
{
    return request_hand_over(req, res, on_echo, problem);
}

static enum status on_events(struct request *req, struct response *res, struct error *problem)
{
    TRY(response_event(res, "progress", STR("{\"rows\":1}"), problem));
    TRY(response_event(res, "progress", STR("{\"rows\":2}"), problem));
    return request_has_query(req, "fail") ? error_set(problem, STATUS_LIMIT, "too much")
                                          : STATUS_OK;
}

static enum status on_upload(struct request *req, struct response *res, struct error *problem)
{
    struct str content;

    TRY(file_read(req->arena, req->body_file, 100, &content, problem));
    return response_bytes(res, 200, "text/plain", content);
}

static enum status on_who(struct request *req, struct response *res, struct error *problem)
{
    (void)problem;
    return response_bytes(res, 200, "text/plain", req->identity.user);
}

static const struct route routes[] = {
    { "GET", "/", on_echo, INLINE, PERMIT_ANYONE, .summary = "the page" },
    { "GET", "/views/{view}", on_echo, INLINE, PERMIT_VIEW, .summary = "one view",
      .response = "{\"type\":\"object\"}" },
    { "POST", "/views/{view}", on_echo, INLINE, PERMIT_EDIT, .body_max = BODY_SMALL,
      .request = "{\"type\":\"object\"}" },
    { "GET", "/views/all", on_echo, INLINE, PERMIT_VIEW, .body_max = BODY_NONE },
    { "GET", "/views/{view}/rows", on_echo, INLINE, PERMIT_VIEW, .body_max = BODY_NONE },
    { "POST", "/models/{view}:predict", on_echo, INLINE, PERMIT_VIEW, .body_max = 10 },
    { "GET", "/models/{view}", on_echo, INLINE, PERMIT_VIEW, .body_max = BODY_NONE },
    { "GET", "/files/{view*}", on_echo, INLINE, PERMIT_VIEW, .body_max = BODY_NONE },
    { "POST", "/failure", on_failure, INLINE, PERMIT_VIEW, .body_max = BODY_NONE },
    { "POST", "/silence", on_silence, INLINE, PERMIT_VIEW, .body_max = BODY_NONE },
    { "POST", "/hand-over", on_hand_over, INLINE, PERMIT_VIEW, .body_max = BODY_SMALL },
    { "POST", "/events", on_events, DEFERRED, PERMIT_VIEW, .body_max = BODY_NONE },
    { "POST", "/upload", on_upload, DEFERRED, PERMIT_VIEW, .body_max = BODY_FILE },
    { "GET", "/who", on_who, INLINE, PERMIT_ADMIN, .body_max = BODY_NONE },
    ROUTES_END,
};
static const struct door door = { "test", routes, NULL };

static void curt_dialect(struct request *req, struct response *res, const struct error *problem)
{
    (void)req;
    response_bytes(res, 500, "text/plain", str_from(problem->message));
}
static const struct route curt_routes[] = {
    { "GET", "/curt", on_failure, INLINE, PERMIT_VIEW, .body_max = BODY_NONE },
    ROUTES_END,
};
static const struct door curt_door = { "curt", curt_routes, curt_dialect };

static struct router *router;
static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    router = router_new();
    arena = arena_new();
    router_mount(router, &door, NULL);
    router_mount(router, &curt_door, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    router_free(&router);
    arena_free(arena);
    return 0;
}

static struct answer ask(const char *method, const char *target, const char *body)
{
    const struct call call = { .method = str_from(method),
                               .target = str_from(target),
                               .body = str_from(body) };
    struct answer answer = { 0 };

    assert_ok(router_call(router, arena, &call, NULL, NULL, &answer, &err));
    return answer;
}

static void assert_answer(struct answer answer, int code, const char *body)
{
    assert_int_equal(answer.code, code);
    assert_str_equal(answer.body, str_from(body));
}

TEST(literal_beats_parameter_beats_rest)
{
    assert_answer(ask("GET", "/views/all", ""), 200, "/views/all ||");
    assert_answer(ask("GET", "/views/other", ""), 200, "/views/{view} other||");
    /* "all" has no child, so the way leads back to the parameter. */
    assert_answer(ask("GET", "/views/all/rows", ""), 200, "/views/{view}/rows all||");
    assert_answer(ask("GET", "/files/a/b%2Fc/d", ""), 200, "/files/{view*} a/b/c/d||");
    assert_answer(ask("GET", "/", ""), 200, "/ ||");
}

TEST(a_parameter_may_end_in_text)
{
    assert_answer(ask("POST", "/models/m1:predict", "{}"), 200,
                  "/models/{view}:predict m1||{}");
    assert_answer(ask("GET", "/models/m1:other", ""), 200, "/models/{view} m1:other||");
    assert_int_equal(ask("POST", "/models/:predict", "{}").code, 405);
}

TEST(parameters_are_decoded_once)
{
    assert_answer(ask("GET", "/views/a%20b?q=x+y%2525", ""), 200, "/views/{view} a b|x y%25|");
}

TEST(unknown_path_is_404)
{
    struct answer answer = ask("GET", "/nothing", "");

    assert_int_equal(answer.code, 404);
    assert_str_contains(
        answer.body,
        STR("{\"error\":{\"code\":\"not_found\",\"message\":\"nothing is at /nothing"));
    assert_str_contains(answer.body, STR("\"request_id\":\""));
    assert_int_equal(ask("GET", "/views/", "").code, 404);
    assert_int_equal(ask("GET", "//views/all", "").code, 404);
    assert_int_equal(ask("GET", "/views/all/", "").code, 404);
}

TEST(what_is_unknown_at_a_doors_home_is_said_in_its_words)
{
    struct answer answer;

    router_set_home(router, "/curt", &curt_door);
    answer = ask("GET", "/curt/nothing", "");
    assert_int_equal(answer.code, 404);
    assert_true(str_starts(answer.body, STR("nothing is at /curt/nothing")));
    assert_true(str_starts(ask("GET", "/curtness", "").body, STR("{\"error\"")));
}

TEST(other_method_is_405)
{
    struct answer answer = ask("DELETE", "/views/all", "");

    assert_int_equal(answer.code, 405);
    assert_str_contains(answer.body, STR("method_not_allowed"));
    assert_int_equal(ask("OPTIONS", "/views/all", "").code, 204);
}

TEST(head_is_get_without_body)
{
    assert_answer(ask("HEAD", "/views/all", ""), 200, "");
}

TEST(bad_targets_are_400)
{
    assert_int_equal(ask("GET", "/views/%00", "").code, 400);
    assert_int_equal(ask("GET", "/views/../x", "").code, 400);
    assert_int_equal(ask("GET", "views", "").code, 400);
}

TEST(a_handlers_error_is_the_answer)
{
    struct answer answer = ask("POST", "/failure", "");

    assert_int_equal(answer.code, 409);
    assert_str_contains(answer.body,
                        STR("\"code\":\"conflict\",\"message\":\"view 'a' exists\""));
    assert_int_equal(ask("POST", "/silence", "").code, 500);
}

TEST(a_door_answers_in_its_dialect)
{
    assert_answer(ask("GET", "/curt", ""), 409, "view 'a' exists");
    assert_int_equal(ask("POST", "/curt", "").code, 405);
}

TEST(handing_over_runs_at_once_in_process)
{
    assert_answer(ask("POST", "/hand-over?q=1", "b"), 200, "/hand-over |1|b");
}

static enum status note_event(void *context, struct str event, struct str data,
                              struct error *problem)
{
    struct buffer *seen = context;

    (void)problem;
    buffer_printf(seen, STR_FMT "=" STR_FMT ";", STR_ARG(event), STR_ARG(data));
    return STATUS_OK;
}

TEST(events_reach_the_caller)
{
    const struct call call = { .method = STR_INIT("POST"), .target = STR_INIT("/events?fail") };
    struct buffer seen = { 0 };
    struct answer answer;

    assert_ok(router_call(router, arena, &call, note_event, &seen, &answer, &err));
    assert_str_contains(buffer_str(&seen),
                        STR("progress={\"rows\":1};progress={\"rows\":2};error={\"error\":"
                            "{\"code\":\"limit\",\"message\":\"too much\""));
    buffer_free(&seen);
}

TEST(events_without_a_sink_are_the_body)
{
    struct answer answer = ask("POST", "/events", "");

    assert_answer(
        answer, 200,
        "event: progress\ndata: {\"rows\":1}\n\nevent: progress\ndata: {\"rows\":2}\n\n");
    assert_str_equal(answer.content_type, STR("text/event-stream"));
}

TEST(bodies_are_bounded_by_the_route)
{
    assert_int_equal(ask("POST", "/models/m:predict", "0123456789").code, 200);
    assert_int_equal(ask("POST", "/models/m:predict", "0123456789a").code, 413);
    assert_int_equal(ask("GET", "/views/all", "body").code, 413);
}

TEST(a_file_route_gets_a_file)
{
    assert_answer(ask("POST", "/upload", "rows"), 200, "rows");
}

TEST(a_file_given_is_read_for_other_routes)
{
    char *folder = test_folder();
    struct str path = arena_printf(arena, "%s/body", folder);
    struct call call = { .method = STR_INIT("POST"),
                         .target = STR_INIT("/views/v"),
                         .body_file = path.data };
    struct answer answer;

    assert_ok(file_write(path.data, STR("from a file"), &err));
    assert_ok(router_call(router, arena, &call, NULL, NULL, &answer, &err));
    assert_answer(answer, 200, "/views/{view} v||from a file");
    call.target = STR("/upload");
    assert_ok(router_call(router, arena, &call, NULL, NULL, &answer, &err));
    assert_answer(answer, 200, "from a file");
    assert_true(file_exists(path.data));
    assert_ok(folder_remove(folder, &err));
    free(folder);
}

static enum status by_header(void *context, const struct request *req, struct identity *out,
                             struct error *problem)
{
    struct str accept = request_header(req, "ACCEPT");

    (void)context;
    if (str_equal(accept, STR("viewer")))
        *out = (struct identity){ STR("vera"), PERMIT_VIEW };
    else if (str_equal(accept, STR("admin")))
        *out = (struct identity){ STR("ada"), PERMIT_ADMIN };
    else
        return error_set(problem, STATUS_INVALID, "a token is missing");
    return STATUS_OK;
}

TEST(permissions_are_asked_once)
{
    struct call call = { .method = STR_INIT("GET"), .target = STR_INIT("/who") };
    struct answer answer;

    assert_answer(ask("GET", "/who", ""), 200, "local");
    router_set_authenticate(router, by_header, NULL);
    assert_int_equal(ask("GET", "/who", "").code, 401);
    assert_int_equal(ask("GET", "/", "").code, 200);
    call.accept = STR("viewer");
    assert_ok(router_call(router, arena, &call, NULL, NULL, &answer, &err));
    assert_int_equal(answer.code, 403);
    assert_str_contains(answer.body, STR("forbidden"));
    call.accept = STR("admin");
    assert_ok(router_call(router, arena, &call, NULL, NULL, &answer, &err));
    assert_answer(answer, 200, "ada");
    call.accept = STR_EMPTY;
    call.identity = (struct identity){ STR("given"), PERMIT_ADMIN };
    assert_ok(router_call(router, arena, &call, NULL, NULL, &answer, &err));
    assert_answer(answer, 200, "given");
}

TEST(openapi_describes_every_route)
{
    struct str text = router_openapi(router, arena);
    yyjson_val *root, *paths, *view;

    assert_ok(json_parse(arena, text, &root, &err));
    paths = json_find(root, STR("paths"));
    assert_int_equal(yyjson_obj_size(paths), 14);
    view = json_find(paths, STR("/views/{view}"));
    assert_non_null(json_find(view, STR("get")));
    assert_non_null(json_find(json_find(view, STR("post")), STR("requestBody")));
    assert_str_equal(
        json_str(json_find(json_find(view, STR("post")), STR("x-onggi-permission"))),
        STR("editor"));
    assert_non_null(json_find(paths, STR("/files/{view}")));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

TEST_MAIN(CASE(literal_beats_parameter_beats_rest), CASE(a_parameter_may_end_in_text),
          CASE(parameters_are_decoded_once), CASE(unknown_path_is_404),
          CASE(what_is_unknown_at_a_doors_home_is_said_in_its_words), CASE(other_method_is_405),
          CASE(head_is_get_without_body), CASE(bad_targets_are_400),
          CASE(a_handlers_error_is_the_answer), CASE(a_door_answers_in_its_dialect),
          CASE(handing_over_runs_at_once_in_process), CASE(events_reach_the_caller),
          CASE(events_without_a_sink_are_the_body), CASE(bodies_are_bounded_by_the_route),
          CASE(a_file_route_gets_a_file), CASE(a_file_given_is_read_for_other_routes),
          CASE(permissions_are_asked_once), CASE(openapi_describes_every_route))
