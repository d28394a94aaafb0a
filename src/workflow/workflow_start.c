/* SPDX-License-Identifier: Apache-2.0 */
/* Executions begin here, on disk before the engine hears of them. */
#include "workflow/workflow.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "workflow/engine.h"
#include "workflow/pipeline.h"
#include "workflow/store.h"

static enum status check_name(struct str name, struct error *err)
{
    bool good = name.len <= 80;

    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];

        good = good && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '_' || c == '-');
    }
    return good ? STATUS_OK
                : error_set(err, STATUS_INVALID,
                            "name: expected at most 80 letters, digits, '-' and '_'");
}

/* Equal but for the hash of the code, which belongs to the first start. */
static bool are_same_params(struct arena *arena, struct str a, struct str b)
{
    yyjson_val *x, *y, *key, *value;
    struct error err;
    size_t i, count;

    if (json_parse(arena, a, &x, &err) != STATUS_OK ||
        json_parse(arena, b, &y, &err) != STATUS_OK || yyjson_obj_size(x) != yyjson_obj_size(y))
        return false;
    yyjson_obj_foreach(x, i, count, key, value)
    {
        yyjson_val *other = json_find(y, json_str(key));

        if (!str_equal(json_str(key), STR("code")) &&
            (other == NULL || !yyjson_equals(value, other)))
            return false;
    }
    return true;
}

static bool are_same_json(struct arena *arena, struct str a, struct str b)
{
    yyjson_val *x, *y;
    struct error err;

    return json_parse(arena, a, &x, &err) == STATUS_OK &&
           json_parse(arena, b, &y, &err) == STATUS_OK && yyjson_equals(x, y);
}

/* out->existed tells whether there is an execution of this name. */
static enum status find_named(struct workflow *workflow, struct arena *arena,
                              const struct execution *wanted, struct str name,
                              struct started_execution *out, struct error *err)
{
    struct named_execution found = { .id = STR_EMPTY };
    bool same;

    out->existed = false;
    TRY(check_name(name, err));
    if (name.len > 0)
        TRY(store_named(workflow->db, arena, wanted->pipeline, name, &found, err));
    if (found.id.len == 0)
        return STATUS_OK;
    same = wanted->pipeline.len > 0
               ? are_same_params(arena, wanted->input, found.input)
               : are_same_json(arena, wanted->input, found.input) &&
                     are_same_json(arena, wanted->definition, found.definition);
    if (!same)
        return error_set(err, STATUS_CONFLICT,
                         "execution " STR_FMT " is called '" STR_FMT
                         "' already, and was started with other input",
                         STR_ARG(found.id), STR_ARG(name));
    *out = (struct started_execution){ found.id, true };
    return STATUS_OK;
}

static enum status check_input(struct arena *arena, struct str input, struct error *err)
{
    yyjson_val *json;

    if (input.len > DATA_MAX)
        return error_set(err, STATUS_LIMIT, "an input may have %zu bytes, this one has %zu",
                         DATA_MAX, input.len);
    return json_parse(arena, input, &json, err) == STATUS_OK ? STATUS_OK
                                                             : error_wrap(err, "input");
}

/* Once it is on disk it has started, whatever the engine says. */
static void announce(struct workflow *workflow, const struct execution *execution)
{
    struct message message = { .kind = MESSAGE_LOAD, .id = execution->id };
    struct error err;

    if (workflow->on_change != NULL)
        workflow->on_change(workflow->on_change_context, execution->id, execution->pipeline,
                            EXECUTION_RUNNING);
    if (engine_send(workflow, &message, &err) != STATUS_OK)
        log_warn("workflow: execution " STR_FMT " waits: %s", STR_ARG(execution->id),
                 err.message);
}

static enum status start_execution(struct workflow *workflow, struct arena *arena,
                                   struct execution *execution, struct str definition,
                                   struct str input, struct str name, struct str code_sha256,
                                   struct started_execution *out, struct error *err)
{
    enum status status;

    TRY(check_input(arena, input, err));
    TRY(execution_define(execution, definition, engine_check_resource, workflow, err));
    execution_start(execution, input, clock_now_us());
    TRY(find_named(workflow, arena, execution, name, out, err));
    if (out->existed)
        return STATUS_OK;
    status = store_create(workflow->db, execution, name, code_sha256, err);
    /* Somebody else has just started it. */
    if (status == STATUS_CONFLICT && name.len > 0) {
        TRY(find_named(workflow, arena, execution, name, out, err));
        return out->existed ? STATUS_OK : status;
    }
    TRY(status);
    announce(workflow, execution);
    *out = (struct started_execution){ arena_str(arena, execution->id), false };
    return STATUS_OK;
}

enum status workflow_start_definition(struct workflow *workflow, struct arena *arena,
                                      struct str definition, struct str input,
                                      const struct execution_starter *starter,
                                      struct started_execution *out, struct error *err)
{
    struct execution *execution;
    enum status status;

    TRY(workflow_resume(workflow, err));
    execution = execution_new(id_new(arena), STR_EMPTY, starter->user);
    status = start_execution(workflow, arena, execution, definition,
                             input.len == 0 ? STR("{}") : input, starter->name, STR_EMPTY, out,
                             err);
    execution_free(execution);
    return status;
}

/* Before the code is copied for nothing. */
static enum status find_named_run(struct workflow *workflow, struct arena *arena,
                                  const struct pipeline *pipeline, struct str input,
                                  struct str name, struct started_execution *out,
                                  struct error *err)
{
    const struct execution wanted = { .pipeline = pipeline->name, .input = input };

    return find_named(workflow, arena, &wanted, name, out, err);
}

enum status workflow_start_pipeline(struct workflow *workflow, struct arena *arena,
                                    struct str name, struct str params,
                                    const struct execution_starter *starter,
                                    struct started_execution *out, struct error *err)
{
    struct execution *execution;
    struct pipeline pipeline;
    struct str input, folder, hash;
    enum status status;

    TRY(pipeline_load(arena, workflow->project, name, &pipeline, err));
    TRY(pipeline_input(arena, &pipeline, params, STR_EMPTY, &input, err));
    TRY(find_named_run(workflow, arena, &pipeline, input, starter->name, out, err));
    if (out->existed)
        return STATUS_OK;
    TRY(workflow_resume(workflow, err));
    execution = execution_new(id_new(arena), pipeline.name, starter->user);
    folder = run_folder(arena, workflow->project, execution->id);
    status = pipeline_copy_code(arena, workflow->project, pipeline.name,
                                arena_printf(arena, STR_FMT "/code", STR_ARG(folder)), &hash,
                                err);
    if (status == STATUS_OK)
        status = pipeline_input(arena, &pipeline, params, hash, &input, err);
    if (status == STATUS_OK)
        status = start_execution(workflow, arena, execution, pipeline.definition, input,
                                 starter->name, hash, out, err);
    execution_free(execution);
    return status;
}
