/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Every execution of a pipeline is a run in the registry, also one that fails before it registers anything. */
#include "registry/registry.h"
#include "workflow/workflow.h"

struct run_records {
    struct workflow *workflow;
    struct registry *registry;
};

/* Before workflow_resume(). The records must outlive the workflow. */
void run_records_open(struct run_records *records);
/*
 * After workflow_resume(): what a crash came in between of. Makes the runs of executions that have
 * none, ends those whose executions have ended.
 */
void run_records_settle(struct run_records *records);
