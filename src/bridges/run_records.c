/* SPDX-License-Identifier: Apache-2.0 */
#include "bridges/run_records.h"

#include "base/log.h"

/* More runs than this do not end at once. */
#define SETTLE_MAX 1000

static enum run_status run_status_of(enum execution_status status)
{
    return status == EXECUTION_RUNNING     ? RUN_RUNNING
           : status == EXECUTION_SUCCEEDED ? RUN_FINISHED
                                           : RUN_FAILED;
}

static void on_change(void *context, struct str id, struct str pipeline,
                      enum execution_status status)
{
    struct run_records *records = context;
    enum status done;
    struct error err;

    if (pipeline.len == 0)
        return;
    if (status == EXECUTION_RUNNING)
        done = run_begin(records->registry, id, pipeline, &err);
    else
        done = run_end(records->registry, id, run_status_of(status), &err);
    if (done != STATUS_OK)
        log_warn("runs: the record of " STR_FMT " is behind: %s", STR_ARG(id), err.message);
}

void run_records_open(struct run_records *records)
{
    workflow_on_change(records->workflow, on_change, records);
}

static bool has_run(const struct run *runs, size_t count, struct str id)
{
    for (size_t i = 0; i < count; i++)
        if (str_equal(runs[i].id, id))
            return true;
    return false;
}

/* Makes the runs of executions that a crash cut off before their record was made. */
static enum status add_missing(struct run_records *records, struct arena *arena,
                               const struct run *runs, size_t run_count, struct error *err)
{
    struct execution_info *infos = NULL;
    size_t count = 0;

    TRY(workflow_execution_list(records->workflow, arena, STR_EMPTY, STR_EMPTY, SETTLE_MAX,
                                &infos, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (infos[i].pipeline.len == 0 || has_run(runs, run_count, infos[i].id))
            continue;
        TRY(run_ensure(records->registry, infos[i].id, infos[i].pipeline, infos[i].start_us,
                       err));
        if (infos[i].status != EXECUTION_RUNNING)
            on_change(records, infos[i].id, infos[i].pipeline, infos[i].status);
    }
    return STATUS_OK;
}

static void end_ended(struct run_records *records, struct arena *arena, const struct run *runs,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct execution_info info;
        struct error err;

        if (runs[i].status == RUN_RUNNING &&
            workflow_execution_get(records->workflow, arena, runs[i].id, &info, &err) ==
                STATUS_OK &&
            info.status != EXECUTION_RUNNING)
            on_change(records, info.id, info.pipeline, info.status);
    }
}

void run_records_settle(struct run_records *records)
{
    struct arena *arena = arena_new();
    struct run *runs = NULL;
    size_t count = 0;
    struct error err;
    enum status status = run_list(records->registry, arena, SETTLE_MAX, &runs, &count, &err);

    if (status == STATUS_OK) {
        end_ended(records, arena, runs, count);
        status = add_missing(records, arena, runs, count, &err);
    }
    if (status != STATUS_OK)
        log_warn("runs: %s", err.message);
    arena_free(arena);
}
