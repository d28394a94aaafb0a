/* SPDX-License-Identifier: Apache-2.0 */
#include "net/dispatch.h"
#include "net/openapi.h"
#include "net/route_stats.h"
#include "net/route_table.h"

#include "base/log.h"

#include <stdlib.h>

struct router {
    struct arena *arena;
    struct route_table *table;
    authenticate authenticate;
    void *authenticate_context;
    struct str home;
    const struct door *home_door;
};

struct router *router_new(void)
{
    struct arena *arena = arena_new();
    struct router *router = ARENA_NEW(arena, struct router);

    router->arena = arena;
    router->table = route_table_new(arena);
    return router;
}

void router_free(struct router **router)
{
    if (*router == NULL)
        return;
    arena_free((*router)->arena);
    *router = NULL;
}

void router_mount(struct router *router, const struct door *door, void *context)
{
    for (const struct route *route = door->routes; route->method != NULL; route++)
        route_table_add(router->table, door, route, context)->stats = route_stats_new(
            router->arena, route->method, route->path);
}

void router_set_home(struct router *router, const char *path, const struct door *door)
{
    router->home = str_from(path);
    router->home_door = door;
}

void router_set_authenticate(struct router *router, authenticate function, void *context)
{
    router->authenticate = function;
    router->authenticate_context = context;
}

struct str router_openapi(const struct router *router, struct arena *arena)
{
    return openapi_write(arena, route_table_first(router->table));
}

int http_code_of_status(enum status status)
{
    static const int codes[] = {
        [STATUS_OK] = 200,          [STATUS_INVALID] = 400,  [STATUS_NOT_FOUND] = 404,
        [STATUS_CONFLICT] = 409,    [STATUS_LIMIT] = 413,    [STATUS_TIMEOUT] = 504,
        [STATUS_UNAVAILABLE] = 503, [STATUS_INTERNAL] = 500,
    };

    return codes[status];
}

static const char *error_name(int code, enum status status)
{
    switch (code) {
    case 401:
        return "unauthenticated";
    case 403:
        return "forbidden";
    case 405:
        return "method_not_allowed";
    default:
        return status_name(status);
    }
}

void router_answer_error(struct exchange *exchange, int code, const struct error *err)
{
    struct response *res = &exchange->response;

    res->kind = REPLY_NONE;
    if (exchange->door != NULL && exchange->door->dialect != NULL)
        exchange->door->dialect(&exchange->request, res, err);
    if (res->kind == REPLY_NONE)
        response_error(res, code, error_name(code, err->status), err->message);
    res->code = code;
}

/* "GET, HEAD, POST": what the path would take. */
static struct str allowed_methods(struct arena *arena, const struct mounted *methods)
{
    struct str list = STR("OPTIONS");

    for (; methods != NULL; methods = methods->next_method)
        list = arena_printf(arena, "%s%s, " STR_FMT, methods->route->method,
                            strcmp(methods->route->method, "GET") == 0 ? ", HEAD" : "",
                            STR_ARG(list));
    return list;
}

static bool answer_other_method(struct exchange *exchange, const struct mounted *methods)
{
    struct request *req = &exchange->request;
    struct str allowed = allowed_methods(req->arena, methods);
    struct error err;

    response_header(&exchange->response, "Allow", allowed);
    if (str_equal(req->method, STR("OPTIONS"))) {
        response_empty(&exchange->response, 204);
        return false;
    }
    error_set(&err, STATUS_INVALID, STR_FMT " is not for this path; it takes " STR_FMT,
              STR_ARG(req->method), STR_ARG(allowed));
    exchange->door = methods->door;
    router_answer_error(exchange, 405, &err);
    return false;
}

static bool is_at_home(const struct router *router, struct str path)
{
    struct str home = router->home;

    return home.len > 0 && str_starts(path, home) &&
           (path.len == home.len || path.data[home.len] == '/');
}

static bool answer_unknown_path(const struct router *router, struct exchange *exchange)
{
    struct error err;
    struct str path = exchange->target.path;

    if (is_at_home(router, path))
        exchange->door = router->home_door;
    error_set(&err, STATUS_NOT_FOUND,
              "nothing is at " STR_FMT "; /openapi.json lists what there is",
              STR_ARG(str_slice(path, 0, 200)));
    router_answer_error(exchange, 404, &err);
    return false;
}

