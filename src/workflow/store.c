/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/store.h"

#include "workflow/execution_internal.h"

static const char *const steps[] = {
    "CREATE TABLE workflow_execution ("
    " id TEXT PRIMARY KEY, pipeline TEXT NOT NULL, user TEXT NOT NULL, status TEXT NOT NULL,"
    " state TEXT NOT NULL, start_us INTEGER NOT NULL, stop_us INTEGER NOT NULL,"
    " redrives INTEGER NOT NULL, last_event INTEGER NOT NULL, input TEXT NOT NULL,"
    " output TEXT NOT NULL, error TEXT NOT NULL, cause TEXT NOT NULL, definition TEXT NOT NULL);"
    "CREATE INDEX workflow_execution_by_pipeline ON workflow_execution (pipeline, id);"
    "CREATE INDEX workflow_execution_running ON workflow_execution (id) WHERE status = 'RUNNING';"
    "CREATE TABLE workflow_event ("
    " execution TEXT NOT NULL REFERENCES workflow_execution (id), id INTEGER NOT NULL,"
    " previous_id INTEGER NOT NULL, time_us INTEGER NOT NULL, type TEXT NOT NULL,"
    " details TEXT NOT NULL, private_part TEXT NOT NULL, UNIQUE (execution, id));",
    /* Which state was entered; empty in other events, and in those of before. */
    "ALTER TABLE workflow_event ADD COLUMN state TEXT NOT NULL DEFAULT '';",
    "CREATE INDEX workflow_execution_by_end ON workflow_execution (pipeline, stop_us, id);",
    "ALTER TABLE workflow_execution ADD COLUMN code_sha256 TEXT NOT NULL DEFAULT '';",
    "ALTER TABLE workflow_execution ADD COLUMN stopped_by TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE workflow_execution ADD COLUMN redriven_by TEXT NOT NULL DEFAULT '';",
    /* What its starter calls it, so that starting twice starts once. */
    "ALTER TABLE workflow_execution ADD COLUMN name TEXT NOT NULL DEFAULT '';"
    "CREATE UNIQUE INDEX workflow_execution_by_name ON workflow_execution (pipeline, name)"
    " WHERE name <> '';",
};

enum status store_migrate(struct sql *db, struct error *err)
{
    return sql_migrate(db, "workflow", steps, ARRAY_LEN(steps), err);
}

static struct value status_arg(enum execution_status status)
{
    return sql_arg_str(str_from(execution_status_name(status)));
}

static struct str state_of(const struct execution *execution)
{
    return execution->cursor.state == NULL ? STR_EMPTY : execution->cursor.state->name;
}

static enum status insert_events(struct sql_tx *tx, const struct execution *execution,
                                 struct error *err)
{
    for (size_t i = 0; i < execution->fresh_count; i++) {
        const struct event *event = &execution->fresh[i];

        TRY(sql_run(
            tx,
            "INSERT INTO workflow_event (execution, id, previous_id, time_us, type, details,"
            " private_part, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            SQL_ARGS(sql_arg_str(execution->id), sql_arg_int64(event->id),
                     sql_arg_int64(event->previous_id), sql_arg_int64(event->time_us),
                     sql_arg_str(event->type), sql_arg_str(event->details),
                     sql_arg_str(event->private_part), sql_arg_str(event->state)),
            err));
    }
    return STATUS_OK;
}

static enum status update_summary(struct sql_tx *tx, const struct execution *execution,
                                  struct error *err)
{
    return sql_run(
        tx,
        "UPDATE workflow_execution SET status = ?2, state = ?3, stop_us = ?4,"
        " redrives = ?5, last_event = ?6, output = ?7, error = ?8, cause = ?9,"
        " stopped_by = ?10, redriven_by = ?11 WHERE id = ?1",
        SQL_ARGS(sql_arg_str(execution->id), status_arg(execution->status),
                 sql_arg_str(state_of(execution)), sql_arg_int64(execution->stop_us),
                 sql_arg_int64(execution->redrive_count), sql_arg_int64(execution->last_id),
                 sql_arg_str(execution->output), sql_arg_str(execution->fault.error),
                 sql_arg_str(execution->fault.cause), sql_arg_str(execution->stopped_by),
                 sql_arg_str(execution->redriven_by)),
        err);
}

