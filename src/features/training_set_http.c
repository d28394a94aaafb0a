/* SPDX-License-Identifier: Apache-2.0 */
#include "features/training_set_http.h"

#include "base/file.h"
#include "features/result_file.h"
#include "features/training_set.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

/* --- what is asked -------------------------------------------------------- */

static enum status parse_format(struct str text, enum training_set_format *out,
                                struct error *err)
{
    if (text.len == 0 || str_equal(text, STR("parquet")))
        *out = TRAINING_SET_PARQUET;
    else if (str_equal(text, STR("csv")))
        *out = TRAINING_SET_CSV;
    else
        return error_set(err, STATUS_INVALID, "'format' is parquet or csv, not '" STR_FMT "'",
                         STR_ARG(str_slice(text, 0, 40)));
    return STATUS_OK;
}

static enum status parse_json(struct request *req, struct training_set_request *out,
                              struct error *err)
{
    static const struct str known[] = { STR_INIT("service"),    STR_INIT("entities_sql"),
                                        STR_INIT("time"),       STR_INIT("as_known"),
                                        STR_INIT("full_names"), STR_INIT("format") };
    struct str text = req->body, format = STR_EMPTY;
    yyjson_val *body;

    if (text.len == 0 && req->body_file != NULL)
        TRY(file_read(req->arena, req->body_file, BODY_SMALL, &text, err));
    TRY(json_parse(req->arena, text, &body, err));
    TRY(json_only_keys(body, known, ARRAY_LEN(known), err));
    TRY(json_need_str(body, "service", &out->service, err));
    TRY(json_need_str(body, "entities_sql", &out->entities_sql, err));
    TRY(json_want_str(body, "time", &out->time, err));
    TRY(json_want_bool(body, "as_known", &out->as_known, err));
    TRY(json_want_bool(body, "full_names", &out->full_names, err));
    TRY(json_want_str(body, "format", &format, err));
    return parse_format(format, &out->format, err);
}

static enum status want_bool(const struct request *req, const char *name, bool *out,
                             struct error *err)
{
    return request_has_query(req, name) ? request_query_bool(req, name, out, err) : STATUS_OK;
}

static enum status parse_query(struct request *req, struct training_set_request *out,
                               struct error *err)
{
    out->service = request_query(req, "service");
    out->time = request_query(req, "time");
    if (out->service.len == 0)
        return error_set(err, STATUS_INVALID, "query parameter 'service' is missing");
    TRY(want_bool(req, "as_known", &out->as_known, err));
    TRY(want_bool(req, "full_names", &out->full_names, err));
    return parse_format(request_query(req, "format"), &out->format, err);
}

/* The rows as a file with an absolute path; *made is what has to be removed again, or NULL. */
static enum status entities_file(struct request *req, const char *project, const char **out,
                                 const char **made, struct error *err)
{
    char real[PATH_MAX];
    struct str id;

    if (req->body_file != NULL) {
        if (realpath(req->body_file, real) == NULL)
            return error_set(err, STATUS_NOT_FOUND, "the entity rows cannot be opened: %s",
                             req->body_file);
        *out = arena_str(req->arena, str_from(real)).data;
        return STATUS_OK;
    }
    if (req->body.len == 0)
        return error_set(
            err, STATUS_INVALID,
            "the body is empty: send the entity rows as Parquet or CSV, or JSON with "
            "'entities_sql'");
    TRY(result_file_new(req->arena, project, "rows", &id, out, err));
    *made = *out;
    return file_write(*out, req->body, err);
}

/* --- progress ------------------------------------------------------------- */

struct following {
    struct request *req;
    struct response *res;
    bool is_gone; /* nobody reads the events any more */
};

static void on_progress(void *context, struct str phase, uint64_t done, uint64_t total)
{
    struct following *following = context;
    struct buffer data = { 0 };
    struct error ignored;

    if (following->is_gone || !request_wants_events(following->req))
        return;
    buffer_append(&data, STR("{\"phase\":"));
    json_write_str(&data, phase);
    buffer_printf(&data, ",\"done\":%llu,\"total\":%llu,\"unit\":\"rows\"}",
                  (unsigned long long)done, (unsigned long long)total);
    following->is_gone = response_event(following->res, "progress", buffer_str(&data),
                                        &ignored) != STATUS_OK;
    buffer_free(&data);
}

