/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/serving_http.h"

#include "base/clock.h"
#include "base/json.h"
#include "net/router.h"
#include "serving/infer_json.h"
#include "serving/model.h"

/* A loop thread reads so much JSON in the time it may spend on one request. */
#define INLINE_BODY_MAX 4096
/* A model that is fast as a rule may be slow for a row: then a worker begins anew. */
#define INLINE_RUN_NS UINT64_C(10000000)
#define REPLY_EXPECTED 512

/* --- what there is -------------------------------------------------------- */

static enum status on_server(struct request *req, struct response *res, struct error *err)
{
    (void)req;
    (void)err;
    return response_json(
        res, 200,
        STR("{\"name\":\"onggi\",\"version\":\"" ONGGI_VERSION "\",\"extensions\":[]}"));
}

static enum status on_live(struct request *req, struct response *res, struct error *err)
{
    (void)req;
    (void)err;
    return response_json(res, 200, STR("{\"live\":true}"));
}

static enum status on_ready(struct request *req, struct response *res, struct error *err)
{
    struct buffer reply = { 0 };

    if (serving_is_ready(req->context, err))
        return response_json(res, 200, STR("{\"ready\":true}"));
    /* Some clients go by the code, others by the word. */
    buffer_append(&reply, STR("{\"ready\":false,\"error\":"));
    json_write_str(&reply, str_from(err->message));
    buffer_append_byte(&reply, '}');
    (void)response_json(res, 503, buffer_str(&reply));
    buffer_free(&reply);
    return STATUS_OK;
}

static enum status on_models(struct request *req, struct response *res, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *models = yyjson_mut_obj_add_arr(doc, root, "models");
    struct model_entry *entries;
    size_t count;

    (void)err;
    serving_list(req->context, req->arena, &entries, &count);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || !str_equal(entries[i].name, entries[i - 1].name))
            yyjson_mut_arr_add_strn(doc, models, entries[i].name.data, entries[i].name.len);
    return response_json(res, 200, json_mut_write(req->arena, root));
}

/* As the path names it: the version, or the current one. */
static enum status acquire(struct request *req, struct model **out, struct error *err)
{
    struct str name = request_path_param(req, "model");
    struct str text = request_path_param(req, "version");
    int64_t version = 0;

    /* The beginning is what clients of other servers look for. */
    if (text.len > 0 && (!str_to_int64(text, &version) || version <= 0))
        return error_set(err, STATUS_NOT_FOUND,
                         "Request for unknown model: version '" STR_FMT
                         "' is no number from 1 on",
                         STR_ARG(str_slice(text, 0, 40)));
    if (model_acquire(req->context, name, version, out, err) != STATUS_OK)
        return error_wrap(err, "Request for unknown model");
    return STATUS_OK;
}

static void add_specs(yyjson_mut_doc *doc, yyjson_mut_val *root, const char *key,
                      const struct tensor_spec *specs, size_t count)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, key);

    for (size_t i = 0; i < count; i++) {
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, list), *shape;

        json_add_str(doc, item, "name", specs[i].name);
        yyjson_mut_obj_add_str(doc, item, "datatype", tensor_type_name(specs[i].type));
        shape = yyjson_mut_obj_add_arr(doc, item, "shape");
        for (size_t k = 0; k < specs[i].rank; k++)
            yyjson_mut_arr_add_sint(doc, shape, specs[i].dims[k]);
    }
}

static void add_versions(struct request *req, yyjson_mut_doc *doc, yyjson_mut_val *root,
                         struct str name)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "versions");
    struct model_entry *entries;
    size_t count;

    serving_list(req->context, req->arena, &entries, &count);
    for (size_t i = 0; i < count; i++) {
        struct str text = arena_printf(req->arena, "%lld", (long long)entries[i].version);

        if (str_equal(entries[i].name, name))
            yyjson_mut_arr_add_strn(doc, list, text.data, text.len);
    }
}

static enum status on_model(struct request *req, struct response *res, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    const struct tensor_spec *specs;
    struct model *model;
    struct str json;
    size_t count;

    TRY(acquire(req, &model, err));
    json_add_str(doc, root, "name", model_name(model));
    add_versions(req, doc, root, model_name(model));
    yyjson_mut_obj_add_str(doc, root, "platform", "onnx_onnxv1");
    specs = model_inputs(model, &count);
    add_specs(doc, root, "inputs", specs, count);
    specs = model_outputs(model, &count);
    add_specs(doc, root, "outputs", specs, count);
    json = json_mut_write(req->arena, root);
    model_unref(&model);
    return response_json(res, 200, json);
}

static enum status on_model_ready(struct request *req, struct response *res, struct error *err)
{
    struct buffer reply = { 0 };
    struct model *model;

    TRY(acquire(req, &model, err));
    buffer_append(&reply, STR("{\"name\":"));
    json_write_str(&reply, model_name(model));
    buffer_append(&reply, STR(",\"ready\":true}"));
    model_unref(&model);
    (void)response_json(res, 200, buffer_str(&reply));
    buffer_free(&reply);
    return STATUS_OK;
}

/* --- infer ---------------------------------------------------------------- */

/* deadline as clock_monotonic_ns; 0: none. */
static enum status infer(struct request *req, struct model *model, uint64_t deadline_ns,
                         struct buffer *reply, struct error *err)
{
    const struct tensor_spec *offered;
    struct infer_request request;
    struct tensor *outputs;
    size_t count;