struct naming {
    struct arena *arena;
    struct str pipeline, name;
    struct named_execution *out;
};

static enum status read_named(struct sql_tx *tx, void *context, struct error *err)
{
    const struct naming *naming = context;
    struct sql_rows *rows;
    enum status status;

    naming->out->id = STR_EMPTY;
    TRY(sql_query(tx,
                  "SELECT id, input, definition FROM workflow_execution"
                  " WHERE pipeline = ?1 AND name = ?2 AND name <> ''",
                  SQL_ARGS(sql_arg_str(naming->pipeline), sql_arg_str(naming->name)), &rows,
                  err));
    status = sql_next(rows, err);
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    *naming->out = (struct named_execution){ sql_str(rows, naming->arena, 0),
                                             sql_str(rows, naming->arena, 1),
                                             sql_str(rows, naming->arena, 2) };
    sql_rows_close(rows);
    return STATUS_OK;
}

enum status store_named(struct sql *db, struct arena *arena, struct str pipeline,
                        struct str name, struct named_execution *out, struct error *err)
{
    struct naming naming = { arena, pipeline, name, out };

    return sql_read(db, read_named, &naming, err);
}

struct creation {
    const struct execution *execution;
    struct str name, code_sha256;
};

static enum status create(struct sql_tx *tx, void *context, struct error *err)
{
    const struct creation *creation = context;
    const struct execution *execution = creation->execution;

    TRY(sql_run(tx,
                "INSERT INTO workflow_execution (id, pipeline, user, status, state, start_us,"
                " stop_us, redrives, last_event, input, output, error, cause, definition, name,"
                " code_sha256)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, ?7, ?8, '', '', '', ?9, ?10, ?11)"
                " ON CONFLICT DO NOTHING",
                SQL_ARGS(sql_arg_str(execution->id), sql_arg_str(execution->pipeline),
                         sql_arg_str(execution->user), status_arg(execution->status),
                         sql_arg_str(state_of(execution)), sql_arg_int64(execution->start_us),
                         sql_arg_int64(execution->last_id), sql_arg_str(execution->input),
                         sql_arg_str(execution->definition), sql_arg_str(creation->name),
                         sql_arg_str(creation->code_sha256)),
                err));
    if (sql_changes(tx) == 0)
        return error_set(err, STATUS_CONFLICT, "there is an execution '" STR_FMT "' already",
                         STR_ARG(creation->name));
    return insert_events(tx, execution, err);
}

enum status store_create(struct sql *db, const struct execution *execution, struct str name,
                         struct str code_sha256, struct error *err)
{
    struct creation creation = { execution, name, code_sha256 };

    return sql_write(db, create, &creation, err);
}

struct abortion {
    struct arena *arena;
    struct str id, user;
    const struct fault *fault;
    int64_t now_us;
    struct str pipeline;
};

static struct str aborted_details(const struct abortion *work)
{
    const struct fault clipped = fault_clipped(work->fault);
    yyjson_mut_doc *doc = json_mut_doc(work->arena);
    yyjson_mut_val *outer = yyjson_mut_obj(doc);
    yyjson_mut_val *details = yyjson_mut_obj_add_obj(doc, outer,
                                                     "executionAbortedEventDetails");

    if (clipped.error.len > 0)
        json_add_str(doc, details, "error", clipped.error);
    if (clipped.cause.len > 0)
        json_add_str(doc, details, "cause", clipped.cause);
    return json_mut_write(work->arena, outer);
}

static enum status read_running(struct sql_tx *tx, struct abortion *work, int64_t *last_event,
                                struct error *err)
{
    struct sql_rows *rows;
    enum status status;

