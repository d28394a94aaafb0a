/* SPDX-License-Identifier: Apache-2.0 */
#include "bridges/score.h"

#include <limits.h>

/* --- what the job is told, as score_job.c reads it ------------------------- */

struct question {
    const struct score_context *context;
    struct arena *arena;
    const struct score_request *request;
    const struct definitions *definitions;
    const struct definition_item *item; /* of the endpoint */
    const struct service *service;
    struct str model;
    int64_t version;
    size_t memory_bytes; /* of the model */
};

static enum status find_model(struct question *question, struct error *err)
{
    struct proxy *proxy = question->context->proxy;
    struct str name = question->request->endpoint;
    struct endpoint *endpoint;
    bool has_model;

    TRY(proxy_acquire(proxy, name, &endpoint, err));
    has_model = endpoint->model != NULL;
    if (has_model) {
        question->model = arena_str(question->arena, model_name(endpoint->model));
        question->version = model_version_number(endpoint->model);
        question->memory_bytes = model_memory(endpoint->model);
    }
    proxy_release(proxy, endpoint);
    if (has_model)
        return STATUS_OK;
    return error_set(err, STATUS_UNAVAILABLE,
                     "no model is deployed (onggi models deploy MODEL VERSION"
                     " --endpoint " STR_FMT ")",
                     STR_ARG(name));
}

static enum status find_service(struct question *question, struct error *err)
{
    struct endpoint_spec spec;
    struct yaml_node *document;

    TRY(definitions_item_get(question->definitions, STR("endpoint"),
                             question->request->endpoint, &question->item, err));
    TRY(yaml_from_json(question->arena, question->item->place.file, question->item->place.line,
                       question->item->json, &document, err));
    TRY(endpoint_spec_read(question->arena, document, &spec, err));
    return definitions_service_get(question->definitions, spec.service, &question->service,
                                   err);
}

static void add_features(const struct question *question, yyjson_mut_doc *doc,
                         yyjson_mut_val *root)
{
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(doc, root, "features");
    const struct plan *plan = &question->service->plan;

    for (size_t i = 0; i < plan->output_count; i++) {
        yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, array);
        const struct plan_output *output = &plan->outputs[i];

        json_add_str(doc, object, "name",
                     plan->clash == NULL ? output->name : output->full_name);
        json_add_str(doc, object, "view", output->feature->view->name);
        yyjson_mut_obj_add_str(doc, object, "type", value_type_name(output->type));
    }
}

static void add_request(const struct question *question, yyjson_mut_doc *doc,
                        yyjson_mut_val *root)
{
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(doc, root, "request");
    const struct plan *plan = &question->service->plan;

    for (size_t i = 0; i < plan->request_field_count; i++) {
        yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, array);

        json_add_str(doc, object, "name", plan->request_fields[i].name);
        yyjson_mut_obj_add_str(doc, object, "type",
                               value_type_name(plan->request_fields[i].type));
    }
}

static enum status add_model(const struct question *question, yyjson_mut_doc *doc,
                             yyjson_mut_val *root, struct error *err)
{
    yyjson_mut_val *object = yyjson_mut_obj_add_obj(doc, root, "model");
    struct registry *registry = question->context->registry;
    struct model_version version;
    char *path;

    TRY(model_version_get(registry, question->arena, question->model, question->version,
                          &version, err));
    TRY(blob_path(registry_blobs(registry), question->arena, version.hash, &path, err));
    json_add_str(doc, object, "name", question->model);
    yyjson_mut_obj_add_sint(doc, object, "version", question->version);
    json_add_str(doc, object, "path", str_from(path));
    json_add_str(doc, object, "hash", version.hash);
    json_add_str(doc, object, "signature", version.signature);
    yyjson_mut_obj_add_uint(doc, object, "memory_bytes", question->memory_bytes);
    return STATUS_OK;
}

