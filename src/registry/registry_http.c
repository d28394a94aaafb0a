/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/registry_http.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "registry/registry.h"

#include <limits.h>

#define LIST_DEFAULT 100
#define LIST_MAX 10000
#define DEFINITION_MAX ((size_t)64 << 20)

static void add_time(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                     int64_t time_us)
{
    char text[TIME_TEXT_MAX];
    size_t len = time_format_us(time_us, text);

    yyjson_mut_obj_add_strncpy(doc, object, key, text, len);
}

/* What the database keeps as JSON text goes out as JSON; it was checked on its way in. */
static void add_object(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                       struct str json)
{
    yyjson_mut_obj_add_val(doc, object, key, yyjson_mut_rawncpy(doc, json.data, json.len));
}

static enum status query_limit(const struct request *req, int64_t *out, struct error *err)
{
    struct str text = request_query(req, "limit");

    *out = LIST_DEFAULT;
    if (text.len == 0)
        return STATUS_OK;
    if (!str_to_int64(text, out) || *out < 1 || *out > LIST_MAX)
        return error_set(err, STATUS_INVALID,
                         "query parameter 'limit': expected 1 to %d, found '" STR_FMT "'",
                         LIST_MAX, STR_ARG(str_slice(text, 0, 40)));
    return STATUS_OK;
}

static void add_run(yyjson_mut_doc *doc, yyjson_mut_val *object, const struct run *run)
{
    int64_t until_us = run->ended_us == 0 ? clock_now_us() : run->ended_us;

    json_add_str(doc, object, "id", run->id);
    json_add_str(doc, object, "name", run->name);
    yyjson_mut_obj_add_str(doc, object, "status", run_status_name(run->status));
    add_time(doc, object, "started", run->started_us);
    yyjson_mut_obj_add_real(doc, object, "seconds", (double)(until_us - run->started_us) / 1e6);
    add_object(doc, object, "metrics", run->metrics);
}

static enum status on_runs(struct request *req, struct response *res, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "runs");
    struct run *runs;
    size_t count;
    int64_t limit;

    TRY(query_limit(req, &limit, err));
    TRY(run_list(req->context, req->arena, limit, &runs, &count, err));
    for (size_t i = 0; i < count; i++)
        add_run(doc, yyjson_mut_arr_add_obj(doc, list), &runs[i]);
    return response_json(res, 200, json_mut_write(req->arena, root));
}

static enum status on_run(struct request *req, struct response *res, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    struct str id = request_path_param(req, "id");
    struct artifact *artifacts;
    yyjson_mut_val *list;
    struct run run;
    size_t count;

    TRY(run_get(req->context, req->arena, id, &run, err));
    TRY(run_artifacts(req->context, req->arena, id, &artifacts, &count, err));
    add_run(doc, root, &run);
    add_object(doc, root, "params", run.params);
    list = yyjson_mut_obj_add_arr(doc, root, "artifacts");
    for (size_t i = 0; i < count; i++) {
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, list);

        json_add_str(doc, item, "path", artifacts[i].path);
        yyjson_mut_obj_add_int(doc, item, "bytes", artifacts[i].size);
        json_add_str(doc, item, "sha256", artifacts[i].hash);
    }
    return response_json(res, 200, json_mut_write(req->arena, root));
}

static const char *content_type_of(struct str path)
{
    static const struct {
        const char *suffix;
        const char *type;
    } known[] = {
        { ".html", "text/html; charset=utf-8" },
        { ".json", "application/json" },
        { ".csv", "text/csv; charset=utf-8" },
        { ".txt", "text/plain; charset=utf-8" },
        { ".log", "text/plain; charset=utf-8" },
        { ".svg", "image/svg+xml" },
        { ".png", "image/png" },
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_ends(path, str_from(known[i].suffix)))
            return known[i].type;
    return "application/octet-stream";
}

static enum status on_artifact(struct request *req, struct response *res, struct error *err)
{
    struct registry *registry = req->context;
    struct str path = request_path_param(req, "path");
    struct artifact artifact;
    char *file;

