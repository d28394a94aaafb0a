/* SPDX-License-Identifier: Apache-2.0 */
#include "features/training_set.h"

#include "features/source_spec.h"

#include <unistd.h>

/* Writes the specification that offline/training_set_spec.h describes. */
struct writing {
    struct arena *arena;
    yyjson_mut_doc *doc;
    const struct definitions *definitions;
    const struct training_set_request *request;
    const struct plan *plan;
    struct str time;
    yyjson_mut_val *root;
};

/* --- sources -------------------------------------------------------------- */

static bool is_word(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_';
}

/* Whether the name stands in the SQL as a word. One that means something else there costs only a view. */
static bool is_named_in(struct str sql, struct str name)
{
    for (size_t at = 0; at + name.len <= sql.len; at++) {
        bool starts = at == 0 || !is_word(sql.data[at - 1]);
        bool ends = at + name.len == sql.len || !is_word(sql.data[at + name.len]);

        if (starts && ends && str_equal_nocase(str_slice(sql, at, at + name.len), name))
            return true;
    }
    return false;
}

static void write_sources(struct writing *writing)
{
    size_t source_count, count = 0;
    const struct source *sources = definitions_sources(writing->definitions, &source_count);
    const struct source **wanted = ARENA_ARRAY(writing->arena, const struct source *,
                                               writing->plan->view_count + source_count);

    for (size_t i = 0; i < writing->plan->view_count; i++)
        wanted[count++] = writing->plan->views[i].view->source;
    for (size_t i = 0; i < source_count; i++) {
        if (is_named_in(writing->request->entities_sql, sources[i].name))
            wanted[count++] = &sources[i];
    }
    yyjson_mut_obj_add_val(writing->doc, writing->root, "sources",
                           source_specs_json(writing->doc, writing->arena, wanted, count));
}

static int64_t source_index(const struct writing *writing, struct str name)
{
    yyjson_mut_val *sources = yyjson_mut_obj_get(writing->root, "sources"), *source;
    size_t i, max;

    yyjson_mut_arr_foreach(sources, i, max, source)
    {
        yyjson_mut_val *found = yyjson_mut_obj_get(source, "name");

        if (str_equal(str_from(yyjson_mut_get_str(found)), name))
            return (int64_t)i;
    }
    return -1;
}

/* --- fields, views, expressions, outputs ---------------------------------- */

static void add_type(struct writing *writing, yyjson_mut_val *object, const char *key,
                     enum value_type type)
{
    yyjson_mut_obj_add_str(writing->doc, object, key, value_type_name(type));
}

static void write_fields(struct writing *writing, const char *key, const struct field *fields,
                         size_t count)
{
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(writing->doc, writing->root, key);

    for (size_t i = 0; i < count; i++) {
        yyjson_mut_val *object = yyjson_mut_arr_add_obj(writing->doc, array);

        json_add_str(writing->doc, object, "name", fields[i].name);
        add_type(writing, object, "type", fields[i].type);
    }
}

static void write_feature(struct writing *writing, yyjson_mut_val *array,
                          const struct feature *feature)
{
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(writing->doc, array);
    const struct aggregation *aggregation = &feature->aggregation;
    yyjson_mut_doc *doc = writing->doc;

    json_add_str(doc, object, "name", feature->name);
    add_type(writing, object, "type", feature->type);
    if (feature->view->kind == VIEW_COLUMNS) {
        json_add_str(doc, object, "column", feature->column);
        return;
    }
    yyjson_mut_obj_add_str(doc, object, "function", aggregate_name(aggregation->function));
    json_add_str(doc, object, "input", aggregation->input);
    add_type(writing, object, "input_type", aggregation->input_type);
    yyjson_mut_obj_add_sint(doc, object, "window_us", aggregation->window_us);
    yyjson_mut_obj_add_sint(doc, object, "hop_us",
                            aggregation->exact ? 0 : aggregation->hop_us);
    yyjson_mut_obj_add_sint(doc, object, "delay_us", aggregation->delay_us);
    yyjson_mut_obj_add_bool(doc, object, "include_current", aggregation->include_current);
}

