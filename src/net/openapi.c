/* SPDX-License-Identifier: Apache-2.0 */
#include "net/openapi.h"

#include "base/json.h"

#include <ctype.h>

static const char *const permission_names[] = {
    [PERMIT_ANYONE] = "anyone",    [PERMIT_VIEW] = "viewer", [PERMIT_EDIT] = "editor",
    [PERMIT_APPROVE] = "approver", [PERMIT_ADMIN] = "admin",
};

/* "{rest*}" is "{rest}" there. */
static char *path_template(struct arena *arena, const char *path)
{
    char *text = arena_cstr(arena, str_from(path));
    size_t len = 0;

    for (const char *c = path; *c != '\0'; c++)
        if (!(c[0] == '*' && c[1] == '}'))
            text[len++] = *c;
    text[len] = '\0';
    return text;
}

static yyjson_mut_val *parameter(yyjson_mut_doc *doc, struct str name)
{
    yyjson_mut_val *item = yyjson_mut_obj(doc);
    yyjson_mut_val *schema = yyjson_mut_obj(doc);

    json_add_str(doc, item, "name", name);
    yyjson_mut_obj_add_str(doc, item, "in", "path");
    yyjson_mut_obj_add_bool(doc, item, "required", true);
    yyjson_mut_obj_add_str(doc, schema, "type", "string");
    yyjson_mut_obj_add_val(doc, item, "schema", schema);
    return item;
}

/* {"application/json": {"schema": …}}; a schema is kept as the text that the table holds. */
static yyjson_mut_val *json_content(yyjson_mut_doc *doc, const char *schema)
{
    yyjson_mut_val *content = yyjson_mut_obj(doc);
    yyjson_mut_val *media = yyjson_mut_obj(doc);

    yyjson_mut_obj_add_val(doc, media, "schema", yyjson_mut_raw(doc, schema));
    yyjson_mut_obj_add_val(doc, content, "application/json", media);
    return content;
}

static yyjson_mut_val *responses(yyjson_mut_doc *doc, const struct route *route)
{
    yyjson_mut_val *all = yyjson_mut_obj(doc);
    yyjson_mut_val *good = yyjson_mut_obj(doc);
    yyjson_mut_val *bad = yyjson_mut_obj(doc);

    yyjson_mut_obj_add_str(doc, good, "description", "done");
    if (route->response != NULL)
        yyjson_mut_obj_add_val(doc, good, "content", json_content(doc, route->response));
    yyjson_mut_obj_add_val(doc, all, "200", good);
    yyjson_mut_obj_add_str(doc, bad, "description", "what failed, and how to mend it");
    yyjson_mut_obj_add_val(doc, bad, "content",
                           json_content(doc, "{\"$ref\":\"#/components/schemas/Error\"}"));
    yyjson_mut_obj_add_val(doc, all, "default", bad);
    return all;
}

static yyjson_mut_val *operation(yyjson_mut_doc *doc, const struct mounted *mounted)
{
    const struct route *route = mounted->route;
    yyjson_mut_val *made = yyjson_mut_obj(doc);
    yyjson_mut_val *tags = yyjson_mut_arr(doc);
    yyjson_mut_val *parameters = yyjson_mut_arr(doc);

    yyjson_mut_arr_add_str(doc, tags, mounted->door->name);
    yyjson_mut_obj_add_val(doc, made, "tags", tags);
    if (route->summary != NULL)
        yyjson_mut_obj_add_str(doc, made, "summary", route->summary);
    yyjson_mut_obj_add_str(doc, made, "x-onggi-permission",
                           permission_names[route->permission]);
    for (size_t i = 0; i < mounted->param_count; i++)
        yyjson_mut_arr_append(parameters, parameter(doc, mounted->param_names[i]));
    if (mounted->param_count > 0)
        yyjson_mut_obj_add_val(doc, made, "parameters", parameters);
    if (route->request != NULL) {
        yyjson_mut_val *body = yyjson_mut_obj(doc);

        yyjson_mut_obj_add_val(doc, body, "content", json_content(doc, route->request));
        yyjson_mut_obj_add_val(doc, made, "requestBody", body);
    }
    yyjson_mut_obj_add_val(doc, made, "responses", responses(doc, route));
    return made;
}

static char *lower_case(struct arena *arena, const char *text)
{
    char *copy = arena_cstr(arena, str_from(text));

    for (char *c = copy; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return copy;
}

static yyjson_mut_val *paths(struct arena *arena, yyjson_mut_doc *doc,
                             const struct mounted *first)
{
    yyjson_mut_val *all = yyjson_mut_obj(doc);

    for (; first != NULL; first = first->next) {
        char *path = path_template(arena, first->route->path);
        yyjson_mut_val *item = yyjson_mut_obj_get(all, path);

        if (item == NULL) {
            item = yyjson_mut_obj(doc);
            yyjson_mut_obj_add_val(doc, all, path, item);
        }
        yyjson_mut_obj_add_val(doc, item, lower_case(arena, first->route->method),
                               operation(doc, first));
    }
    return all;
}

#define COMPONENTS \
    "{\"schemas\":{\"Error\":{\"type\":\"object\",\"required\":[\"error\"],\"properties\":" \
    "{\"error\":{\"type\":\"object\",\"required\":[\"code\",\"message\"],\"properties\":" \
    "{\"code\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"}," \
    "\"request_id\":{\"type\":\"string\"}}}}}}," \
    "\"securitySchemes\":{\"token\":{\"type\":\"http\",\"scheme\":\"bearer\"}}}"

struct str openapi_write(struct arena *arena, const struct mounted *first)
{
    yyjson_mut_doc *doc = json_mut_doc(arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *info = yyjson_mut_obj(doc);

    yyjson_mut_obj_add_str(doc, root, "openapi", "3.1.0");
    yyjson_mut_obj_add_str(doc, info, "title", "Onggi");
    yyjson_mut_obj_add_str(doc, info, "version", ONGGI_VERSION);
    yyjson_mut_obj_add_val(doc, root, "info", info);
    yyjson_mut_obj_add_val(doc, root, "security", yyjson_mut_raw(doc, "[{\"token\":[]}]"));
    yyjson_mut_obj_add_val(doc, root, "paths", paths(arena, doc, first));
    yyjson_mut_obj_add_val(doc, root, "components", yyjson_mut_raw(doc, COMPONENTS));
    return json_mut_write(arena, root);
}
