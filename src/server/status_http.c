/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/json.h"
#include "server/machine_http.h"

#include <unistd.h>

/* One screen: of long lists only so much. */
#define ROWS_MAX 6

struct page {
    struct request *req;
    struct machine *machine;
    yyjson_mut_doc *doc;
    yyjson_mut_val *sections;
    yyjson_mut_val *lines; /* of the section being filled */
};

static void section(struct page *page, const char *title)
{
    yyjson_mut_val *item = yyjson_mut_arr_add_obj(page->doc, page->sections);

    yyjson_mut_obj_add_str(page->doc, item, "title", title);
    page->lines = yyjson_mut_obj_add_arr(page->doc, item, "lines");
}

static void line(struct page *page, struct str name, struct str text)
{
    yyjson_mut_val *item = yyjson_mut_arr_add_obj(page->doc, page->lines);

    json_add_str(page->doc, item, "name", name);
    json_add_str(page->doc, item, "text", text);
}

/* What another door answers to the same user; NULL if it does not answer. */
static yyjson_val *ask(struct page *page, const char *target)
{
    const struct call call = { .method = STR("GET"),
                               .target = str_from(target),
                               .identity = page->req->identity };
    struct arena *arena = page->req->arena;
    struct answer answer;
    struct error err;
    yyjson_val *json;

    if (router_call(page->machine->router, arena, &call, NULL, NULL, &answer, &err) !=
            STATUS_OK ||
        answer.code != 200 || json_parse(arena, answer.body, &json, &err) != STATUS_OK)
        return NULL;
    return json;
}

/* A member as text, numbers too; "-" if it is absent or null. */
static const char *text_of(struct page *page, yyjson_val *object, const char *key)
{
    yyjson_val *value = json_find(object, str_from(key));
    struct str text = STR("-");

    if (yyjson_is_str(value))
        text = json_str(value);
    else if (value != NULL && !yyjson_is_null(value))
        text = json_write(page->req->arena, value);
    return arena_cstr(page->req->arena, text);
}

/* ---- sections */

static void fill_server(struct page *page)
{
    const struct machine *machine = page->machine;
    size_t users = users_count(machine->users);

    section(page, "server");
    line(page, STR("version"), STR(ONGGI_VERSION));
    line(page, STR("project"), str_from(machine->project->folder));
    line(page, STR("address"), machine->url.len > 0 ? machine->url : STR("no server runs"));
    line(page, STR("users"),
         users > 0 ? arena_printf(page->req->arena, "%zu", users)
                   : STR("none: loopback only, everything allowed"));
}

static void fill_definitions(struct page *page)
{
    static const char *const kinds[] = { "entity",  "source",   "view",
                                         "service", "pipeline", "endpoint" };
    yyjson_val *list = json_find(ask(page, "/api/v1/definitions"), STR("definitions")), *item;
    size_t index, max;

    section(page, "definitions");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct str names = STR_EMPTY;
        size_t count = 0;

        yyjson_arr_foreach(list, index, max, item)
        {
            if (!str_equal(json_str(json_find(item, STR("kind"))), str_from(kinds[i])))
                continue;
            if (count++ < ROWS_MAX)
                names = arena_printf(page->req->arena, STR_FMT "%s%s", STR_ARG(names),
                                     names.len > 0 ? ", " : "", text_of(page, item, "name"));
        }
        if (count > 0)
            line(page, str_from(kinds[i]),
                 arena_printf(page->req->arena, STR_FMT "%s", STR_ARG(names),
                              count > ROWS_MAX ? ", …" : ""));
    }
    if (yyjson_arr_size(list) == 0)
        line(page, STR("none"), STR("'onggi apply' records them"));
}

typedef struct str (*describe_item)(struct page *page, yyjson_val *item);

static struct str describe_execution(struct page *page, yyjson_val *item)
{
    return arena_printf(page->req->arena, "%s  %s  %s", text_of(page, item, "status"),
                        text_of(page, item, "started"), text_of(page, item, "id"));
}

static struct str describe_model(struct page *page, yyjson_val *item)
{
    return arena_printf(page->req->arena, "%s versions, latest %s, approved %s",
                        text_of(page, item, "versions"), text_of(page, item, "latest"),
                        text_of(page, item, "approved"));
}

static struct str describe_endpoint(struct page *page, yyjson_val *item)
{
    /* A command does not load models to show a list, so it cannot say which version answers. */
    if (page->machine->url.len == 0)
        return arena_printf(page->req->arena, "model %s, service %s, not served now",
                            text_of(page, item, "model"), text_of(page, item, "service"));
    return arena_printf(page->req->arena, "%s version %s, service %s, %s%s",
                        text_of(page, item, "model"), text_of(page, item, "version"),
                        text_of(page, item, "service"), text_of(page, item, "status"),
                        json_find(item, STR("out_of_date")) == NULL ? "" : ", out of date");
}

static const struct {
    const char *title, *target, *list, *name, *none;
    describe_item describe;
} lists[] = {
    { "pipelines", "/api/v1/executions?limit=6", "executions", "pipeline",
      "nothing ran yet; 'onggi pipeline run NAME'", describe_execution },
    { "models", "/api/v1/models", "models", "name", "no model is registered yet",
      describe_model },
    { "endpoints", "/api/v1/endpoints", "endpoints", "name", "no endpoint is defined",
      describe_endpoint },
};

static void fill_list(struct page *page, size_t which)
{
    yyjson_val *list = json_find(ask(page, lists[which].target), str_from(lists[which].list));
    yyjson_val *item;
    size_t index, max;

    section(page, lists[which].title);
    yyjson_arr_foreach(list, index, max, item)
    {
        if (index < ROWS_MAX)
            line(page, str_from(text_of(page, item, lists[which].name)),
                 lists[which].describe(page, item));
    }
    if (yyjson_arr_size(list) > ROWS_MAX)
        line(page, STR("…"),
             arena_printf(page->req->arena, "%zu more", yyjson_arr_size(list) - ROWS_MAX));
    if (yyjson_arr_size(list) == 0)
        line(page, STR("none"), str_from(lists[which].none));
}

static enum status on_status(struct request *req, struct response *res, struct error *err)
{
    struct page page = { .req = req, .machine = req->context, .doc = json_mut_doc(req->arena) };
    yyjson_mut_val *root = yyjson_mut_obj(page.doc);

    (void)err;
    page.sections = yyjson_mut_obj_add_arr(page.doc, root, "sections");
    fill_server(&page);
    fill_definitions(&page);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        fill_list(&page, i);
    return response_json(res, 200, json_mut_write(req->arena, root));
}

static const struct route machine_routes[] = {
    { .method = "GET",
      .path = "/api/v1/status",
      .handler = on_status,
      .mode = DEFERRED,
      .permission = PERMIT_VIEW,
      .summary = "The whole project on one screen" },
    { .method = "GET",
      .path = "/api/v1/doctor",
      .handler = doctor_answer,
      .mode = DEFERRED,
      .permission = PERMIT_ADMIN,
      .summary = "Checks of what the machine must give" },
    ROUTES_END,
};

const struct door machine_door = { "machine", machine_routes, NULL };
