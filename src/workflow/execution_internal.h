/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of an execution share. Each execution_make_ function makes one event and applies it. */
#include "workflow/execution.h"

/* Clients of Step Functions expect a role; there is but this one. */
#define EXECUTION_ROLE "arn:aws:iam::000000000000:role/onggi"

void execution_make_entered(struct execution *execution);
/* next is empty at the end; assigned has JSON texts by the names of variables, or is NULL. */
void execution_make_exited(struct execution *execution, struct str output,
                           yyjson_mut_val *assigned, struct str next);
void execution_make_succeeded(struct execution *execution);
/* ExecutionFailed and the like; `name` is that of its details. */
void execution_make_end(struct execution *execution, struct str type, const char *name,
                        const struct fault *fault);

/* JSON that the next state can take: within DATA_MAX, our depth, no key twice. False sets *fault. */
bool execution_data_is_good(struct execution *execution, struct str json, struct fault *fault);
/* Within the limits of fault.h; parts of the same texts. */
struct fault fault_clipped(const struct fault *fault);
/* As ErrorEquals has it, States.ALL and its kin included. */
bool error_matches_any(const struct str *patterns, size_t count, struct str error);
