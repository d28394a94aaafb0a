/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A project opened inside a command, without a server: what cli.h wants to be lent. */
#include "cli/project.h"
#include "net/router.h"

/* engine: the command runs a pipeline, so this process does what a server would. */
MUST_USE enum status local_open(const struct project *project, bool engine,
                                struct router **router, void **local, struct error *err);
void local_close(void *local);
bool local_has_users(void *local);
