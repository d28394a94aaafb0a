/* SPDX-License-Identifier: Apache-2.0 */
#include "features/materialize.h"

#include "features/source_spec.h"

/* --- writing -------------------------------------------------------------- */

static void add_fields(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                       const struct field *fields, size_t count)
{
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(doc, object, key);

    for (size_t i = 0; i < count; i++) {
        yyjson_mut_val *field = yyjson_mut_arr_add_obj(doc, array);

        json_add_str(doc, field, "name", fields[i].name);
        yyjson_mut_obj_add_str(doc, field, "type", value_type_name(fields[i].type));
    }
}

static void add_columns(yyjson_mut_doc *doc, yyjson_mut_val *object, struct arena *arena,
                        const struct view *view)
{
    struct field *columns = ARENA_ARRAY(arena, struct field, view->feature_count);

    for (size_t i = 0; i < view->feature_count; i++)
        columns[i] = (struct field){ view->features[i].column, view->features[i].type };
    add_fields(doc, object, "columns", columns, view->feature_count);
}

static void add_windows(yyjson_mut_doc *doc, yyjson_mut_val *object, const struct view *view)
{
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(doc, object, "windows");

    for (size_t i = 0; i < view->feature_count; i++) {
        const struct aggregation *aggregation = &view->features[i].aggregation;
        yyjson_mut_val *window = yyjson_mut_arr_add_obj(doc, array);

        yyjson_mut_obj_add_str(doc, window, "function", aggregate_name(aggregation->function));
        json_add_str(doc, window, "input", aggregation->input);
        yyjson_mut_obj_add_str(doc, window, "type", value_type_name(aggregation->input_type));
        yyjson_mut_obj_add_int(doc, window, "window_us", aggregation->window_us);
        yyjson_mut_obj_add_int(doc, window, "hop_us", aggregation->hop_us);
        yyjson_mut_obj_add_int(doc, window, "delay_us", aggregation->delay_us);
        yyjson_mut_obj_add_bool(doc, window, "exact", aggregation->exact);
        yyjson_mut_obj_add_bool(doc, window, "include_current", aggregation->include_current);
    }
}

static void add_view(yyjson_mut_doc *doc, yyjson_mut_val *array, struct arena *arena,
                     const struct view *view)
{
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, array);
    struct stored_view stored;

    stored_view_init(&stored, arena, view);
    json_add_str(doc, object, "name", view->name);
    json_add_str(doc, object, "source", view->source->name);
    json_add_str(doc, object, "layout", stored.layout);
    add_fields(doc, object, "keys", view->entity->keys, view->entity->key_count);
    if (view->kind == VIEW_COLUMNS)
        add_columns(doc, object, arena, view);
    else
        add_windows(doc, object, view);
}