static bool is_cancelled(void *context)
{
    struct following *following = context;

    return following->is_gone || request_is_abandoned(following->req);
}

/* --- answer --------------------------------------------------------------- */

static struct str result_json(struct arena *arena, struct str id,
                              const struct training_set_result *result)
{
    return arena_printf(arena,
                        "{\"id\":\"" STR_FMT "\",\"rows\":%llu,\"columns\":%llu,\"bytes\":%llu,"
                        "\"seconds\":%.3f,\"fingerprint\":\"" STR_FMT "\"}",
                        STR_ARG(id), (unsigned long long)result->rows,
                        (unsigned long long)result->columns, (unsigned long long)result->bytes,
                        result->seconds, STR_ARG(result->fingerprint));
}

static enum status build(struct request *req, struct response *res,
                         struct training_set_request *request, struct error *err)
{
    const struct training_set_context *context = req->context;
    struct following following = { req, res, false };
    const struct definitions *definitions;
    struct training_set_result result;
    enum status status;
    struct str id, json;

    request->project = context->project;
    request->limits = context->limits;
    request->on_progress = on_progress;
    request->is_cancelled = is_cancelled;
    request->context = &following;
    TRY(result_file_new(req->arena, context->project,
                        request->format == TRAINING_SET_CSV ? "csv" : "parquet", &id,
                        &request->out, err));
    definitions = definition_store_current(context->definitions);
    status = training_set_build(req->arena, definitions, request, &result, err);
    definitions_unref(&definitions);
    /* The path exists; what was named does not. */
    if (status == STATUS_NOT_FOUND)
        err->status = status = STATUS_INVALID;
    TRY(status);
    json = result_json(req->arena, id, &result);
    if (request_wants_events(req))
        return response_event(res, "result", json, err);
    return response_json(res, 200, json);
}

static enum status on_training_set(struct request *req, struct response *res, struct error *err)
{
    const struct training_set_context *context = req->context;
    struct training_set_request request = { 0 };
    const char *made = NULL;
    enum status status;

    if (str_starts(request_header(req, "Content-Type"), STR("application/json"))) {
        TRY(parse_json(req, &request, err));
        return build(req, res, &request, err);
    }
    TRY(parse_query(req, &request, err));
    status = entities_file(req, context->project, &request.entities, &made, err);
    if (status == STATUS_OK)
        status = build(req, res, &request, err);
    if (made != NULL)
        unlink(made);
    return status;
}

static enum status on_result(struct request *req, struct response *res, struct error *err)
{
    const struct training_set_context *context = req->context;
    const char *path, *content_type;

    TRY(result_file_get(req->arena, context->project, request_path_param(req, "id"), &path,
                        &content_type, err));
    return response_file(res, 200, content_type, path, true, err);
}

static const struct route routes[] = {
    { "POST", "/api/v1/features/training-set", on_training_set, DEFERRED, PERMIT_EDIT,
      BODY_FILE, "Entity rows with the features of a service as they were at each row's time",
      "{\"type\":\"object\",\"required\":[\"service\",\"entities_sql\"],\"properties\":{"
      "\"service\":{\"type\":\"string\"},\"entities_sql\":{\"type\":\"string\"},"
      "\"time\":{\"type\":\"string\"},\"as_known\":{\"type\":\"boolean\"},"
      "\"full_names\":{\"type\":\"boolean\"},\"format\":{\"enum\":[\"parquet\",\"csv\"]}}}",
      "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},"
      "\"rows\":{\"type\":\"integer\"},\"columns\":{\"type\":\"integer\"},"
      "\"bytes\":{\"type\":\"integer\"},\"seconds\":{\"type\":\"number\"},"
      "\"fingerprint\":{\"type\":\"string\"}}}",
      UINT_MAX },
    { "GET", "/api/v1/results/{id}", on_result, DEFERRED, PERMIT_EDIT, BODY_NONE,
      "The file that a training set or a batch of predictions left; can be fetched once", NULL,
      NULL, UINT_MAX },
    ROUTES_END,
};

const struct door training_set_door = { .name = "training_set", .routes = routes };
