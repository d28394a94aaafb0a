/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A project opened inside a command, without a server: what cli.h wants to be lent. */
#include "cli/command.h"
#include "cli/project.h"
#include "net/router.h"

/* What access asks for comes along: deployed models, the workflow engine. */
MUST_USE enum status local_open(const struct project *project, enum command_access access,
                                struct router **router, void **local, struct error *err);
void local_close(void *local);
bool local_has_users(void *local);
