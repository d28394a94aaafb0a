/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The pipeline's tasks that touch other subsystems: onggi:training_set,
 * onggi:materialize, onggi:register, onggi:approval, onggi:deploy and
 * onggi:score. docs/pipelines.md says what each takes and gives.
 */
#include "bridges/deployer.h"
#include "features/apply.h"
#include "features/feature_store.h"
#include "features/job.h"
#include "registry/registry.h"
#include "workflow/workflow.h"

struct pipeline_tasks;

struct pipeline_tasks_config {
    const char *project;
    struct sql *metadata;
    struct workflow *workflow;
    struct definition_store *definitions;
    struct feature_store *features;
    struct registry *registry;
    struct deployer *deployer;
    struct proxy *proxy;
    struct job_limits limits; /* of the jobs that tasks start */
};

/* Adds the task types to the workflow; before workflow_resume(). Everything given must live longer. */
MUST_USE enum status pipeline_tasks_open(const struct pipeline_tasks_config *config,
                                         struct pipeline_tasks **out, struct error *err);
void pipeline_tasks_close(struct pipeline_tasks **tasks);
/* After workflow_resume(): wakes what waits for decisions that were made while nobody ran the engine. */
void pipeline_tasks_settle(struct pipeline_tasks *tasks);
