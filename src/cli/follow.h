/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shows the steps of an execution while it runs. */
#include "cli/cli.h"

/*
 * One line a step, with seconds; a failed execution is a failure. *out: the last answer, also of an execution
 * that failed; NULL if there is none.
 */
MUST_USE enum status follow_execution(struct cli *cli, struct str id, yyjson_val **out,
                                      struct error *err);