static void write_view(struct writing *writing, yyjson_mut_val *array,
                       const struct plan_view *plan)
{
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(writing->doc, array), *list;

    json_add_str(writing->doc, object, "name", plan->view->name);
    yyjson_mut_obj_add_sint(writing->doc, object, "source",
                            source_index(writing, plan->view->source->name));
    yyjson_mut_obj_add_sint(writing->doc, object, "ttl_us", plan->view->ttl_us);
    list = yyjson_mut_obj_add_arr(writing->doc, object, "keys");
    for (size_t i = 0; i < plan->view->entity->key_count; i++)
        yyjson_mut_arr_add_uint(writing->doc, list, plan->keys[i]);
    list = yyjson_mut_obj_add_arr(writing->doc, object, "features");
    for (size_t i = 0; i < plan->feature_count; i++)
        write_feature(writing, list, plan->features[i]);
}

/* As the expression's text calls it. */
static struct str input_name(struct writing *writing, const struct feature *feature,
                             const struct expression_input *input)
{
    if (input->is_request)
        return feature->view->request_fields[input->field].name;
    return arena_printf(writing->arena, STR_FMT "." STR_FMT,
                        STR_ARG(input->feature->view->name), STR_ARG(input->feature->name));
}

static void write_expression(struct writing *writing, yyjson_mut_val *array,
                             const struct plan_expression *plan)
{
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(writing->doc, array), *inputs;
    const struct feature *feature = plan->feature;
    yyjson_mut_doc *doc = writing->doc;

    json_add_str(doc, object, "name", feature->name);
    add_type(writing, object, "type", feature->type);
    json_add_str(doc, object, "text", expression_text(feature->expression));
    yyjson_mut_obj_add_uint(doc, object, "slot", plan->slot);
    inputs = yyjson_mut_obj_add_arr(doc, object, "inputs");
    for (size_t i = 0; i < feature->input_count; i++) {
        const struct expression_input *input = &feature->inputs[i];
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, inputs);

        json_add_str(doc, item, "name", input_name(writing, feature, input));
        add_type(writing, item, "type",
                 input->is_request ? feature->view->request_fields[input->field].type
                                   : input->feature->type);
        yyjson_mut_obj_add_bool(doc, item, "request", input->is_request);
        yyjson_mut_obj_add_uint(doc, item, "index", plan->inputs[i].index);
    }
}

static void write_outputs(struct writing *writing)
{
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(writing->doc, writing->root, "outputs");

    for (size_t i = 0; i < writing->plan->output_count; i++) {
        const struct plan_output *output = &writing->plan->outputs[i];
        yyjson_mut_val *object = yyjson_mut_arr_add_obj(writing->doc, array);

        json_add_str(writing->doc, object, "name",
                     writing->request->full_names ? output->full_name : output->name);
        yyjson_mut_obj_add_uint(writing->doc, object, "slot", output->slot);
    }
}

static void write_plan(struct writing *writing)
{
    const struct plan *plan = writing->plan;
    yyjson_mut_val *array;

    write_sources(writing);
    write_fields(writing, "keys", plan->keys, plan->key_count);
    write_fields(writing, "request", plan->request_fields, plan->request_field_count);
    yyjson_mut_obj_add_uint(writing->doc, writing->root, "slots", plan->slot_count);
    array = yyjson_mut_obj_add_arr(writing->doc, writing->root, "views");
    for (size_t i = 0; i < plan->view_count; i++)
        write_view(writing, array, &plan->views[i]);
    array = yyjson_mut_obj_add_arr(writing->doc, writing->root, "expressions");
    for (size_t i = 0; i < plan->expression_count; i++)
        write_expression(writing, array, &plan->expressions[i]);
    write_outputs(writing);
}

static void write_request(struct writing *writing)
{
    const struct training_set_request *request = writing->request;
    yyjson_mut_doc *doc = writing->doc;
    yyjson_mut_val *root = writing->root, *entities;

    yyjson_mut_obj_add_strcpy(doc, root, "project", request->project);
    yyjson_mut_obj_add_strcpy(doc, root, "out", request->out);
    yyjson_mut_obj_add_str(doc, root, "format",
                           request->format == TRAINING_SET_CSV ? "csv" : "parquet");
    yyjson_mut_obj_add_bool(doc, root, "as_known", request->as_known);
    json_add_str(doc, root, "time", writing->time);
    entities = yyjson_mut_obj_add_obj(doc, root, "entities");
    if (request->entities_sql.len > 0)
        json_add_str(doc, entities, "sql", request->entities_sql);
    else
        yyjson_mut_obj_add_strcpy(doc, entities, "path", request->entities);
}

