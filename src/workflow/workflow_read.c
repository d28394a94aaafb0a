/* SPDX-License-Identifier: Apache-2.0 */
/* What can be read of executions without an engine. */
#include "workflow/workflow.h"

#include "workflow/engine.h"

#define COLUMNS \
    "SELECT id, pipeline, status, state, start_us, stop_us, redrives, last_event, user, error," \
    " stopped_by, redriven_by, name"

static enum execution_status status_of(struct str name)
{
    for (enum execution_status status = EXECUTION_RUNNING; status < EXECUTION_ABORTED; status++)
        if (str_equal(str_from(execution_status_name(status)), name))
            return status;
    return EXECUTION_ABORTED;
}

static struct execution_info info_of(const struct sql_rows *rows, struct arena *arena)
{
    return (struct execution_info){
        .id = sql_str(rows, arena, 0),
        .pipeline = sql_str(rows, arena, 1),
        .status = status_of(sql_str(rows, arena, 2)),
        .state = sql_str(rows, arena, 3),
        .start_us = sql_int64(rows, 4),
        .stop_us = sql_int64(rows, 5),
        .redrive_count = sql_int64(rows, 6),
        .last_event = sql_int64(rows, 7),
        .user = sql_str(rows, arena, 8),
        .error = sql_str(rows, arena, 9),
        .stopped_by = sql_str(rows, arena, 10),
        .redriven_by = sql_str(rows, arena, 11),
        .name = sql_str(rows, arena, 12),
    };
}

struct reading {
    struct arena *arena;
    struct str id; /* of the execution; or the pipeline's name in a list */
    struct str before;
    int64_t after;
    size_t limit, count, capacity;
    size_t bytes, bytes_max;
    struct execution_info *infos;
    struct workflow_event *events;
};

static enum status read_one(struct sql_tx *tx, void *context, struct error *err)
{
    struct reading *reading = context;
    struct sql_rows *rows;

    TRY(sql_query(tx,
                  COLUMNS ", input, output, cause, definition, code_sha256"
                          " FROM workflow_execution WHERE id = ?1",
                  SQL_ARGS(sql_arg_str(reading->id)), &rows, err));
    if (sql_next(rows, err) != STATUS_OK) {
        if (err->status == STATUS_NOT_FOUND)
            error_set(err, STATUS_NOT_FOUND, "there is no execution '" STR_FMT "'",
                      STR_ARG(reading->id));
        return err->status;
    }
    *reading->infos = info_of(rows, reading->arena);
    reading->infos->input = sql_str(rows, reading->arena, 13);
    reading->infos->output = sql_str(rows, reading->arena, 14);
    reading->infos->cause = sql_str(rows, reading->arena, 15);
    reading->infos->definition = sql_str(rows, reading->arena, 16);
    reading->infos->code_sha256 = sql_str(rows, reading->arena, 17);
    sql_rows_close(rows);
    return STATUS_OK;
}

enum status workflow_execution_get(struct workflow *workflow, struct arena *arena,
                                   struct str id, struct execution_info *out, struct error *err)
{
    struct reading reading = { .arena = arena, .id = id, .infos = out };

    return sql_read(workflow->db, read_one, &reading, err);
}

static enum status read_list(struct sql_tx *tx, void *context, struct error *err)
{
    struct reading *reading = context;
    struct sql_rows *rows;
    enum status status;

    TRY(sql_query(tx,
                  COLUMNS " FROM workflow_execution WHERE (?1 = '' OR pipeline = ?1)"
                          " AND (?2 = '' OR id < ?2) ORDER BY id DESC LIMIT ?3",
                  SQL_ARGS(sql_arg_str(reading->id), sql_arg_str(reading->before),
                           sql_arg_int64((int64_t)reading->limit)),
                  &rows, err));
    while ((status = sql_next(rows, err)) == STATUS_OK)
        ARENA_PUSH(reading->arena, reading->infos, reading->count,
                   reading->capacity) = info_of(rows, reading->arena);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status workflow_execution_list(struct workflow *workflow, struct arena *arena,
                                    struct str pipeline, struct str before, size_t limit,
                                    struct execution_info **out, size_t *count,
                                    struct error *err)
{
    struct reading reading = {
        .arena = arena, .id = pipeline, .before = before, .limit = limit
    };

