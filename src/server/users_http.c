/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "server/users.h"

static enum status on_list(struct request *req, struct response *res, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc), *list;
    struct user_entry *entries;
    size_t count;

    (void)err;
    users_list(req->context, req->arena, &entries, &count);
    list = yyjson_mut_obj_add_arr(doc, root, "users");
    for (size_t i = 0; i < count; i++) {
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, list);

        json_add_str(doc, item, "name", entries[i].name);
        yyjson_mut_obj_add_str(doc, item, "role", role_name(entries[i].role));
    }
    return response_json(res, 200, json_mut_write(req->arena, root));
}

static enum status on_add(struct request *req, struct response *res, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    struct str name, role_text, token;
    enum permission role;
    yyjson_val *body;

    TRY(json_parse(req->arena, req->body, &body, err));
    TRY(json_need_str(body, "name", &name, err));
    TRY(json_need_str(body, "role", &role_text, err));
    if (!role_parse(role_text, &role))
        return error_set(err, STATUS_INVALID,
                         "'" STR_FMT "' is no role: viewer, editor, approver or admin",
                         STR_ARG(role_text));
    TRY(users_add(req->context, req->arena, name, role, &token, err));
    json_add_str(doc, root, "name", name);
    yyjson_mut_obj_add_str(doc, root, "role", role_name(role));
    json_add_str(doc, root, "token", token);
    return response_json(res, 201, json_mut_write(req->arena, root));
}

static enum status on_remove(struct request *req, struct response *res, struct error *err)
{
    TRY(users_remove(req->context, req->arena, request_path_param(req, "name"), err));
    return response_empty(res, 204);
}

static const struct route users_routes[] = {
    { .method = "GET",
      .path = "/api/v1/users",
      .handler = on_list,
      .mode = INLINE,
      .permission = PERMIT_ADMIN,
      .summary = "Users and their roles" },
    { .method = "POST",
      .path = "/api/v1/users",
      .handler = on_add,
      .mode = DEFERRED,
      .permission = PERMIT_ADMIN,
      .body_max = BODY_SMALL,
      .summary = "Add a user; the answer holds the token, once",
      .request = "{\"type\":\"object\",\"required\":[\"name\",\"role\"],\"properties\":{"
                 "\"name\":{\"type\":\"string\"},\"role\":{\"enum\":[\"viewer\",\"editor\","
                 "\"approver\",\"admin\"]}}}" },
    { .method = "DELETE",
      .path = "/api/v1/users/{name}",
      .handler = on_remove,
      .mode = DEFERRED,
      .permission = PERMIT_ADMIN,
      .summary = "Take a user away" },
    ROUTES_END,
};

const struct door users_door = { "users", users_routes, NULL };
