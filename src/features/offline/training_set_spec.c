/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/training_set_spec.h"

#include "features/offline/key_table.h"

/* The parent wrote it, so a mistake is ours; it is still read with care: a bad index would corrupt. */

static enum status need_type(const yyjson_val *object, const char *key, enum value_type *out,
                             struct error *err)
{
    struct str name;

    TRY(json_need_str(object, key, &name, err));
    if (!value_type_parse(name, out))
        return error_set(err, STATUS_INVALID, "'" STR_FMT "' is no type", STR_ARG(name));
    return STATUS_OK;
}

static enum status need_index(const yyjson_val *object, const char *key, size_t below,
                              size_t *out, struct error *err)
{
    int64_t index = -1;

    TRY(json_want_int64(object, key, &index, err));
    if (index < 0 || (uint64_t)index >= below)
        return error_set(err, STATUS_INVALID, "'%s' is out of range", key);
    *out = (size_t)index;
    return STATUS_OK;
}

static enum status need_array(const yyjson_val *object, const char *key, yyjson_val **out,
                              struct error *err)
{
    *out = NULL;
    TRY(json_want_array(object, key, out, err));
    if (*out == NULL)
        return error_set(err, STATUS_INVALID, "'%s' is missing", key);
    return STATUS_OK;
}

static enum status parse_fields(struct arena *arena, const yyjson_val *spec, const char *key,
                                struct spec_field **out, size_t *count, struct error *err)
{
    yyjson_val *array, *item;
    size_t i, max;

    TRY(need_array(spec, key, &array, err));
    *count = yyjson_arr_size(array);
    *out = ARENA_ARRAY(arena, struct spec_field, *count);
    yyjson_arr_foreach(array, i, max, item)
    {
        TRY(json_need_str(item, "name", &(*out)[i].name, err));
        TRY(need_type(item, "type", &(*out)[i].type, err));
    }
    return STATUS_OK;
}

static enum status parse_feature(const yyjson_val *json, struct spec_feature *out,
                                 struct error *err)
{
    struct str function = STR_EMPTY;

    TRY(json_need_str(json, "name", &out->name, err));
    TRY(need_type(json, "type", &out->type, err));
    TRY(json_want_str(json, "function", &function, err));
    out->is_column = function.len == 0;
    if (out->is_column)
        return json_need_str(json, "column", &out->input, err);
    if (!aggregate_parse(function, &out->aggregate.function))
        return error_set(err, STATUS_INVALID, "there is no aggregate '" STR_FMT "'",
                         STR_ARG(function));
    TRY(json_want_str(json, "input", &out->input, err));
    TRY(need_type(json, "input_type", &out->aggregate.input, err));
    out->aggregate.counts_rows = out->input.len == 0;
    TRY(json_want_int64(json, "window_us", &out->window_us, err));
    TRY(json_want_int64(json, "hop_us", &out->hop_us, err));
    TRY(json_want_int64(json, "delay_us", &out->delay_us, err));
    return json_want_bool(json, "include_current", &out->include_current, err);
}

static enum status parse_view(struct arena *arena, const struct training_set_spec *spec,
                              const yyjson_val *json, struct spec_view *out, struct error *err)
{
    yyjson_val *array, *item;
    size_t i, max;

    TRY(json_need_str(json, "name", &out->name, err));
    TRY(need_index(json, "source", spec->source_count, &out->source, err));
    TRY(json_want_int64(json, "ttl_us", &out->ttl_us, err));
    TRY(need_array(json, "keys", &array, err));
    out->key_count = yyjson_arr_size(array);
    if (out->key_count > KEY_COLUMNS_MAX)
        return error_set(err, STATUS_LIMIT, "an entity has at most %d keys", KEY_COLUMNS_MAX);
    out->keys = ARENA_ARRAY(arena, size_t, out->key_count);
    yyjson_arr_foreach(array, i, max, item)
    {
        out->keys[i] = (size_t)yyjson_get_uint(item);
        if (out->keys[i] >= spec->key_count)
            return error_set(err, STATUS_INVALID, "a key is out of range");
    }
    TRY(need_array(json, "features", &array, err));
    out->feature_count = yyjson_arr_size(array);
    out->features = ARENA_ARRAY(arena, struct spec_feature, out->feature_count);
    yyjson_arr_foreach(array, i, max, item)
    {
        TRY(parse_feature(item, &out->features[i], err));
    }
    return STATUS_OK;
}

static enum status parse_views(struct arena *arena, const yyjson_val *json,
                               struct training_set_spec *spec, struct error *err)
{
    yyjson_val *array, *item;
    size_t i, max, slot = 0;

