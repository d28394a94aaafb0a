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

void run_records_settle(struct run_records *records)
{
    struct arena *arena = arena_new();
    struct run *runs = NULL;
    size_t count = 0;
    struct error err;

    if (run_list(records->registry, arena, SETTLE_MAX, &runs, &count, &err) != STATUS_OK)
        log_warn("runs: %s", err.message);
    for (size_t i = 0; i < count; i++) {
        struct execution_info info;

        if (runs[i].status == RUN_RUNNING &&
            workflow_execution_get(records->workflow, arena, runs[i].id, &info, &err) ==
                STATUS_OK &&
            info.status != EXECUTION_RUNNING)
            on_change(records, info.id, info.pipeline, info.status);
    }
    arena_free(arena);
}