struct str materialize_spec_json(struct arena *arena, const struct definitions *definitions,
                                 struct str online, struct str generation,
                                 struct offline_range range, const struct view *const *views,
                                 size_t view_count)
{
    yyjson_mut_doc *doc = json_mut_doc(arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    const struct source **sources = arena_array(arena, view_count, sizeof(*sources));
    yyjson_mut_val *array;

    for (size_t i = 0; i < view_count; i++)
        sources[i] = views[i]->source;
    json_add_str(doc, root, "project", definitions_project(definitions));
    json_add_str(doc, root, "online", online);
    json_add_str(doc, root, "generation", generation);
    yyjson_mut_obj_add_int(doc, root, "from_us", range.from_us);
    yyjson_mut_obj_add_int(doc, root, "to_us", range.to_us);
    yyjson_mut_obj_add_val(doc, root, "sources",
                           source_specs_json(doc, arena, sources, view_count));
    array = yyjson_mut_obj_add_arr(doc, root, "views");
    for (size_t i = 0; i < view_count; i++)
        add_view(doc, array, arena, views[i]);
    return json_mut_write(arena, root);
}

/* --- reading -------------------------------------------------------------- */

static enum status parse_type(const yyjson_val *object, enum value_type *out, struct error *err)
{
    struct str name;

    TRY(json_need_str(object, "type", &name, err));
    if (!value_type_parse(name, out))
        return error_set(err, STATUS_INVALID, "'" STR_FMT "' is no type", STR_ARG(name));
    return STATUS_OK;
}

static enum status parse_fields(struct arena *arena, const yyjson_val *object, const char *key,
                                struct field **out, size_t *count, struct error *err)
{
    yyjson_val *array = NULL, *item;
    size_t i, max;

    TRY(json_want_array(object, key, &array, err));
    if (array == NULL)
        return STATUS_OK;
    *out = ARENA_ARRAY(arena, struct field, yyjson_arr_size(array));
    yyjson_arr_foreach(array, i, max, item)
    {
        TRY(json_need_str(item, "name", &(*out)[i].name, err));
        TRY(parse_type(item, &(*out)[i].type, err));
    }
    *count = yyjson_arr_size(array);
    return STATUS_OK;
}

static enum status parse_window(const yyjson_val *object, struct aggregation *out,
                                struct error *err)
{
    struct str function;

    TRY(json_need_str(object, "function", &function, err));
    if (!aggregate_parse(function, &out->function))
        return error_set(err, STATUS_INVALID, "'" STR_FMT "' is no function",
                         STR_ARG(function));
    TRY(parse_type(object, &out->input_type, err));
    TRY(json_want_str(object, "input", &out->input, err));
    TRY(json_want_int64(object, "window_us", &out->window_us, err));
    TRY(json_want_int64(object, "hop_us", &out->hop_us, err));
    TRY(json_want_int64(object, "delay_us", &out->delay_us, err));
    TRY(json_want_bool(object, "exact", &out->exact, err));
    return json_want_bool(object, "include_current", &out->include_current, err);
}

static enum status parse_windows(struct arena *arena, const yyjson_val *object,
                                 struct materialize_view *view, struct error *err)
{
    yyjson_val *array = NULL, *item;
    size_t i, max;

    TRY(json_want_array(object, "windows", &array, err));
    if (array == NULL)
        return STATUS_OK;
    view->windows = ARENA_ARRAY(arena, struct aggregation, yyjson_arr_size(array));
    view->window_count = yyjson_arr_size(array);
    yyjson_arr_foreach(array, i, max, item)
    {
        TRY(parse_window(item, &view->windows[i], err));
    }
    return STATUS_OK;
}

static enum status parse_view(struct arena *arena, const yyjson_val *object,
                              struct materialize_view *out, struct error *err)
{
    TRY(json_need_str(object, "name", &out->name, err));
    TRY(json_need_str(object, "source", &out->source, err));
    TRY(json_need_str(object, "layout", &out->layout, err));
    TRY(parse_fields(arena, object, "keys", &out->keys, &out->key_count, err));
    TRY(parse_fields(arena, object, "columns", &out->columns, &out->column_count, err));
    return parse_windows(arena, object, out, err);
}

enum status materialize_spec_parse(struct arena *arena, const yyjson_val *json,
                                   struct materialize_spec *out, struct error *err)
{
    yyjson_val *sources = NULL, *views = NULL, *item;
    size_t i, max;

    *out = (struct materialize_spec){ .range = { INT64_MIN, INT64_MAX } };
    TRY(json_need_str(json, "project", &out->project, err));
    TRY(json_need_str(json, "online", &out->online, err));
    TRY(json_need_str(json, "generation", &out->generation, err));
    TRY(json_want_int64(json, "from_us", &out->range.from_us, err));
    TRY(json_want_int64(json, "to_us", &out->range.to_us, err));
    TRY(json_want_array(json, "sources", &sources, err));
    TRY(json_want_array(json, "views", &views, err));
    TRY(source_specs_parse(arena, sources, &out->sources, &out->source_count, err));
    out->view_count = yyjson_arr_size(views);
    out->views = ARENA_ARRAY(arena, struct materialize_view, out->view_count);
    yyjson_arr_foreach(views, i, max, item)
    {
        TRY(parse_view(arena, item, &out->views[i], err));
    }
    return STATUS_OK;
}