static const struct mounted *choose_method(const struct mounted *methods, struct str method)
{
    struct str wanted = str_equal(method, STR("HEAD")) ? STR("GET") : method;

    while (methods != NULL && !str_equal(str_from(methods->route->method), wanted))
        methods = methods->next_method;
    return methods;
}

static void take_route(struct exchange *exchange, const struct mounted *mounted)
{
    struct request *req = &exchange->request;

    req->route = mounted->route;
    req->context = mounted->context;
    exchange->door = mounted->door;
    exchange->stats = mounted->stats;
    for (size_t i = 0; i < exchange->path_param_count; i++)
        exchange->path_params[i].name = mounted->param_names[i];
}

/* Asked once, before the handler: who is it, and may they? */
static bool is_permitted(const struct router *router, struct exchange *exchange)
{
    struct request *req = &exchange->request;
    struct error err;

    if (req->route->permission == PERMIT_ANYONE)
        return true;
    if (req->identity.role == 0 && router->authenticate == NULL)
        req->identity = (struct identity){ STR("local"), PERMIT_ADMIN };
    if (req->identity.role == 0 && router->authenticate(router->authenticate_context, req,
                                                        &req->identity, &err) != STATUS_OK) {
        response_header(&exchange->response, "WWW-Authenticate", STR("Bearer"));
        router_answer_error(
            exchange, err.status == STATUS_INVALID ? 401 : http_code_of_status(err.status),
            &err);
        return false;
    }
    if (req->identity.role >= req->route->permission)
        return true;
    error_set(&err, STATUS_INVALID, "user '" STR_FMT "' lacks the role for %s %s",
              STR_ARG(req->identity.user), req->route->method, req->route->path);
    router_answer_error(exchange, 403, &err);
    return false;
}

bool router_prepare(const struct router *router, struct exchange *exchange, struct str method,
                    struct str target)
{
    struct request *req = &exchange->request;
    const struct mounted *methods, *mounted;
    struct error err;

    req->method = method;
    exchange->is_head = str_equal(method, STR("HEAD"));
    if (url_target_parse(req->arena, target, &exchange->target, &err) != STATUS_OK) {
        router_answer_error(exchange, 400, &err);
        return false;
    }
    req->path = exchange->target.path;
    methods = route_table_find(router->table, exchange);
    if (methods == NULL)
        return answer_unknown_path(router, exchange);
    mounted = choose_method(methods, method);
    if (mounted == NULL)
        return answer_other_method(exchange, methods);
    take_route(exchange, mounted);
    return is_permitted(router, exchange);
}

/* The status line has left: all that remains is an event, or to break off. */
static void break_off_stream(struct exchange *exchange, const struct error *err)
{
    struct response *res = &exchange->response;
    struct error ignored;
    struct buffer text = { 0 };

    if (res->content_type == NULL || strcmp(res->content_type, "text/event-stream") != 0) {
        res->cut = true;
        return;
    }
    error_write(&text, status_name(err->status), err->message, exchange->request.request_id);
    /* A client that has left needs no event. */
    if (response_event(res, "error", buffer_str(&text), &ignored) != STATUS_OK)
        res->cut = true;
    buffer_free(&text);
}

void router_run(struct exchange *exchange, route_handler handler)
{
    struct request *req = &exchange->request;
    struct response *res = &exchange->response;
    struct error err;
    enum status status;

    res->handed_over = NULL;
    status = (handler != NULL ? handler : req->route->handler)(req, res, &err);
    if (status == STATUS_OK && (res->kind != REPLY_NONE || res->handed_over != NULL))
        return;
    if (status == STATUS_OK)
        status = error_set(&err, STATUS_INTERNAL, "%s %s gave no answer", req->route->method,
                           req->route->path);
    if (status == STATUS_INTERNAL)
        log_error("net: request " STR_FMT ": %s", STR_ARG(req->request_id), err.message);
    res->handed_over = NULL;
    if (res->kind == REPLY_STREAM)
        break_off_stream(exchange, &err);
    else
        router_answer_error(exchange, http_code_of_status(status), &err);
}
