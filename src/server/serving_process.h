/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The process that answers: opens the project, serves until SIGTERM, finishes what runs. */
#include "cli/project.h"
#include "server/config.h"

struct serving_process {
    const struct project *project;
    const struct config *config;
    const int *listeners;
    size_t listener_count;
    struct str url;
};

/* Below the project unless it is absolute; NULL if empty. */
const char *serving_process_path(const struct project *project, struct arena *arena,
                                 struct str path);
/* Runs in a child of the supervisor; writes a byte to ready when it answers. */
int serving_process_run(const struct serving_process *process, int ready);
