/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/workflow_http.h"

#include "base/clock.h"
#include "base/file.h"
#include "workflow/engine.h"
#include "workflow/pipeline.h"
#include "workflow/step_view.h"

#include <limits.h>
#include <sys/stat.h>

#define LIST_DEFAULT 100
#define LIST_MAX 1000
#define PAGE_BYTES ((size_t)4 << 20) /* of events; each may carry a whole state */

static enum status query_number(const struct request *req, const char *name, int64_t otherwise,
                                int64_t least, int64_t most, int64_t *out, struct error *err)
{
    struct str text = request_query(req, name);
    int64_t number = otherwise;

    if (text.len > 0 && (!str_to_int64(text, &number) || number < least || number > most))
        return error_set(err, STATUS_INVALID, "%s: expected a number from %lld to %lld", name,
                         (long long)least, (long long)most);
    *out = number;
    return STATUS_OK;
}

static enum status query_limit(const struct request *req, size_t *out, int64_t otherwise,
                               struct error *err)
{
    int64_t limit;

    TRY(query_number(req, "limit", otherwise, 1, LIST_MAX, &limit, err));
    *out = (size_t)limit;
    return STATUS_OK;
}

static enum status answer(struct request *req, struct response *res, int code,
                          const yyjson_mut_val *json)
{
    return response_json(res, code, json_mut_write(req->arena, json));
}

/* A JSON text inside a JSON answer. */
static void add_json(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                     struct str text)
{
    if (text.len > 0)
        yyjson_mut_obj_add_val(doc, object, key, yyjson_mut_rawncpy(doc, text.data, text.len));
}

static void add_text(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                     struct str text)
{
    if (text.len > 0)
        json_add_str(doc, object, key, text);
}

static yyjson_mut_val *summary_json(yyjson_mut_doc *doc, const struct execution_info *info)
{
    yyjson_mut_val *json = yyjson_mut_obj(doc);
    bool over = info->stop_us > 0;

    json_add_str(doc, json, "id", info->id);
    json_add_str(doc, json, "pipeline", info->pipeline);
    yyjson_mut_obj_add_str(doc, json, "status", execution_status_name(info->status));
    add_text(doc, json, "state", info->state);
    json_add_time(doc, json, "started", info->start_us);
    if (over)
        json_add_time(doc, json, "stopped", info->stop_us);
    json_add_seconds(doc, json, info->start_us, over ? info->stop_us : clock_now_us());
    json_add_str(doc, json, "by", info->user);
    add_text(doc, json, "name", info->name);
    add_text(doc, json, "stopped_by", info->stopped_by);
    add_text(doc, json, "redriven_by", info->redriven_by);
    if (info->redrive_count > 0)
        yyjson_mut_obj_add_int(doc, json, "redrives", info->redrive_count);
    add_text(doc, json, "error", info->error);
    return json;
}

yyjson_mut_val *execution_json(yyjson_mut_doc *doc, const struct execution_info *info)
{
    yyjson_mut_val *json = summary_json(doc, info);

    add_text(doc, json, "cause", info->cause);
    add_json(doc, json, "input", info->input);
    add_json(doc, json, "output", info->output);
    return json;
}

static enum status add_pipeline(struct request *req, yyjson_mut_doc *doc, yyjson_mut_val *list,
                                struct str name, struct error *err)
{
    struct workflow *workflow = req->context;
    yyjson_mut_val *json = yyjson_mut_arr_add_obj(doc, list), *last;
    struct execution_info *infos;
    struct pipeline pipeline;
    struct error broken;
    size_t count;

    json_add_str(doc, json, "name", name);
    /* One that cannot be read is listed too, with what is wrong. */
    if (pipeline_load(req->arena, workflow->project, name, &pipeline, &broken) == STATUS_OK) {
        json_add_str(doc, json, "file", pipeline.file);
        add_text(doc, json, "schedule", pipeline.schedule);
        yyjson_mut_obj_add_uint(doc, json, "steps", pipeline.step_count);
    } else {
        json_add_str(doc, json, "error", str_from(broken.message));
    }
    TRY(workflow_execution_list(workflow, req->arena, name, STR_EMPTY, 1, &infos, &count, err));
    if (count > 0) {
        last = yyjson_mut_obj_add_obj(doc, json, "last");
        json_add_str(doc, last, "id", infos[0].id);
        yyjson_mut_obj_add_str(doc, last, "status", execution_status_name(infos[0].status));
    }
    return STATUS_OK;
}

