/* SPDX-License-Identifier: Apache-2.0 */
#include "features/training_set_http.h"

#include "base/file.h"
#include "features/job_follow.h"
#include "features/result_file.h"
#include "features/training_set.h"

#include <limits.h>
#include <stdio.h>
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

static enum status parse_json(struct training_set_visit *visit, struct error *err)
{
    const struct str known[] = { visit->names_service ? STR("service") : STR("features"),
                                 STR("entities_sql"),
                                 STR("time"),
                                 STR("as_known"),
                                 STR("full_names"),
                                 STR("format") };
    struct training_set_request *out = &visit->asked;
    struct request *req = visit->req;
    struct str text = req->body, format = STR_EMPTY;
    yyjson_val *body;

    if (text.len == 0 && req->body_file != NULL)
        TRY(file_read(req->arena, req->body_file, BODY_SMALL, &text, err));
    TRY(json_parse(req->arena, text, &body, err));
    TRY(json_only_keys(body, known, ARRAY_LEN(known), err));
    if (visit->names_service)
        TRY(json_need_str(body, "service", &out->service, err));
    else
        TRY(json_want_bool(body, "features", &visit->keeps_features, err));
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

static enum status parse_query(struct training_set_visit *visit, struct error *err)
{
    struct training_set_request *out = &visit->asked;
    const struct request *req = visit->req;

    out->time = request_query(req, "time");
    out->service = visit->names_service ? request_query(req, "service") : STR_EMPTY;
    if (visit->names_service && out->service.len == 0)
        return error_set(err, STATUS_INVALID, "query parameter 'service' is missing");
    if (!visit->names_service)
        TRY(want_bool(req, "features", &visit->keeps_features, err));
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

/* --- answer --------------------------------------------------------------- */

static void add_result(struct training_set_visit *visit, struct str id,
                       const struct training_set_result *result)
{
    yyjson_mut_doc *doc = visit->doc;

    json_add_str(doc, visit->answer, "id", id);
    yyjson_mut_obj_add_uint(doc, visit->answer, "rows", result->rows);
    yyjson_mut_obj_add_uint(doc, visit->answer, "columns", result->columns);
    yyjson_mut_obj_add_uint(doc, visit->answer, "bytes", result->bytes);
    yyjson_mut_obj_add_real(doc, visit->answer, "seconds", result->seconds);
    json_add_str(doc, visit->answer, "fingerprint", result->fingerprint);
}

static enum status build(struct training_set_visit *visit, struct response *res,
                         const struct training_set_context *shared, training_set_make make,
                         void *context, struct error *err)
{
    struct training_set_request *asked = &visit->asked;
    struct request *req = visit->req;
    struct job_following following = { req, res, false };
    struct training_set_result result;
    struct str id, json;

    asked->project = shared->project;
    asked->limits = shared->limits;
    asked->on_progress = job_follow_progress;
    asked->is_cancelled = job_follow_is_cancelled;
    asked->context = &following;
    TRY(result_file_new(req->arena, shared->project,
                        asked->format == TRAINING_SET_CSV ? "csv" : "parquet", &id, &asked->out,
                        err));
    TRY(make(context, visit, &result, err));
    add_result(visit, id, &result);
    json = json_mut_write(req->arena, visit->answer);
    if (request_wants_events(req))
        return response_event(res, "result", json, err);
    return response_json(res, 200, json);
}

/* The sender knows the rows by another name than the file that they were kept in meanwhile. */
static void name_the_body(struct arena *arena, const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    const char *at = strstr(err->message, name), *from = at;
    struct str text;

    if (at == NULL)
        return;
    while (from > err->message && strchr(" '\"(", from[-1]) == NULL)
        from--;
    text = arena_printf(arena, "%.*sthe rows sent%s", (int)(from - err->message), err->message,
                        at + strlen(name));
    snprintf(err->message, sizeof(err->message), "%s", text.data);
}

enum status training_set_serve(struct request *req, struct response *res,
                               const struct training_set_context *shared, bool names_service,
                               training_set_make make, void *context, struct error *err)
{
    struct training_set_visit visit = { .req = req,
                                        .names_service = names_service,
                                        .doc = json_mut_doc(req->arena) };
    const char *made = NULL;
    enum status status;

    visit.answer = yyjson_mut_obj(visit.doc);
    if (str_starts(request_header(req, "Content-Type"), STR("application/json"))) {
        TRY(parse_json(&visit, err));
        return build(&visit, res, shared, make, context, err);
    }
    TRY(parse_query(&visit, err));
    status = entities_file(req, shared->project, &visit.asked.entities, &made, err);
    if (status == STATUS_OK)
        status = build(&visit, res, shared, make, context, err);
    if (status != STATUS_OK && visit.asked.entities != NULL &&
        (made != NULL || strstr(visit.asked.entities, "/onggi-body-") != NULL))
        name_the_body(req->arena, visit.asked.entities, err);
    if (made != NULL)
        unlink(made);
    return status;
}

static enum status make_training_set(void *context, struct training_set_visit *visit,
                                     struct training_set_result *out, struct error *err)
{
    const struct training_set_context *shared = context;
    const struct definitions *definitions = definition_store_current(shared->definitions);
    enum status status = training_set_build(visit->req->arena, definitions, &visit->asked, out,
                                            err);

    definitions_unref(&definitions);
    /* The path exists; what was named does not. */
    if (status == STATUS_NOT_FOUND)
        err->status = status = STATUS_INVALID;
    return status;
}

static enum status on_training_set(struct request *req, struct response *res, struct error *err)
{
    return training_set_serve(req, res, req->context, true, make_training_set, req->context,
                              err);
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