static void write_stage(struct writing *writing)
{
    const struct training_set_request *request = writing->request;

    if (request->kind == NULL)
        return;
    yyjson_mut_obj_add_bool(writing->doc, writing->root, "reads_request", true);
    yyjson_mut_obj_add_val(
        writing->doc, writing->root, "stage",
        yyjson_mut_rawn(writing->doc, request->stage.data, request->stage.len));
}

static enum status write_spec(struct writing *writing, const struct service *service,
                              struct str *out, struct error *err)
{
    const struct training_set_request *request = writing->request;
    const struct plan_output *clash = service->plan.clash;

    writing->time = request->time.len > 0 ? request->time : service->time;
    if (writing->time.len == 0)
        return error_set(err, STATUS_INVALID,
                         "service '" STR_FMT
                         "' has no time field; say which column of the entity "
                         "rows is the time (--time)",
                         STR_ARG(service->name));
    if (clash != NULL && !request->full_names)
        return error_set(err, STATUS_INVALID,
                         "service '" STR_FMT "' has two features named '" STR_FMT
                         "'; ask for full names (--full-names)",
                         STR_ARG(service->name), STR_ARG(clash->name));
    if ((request->entities_sql.len > 0) == (request->entities != NULL))
        return error_set(err, STATUS_INVALID,
                         "give the entity rows either as a file or as SQL");
    writing->doc = json_mut_doc(writing->arena);
    writing->root = yyjson_mut_obj(writing->doc);
    writing->plan = &service->plan;
    write_request(writing);
    write_plan(writing);
    write_stage(writing);
    *out = json_mut_write(writing->arena, writing->root);
    return STATUS_OK;
}

/* --- the job -------------------------------------------------------------- */

static enum status read_result(struct arena *arena, struct str text,
                               struct training_set_result *out, struct error *err)
{
    yyjson_val *json;
    int64_t rows = 0, columns = 0, bytes = 0, fallbacks = 0;

    TRY(json_parse(arena, text, &json, err));
    TRY(json_want_int64(json, "rows", &rows, err));
    TRY(json_want_int64(json, "columns", &columns, err));
    TRY(json_want_int64(json, "bytes", &bytes, err));
    TRY(json_want_int64(json, "fallbacks", &fallbacks, err));
    TRY(json_need_str(json, "fingerprint", &out->fingerprint, err));
    out->fingerprint = arena_str(arena, out->fingerprint);
    out->rows = (uint64_t)rows;
    out->columns = (uint64_t)columns;
    out->bytes = (uint64_t)bytes;
    out->fallbacks = (uint64_t)fallbacks;
    out->seconds = yyjson_get_num(json_find(json, STR("seconds")));
    return STATUS_OK;
}

enum status training_set_build(struct arena *arena, const struct definitions *definitions,
                               const struct training_set_request *request,
                               struct training_set_result *out, struct error *err)
{
    struct writing writing = { .arena = arena, .definitions = definitions, .request = request };
    const struct job_kind *kind = request->kind == NULL ? &training_set_job : request->kind;
    struct job_spec job = { .name = kind->name,
                            .limits = request->limits,
                            .on_progress = request->on_progress,
                            .context = request->context,
                            .is_cancelled = request->is_cancelled };
    const struct service *service;
    struct str result;

    TRY(definitions_service_get(definitions, request->service, &service, err));
    TRY(write_spec(&writing, service, &job.spec, err));
    if (job_run(arena, &job, &result, err) != STATUS_OK) {
        /* A job that was killed could not clean up behind itself. */
        unlink(arena_printf(arena, "%s" TRAINING_SET_PART, request->out).data);
        return err->status;
    }
    return read_result(arena, result, out, err);
}