static enum status stage_json(const struct question *question, struct str *out,
                              struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(question->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);

    json_add_str(doc, root, "file", question->item->place.file);
    yyjson_mut_obj_add_int(doc, root, "line", question->item->place.line);
    json_add_str(doc, root, "endpoint", question->item->json);
    add_features(question, doc, root);
    add_request(question, doc, root);
    TRY(add_model(question, doc, root, err));
    yyjson_mut_obj_add_bool(doc, root, "keeps_features", question->request->keeps_features);
    *out = json_mut_write(question->arena, root);
    return STATUS_OK;
}

static enum status build(struct question *question, struct score_result *out, struct error *err)
{
    struct training_set_request set = question->request->set;

    TRY(find_service(question, err));
    set.service = question->service->name;
    /* Names matter only where the features are written. */
    set.full_names = set.full_names || !question->request->keeps_features;
    set.kind = &score_job;
    TRY(stage_json(question, &set.stage, err));
    TRY(training_set_build(question->arena, question->definitions, &set, &out->set, err));
    out->model = question->model;
    out->version = question->version;
    return STATUS_OK;
}

enum status score_build(const struct score_context *context, struct arena *arena,
                        const struct score_request *request, struct score_result *out,
                        struct error *err)
{
    struct question question = { .context = context, .arena = arena, .request = request };
    enum status status;

    TRY(find_model(&question, err));
    question.definitions = definition_store_current(context->shared.definitions);
    status = build(&question, out, err);
    definitions_unref(&question.definitions);
    /* The endpoint is there; what else is missing was named by the request or the project. */
    if (status == STATUS_NOT_FOUND)
        err->status = status = STATUS_INVALID;
    return status;
}

/* --- the door --------------------------------------------------------------- */

static enum status make(void *context, struct training_set_visit *visit,
                        struct training_set_result *out, struct error *err)
{
    const struct score_request request = {
        .endpoint = request_path_param(visit->req, "endpoint"),
        .keeps_features = visit->keeps_features,
        .set = visit->asked,
    };
    struct score_result result;

    TRY(score_build(context, visit->req->arena, &request, &result, err));
    json_add_str(visit->doc, visit->answer, "endpoint", request.endpoint);
    json_add_str(visit->doc, visit->answer, "model", result.model);
    yyjson_mut_obj_add_sint(visit->doc, visit->answer, "version", result.version);
    yyjson_mut_obj_add_uint(visit->doc, visit->answer, "fallbacks", result.set.fallbacks);
    *out = result.set;
    return STATUS_OK;
}

static enum status on_score(struct request *req, struct response *res, struct error *err)
{
    struct score_context *context = req->context;

    return training_set_serve(req, res, &context->shared, false, make, context, err);
}

static const struct route routes[] = {
    { "POST", "/api/v1/endpoints/{endpoint}/score", on_score, DEFERRED, PERMIT_EDIT, BODY_FILE,
      "Entity rows with what the endpoint says of each, as of its time",
      "{\"type\":\"object\",\"required\":[\"entities_sql\"],\"properties\":{"
      "\"entities_sql\":{\"type\":\"string\"},\"time\":{\"type\":\"string\"},"
      "\"as_known\":{\"type\":\"boolean\"},\"full_names\":{\"type\":\"boolean\"},"
      "\"features\":{\"type\":\"boolean\"},\"format\":{\"enum\":[\"parquet\",\"csv\"]}}}",
      "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},"
      "\"endpoint\":{\"type\":\"string\"},\"model\":{\"type\":\"string\"},"
      "\"version\":{\"type\":\"integer\"},\"fallbacks\":{\"type\":\"integer\"},\"rows\":{\"type\":\"integer\"},"
      "\"columns\":{\"type\":\"integer\"},\"bytes\":{\"type\":\"integer\"},"
      "\"seconds\":{\"type\":\"number\"},\"fingerprint\":{\"type\":\"string\"}}}",
      UINT_MAX },
    ROUTES_END,
};

const struct door score_door = { .name = "score", .routes = routes };