    TRY(run_artifact_get(registry, req->arena, request_path_param(req, "id"), path, &artifact,
                         err));
    TRY(blob_path(registry_blobs(registry), req->arena, artifact.hash, &file, err));
    /* A report comes from a script: it may style itself, but neither run code nor call out. */
    response_header(
        res, "Content-Security-Policy",
        STR("sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"));
    response_header(res, "X-Content-Type-Options", STR("nosniff"));
    return response_file(res, 200, content_type_of(path), file, false, err);
}

static yyjson_mut_val *deployed_list(yyjson_mut_doc *doc, const struct deployment *deployments,
                                     size_t count, struct str model)
{
    yyjson_mut_val *list = yyjson_mut_arr(doc);

    for (size_t i = 0; i < count; i++) {
        yyjson_mut_val *item;

        if (!str_equal(deployments[i].model, model))
            continue;
        item = yyjson_mut_arr_add_obj(doc, list);
        json_add_str(doc, item, "endpoint", deployments[i].endpoint);
        yyjson_mut_obj_add_int(doc, item, "version", deployments[i].version);
    }
    return list;
}

static enum status add_model(struct request *req, yyjson_mut_doc *doc, yyjson_mut_val *object,
                             struct str model, struct error *err)
{
    struct model_version *versions;
    size_t count;

    TRY(model_version_list(req->context, req->arena, model, &versions, &count, err));
    json_add_str(doc, object, "name", model);
    yyjson_mut_obj_add_uint(doc, object, "versions", count);
    yyjson_mut_obj_add_int(doc, object, "latest", versions[0].version);
    for (size_t i = 0; i < count; i++) {
        if (versions[i].status == VERSION_APPROVED) {
            yyjson_mut_obj_add_int(doc, object, "approved", versions[i].version);
            break;
        }
    }
    return STATUS_OK;
}

static enum status on_models(struct request *req, struct response *res, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "models");
    struct deployment *deployments;
    size_t count, deployment_count;
    struct str *models;

    TRY(model_list(req->context, req->arena, &models, &count, err));
    TRY(deployment_list(req->context, req->arena, &deployments, &deployment_count, err));
    for (size_t i = 0; i < count; i++) {
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, list);

        TRY(add_model(req, doc, item, models[i], err));
        yyjson_mut_obj_add_val(doc, item, "deployed",
                               deployed_list(doc, deployments, deployment_count, models[i]));
    }
    return response_json(res, 200, json_mut_write(req->arena, root));
}

static void add_decision(yyjson_mut_doc *doc, yyjson_mut_val *object,
                         const struct decision *decision)
{
    yyjson_mut_obj_add_str(doc, object, "status", version_status_name(decision->status));
    json_add_str(doc, object, "by", decision->by);
    json_add_str(doc, object, "reason", decision->reason);
    add_time(doc, object, "time", decision->time_us);
}

static void add_version(yyjson_mut_doc *doc, yyjson_mut_val *object,
                        const struct model_version *version)
{
    yyjson_mut_obj_add_int(doc, object, "version", version->version);
    yyjson_mut_obj_add_str(doc, object, "status", version_status_name(version->status));
    add_time(doc, object, "created", version->created_us);
    json_add_str(doc, object, "created_by", version->created_by);
    json_add_str(doc, object, "run", version->run);
    json_add_str(doc, object, "sha256", version->hash);
    yyjson_mut_obj_add_int(doc, object, "bytes", version->size);
    add_object(doc, object, "metrics", version->metrics);
}

static enum status on_model(struct request *req, struct response *res, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    struct str model = request_path_param(req, "model");
    struct model_version *versions;
    yyjson_mut_val *list;
    size_t count;

    TRY(model_version_list(req->context, req->arena, model, &versions, &count, err));
    json_add_str(doc, root, "name", model);
    list = yyjson_mut_obj_add_arr(doc, root, "versions");
    for (size_t i = 0; i < count; i++) {
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, list);
        struct decision *decisions;
        size_t decided;

        add_version(doc, item, &versions[i]);
        TRY(model_version_decisions(req->context, req->arena, model, versions[i].version,
                                    &decisions, &decided, err));
        if (decided > 0) {
            json_add_str(doc, item, "by", decisions[0].by);
            json_add_str(doc, item, "reason", decisions[0].reason);
        }
    }
    return response_json(res, 200, json_mut_write(req->arena, root));
}

