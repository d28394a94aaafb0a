/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "bridges/pipeline_tasks_internal.h"
#include "bridges/training_definition.h"
#include "features/training_set.h"

#include <stdlib.h>

enum status task_need_version(const yyjson_val *input, int64_t *out, struct error *err)
{
    int64_t version = 0;

    TRY(json_want_int64(input, "version", &version, err));
    if (version < 1)
        return error_set(err, STATUS_INVALID, "field 'version': expected a number from 1");
    *out = version;
    return STATUS_OK;
}

static bool is_cancelled(void *context)
{
    return task_is_cancelled(context);
}

static void on_progress(void *context, struct str phase, uint64_t done, uint64_t total)
{
    struct task *task = context;
    struct arena_mark mark = arena_mark(task->arena);
    yyjson_mut_doc *doc = json_mut_doc(task->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);

    json_add_str(doc, root, "phase", phase);
    yyjson_mut_obj_add_uint(doc, root, "done", done);
    yyjson_mut_obj_add_uint(doc, root, "total", total);
    yyjson_mut_obj_add_str(doc, root, "unit", "rows");
    task_progress(task, json_mut_write(task->arena, root));
    arena_rewind(task->arena, mark);
}

/* --- entity rows to a file: onggi:training_set and onggi:score --------------- */

enum status task_read_entities(const struct pipeline_tasks *tasks, struct task *task,
                               struct training_set_request *out, struct error *err)
{
    struct str entities = STR_EMPTY;
    char *path;

    *out = (struct training_set_request){
        .project = tasks->given.project,
        .format = TRAINING_SET_PARQUET,
        .limits = tasks->given.limits,
        .on_progress = on_progress,
        .is_cancelled = is_cancelled,
        .context = task,
        .out = arena_printf(task->arena, STR_FMT "/data.parquet", STR_ARG(task->folder)).data,
    };
    TRY(json_want_str(task->input, "entities_sql", &out->entities_sql, err));
    TRY(json_want_str(task->input, "entities", &entities, err));
    TRY(json_want_str(task->input, "time", &out->time, err));
    TRY(json_want_bool(task->input, "as_known", &out->as_known, err));
    if ((entities.len > 0) == (out->entities_sql.len > 0))
        return error_set(err, STATUS_INVALID, "expected either 'entities_sql' or 'entities'");
    if (entities.len == 0)
        return STATUS_OK;
    TRY(path_below(task->arena, tasks->given.project, entities, &path, err));
    out->entities = path;
    return STATUS_OK;
}

static enum status read_training_set(const struct pipeline_tasks *tasks, struct task *task,
                                     struct training_set_request *out, struct error *err)
{
    static const struct str known[] = { STR_INIT("service"),  STR_INIT("entities_sql"),
                                        STR_INIT("entities"), STR_INIT("time"),
                                        STR_INIT("as_known"), STR_INIT("full_names") };

    TRY(json_only_keys(task->input, known, ARRAY_LEN(known), err));
    TRY(task_read_entities(tasks, task, out, err));
    TRY(json_need_str(task->input, "service", &out->service, err));
    return json_want_bool(task->input, "full_names", &out->full_names, err);
}

static struct str training_set_output(struct task *task,
                                      const struct training_set_request *asked,
                                      struct str definition,
                                      const struct training_set_result *result)
{
    yyjson_mut_doc *doc = json_mut_doc(task->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);

    json_add_str(doc, root, "path", task_relative(task, task->folder));
    json_add_str(doc, root, "service", asked->service);
    yyjson_mut_obj_add_uint(doc, root, "rows", result->rows);
    yyjson_mut_obj_add_uint(doc, root, "columns", result->columns);
    yyjson_mut_obj_add_uint(doc, root, "bytes", result->bytes);
    json_add_str(doc, root, "definition", definition);
    json_add_str(doc, root, "fingerprint", result->fingerprint);
    yyjson_mut_obj_add_real(doc, root, "seconds", result->seconds);
    return json_mut_write(task->arena, root);
}

static enum status run_training_set(struct task *task, void *context, struct str *output,
                                    struct error *err)
{
    struct pipeline_tasks *tasks = context;
    const struct definitions *definitions;
    struct training_set_request request;
    struct training_set_result result;
    struct str definition;
    enum status status;

