/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the task types share; callers include pipeline_tasks.h. */
#include "bridges/pipeline_tasks.h"
#include "bridges/run_records.h"
#include "features/training_set.h"

struct pipeline_tasks {
    struct pipeline_tasks_config given;
    struct run_records records;
};

extern const struct task_type register_task;
extern const struct task_type approval_task;
extern const struct task_type score_task;

MUST_USE enum status approval_migrate(struct sql *metadata, struct error *err);
void approval_on_decision(struct pipeline_tasks *tasks, struct str model, int64_t version,
                          const struct decision *decision);
void approval_settle(struct pipeline_tasks *tasks);

/* A whole number from 1; "version" of several tasks. */
MUST_USE enum status task_need_version(const yyjson_val *input, int64_t *out,
                                       struct error *err);
/*
 * A job over the entity rows that the task's input names, which leaves data.parquet in the task's
 * folder and is followed and stopped like the task.
 */
MUST_USE enum status task_read_entities(const struct pipeline_tasks *tasks, struct task *task,
                                        struct training_set_request *out, struct error *err);