static enum status on_pipelines(struct request *req, struct response *res, struct error *err)
{
    const struct workflow *workflow = req->context;
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *json = yyjson_mut_obj(doc);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, json, "pipelines");
    struct str *names = NULL;
    size_t count;

    TRY(pipeline_list(req->arena, workflow->project, &names, &count, err));
    for (size_t i = 0; i < count; i++)
        TRY(add_pipeline(req, doc, list, names[i], err));
    return answer(req, res, 200, json);
}

static enum status on_pipeline(struct request *req, struct response *res, struct error *err)
{
    const struct workflow *workflow = req->context;
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *json = yyjson_mut_obj(doc), *steps;
    struct pipeline pipeline;

    TRY(pipeline_load(req->arena, workflow->project, request_path_param(req, "name"), &pipeline,
                      err));
    json_add_str(doc, json, "name", pipeline.name);
    json_add_str(doc, json, "file", pipeline.file);
    add_text(doc, json, "schedule", pipeline.schedule);
    yyjson_mut_obj_add_val(doc, json, "params",
                           pipeline.params == NULL ? yyjson_mut_obj(doc)
                                                   : yyjson_val_mut_copy(doc, pipeline.params));
    steps = yyjson_mut_obj_add_arr(doc, json, "steps");
    for (size_t i = 0; i < pipeline.step_count; i++) {
        yyjson_mut_val *step = yyjson_mut_arr_add_obj(doc, steps);

        json_add_str(doc, step, "name", pipeline.steps[i].name);
        add_text(doc, step, "resource", pipeline.steps[i].resource);
    }
    return answer(req, res, 200, json);
}

static enum status on_asl(struct request *req, struct response *res, struct error *err)
{
    const struct workflow *workflow = req->context;
    struct pipeline pipeline;

    TRY(pipeline_load(req->arena, workflow->project, request_path_param(req, "name"), &pipeline,
                      err));
    return response_json(res, 200, pipeline.definition);
}

/* 201 for a new one, 200 for the one that has the name already. */
static enum status answer_started(struct request *req, struct response *res,
                                  const struct started_execution *started, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *json = yyjson_mut_obj(doc);
    struct execution_info info = { .status = EXECUTION_RUNNING };

    TRY(workflow_execution_get(req->context, req->arena, started->id, &info, err));
    json_add_str(doc, json, "execution", started->id);
    json_add_str(doc, json, "pipeline", info.pipeline);
    yyjson_mut_obj_add_str(doc, json, "status",
                           started->existed ? execution_status_name(info.status) : "RUNNING");
    return answer(req, res, started->existed ? 200 : 201, json);
}

/* An empty body is an empty object. */
static enum status body_object(const struct request *req, yyjson_val **out, struct error *err)
{
    TRY(json_parse(req->arena, req->body.len == 0 ? STR("{}") : req->body, out, err));
    if (!yyjson_is_obj(*out))
        return error_set(err, STATUS_INVALID, "the body must be a JSON object");
    return STATUS_OK;
}

static enum status on_run(struct request *req, struct response *res, struct error *err)
{
    static const struct str known[] = { STR_INIT("params"), STR_INIT("name") };
    struct execution_starter starter = { req->identity.user, STR_EMPTY };
    struct started_execution started;
    yyjson_val *body, *params = NULL;

    TRY(body_object(req, &body, err));
    TRY(json_only_keys(body, known, ARRAY_LEN(known), err));
    TRY(json_want_object(body, "params", &params, err));
    TRY(json_want_str(body, "name", &starter.name, err));
    TRY(workflow_start_pipeline(req->context, req->arena, request_path_param(req, "name"),
                                params == NULL ? STR_EMPTY : json_write(req->arena, params),
                                &starter, &started, err));
    return answer_started(req, res, &started, err);
}

static enum status on_run_definition(struct request *req, struct response *res,
                                     struct error *err)
{
    static const struct str known[] = { STR_INIT("definition"), STR_INIT("input"),
                                        STR_INIT("name") };
    struct execution_starter starter = { req->identity.user, STR_EMPTY };
    struct started_execution started;
    yyjson_val *body, *definition, *input;

    TRY(body_object(req, &body, err));
    TRY(json_only_keys(body, known, ARRAY_LEN(known), err));
    TRY(json_need_object(body, "definition", &definition, err));
    TRY(json_want_str(body, "name", &starter.name, err));
    input = json_find(body, STR("input"));
    TRY(workflow_start_definition(req->context, req->arena, json_write(req->arena, definition),
                                  input == NULL ? STR("{}") : json_write(req->arena, input),
                                  &starter, &started, err));
    return answer_started(req, res, &started, err);
}

