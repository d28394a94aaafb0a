/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What becomes of a script that has ended: the step's output, or the cause of its failure. */
#include "workflow/runners/process.h"
#include "workflow/runners/sagemaker.h"

/* Fails the try with the error name and cause that the end has. */
enum status script_fail(struct task *task, const struct script *script,
                        const struct process_end *end, const struct process_limits *limits,
                        struct error *err);
/* The outputs with their folders, the metrics. Everything in the try's folder is on disk then. */
MUST_USE enum status script_make_result(struct task *task, const struct script *script,
                                        const struct surroundings *around,
                                        const struct process_end *end, double seconds,
                                        struct str *out, struct error *err);
