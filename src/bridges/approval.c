/* SPDX-License-Identifier: Apache-2.0 */
/*
 * onggi:approval: the execution waits, perhaps for days and over restarts, for
 * a person to approve or reject a model version. What waits is on disk; a
 * decision wakes it, and so does a start after a decision that nobody heard.
 */
#include "base/json.h"
#include "base/log.h"
#include "bridges/pipeline_tasks_internal.h"

static const char *const steps[] = {
    "CREATE TABLE awaited_decisions (token TEXT PRIMARY KEY, model TEXT NOT NULL,"
    " version INTEGER NOT NULL) WITHOUT ROWID;",
};

enum status approval_migrate(struct sql *metadata, struct error *err)
{
    return sql_migrate(metadata, "bridges", steps, ARRAY_LEN(steps), err);
}

struct waiter {
    struct str token;
    struct str model;
    int64_t version;
};

static enum status add_waiter(struct sql_tx *tx, void *context, struct error *err)
{
    const struct waiter *waiter = context;

    return sql_run(tx, "INSERT OR REPLACE INTO awaited_decisions VALUES (?1, ?2, ?3)",
                   SQL_ARGS(sql_arg_str(waiter->token), sql_arg_str(waiter->model),
                            sql_arg_int64(waiter->version)),
                   err);
}

static enum status remove_waiter(struct sql_tx *tx, void *context, struct error *err)
{
    const struct waiter *waiter = context;

    return sql_run(tx, "DELETE FROM awaited_decisions WHERE token = ?1",
                   SQL_ARGS(sql_arg_str(waiter->token)), err);
}

struct waiters {
    struct arena *arena;
    struct waiter *list;
    size_t count;
    size_t capacity;
};

static enum status list_waiters(struct sql_tx *tx, void *context, struct error *err)
{
    struct waiters *waiters = context;
    struct sql_rows *rows;
    enum status status;

    TRY(sql_query(tx, "SELECT token, model, version FROM awaited_decisions", NULL, 0, &rows,
                  err));
    while ((status = sql_next(rows, err)) == STATUS_OK)
        ARENA_PUSH(waiters->arena, waiters->list, waiters->count, waiters->capacity) =
            (struct waiter){ sql_str(rows, waiters->arena, 0), sql_str(rows, waiters->arena, 1),
                             sql_int64(rows, 2) };
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static struct str decision_json(struct arena *arena, const struct waiter *waiter,
                                const struct decision *decision)
{
    yyjson_mut_doc *doc = json_mut_doc(arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);

    json_add_str(doc, root, "model", waiter->model);
    yyjson_mut_obj_add_int(doc, root, "version", waiter->version);
    yyjson_mut_obj_add_str(doc, root, "status", version_status_name(decision->status));
    json_add_str(doc, root, "by", decision->by);
    json_add_str(doc, root, "reason", decision->reason);
    return json_mut_write(arena, root);
}

/* The row goes last: a crash before it only means to try again. */
static void wake(struct pipeline_tasks *tasks, struct arena *arena, struct waiter *waiter,
                 const struct decision *decision)
{
    struct error err;
    enum status status;

    if (decision->status == VERSION_APPROVED)
        status = workflow_task_succeed(tasks->given.workflow, waiter->token,
                                       decision_json(arena, waiter, decision), &err);
    else
        status = workflow_task_fail(tasks->given.workflow, waiter->token, STR("Onggi.Rejected"),
                                    arena_printf(arena, "rejected by " STR_FMT ": " STR_FMT,
                                                 STR_ARG(decision->by),
                                                 STR_ARG(decision->reason)),
                                    &err);
    /* NOT_FOUND: stopped or timed out meanwhile; nobody waits any more. */
    if (status == STATUS_OK || status == STATUS_NOT_FOUND)
        status = sql_write(tasks->given.metadata, remove_waiter, waiter, &err);
    if (status != STATUS_OK)
        log_warn("approval: the execution that waits for '" STR_FMT
                 "' version %lld goes on at the"
                 " next start of the server: %s",
                 STR_ARG(waiter->model), (long long)waiter->version, err.message);
}

void approval_on_decision(struct pipeline_tasks *tasks, struct str model, int64_t version,
                          const struct decision *decision)
{
    struct arena *arena = arena_new();
    struct waiters waiters = { .arena = arena };
    struct error err;

    if (decision->status != VERSION_PENDING &&
        sql_read(tasks->given.metadata, list_waiters, &waiters, &err) == STATUS_OK) {
        for (size_t i = 0; i < waiters.count; i++)
            if (waiters.list[i].version == version && str_equal(waiters.list[i].model, model))
                wake(tasks, arena, &waiters.list[i], decision);
    }
    arena_free(arena);
}

/* The decision in force, if there is one. */
static bool decided(struct pipeline_tasks *tasks, struct arena *arena,
                    const struct waiter *waiter, struct decision *out)
{
    struct decision *decisions;
    size_t count;
    struct error err;

    if (model_version_decisions(tasks->given.registry, arena, waiter->model, waiter->version,
                                &decisions, &count, &err) != STATUS_OK ||
        count == 0)
        return false;
    *out = decisions[0];
    return true;
}

void approval_settle(struct pipeline_tasks *tasks)
{
    struct arena *arena = arena_new();
    struct waiters waiters = { .arena = arena };
    struct decision decision;
    struct error err;

    if (sql_read(tasks->given.metadata, list_waiters, &waiters, &err) != STATUS_OK)
        log_error("approval: read what waits for decisions: %s", err.message);
    for (size_t i = 0; i < waiters.count; i++)
        if (decided(tasks, arena, &waiters.list[i], &decision))
            wake(tasks, arena, &waiters.list[i], &decision);
    arena_free(arena);
}

static enum status run_approval(struct task *task, void *context, struct str *output,
                                struct error *err)
{
    static const struct str known[] = { STR_INIT("model"), STR_INIT("version") };
    struct pipeline_tasks *tasks = context;
    struct waiter waiter = { .token = task->token };
    struct model_version version;
    struct decision decision;

    TRY(json_only_keys(task->input, known, ARRAY_LEN(known), err));
    TRY(json_need_str(task->input, "model", &waiter.model, err));
    TRY(task_need_version(task->input, &waiter.version, err));
    TRY(model_version_get(tasks->given.registry, task->arena, waiter.model, waiter.version,
                          &version, err));
    /* First on the list, then a look: a decision made in between is seen by one of the two. */
    TRY(sql_write(tasks->given.metadata, add_waiter, &waiter, err));
    if (decided(tasks, task->arena, &waiter, &decision)) {
        TRY(sql_write(tasks->given.metadata, remove_waiter, &waiter, err));
        *output = decision_json(task->arena, &waiter, &decision);
        if (decision.status == VERSION_APPROVED)
            return STATUS_OK;
        return task_fail(task, STR("Onggi.Rejected"), decision.reason, err);
    }
    task_submit(task);
    task_log(task, "waits for: onggi models approve " STR_FMT " %lld --reason TEXT",
             STR_ARG(waiter.model), (long long)waiter.version);
    *output = STR("{}");
    return STATUS_OK;
}

const struct task_type approval_task = { .resource = "onggi:approval", .run = run_approval };
