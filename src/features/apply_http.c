/* SPDX-License-Identifier: Apache-2.0 */
/* The doors of definitions: check them, apply them, look at those in force. */
#include "features/apply.h"

#include "base/clock.h"
#include "base/json.h"

/* --- validate and apply ------------------------------------------------------- */

static yyjson_mut_val *changes_json(yyjson_mut_doc *doc,
                                    const struct definition_changes *changes)
{
    static const char *const signs[] = {
        [DEFINITION_ADDED] = "+", [DEFINITION_CHANGED] = "~", [DEFINITION_REMOVED] = "-"
    };
    yyjson_mut_val *array = yyjson_mut_arr(doc);

    for (size_t i = 0; i < changes->count; i++) {
        const struct definition_change *change = &changes->items[i];
        yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, array);

        yyjson_mut_obj_add_str(doc, object, "change", signs[change->change]);
        json_add_str(doc, object, "kind", change->kind);
        json_add_str(doc, object, "name", change->name);
        json_add_str(doc, object, "file", change->place.file);
        yyjson_mut_obj_add_int(doc, object, "line", change->place.line);
    }
    return array;
}

static yyjson_mut_val *unbuilt_json(yyjson_mut_doc *doc,
                                    const struct definition_changes *changes)
{
    yyjson_mut_val *array = yyjson_mut_arr(doc);

    for (size_t i = 0; i < changes->unbuilt_count; i++)
        yyjson_mut_arr_add_strn(doc, array, changes->unbuilt[i].data, changes->unbuilt[i].len);
    return array;
}

static yyjson_mut_val *errors_json(yyjson_mut_doc *doc, const struct definition_errors *errors)
{
    yyjson_mut_val *array = yyjson_mut_arr(doc);

    for (size_t i = 0; i < errors->count; i++) {
        const struct definition_error *error = &errors->items[i];
        yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, array);

        json_add_str(doc, object, "file", error->place.file);
        yyjson_mut_obj_add_int(doc, object, "line", error->place.line);
        yyjson_mut_obj_add_int(doc, object, "column", error->place.column);
        json_add_str(doc, object, "message", error->message);
    }
    return array;
}

static bool is_gone(void *context)
{
    return request_is_abandoned(context);
}

/* Mistakes in the files are the answer, not a failure of the question. */
static enum status answer_apply(struct request *req, struct response *res, enum apply_mode mode,
                                struct error *err)
{
    struct definition_errors errors = { .arena = req->arena };
    const struct definition_apply how = { mode, is_gone, req };
    struct definition_changes changes = { 0 };
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *answer = yyjson_mut_obj(doc);
    enum status status = definition_store_apply(req->context, req->arena, &how, &changes,
                                                &errors, err);

    if (status != STATUS_OK && errors.count == 0)
        return status;
    yyjson_mut_obj_add_val(doc, answer, "plan", changes_json(doc, &changes));
    yyjson_mut_obj_add_val(doc, answer, "materialize", unbuilt_json(doc, &changes));
    yyjson_mut_obj_add_bool(doc, answer, "applied", changes.applied);
    yyjson_mut_obj_add_int(doc, answer, "revision", definition_store_revision(req->context));
    yyjson_mut_obj_add_val(doc, answer, "errors", errors_json(doc, &errors));
    yyjson_mut_obj_add_val(doc, answer, "warnings", errors_json(doc, &changes.warnings));
    if (errors.left_out > 0)
        yyjson_mut_obj_add_uint(doc, answer, "errors_left_out", errors.left_out);
    return response_json(res, 200, json_mut_write(req->arena, answer));
}

static enum status on_validate(struct request *req, struct response *res, struct error *err)
{
    return answer_apply(req, res, APPLY_DRY_RUN, err);
}

static enum status on_apply(struct request *req, struct response *res, struct error *err)
{
    bool force = false;

    if (request_has_query(req, "force"))
        TRY(request_query_bool(req, "force", &force, err));
    return answer_apply(req, res, force ? APPLY_FORCED : APPLY_RECORD, err);
}

/* --- looking ------------------------------------------------------------------ */

