/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be materialised and what came of it, as JSON: of the door and of the pipeline's task. */
#include "base/clock.h"
#include "features/feature_store.h"

static enum status want_time(const yyjson_val *body, const char *key, int64_t *out,
                             struct error *err)
{
    struct str text = STR_EMPTY;

    TRY(json_want_str(body, key, &text, err));
    if (text.len > 0 && !time_parse_us(text, out))
        return error_set(err, STATUS_INVALID,
                         "'%s': '" STR_FMT
                         "' is no time; expected one like 2018-08-08T10:00:00Z",
                         key, STR_ARG(str_slice(text, 0, 60)));
    return STATUS_OK;
}

static enum status want_views(struct arena *arena, const yyjson_val *body,
                              struct materialize_request *out, struct error *err)
{
    yyjson_val *array = NULL, *one;
    yyjson_arr_iter iter;
    struct str *views;

    TRY(json_want_array(body, "views", &array, err));
    if (array == NULL)
        return STATUS_OK;
    if (yyjson_arr_size(array) == 0)
        return error_set(err, STATUS_INVALID, "'views' is empty; leave it out for all views");
    out->views = views = ARENA_ARRAY(arena, struct str, yyjson_arr_size(array));
    iter = yyjson_arr_iter_with(array);
    while ((one = yyjson_arr_iter_next(&iter)) != NULL) {
        if (!yyjson_is_str(one))
            return error_set(err, STATUS_INVALID, "'views': expected names of views");
        views[out->view_count++] = json_str(one);
    }
    return STATUS_OK;
}

enum status materialize_request_read(struct arena *arena, const yyjson_val *json,
                                     struct materialize_request *out, struct error *err)
{
    static const struct str known[] = { STR_INIT("views"), STR_INIT("from"), STR_INIT("to") };

    TRY(json_only_keys(json, known, ARRAY_LEN(known), err));
    TRY(want_views(arena, json, out, err));
    TRY(want_time(json, "from", &out->from_us, err));
    return want_time(json, "to", &out->to_us, err);
}

struct str materialize_result_json(struct arena *arena, const struct materialize_result *result)
{
    yyjson_mut_doc *doc = json_mut_doc(arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *views = yyjson_mut_obj_add_arr(doc, root, "views");

    for (size_t i = 0; i < result->view_count; i++) {
        const struct materialize_view_result *one = &result->views[i];
        yyjson_mut_val *view = yyjson_mut_arr_add_obj(doc, views);

        json_add_str(doc, view, "view", one->view);
        yyjson_mut_obj_add_uint(doc, view, "rows", one->rows);
        yyjson_mut_obj_add_uint(doc, view, "entities", one->entities);
        yyjson_mut_obj_add_real(doc, view, "seconds", one->seconds);
    }
    yyjson_mut_obj_add_uint(doc, root, "rows", result->rows);
    yyjson_mut_obj_add_uint(doc, root, "entities", result->entities);
    yyjson_mut_obj_add_real(doc, root, "seconds", result->seconds);
    return json_mut_write(arena, root);
}