static enum status on_executions(struct request *req, struct response *res, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *json = yyjson_mut_obj(doc);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, json, "executions");
    struct execution_info *infos = NULL;
    size_t limit, count;

    TRY(query_limit(req, &limit, LIST_DEFAULT, err));
    TRY(workflow_execution_list(req->context, req->arena, request_query(req, "pipeline"),
                                request_query(req, "before"), limit, &infos, &count, err));
    for (size_t i = 0; i < count; i++)
        yyjson_mut_arr_append(list, summary_json(doc, &infos[i]));
    return answer(req, res, 200, json);
}

static enum status on_execution(struct request *req, struct response *res, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    struct step_views views = { .arena = req->arena };
    struct execution_info info;
    yyjson_mut_val *json, *steps;
    size_t count;

    TRY(workflow_execution_get(req->context, req->arena, request_path_param(req, "id"), &info,
                               err));
    TRY(step_views_read(&views, req->context, info.id, HISTORY_EVENTS_MAX, &count, err));
    json = execution_json(doc, &info);
    steps = yyjson_mut_obj_add_arr(doc, json, "steps");
    for (size_t i = 0; i < views.count; i++)
        yyjson_mut_arr_append(steps,
                              step_view_json(doc, &views.items[i], "name", clock_now_us()));
    return answer(req, res, 200, json);
}

static enum status add_event(struct request *req, yyjson_mut_doc *doc, yyjson_mut_val *list,
                             const struct workflow_event *event, struct error *err)
{
    yyjson_mut_val *json = yyjson_mut_arr_add_obj(doc, list);
    yyjson_val *details, *key, *value;
    size_t i, count;

    json_add_time(doc, json, "timestamp", event->time_us);
    json_add_str(doc, json, "type", event->type);
    yyjson_mut_obj_add_int(doc, json, "id", event->id);
    yyjson_mut_obj_add_int(doc, json, "previousEventId", event->previous_id);
    if (event->details.len == 0)
        return STATUS_OK;
    TRY(json_parse(req->arena, event->details, &details, err));
    yyjson_obj_foreach(details, i, count, key, value) yyjson_mut_obj_add(
        json, yyjson_val_mut_copy(doc, key), yyjson_val_mut_copy(doc, value));
    return STATUS_OK;
}

static enum status on_history(struct request *req, struct response *res, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *json = yyjson_mut_obj(doc);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, json, "events");
    struct workflow_event *events = NULL;
    struct execution_info info;
    size_t limit, count;
    int64_t after;

    TRY(query_number(req, "after", 0, 0, HISTORY_EVENTS_MAX, &after, err));
    TRY(query_limit(req, &limit, LIST_MAX, err));
    TRY(workflow_execution_get(req->context, req->arena, request_path_param(req, "id"), &info,
                               err));
    TRY(workflow_event_page(req->context, req->arena, info.id, after, limit, PAGE_BYTES,
                            &events, &count, err));
    for (size_t i = 0; i < count; i++)
        TRY(add_event(req, doc, list, &events[i], err));
    if (count > 0 && events[count - 1].id < info.last_event)
        yyjson_mut_obj_add_int(doc, json, "next", events[count - 1].id);
    return answer(req, res, 200, json);
}

static enum status on_logs(struct request *req, struct response *res, struct error *err)
{
    const struct workflow *workflow = req->context;
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *json = yyjson_mut_obj(doc);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, json, "logs");
    struct step_views views = { .arena = req->arena };
    struct execution_info info;
    size_t count;

    TRY(workflow_execution_get(req->context, req->arena, request_path_param(req, "id"), &info,
                               err));
    TRY(step_views_read(&views, req->context, info.id, HISTORY_EVENTS_MAX, &count, err));
    for (size_t i = 0; i < views.count; i++) {
        struct str path = log_path(req->arena, workflow->project, info.id, views.items[i].name);
        yyjson_mut_val *item;
        struct stat file;

        if (stat(path.data, &file) != 0)
            continue;
        item = yyjson_mut_arr_add_obj(doc, list);
        json_add_str(doc, item, "step", views.items[i].name);
        yyjson_mut_obj_add_int(doc, item, "bytes", file.st_size);
    }
    return answer(req, res, 200, json);
}

static enum status answer_status(struct request *req, struct response *res, struct str id,
                                 struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *json = yyjson_mut_obj(doc);
    struct execution_info info;

    TRY(workflow_execution_get(req->context, req->arena, id, &info, err));
    json_add_str(doc, json, "execution", info.id);
    yyjson_mut_obj_add_str(doc, json, "status", execution_status_name(info.status));
    return answer(req, res, 200, json);
}