    TRY(read_training_set(tasks, task, &request, err));
    definitions = definition_store_current(tasks->given.definitions);
    status = training_definition_put(task->arena, registry_blobs(tasks->given.registry),
                                     definitions, &request, &definition, err);
    if (status == STATUS_OK)
        status = training_set_build(task->arena, definitions, &request, &result, err);
    definitions_unref(&definitions);
    TRY(status);
    task_log(task, "%llu rows, %llu columns, %.1f MB in %.1f s; data %.12s",
             (unsigned long long)result.rows, (unsigned long long)result.columns,
             (double)result.bytes / 1e6, result.seconds, result.fingerprint.data);
    *output = training_set_output(task, &request, definition, &result);
    return STATUS_OK;
}

static const struct task_type training_set_task = {
    .resource = "onggi:training_set",
    .run = run_training_set,
};

/* --- onggi:materialize ------------------------------------------------------ */

static enum status run_materialize(struct task *task, void *context, struct str *output,
                                   struct error *err)
{
    struct pipeline_tasks *tasks = context;
    struct materialize_request request = {
        .from_us = INT64_MIN,
        .to_us = INT64_MAX,
        .on_progress = on_progress,
        .is_cancelled = is_cancelled,
        .context = task,
    };
    struct materialize_result result;

    TRY(materialize_request_read(task->arena, task->input, &request, err));
    TRY(feature_store_materialize(tasks->given.features, task->arena, &request, &result, err));
    task_log(task, "%llu rows into %llu entities in %.1f s", (unsigned long long)result.rows,
             (unsigned long long)result.entities, result.seconds);
    *output = materialize_result_json(task->arena, &result);
    return STATUS_OK;
}

static const struct task_type materialize_task = {
    .resource = "onggi:materialize",
    .run = run_materialize,
};

/* --- onggi:deploy ----------------------------------------------------------- */

static enum status run_deploy(struct task *task, void *context, struct str *output,
                              struct error *err)
{
    static const struct str known[] = { STR_INIT("endpoint"), STR_INIT("model"),
                                        STR_INIT("version") };
    struct pipeline_tasks *tasks = context;
    yyjson_mut_doc *doc = json_mut_doc(task->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    struct deploy_order order = { .by = task->user,
                                  .is_cancelled = is_cancelled,
                                  .context = task };
    struct deployed deployed;

    TRY(json_only_keys(task->input, known, ARRAY_LEN(known), err));
    TRY(json_need_str(task->input, "endpoint", &order.endpoint, err));
    TRY(json_want_str(task->input, "model", &order.model, err));
    TRY(task_need_version(task->input, &order.version, err));
    TRY(deploy_version(tasks->given.deployer, task->arena, &order, &deployed, err));
    json_add_str(doc, root, "endpoint", deployed.endpoint);
    json_add_str(doc, root, "model", deployed.model);
    yyjson_mut_obj_add_int(doc, root, "version", deployed.version);
    yyjson_mut_obj_add_real(doc, root, "seconds", deployed.seconds);
    *output = json_mut_write(task->arena, root);
    return STATUS_OK;
}

static const struct task_type deploy_task = { .resource = "onggi:deploy", .run = run_deploy };

/* Endpoints first: a rejection is there to stop a model. */
static void on_decision(void *context, struct str model, int64_t version,
                        const struct decision *decision)
{
    struct pipeline_tasks *tasks = context;

    deploy_on_decision(tasks->given.deployer, model, version, decision->status);
    approval_on_decision(tasks, model, version, decision);
}

/* --- all of them ------------------------------------------------------------ */

enum status pipeline_tasks_open(const struct pipeline_tasks_config *config,
                                struct pipeline_tasks **out, struct error *err)
{
    static const struct task_type *const types[] = { &training_set_task, &materialize_task,
                                                     &register_task,     &approval_task,
                                                     &deploy_task,       &score_task };
    struct pipeline_tasks *tasks;

    TRY(approval_migrate(config->metadata, err));
    tasks = calloc(1, sizeof(*tasks));
    if (tasks == NULL)
        abort();
    tasks->given = *config;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        workflow_add_task_type(config->workflow, types[i], tasks);
    registry_on_decision(config->registry, on_decision, tasks);
    tasks->records = (struct run_records){ config->workflow, config->registry };
    run_records_open(&tasks->records);
    *out = tasks;
    return STATUS_OK;
}

void pipeline_tasks_close(struct pipeline_tasks **tasks)
{
    if (*tasks != NULL)
        registry_on_decision((*tasks)->given.registry, NULL, NULL);
    free(*tasks);
    *tasks = NULL;
}

void pipeline_tasks_settle(struct pipeline_tasks *tasks)
{
    approval_settle(tasks);
    run_records_settle(&tasks->records);
}