    TRY(sql_query(tx,
                  "SELECT last_event, pipeline FROM workflow_execution"
                  " WHERE id = ?1 AND status = 'RUNNING'",
                  SQL_ARGS(sql_arg_str(work->id)), &rows, err));
    status = sql_next(rows, err);
    if (status == STATUS_NOT_FOUND)
        return error_set(err, STATUS_CONFLICT, "execution " STR_FMT " does not run any more",
                         STR_ARG(work->id));
    TRY(status);
    *last_event = sql_int64(rows, 0);
    work->pipeline = sql_str(rows, work->arena, 1);
    sql_rows_close(rows);
    return STATUS_OK;
}

static enum status abort_execution(struct sql_tx *tx, void *context, struct error *err)
{
    struct abortion *work = context;
    const struct fault clipped = fault_clipped(work->fault);
    int64_t last;

    TRY(read_running(tx, work, &last, err));
    TRY(sql_run(
        tx,
        "INSERT INTO workflow_event (execution, id, previous_id, time_us, type, details,"
        " private_part) VALUES (?1, ?2, ?3, ?4, 'ExecutionAborted', ?5, '')",
        SQL_ARGS(sql_arg_str(work->id), sql_arg_int64(last + 1), sql_arg_int64(last),
                 sql_arg_int64(work->now_us), sql_arg_str(aborted_details(work))),
        err));
    return sql_run(tx,
                   "UPDATE workflow_execution SET status = 'ABORTED', stop_us = ?2,"
                   " last_event = ?3, error = ?4, cause = ?5, stopped_by = ?6 WHERE id = ?1",
                   SQL_ARGS(sql_arg_str(work->id), sql_arg_int64(work->now_us),
                            sql_arg_int64(last + 1), sql_arg_str(clipped.error),
                            sql_arg_str(clipped.cause), sql_arg_str(work->user)),
                   err);
}

enum status store_abort(struct sql *db, struct arena *arena, struct str id,
                        const struct fault *fault, struct str user, int64_t now_us,
                        struct str *pipeline, struct error *err)
{
    struct abortion work = { arena, id, user, fault, now_us, STR_EMPTY };

    TRY(sql_write(db, abort_execution, &work, err));
    *pipeline = work.pipeline;
    return STATUS_OK;
}

struct batch {
    struct execution *const *executions;
    size_t count;
};

static enum status append(struct sql_tx *tx, void *context, struct error *err)
{
    const struct batch *batch = context;

    for (size_t i = 0; i < batch->count; i++) {
        TRY(insert_events(tx, batch->executions[i], err));
        TRY(update_summary(tx, batch->executions[i], err));
    }
    return STATUS_OK;
}

enum status store_append(struct sql *db, struct execution *const *executions, size_t count,
                         struct error *err)
{
    struct batch batch = { executions, count };

    return sql_write(db, append, &batch, err);
}

struct loading {
    struct str id;
    struct execution *execution;
};

static enum status load_definition(struct sql_tx *tx, struct loading *loading,
                                   struct error *err)
{
    struct arena *arena = arena_new();
    struct sql_rows *rows;
    enum status status = sql_query(
        tx, "SELECT pipeline, user, definition FROM workflow_execution WHERE id = ?1",
        SQL_ARGS(sql_arg_str(loading->id)), &rows, err);

    if (status == STATUS_OK)
        status = sql_next(rows, err);
    if (status == STATUS_OK) {
        loading->execution = execution_new(loading->id, sql_str(rows, arena, 0),
                                           sql_str(rows, arena, 1));
        status = execution_define(loading->execution, sql_str(rows, arena, 2), NULL, NULL, err);
        sql_rows_close(rows);
    } else if (status == STATUS_NOT_FOUND) {
        error_set(err, status, "there is no execution '" STR_FMT "'", STR_ARG(loading->id));
    }
    arena_free(arena);
    return status;
}

