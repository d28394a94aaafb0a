/* SPDX-License-Identifier: Apache-2.0 */
#include "bridges/pipeline_tasks_internal.h"
#include "bridges/score.h"

static struct str output_json(struct task *task, struct str endpoint,
                              const struct score_result *result)
{
    yyjson_mut_doc *doc = json_mut_doc(task->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);

    json_add_str(doc, root, "path", task_relative(task, task->folder));
    json_add_str(doc, root, "endpoint", endpoint);
    json_add_str(doc, root, "model", result->model);
    yyjson_mut_obj_add_sint(doc, root, "version", result->version);
    yyjson_mut_obj_add_uint(doc, root, "rows", result->set.rows);
    yyjson_mut_obj_add_uint(doc, root, "fallbacks", result->set.fallbacks);
    yyjson_mut_obj_add_uint(doc, root, "columns", result->set.columns);
    yyjson_mut_obj_add_uint(doc, root, "bytes", result->set.bytes);
    yyjson_mut_obj_add_real(doc, root, "seconds", result->set.seconds);
    return json_mut_write(task->arena, root);
}

static enum status run_score(struct task *task, void *context, struct str *output,
                             struct error *err)
{
    static const struct str known[] = { STR_INIT("endpoint"), STR_INIT("entities_sql"),
                                        STR_INIT("entities"), STR_INIT("time"),
                                        STR_INIT("as_known") };
    const struct pipeline_tasks_config *given = &((struct pipeline_tasks *)context)->given;
    const struct score_context score = { { given->definitions, given->project, given->limits },
                                         given->proxy,
                                         given->registry };
    struct score_request request = { 0 };
    struct score_result result;

    TRY(json_only_keys(task->input, known, ARRAY_LEN(known), err));
    TRY(json_need_str(task->input, "endpoint", &request.endpoint, err));
    TRY(task_read_entities(context, task, &request.set, err));
    TRY(score_build(&score, task->arena, &request, &result, err));
    task_log(task, "%llu rows by version %lld of " STR_FMT " in %.1f s, %llu by the fallback",
             (unsigned long long)result.set.rows, (long long)result.version,
             STR_ARG(result.model), result.set.seconds,
             (unsigned long long)result.set.fallbacks);
    *output = output_json(task, request.endpoint, &result);
    return STATUS_OK;
}

const struct task_type score_task = { .resource = "onggi:score", .run = run_score };