    TRY(sql_read(workflow->db, read_list, &reading, err));
    *out = reading.infos;
    *count = reading.count;
    return STATUS_OK;
}

static struct workflow_event event_of(const struct sql_rows *rows, struct arena *arena)
{
    return (struct workflow_event){
        .id = sql_int64(rows, 0),
        .previous_id = sql_int64(rows, 1),
        .time_us = sql_int64(rows, 2),
        .type = sql_str(rows, arena, 3),
        .details = sql_str(rows, arena, 4),
        .will_retry = sql_int64(rows, 5) != 0,
    };
}

static enum status read_events(struct sql_tx *tx, void *context, struct error *err)
{
    struct reading *reading = context;
    struct sql_rows *rows;
    enum status status;

    TRY(sql_query(tx,
                  "SELECT id, previous_id, time_us, type, details,"
                  " type IN ('TaskFailed', 'TaskTimedOut') AND private_part <> ''"
                  " FROM workflow_event"
                  " WHERE execution = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
                  SQL_ARGS(sql_arg_str(reading->id), sql_arg_int64(reading->after),
                           sql_arg_int64((int64_t)reading->limit)),
                  &rows, err));
    while ((status = sql_next(rows, err)) == STATUS_OK) {
        struct workflow_event event = event_of(rows, reading->arena);

        ARENA_PUSH(reading->arena, reading->events, reading->count, reading->capacity) = event;
        reading->bytes += event.details.len;
        if (reading->bytes >= reading->bytes_max) {
            sql_rows_close(rows);
            return STATUS_OK;
        }
    }
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status workflow_event_page(struct workflow *workflow, struct arena *arena, struct str id,
                                int64_t after, size_t limit, size_t bytes_max,
                                struct workflow_event **out, size_t *count, struct error *err)
{
    struct reading reading = {
        .arena = arena, .id = id, .after = after, .limit = limit, .bytes_max = bytes_max
    };

    TRY(sql_read(workflow->db, read_events, &reading, err));
    *out = reading.events;
    *count = reading.count;
    return STATUS_OK;
}

enum status workflow_event_list(struct workflow *workflow, struct arena *arena, struct str id,
                                int64_t after, size_t limit, struct workflow_event **out,
                                size_t *count, struct error *err)
{
    return workflow_event_page(workflow, arena, id, after, limit, SIZE_MAX, out, count, err);
}

struct visiting {
    struct str id;
    int64_t after;
    size_t limit;
    event_visit visit;
    void *context;
};

static enum status visit_rows(const struct visiting *visiting, struct sql_rows *rows,
                              struct error *err)
{
    struct arena *arena = arena_new();
    enum status status;

    while ((status = sql_next(rows, err)) == STATUS_OK) {
        struct workflow_event event = event_of(rows, arena);

        event.state = sql_str(rows, arena, 6);
        visiting->visit(visiting->context, arena, &event);
        arena_reset(arena);
    }
    arena_free(arena);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status visit_events(struct sql_tx *tx, void *context, struct error *err)
{
    const struct visiting *visiting = context;
    struct sql_rows *rows;

    /* Events of before the column `state` tell it in their details alone. */
    TRY(sql_query(tx,
                  "SELECT id, previous_id, time_us, type,"
                  " CASE WHEN type IN ('TaskSucceeded', 'TaskFailed', 'TaskTimedOut',"
                  " 'ExecutionFailed', 'ExecutionAborted', 'ExecutionTimedOut',"
                  " 'ExecutionRedriven') OR (state = '' AND type LIKE '%StateEntered')"
                  " THEN details ELSE '' END,"
                  " type IN ('TaskFailed', 'TaskTimedOut') AND private_part <> '', state"
                  " FROM workflow_event"
                  " WHERE execution = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
                  SQL_ARGS(sql_arg_str(visiting->id), sql_arg_int64(visiting->after),
                           sql_arg_int64((int64_t)visiting->limit)),
                  &rows, err));
    return visit_rows(visiting, rows, err);
}

enum status workflow_event_visit(struct workflow *workflow, struct str id, int64_t after,
                                 size_t limit, event_visit visit, void *context,
                                 struct error *err)
{
    struct visiting visiting = { id, after, limit, visit, context };

    return sql_read(workflow->db, visit_events, &visiting, err);
}