struct writer {
    yyjson_mut_doc *doc;
    struct arena *arena;
};

static void add_text(struct writer *writer, yyjson_mut_val *object, const char *key,
                     struct str text)
{
    if (text.len > 0)
        json_add_str(writer->doc, object, key, text);
}

static void add_duration(struct writer *writer, yyjson_mut_val *object, const char *key,
                         int64_t duration_us)
{
    char text[TIME_TEXT_MAX];
    size_t len = duration_format_us(duration_us, text);

    if (duration_us > 0)
        json_add_str(writer->doc, object, key, (struct str){ text, len });
}

static void add_notes(struct writer *writer, yyjson_mut_val *object, const struct notes *notes)
{
    yyjson_val *tags;
    struct error err;

    add_text(writer, object, "description", notes->description);
    add_text(writer, object, "owner", notes->owner);
    if (notes->tags.len > 0 && json_parse(writer->arena, notes->tags, &tags, &err) == STATUS_OK)
        yyjson_mut_obj_add_val(writer->doc, object, "tags",
                               yyjson_val_mut_copy(writer->doc, tags));
}

static void add_fields(struct writer *writer, yyjson_mut_val *object, const char *key,
                       const struct field *fields, size_t count)
{
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(writer->doc, object, key);

    for (size_t i = 0; i < count; i++) {
        yyjson_mut_val *field = yyjson_mut_arr_add_obj(writer->doc, array);

        json_add_str(writer->doc, field, "name", fields[i].name);
        yyjson_mut_obj_add_str(writer->doc, field, "type", value_type_name(fields[i].type));
    }
}

static const struct notes *show_entity(struct writer *writer, yyjson_mut_val *object,
                                       const struct definitions *definitions, struct str name)
{
    const struct entity *entity = definitions_entity_find(definitions, name);

    if (object != NULL)
        add_fields(writer, object, "keys", entity->keys, entity->key_count);
    return &entity->notes;
}

static const struct notes *show_source(struct writer *writer, yyjson_mut_val *object,
                                       const struct definitions *definitions, struct str name)
{
    const struct source *source = definitions_source_find(definitions, name);
    yyjson_mut_val *columns;

    if (object == NULL)
        return &source->notes;
    json_add_str(writer->doc, object, source->kind == SOURCE_SQL ? "sql" : "path",
                 source->text);
    add_text(writer, object, "time", source->time);
    add_text(writer, object, "created", source->created);
    columns = yyjson_mut_obj_add_arr(writer->doc, object, "columns");
    for (size_t i = 0; i < source->column_count; i++) {
        const struct source_column *column = &source->columns[i];
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(writer->doc, columns);

        json_add_str(writer->doc, item, "name", column->name);
        if (column->is_usable)
            yyjson_mut_obj_add_str(writer->doc, item, "type", value_type_name(column->type));
        add_text(writer, item, "native", column->native);
    }
    return &source->notes;
}

/* "avg(delay) 7d", "count(*) 1d, delayed 7d, exact" */
static struct str aggregation_text(struct arena *arena, const struct aggregation *a)
{
    char window[TIME_TEXT_MAX] = "", delay[TIME_TEXT_MAX] = "";
    struct str input = a->input.len > 0 ? a->input : STR("*");

    if (a->window_us > 0)
        window[duration_format_us(a->window_us, window)] = '\0';
    if (a->delay_us > 0)
        delay[duration_format_us(a->delay_us, delay)] = '\0';
    return arena_printf(arena, "%s(" STR_FMT ")%s%s%s%s%s%s", aggregate_name(a->function),
                        STR_ARG(input), a->window_us > 0 ? " " : "", window,
                        a->delay_us > 0 ? ", delayed " : "", delay, a->exact ? ", exact" : "",
                        a->include_current ? ", including now" : "");
}