    TRY(need_array(json, "views", &array, err));
    spec->view_count = yyjson_arr_size(array);
    spec->views = ARENA_ARRAY(arena, struct spec_view, spec->view_count);
    yyjson_arr_foreach(array, i, max, item)
    {
        TRY(parse_view(arena, spec, item, &spec->views[i], err));
        spec->views[i].first_slot = slot;
        slot += spec->views[i].feature_count;
    }
    if (slot > spec->slot_count)
        return error_set(err, STATUS_INVALID, "there are more features than slots");
    return STATUS_OK;
}

static enum status parse_expression(struct arena *arena, const struct training_set_spec *spec,
                                    const yyjson_val *json, struct spec_expression *out,
                                    struct error *err)
{
    yyjson_val *array, *item;
    size_t i, max;

    TRY(json_need_str(json, "name", &out->name, err));
    TRY(json_need_str(json, "text", &out->text, err));
    TRY(need_type(json, "type", &out->type, err));
    TRY(need_index(json, "slot", spec->slot_count, &out->slot, err));
    TRY(need_array(json, "inputs", &array, err));
    out->input_count = yyjson_arr_size(array);
    out->inputs = ARENA_ARRAY(arena, struct spec_input, out->input_count);
    yyjson_arr_foreach(array, i, max, item)
    {
        struct spec_input *input = &out->inputs[i];

        TRY(json_need_str(item, "name", &input->name, err));
        TRY(need_type(item, "type", &input->type, err));
        TRY(json_want_bool(item, "request", &input->is_request, err));
        TRY(need_index(item, "index",
                       input->is_request ? spec->request_count : spec->slot_count,
                       &input->index, err));
    }
    return STATUS_OK;
}

static enum status parse_expressions(struct arena *arena, const yyjson_val *json,
                                     struct training_set_spec *spec, struct error *err)
{
    yyjson_val *array, *item;
    size_t i, max;

    TRY(need_array(json, "expressions", &array, err));
    spec->expression_count = yyjson_arr_size(array);
    spec->expressions = ARENA_ARRAY(arena, struct spec_expression, spec->expression_count);
    yyjson_arr_foreach(array, i, max, item)
    {
        TRY(parse_expression(arena, spec, item, &spec->expressions[i], err));
    }
    return STATUS_OK;
}

static enum status parse_outputs(struct arena *arena, const yyjson_val *json,
                                 struct training_set_spec *spec, struct error *err)
{
    yyjson_val *array, *item;
    size_t i, max;

    TRY(need_array(json, "outputs", &array, err));
    spec->output_count = yyjson_arr_size(array);
    spec->outputs = ARENA_ARRAY(arena, struct spec_output, spec->output_count);
    yyjson_arr_foreach(array, i, max, item)
    {
        TRY(json_need_str(item, "name", &spec->outputs[i].name, err));
        TRY(need_index(item, "slot", spec->slot_count, &spec->outputs[i].slot, err));
    }
    return STATUS_OK;
}

static enum status parse_files(struct arena *arena, const yyjson_val *json,
                               struct training_set_spec *spec, struct error *err)
{
    struct str format = STR_EMPTY;
    yyjson_val *entities, *sources;

    TRY(json_need_str(json, "project", &spec->project, err));
    TRY(json_need_str(json, "out", &spec->out, err));
    TRY(json_want_str(json, "format", &format, err));
    spec->is_csv = str_equal(format, STR("csv"));
    TRY(json_want_bool(json, "as_known", &spec->as_known, err));
    TRY(json_want_bool(json, "reads_request", &spec->reads_request, err));
    TRY(json_need_str(json, "time", &spec->time, err));
    TRY(json_need_object(json, "entities", &entities, err));
    TRY(json_want_str(entities, "path", &spec->entities_path, err));
    TRY(json_want_str(entities, "sql", &spec->entities_sql, err));
    if ((spec->entities_path.len == 0) == (spec->entities_sql.len == 0))
        return error_set(err, STATUS_INVALID, "entity rows are either a file or SQL");
    TRY(need_array(json, "sources", &sources, err));
    return source_specs_parse(arena, sources, &spec->sources, &spec->source_count, err);
}

enum status training_set_spec_parse(struct arena *arena, const yyjson_val *json,
                                    struct training_set_spec *out, struct error *err)
{
    struct training_set_spec spec = { 0 };
    int64_t slots = 0;

    TRY(parse_files(arena, json, &spec, err));
    TRY(parse_fields(arena, json, "keys", &spec.keys, &spec.key_count, err));
    TRY(parse_fields(arena, json, "request", &spec.request, &spec.request_count, err));
    TRY(json_want_int64(json, "slots", &slots, err));
    spec.slot_count = slots > 0 ? (size_t)slots : 0;
    TRY(parse_views(arena, json, &spec, err));
    TRY(parse_expressions(arena, json, &spec, err));
    TRY(parse_outputs(arena, json, &spec, err));
    *out = spec;
    return STATUS_OK;
}