static enum status on_stop(struct request *req, struct response *res, struct error *err)
{
    static const struct str known[] = { STR_INIT("cause"), STR_INIT("error") };
    struct str id = request_path_param(req, "id"), cause = STR_EMPTY, error = STR_EMPTY;
    yyjson_val *body;

    TRY(body_object(req, &body, err));
    TRY(json_only_keys(body, known, ARRAY_LEN(known), err));
    TRY(json_want_str(body, "cause", &cause, err));
    TRY(json_want_str(body, "error", &error, err));
    TRY(workflow_execution_stop(req->context, id, req->identity.user, error, cause, err));
    return answer_status(req, res, id, err);
}

static enum status on_redrive(struct request *req, struct response *res, struct error *err)
{
    struct str id = request_path_param(req, "id");

    TRY(workflow_execution_redrive(req->context, id, req->identity.user, err));
    return answer_status(req, res, id, err);
}

static const struct route routes[] = {
    { "GET", "/api/v1/pipelines", on_pipelines, DEFERRED, PERMIT_VIEW, BODY_NONE,
      "All pipelines, each with its last execution", NULL, NULL, 0 },
    { "GET", "/api/v1/pipelines/{name}", on_pipeline, DEFERRED, PERMIT_VIEW, BODY_NONE,
      "A pipeline: parameters and steps", NULL, NULL, 0 },
    { "GET", "/api/v1/pipelines/{name}/asl", on_asl, DEFERRED, PERMIT_VIEW, BODY_NONE,
      "A pipeline as Amazon States Language", NULL, NULL, 0 },
    { "POST", "/api/v1/pipelines/{name}/executions", on_run, DEFERRED, PERMIT_EDIT, BODY_SMALL,
      "Start an execution of a pipeline; with a name, starting twice starts once",
      "{\"type\":\"object\",\"properties\":{\"params\":{\"type\":\"object\"},\"name\":{\"type\":"
      "\"string\"}}}",
      NULL, 0 },
    { "POST", "/api/v1/executions", on_run_definition, DEFERRED, PERMIT_EDIT, 2 * BODY_SMALL,
      "Start an execution of a definition in Amazon States Language",
      "{\"type\":\"object\",\"required\":[\"definition\"],\"properties\":{\"definition\":{\"type\":"
      "\"object\"},\"input\":{},\"name\":{\"type\":\"string\"}}}",
      NULL, 0 },
    { "GET", "/api/v1/executions", on_executions, DEFERRED, PERMIT_VIEW, BODY_NONE,
      "Executions, newest first; ?pipeline=, ?limit=, ?before=ID", NULL, NULL, 0 },
    { "GET", "/api/v1/executions/{id}", on_execution, DEFERRED, PERMIT_VIEW, BODY_NONE,
      "An execution and its steps", NULL, NULL, 0 },
    { "GET", "/api/v1/executions/{id}/history", on_history, DEFERRED, PERMIT_VIEW, BODY_NONE,
      "Events of an execution, as GetExecutionHistory has them; ?limit=, ?after=ID: where there are "
      "more, `next` is the ID to go on after",
      NULL, NULL, 0 },
    { "GET", "/api/v1/executions/{id}/events", on_follow_events, DEFERRED, PERMIT_VIEW,
      BODY_NONE, "Follow an execution to its end as server-sent events; ?logs=true", NULL, NULL,
      UINT_MAX },
    { "GET", "/api/v1/executions/{id}/logs", on_logs, DEFERRED, PERMIT_VIEW, BODY_NONE,
      "Which steps have logs", NULL, NULL, 0 },
    { "GET", "/api/v1/executions/{id}/logs/{step}", on_step_log, DEFERRED, PERMIT_VIEW,
      BODY_NONE, "The log of a step; ?follow=true", NULL, NULL, UINT_MAX },
    { "POST", "/api/v1/executions/{id}/stop", on_stop, DEFERRED, PERMIT_EDIT, BODY_SMALL,
      "Stop an execution",
      "{\"type\":\"object\",\"properties\":{\"error\":{\"type\":\"string\"},\"cause\":{\"type\":"
      "\"string\"}}}",
      NULL, 0 },
    { "POST", "/api/v1/executions/{id}/redrive", on_redrive, DEFERRED, PERMIT_EDIT, BODY_SMALL,
      "Go on with a failed execution from the step that failed", NULL, NULL, 0 },
    ROUTES_END,
};

const struct door workflow_door = { "workflow", routes, NULL };