static void add_feature(struct writer *writer, yyjson_mut_val *array,
                        const struct feature *feature)
{
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(writer->doc, array);

    json_add_str(writer->doc, object, "name", feature->name);
    yyjson_mut_obj_add_str(writer->doc, object, "type", value_type_name(feature->type));
    if (feature->view->kind == VIEW_AGGREGATE)
        json_add_str(writer->doc, object, "aggregate",
                     aggregation_text(writer->arena, &feature->aggregation));
    if (feature->view->kind == VIEW_REQUEST)
        json_add_str(writer->doc, object, "expr", expression_text(feature->expression));
    add_text(writer, object, "description", feature->description);
    yyjson_mut_obj_add_int(writer->doc, object, "line", feature->place.line);
}

static const struct notes *show_view(struct writer *writer, yyjson_mut_val *object,
                                     const struct definitions *definitions, struct str name)
{
    const struct view *view = definitions_view_find(definitions, name);
    yyjson_mut_val *features;

    if (object == NULL)
        return &view->notes;
    if (view->kind == VIEW_REQUEST) {
        add_fields(writer, object, "request", view->request_fields, view->request_field_count);
    } else {
        json_add_str(writer->doc, object, "entity", view->entity->name);
        json_add_str(writer->doc, object, "source", view->source->name);
        add_duration(writer, object, "ttl", view->ttl_us);
    }
    features = yyjson_mut_obj_add_arr(writer->doc, object, "features");
    for (size_t i = 0; i < view->feature_count; i++)
        add_feature(writer, features, &view->features[i]);
    return &view->notes;
}

static const struct notes *show_service(struct writer *writer, yyjson_mut_val *object,
                                        const struct definitions *definitions, struct str name)
{
    const struct service *service = definitions_service_find(definitions, name);
    const struct plan *plan = &service->plan;
    yyjson_mut_val *features;

    if (object == NULL)
        return &service->notes;
    add_text(writer, object, "time", service->time);
    add_fields(writer, object, "entities", plan->keys, plan->key_count);
    add_fields(writer, object, "request", plan->request_fields, plan->request_field_count);
    features = yyjson_mut_obj_add_arr(writer->doc, object, "features");
    for (size_t i = 0; i < plan->output_count; i++) {
        const struct plan_output *output = &plan->outputs[i];
        yyjson_mut_val *feature = yyjson_mut_arr_add_obj(writer->doc, features);

        json_add_str(writer->doc, feature, "name", output->name);
        json_add_str(writer->doc, feature, "view", output->feature->view->name);
        yyjson_mut_obj_add_str(writer->doc, feature, "type", value_type_name(output->type));
    }
    return &service->notes;
}

static const struct shown_kind {
    struct str name;
    /* Adds what is special to the kind, unless object is NULL; gives what all kinds have. */
    const struct notes *(*show)(struct writer *writer, yyjson_mut_val *object,
                                const struct definitions *definitions, struct str name);
} shown_kinds[] = {
    { STR_INIT("entity"), show_entity },
    { STR_INIT("source"), show_source },
    { STR_INIT("view"), show_view },
    { STR_INIT("service"), show_service },
};

/* Other kinds are shown as they were written. */
static void add_definition(struct writer *writer, yyjson_mut_val *object,
                           const struct definition_item *item)
{
    yyjson_val *json;
    struct error err;

    if (json_parse(writer->arena, item->json, &json, &err) == STATUS_OK)
        yyjson_mut_obj_add_val(writer->doc, object, "definition",
                               yyjson_val_mut_copy(writer->doc, json));
}

static const struct notes *show(struct writer *writer, yyjson_mut_val *object, bool whole,
                                const struct definitions *definitions,
                                const struct definition_item *item)
{
    json_add_str(writer->doc, object, "kind", item->kind);
    json_add_str(writer->doc, object, "name", item->name);
    json_add_str(writer->doc, object, "file", item->place.file);
    yyjson_mut_obj_add_int(writer->doc, object, "line", item->place.line);
    for (size_t i = 0; i < ARRAY_LEN(shown_kinds); i++) {
        if (str_equal(shown_kinds[i].name, item->kind))
            return shown_kinds[i].show(writer, whole ? object : NULL, definitions, item->name);
    }
    if (whole)
        add_definition(writer, object, item);
    return NULL;
}