    offered = model_outputs(model, &count);
    outputs = ARENA_ARRAY(req->arena, struct tensor, count);
    TRY(infer_request_parse(req->arena, req->body, offered, count, &request, err));
    TRY(model_infer(model, req->arena, request.inputs, request.input_count, deadline_ns,
                    outputs, err));
    return infer_reply_write(reply, model, &request, outputs, err);
}

static enum status infer_until(struct request *req, struct response *res, uint64_t deadline_ns,
                               struct error *err)
{
    struct buffer reply;
    struct model *model;
    enum status status;

    if (request_header(req, "Inference-Header-Content-Length").len > 0)
        return error_set(err, STATUS_INVALID,
                         "tensors come and go as JSON here, not in binary form (tritonclient: "
                         "binary_data=False)");
    TRY(acquire(req, &model, err));
    reply = response_buffer(res, REPLY_EXPECTED);
    status = infer(req, model, deadline_ns, &reply, err);
    model_unref(&model);
    return status == STATUS_OK ? response_json_buffer(res, 200, &reply) : status;
}

static enum status on_infer_now(struct request *req, struct response *res, struct error *err)
{
    return infer_until(req, res, req->deadline_ns, err);
}

static enum status on_infer(struct request *req, struct response *res, struct error *err)
{
    uint64_t until_ns = clock_monotonic_ns() + INLINE_RUN_NS;
    struct model *model;
    enum status status;
    bool is_fast;

    TRY(acquire(req, &model, err));
    is_fast = model_speed(model).is_fast && req->body.len <= INLINE_BODY_MAX;
    model_unref(&model);
    if (!is_fast)
        return request_hand_over(req, res, on_infer_now, err);
    status = infer_until(req, res, until_ns, err);
    return status == STATUS_TIMEOUT ? request_hand_over(req, res, on_infer_now, err) : status;
}

/* --- the table ------------------------------------------------------------ */

/* Clients take the text from "error", and only if the type is exactly JSON. */
static void say_error(struct request *req, struct response *res, const struct error *err)
{
    struct buffer text = { 0 };

    (void)req;
    buffer_append(&text, STR("{\"error\":"));
    json_write_str(&text, str_from(err->message));
    buffer_append_byte(&text, '}');
    (void)response_json(res, http_code_of_status(err->status), buffer_str(&text));
    buffer_free(&text);
}

#define TENSORS(data) \
    "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"name\"" data "]," \
    "\"properties\":{\"name\":{\"type\":\"string\"},\"datatype\":{\"type\":\"string\"}," \
    "\"shape\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}},\"data\":{\"type\":\"array\"}}}}"
#define INFER_REQUEST \
    "{\"type\":\"object\",\"required\":[\"inputs\"],\"properties\":{\"id\":{\"type\":\"string\"}," \
    "\"inputs\":" TENSORS(",\"datatype\",\"shape\",\"data\"") ",\"outputs\":" TENSORS("") "}}"
#define INFER_RESPONSE \
    "{\"type\":\"object\",\"properties\":{\"model_name\":{\"type\":\"string\"}," \
    "\"model_version\":{\"type\":\"string\"},\"id\":{\"type\":\"string\"},\"outputs\":" TENSORS( \
        "") "}}"

static const struct route routes[] = {
    { "GET", "/v2", on_server, INLINE, PERMIT_ANYONE, .body_max = BODY_NONE,
      .summary = "Name and version of the server" },
    { "GET", "/v2/", on_server, INLINE, PERMIT_ANYONE, .body_max = BODY_NONE,
      .summary = "The same, as the protocol's description spells it" },
    { "GET", "/v2/health/live", on_live, INLINE, PERMIT_ANYONE, .body_max = BODY_NONE,
      .summary = "Whether the server lives" },
    { "GET", "/v2/health/ready", on_ready, INLINE, PERMIT_ANYONE, .body_max = BODY_NONE,
      .summary = "Whether the server answers, and with all models that are deployed" },
    { "GET", "/v2/models", on_models, INLINE, PERMIT_VIEW, .body_max = BODY_NONE,
      .summary = "Names of the loaded models" },
    { "GET", "/v2/models/{model}", on_model, INLINE, PERMIT_VIEW, .body_max = BODY_NONE,
      .summary = "Inputs and outputs of a model" },
    { "GET", "/v2/models/{model}/ready", on_model_ready, INLINE, PERMIT_VIEW,
      .body_max = BODY_NONE, .summary = "Whether a model is loaded" },
    { "GET", "/v2/models/{model}/versions/{version}", on_model, INLINE, PERMIT_VIEW,
      .body_max = BODY_NONE, .summary = "Inputs and outputs of a model's version" },
    { "GET", "/v2/models/{model}/versions/{version}/ready", on_model_ready, INLINE, PERMIT_VIEW,
      .body_max = BODY_NONE, .summary = "Whether a model's version is loaded" },
    { "POST", "/v2/models/{model}/infer", on_infer, INLINE_DECISION, PERMIT_VIEW,
      .body_max = BODY_BATCH, .summary = "Run a model on tensors", .request = INFER_REQUEST,
      .response = INFER_RESPONSE },
    { "POST", "/v2/models/{model}/versions/{version}/infer", on_infer, INLINE_DECISION,
      PERMIT_VIEW, .body_max = BODY_BATCH, .summary = "Run a model's version on tensors",
      .request = INFER_REQUEST, .response = INFER_RESPONSE },
    ROUTES_END,
};

const struct door serving_door = { .name = "serving", .routes = routes, .dialect = say_error };
