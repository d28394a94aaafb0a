/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * onggi:script runs a user's script as a child, with the environment that
 * SageMaker's training toolkit would give it. docs/pipelines.md tells users.
 */
#include "workflow/task.h"

/* Its context is the struct workflow. */
extern const struct task_type script_task_type;

/* Ends what scripts of this project's earlier engines left running. */
void script_end_orphans(struct str project);