static bool contains_nocase(struct str text, struct str part)
{
    for (size_t i = 0; i + part.len <= text.len; i++) {
        if (str_equal_nocase(str_slice(text, i, i + part.len), part))
            return true;
    }
    return false;
}

/* Names, descriptions, columns, owners: all that was written. */
static bool is_wanted(const struct request *req, const struct definition_item *item)
{
    struct str kind = request_query(req, "kind");
    struct str name = request_query(req, "name");

    return (kind.len == 0 || str_equal(kind, item->kind)) &&
           (name.len == 0 || str_equal(name, item->name)) &&
           contains_nocase(item->json, request_query(req, "search"));
}

static enum status on_list(struct request *req, struct response *res, struct error *err)
{
    const struct definitions *definitions = definition_store_current(req->context);
    struct writer writer = { json_mut_doc(req->arena), req->arena };
    yyjson_mut_val *answer = yyjson_mut_obj(writer.doc);
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(writer.doc, answer, "definitions");
    size_t count;
    const struct definition_item *items = definitions_items(definitions, &count);

    (void)err;
    for (size_t i = 0; i < count; i++) {
        yyjson_mut_val *object;
        const struct notes *notes;

        if (!is_wanted(req, &items[i]))
            continue;
        object = yyjson_mut_arr_add_obj(writer.doc, array);
        notes = show(&writer, object, false, definitions, &items[i]);
        if (notes != NULL)
            add_notes(&writer, object, notes);
    }
    definitions_unref(&definitions);
    return response_json(res, 200, json_mut_write(req->arena, answer));
}

static enum status on_show(struct request *req, struct response *res, struct error *err)
{
    const struct definitions *definitions = definition_store_current(req->context);
    struct writer writer = { json_mut_doc(req->arena), req->arena };
    yyjson_mut_val *object = yyjson_mut_obj(writer.doc);
    const struct definition_item *item = NULL;
    const struct notes *notes;
    enum status status = definitions_item_get(definitions, request_path_param(req, "kind"),
                                              request_path_param(req, "name"), &item, err);

    if (status == STATUS_OK) {
        notes = show(&writer, object, true, definitions, item);
        if (notes != NULL)
            add_notes(&writer, object, notes);
        status = response_json(res, 200, json_mut_write(req->arena, object));
    }
    definitions_unref(&definitions);
    return status;
}

#define PLAN_SCHEMA \
    "{\"type\":\"object\",\"properties\":{\"plan\":{\"type\":\"array\"},\"materialize\":{\"type\":" \
    "\"array\"},\"applied\":{\"type\":\"boolean\"},\"revision\":{\"type\":\"integer\"},\"errors\":{\"type\":" \
    "\"array\"},\"warnings\":{\"type\":\"array\"}}}"

static const struct route routes[] = {
    { .method = "POST",
      .path = "/api/v1/validate",
      .handler = on_validate,
      .mode = DEFERRED,
      .permission = PERMIT_VIEW,
      .body_max = BODY_SMALL,
      .summary =
          "Check the definitions in the project's files and show what applying would change",
      .response = PLAN_SCHEMA },
    { .method = "POST",
      .path = "/api/v1/apply",
      .handler = on_apply,
      .mode = DEFERRED,
      .permission = PERMIT_EDIT,
      .body_max = BODY_SMALL,
      .summary = "Record the definitions in the project's files and put them in force; ?force="
                 "true also where an endpoint no longer fits the model that it serves",
      .response = PLAN_SCHEMA },
    { .method = "GET",
      .path = "/api/v1/definitions",
      .handler = on_list,
      .mode = INLINE,
      .permission = PERMIT_VIEW,
      .body_max = BODY_NONE,
      .summary = "The definitions in force; ?kind=, ?name= and ?search= choose among them" },
    { .method = "GET",
      .path = "/api/v1/definitions/{kind}/{name}",
      .handler = on_show,
      .mode = INLINE,
      .permission = PERMIT_VIEW,
      .body_max = BODY_NONE,
      .summary = "One definition, with its types" },
    ROUTES_END,
};

const struct door definition_door = { .name = "definitions", .routes = routes };