static enum status path_version(const struct request *req, int64_t *out, struct error *err)
{
    struct str text = request_path_param(req, "version");

    if (!str_to_int64(text, out) || *out < 1)
        return error_set(err, STATUS_INVALID,
                         "model version: expected a number from 1, found '" STR_FMT "'",
                         STR_ARG(str_slice(text, 0, 40)));
    return STATUS_OK;
}

static void add_definition(struct request *req, yyjson_mut_doc *doc, yyjson_mut_val *object,
                           struct str hash)
{
    struct str text;
    struct error err;

    if (hash.len == 0 || yyjson_mut_obj_getn(object, hash.data, hash.len) != NULL)
        return;
    /* The version is to be seen also when its evidence is not whole any more. */
    if (blob_get(registry_blobs(req->context), req->arena, hash, DEFINITION_MAX, &text, &err) !=
        STATUS_OK) {
        log_warn("registry: the definition of a training set: %s", err.message);
        text = STR("null");
    }
    add_object(doc, object, arena_cstr(req->arena, hash), text);
}

/* {hash: what the training sets of the lineage were made from, as it was defined then} */
static enum status add_definitions(struct request *req, yyjson_mut_doc *doc,
                                   yyjson_mut_val *root, struct str lineage, struct error *err)
{
    yyjson_mut_val *definitions = yyjson_mut_obj_add_obj(doc, root, "definitions");
    yyjson_val *object, *set;
    size_t i, count;

    TRY(json_parse(req->arena, lineage, &object, err));
    yyjson_arr_foreach(json_find(object, STR("training_sets")), i, count, set) add_definition(
        req, doc, definitions, json_str(json_find(set, STR("definition_sha256"))));
    return STATUS_OK;
}

static enum status on_version(struct request *req, struct response *res, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    struct str model = request_path_param(req, "model");
    struct model_version version;
    struct decision *decisions;
    yyjson_mut_val *list;
    int64_t number;
    size_t count;

    TRY(path_version(req, &number, err));
    TRY(model_version_get(req->context, req->arena, model, number, &version, err));
    TRY(model_version_decisions(req->context, req->arena, model, number, &decisions, &count,
                                err));
    json_add_str(doc, root, "name", model);
    add_version(doc, root, &version);
    add_object(doc, root, "params", version.params);
    add_object(doc, root, "signature", version.signature);
    add_object(doc, root, "lineage", version.lineage);
    TRY(add_definitions(req, doc, root, version.lineage, err));
    list = yyjson_mut_obj_add_arr(doc, root, "decisions");
    for (size_t i = 0; i < count; i++)
        add_decision(doc, yyjson_mut_arr_add_obj(doc, list), &decisions[i]);
    return response_json(res, 200, json_mut_write(req->arena, root));
}

/* Who decides sees whom it concerns: the endpoints whose deployed version this is. */
static enum status add_endpoints(struct request *req, yyjson_mut_doc *doc, yyjson_mut_val *root,
                                 struct str model, int64_t version, struct error *err)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "endpoints");
    struct deployment *deployments;
    size_t count;

    TRY(deployment_list(req->context, req->arena, &deployments, &count, err));
    for (size_t i = 0; i < count; i++)
        if (deployments[i].version == version && str_equal(deployments[i].model, model))
            yyjson_mut_arr_add_strn(doc, list, deployments[i].endpoint.data,
                                    deployments[i].endpoint.len);
    return STATUS_OK;
}

/* Terminals obey control characters: one who reads the reason there must see what was written. */
static enum status check_reason(struct str reason, struct error *err)
{
    for (size_t i = 0; i < reason.len; i++) {
        unsigned char byte = (unsigned char)reason.data[i];
        bool is_c1 = byte == 0xc2 && i + 1 < reason.len &&
                     (unsigned char)reason.data[i + 1] < 0xa0;

        if ((byte < 0x20 && byte != '\n') || byte == 0x7f || is_c1)
            return error_set(err, STATUS_INVALID,
                             "'reason' has a control character at byte %zu; line ends are all "
                             "that it may have of them",
                             i + 1);
    }
    return STATUS_OK;
}