static enum status apply_row(struct execution *execution, const struct sql_rows *rows,
                             struct arena *arena, struct error *err)
{
    struct event event = {
        .id = sql_int64(rows, 0),
        .previous_id = sql_int64(rows, 1),
        .time_us = sql_int64(rows, 2),
        .type = sql_str(rows, arena, 3),
        .details = sql_str(rows, arena, 4),
        .private_part = sql_str(rows, arena, 5),
    };

    return execution_apply(execution, &event, err);
}

static enum status replay(struct sql_tx *tx, struct loading *loading, struct error *err)
{
    struct arena *arena = arena_new();
    struct sql_rows *rows;
    enum status status = sql_query(
        tx,
        "SELECT id, previous_id, time_us, type, details, private_part"
        " FROM workflow_event WHERE execution = ?1 ORDER BY id",
        SQL_ARGS(sql_arg_str(loading->id)), &rows, err);

    while (status == STATUS_OK && (status = sql_next(rows, err)) == STATUS_OK) {
        status = apply_row(loading->execution, rows, arena, err);
        if (status != STATUS_OK)
            sql_rows_close(rows);
        arena_reset(arena);
    }
    arena_free(arena);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status load(struct sql_tx *tx, void *context, struct error *err)
{
    TRY(load_definition(tx, context, err));
    return replay(tx, context, err);
}

enum status store_load(struct sql *db, struct str id, struct execution **out, struct error *err)
{
    struct loading loading = { id, NULL };
    enum status status = sql_read(db, load, &loading, err);

    if (status == STATUS_OK)
        *out = loading.execution;
    else
        execution_free(loading.execution);
    return status;
}

struct id_list {
    struct arena *arena;
    struct str *ids;
    size_t count, capacity;
};

static enum status list_running(struct sql_tx *tx, void *context, struct error *err)
{
    struct id_list *list = context;
    struct sql_rows *rows;
    enum status status;

    TRY(sql_query(tx, "SELECT id FROM workflow_execution WHERE status = 'RUNNING' ORDER BY id",
                  NULL, 0, &rows, err));
    while ((status = sql_next(rows, err)) == STATUS_OK)
        ARENA_PUSH(list->arena, list->ids, list->count,
                   list->capacity) = sql_str(rows, list->arena, 0);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status store_running(struct sql *db, struct arena *arena, struct str **ids, size_t *count,
                          struct error *err)
{
    struct id_list list = { .arena = arena };

    TRY(sql_read(db, list_running, &list, err));
    *ids = list.ids;
    *count = list.count;
    return STATUS_OK;
}

struct age_work {
    struct str id;
    unsigned keep;
    enum store_age age;
};

static enum status read_age(struct sql_tx *tx, void *context, struct error *err)
{
    struct age_work *work = context;
    struct sql_rows *rows;
    enum status status;

    work->age = AGE_UNKNOWN;
    TRY(sql_query(tx,
                  "SELECT this.status = 'RUNNING', (SELECT count(*) FROM"
                  " (SELECT 1 FROM workflow_execution AS newer"
                  " WHERE newer.pipeline = this.pipeline AND newer.status <> 'RUNNING'"
                  " AND (newer.stop_us, newer.id) > (this.stop_us, this.id) LIMIT ?2) AS some)"
                  " FROM workflow_execution AS this WHERE this.id = ?1",
                  SQL_ARGS(sql_arg_str(work->id), sql_arg_int64(work->keep)), &rows, err));
    status = sql_next(rows, err);
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    if (sql_int64(rows, 0) != 0)
        work->age = AGE_RUNNING;
    else
        work->age = sql_int64(rows, 1) >= work->keep ? AGE_OLD : AGE_RECENT;
    sql_rows_close(rows);
    return STATUS_OK;
}

enum status store_age_get(struct sql *db, struct str id, unsigned keep, enum store_age *out,
                          struct error *err)
{
    struct age_work work = { id, keep, AGE_UNKNOWN };

    TRY(sql_read(db, read_age, &work, err));
    *out = work.age;
    return STATUS_OK;
}