static enum status read_decision(struct request *req, struct version_decision *out,
                                 struct error *err)
{
    static const struct str known[] = { STR_INIT("reason"), STR_INIT("seen") };
    struct str seen = STR_EMPTY;
    yyjson_val *body;

    TRY(json_parse(req->arena, req->body, &body, err));
    TRY(json_only_keys(body, known, ARRAY_LEN(known), err));
    TRY(json_need_str(body, "reason", &out->reason, err));
    TRY(check_reason(out->reason, err));
    TRY(json_want_str(body, "seen", &seen, err));
    out->has_seen = seen.len > 0;
    if (out->has_seen && !version_status_parse(seen, &out->seen))
        return error_set(err, STATUS_INVALID,
                         "field 'seen': expected PENDING, APPROVED or REJECTED, found '" STR_FMT
                         "'",
                         STR_ARG(str_slice(seen, 0, 40)));
    return STATUS_OK;
}

static enum status decide(struct request *req, struct response *res, enum version_status status,
                          struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    struct version_decision decision = { .model = request_path_param(req, "model"),
                                         .status = status,
                                         .by = req->identity.user };

    TRY(path_version(req, &decision.version, err));
    TRY(read_decision(req, &decision, err));
    TRY(model_version_decide(req->context, &decision, err));
    json_add_str(doc, root, "name", decision.model);
    yyjson_mut_obj_add_int(doc, root, "version", decision.version);
    yyjson_mut_obj_add_str(doc, root, "status", version_status_name(status));
    json_add_str(doc, root, "by", decision.by);
    json_add_str(doc, root, "reason", decision.reason);
    TRY(add_endpoints(req, doc, root, decision.model, decision.version, err));
    return response_json(res, 200, json_mut_write(req->arena, root));
}

static enum status on_approve(struct request *req, struct response *res, struct error *err)
{
    return decide(req, res, VERSION_APPROVED, err);
}

static enum status on_reject(struct request *req, struct response *res, struct error *err)
{
    return decide(req, res, VERSION_REJECTED, err);
}

#define REASON_SCHEMA \
    "{\"type\":\"object\",\"required\":[\"reason\"]," \
    "\"properties\":{\"reason\":{\"type\":\"string\",\"minLength\":1}," \
    "\"seen\":{\"enum\":[\"PENDING\",\"APPROVED\",\"REJECTED\"]}}}"

static const struct route routes[] = {
    { "GET", "/api/v1/runs", on_runs, DEFERRED, PERMIT_VIEW, BODY_NONE,
      "List runs, newest first", NULL, NULL, 0 },
    { "GET", "/api/v1/runs/{id}", on_run, DEFERRED, PERMIT_VIEW, BODY_NONE,
      "One run: parameters, metrics, artifacts", NULL, NULL, 0 },
    { "GET", "/api/v1/runs/{id}/artifacts/{path*}", on_artifact, DEFERRED, PERMIT_VIEW,
      BODY_NONE, "One file that a run left", NULL, NULL, 0 },
    { "GET", "/api/v1/models", on_models, DEFERRED, PERMIT_VIEW, BODY_NONE,
      "List models with their latest, approved and deployed versions", NULL, NULL, 0 },
    { "GET", "/api/v1/models/{model}", on_model, DEFERRED, PERMIT_VIEW, BODY_NONE,
      "The versions of a model, newest first", NULL, NULL, 0 },
    { "GET", "/api/v1/models/{model}/versions/{version}", on_version, DEFERRED, PERMIT_VIEW,
      BODY_NONE, "One version: metrics, parameters, lineage, definitions, decisions", NULL,
      NULL, 0 },
    /* What is decided is on disk at once; an endpoint that serves it again loads it before the answer. */
    { "POST", "/api/v1/models/{model}/versions/{version}/approve", on_approve, DEFERRED,
      PERMIT_APPROVE, BODY_SMALL, "Approve a version", REASON_SCHEMA, NULL, UINT_MAX },
    { "POST", "/api/v1/models/{model}/versions/{version}/reject", on_reject, DEFERRED_DECISION,
      PERMIT_APPROVE, BODY_SMALL, "Reject a version", REASON_SCHEMA, NULL, UINT_MAX },
    ROUTES_END,
};

const struct door registry_door = { .name = "registry", .routes = routes };
