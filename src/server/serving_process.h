/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The process that answers: opens the project, serves until SIGTERM, finishes what runs. */
#include "cli/project.h"
#include "server/config.h"

#include "net/server.h"

struct serving_process {
    const struct project *project;
    const struct config *config;
    const int *listeners;
    size_t listener_count;
    struct str url;
    struct server_tls tls; /* with what stands in its files; all NULL: none */
};

/* Below the project unless it is absolute; NULL if empty. */
const char *serving_process_path(const struct project *project, struct arena *arena,
                                 struct str path);
/* The files that the configuration names; strings in the arena. */
struct server_tls serving_process_tls(const struct project *project, struct arena *arena,
                                      const struct config_server *wanted);
/* The access log's path, "-" for stdout; NULL: none. */
const char *serving_process_log(const struct project *project, struct arena *arena,
                                const struct config_server *wanted);
/* Runs in a child of the supervisor; writes a byte to ready when it answers. */
int serving_process_run(const struct serving_process *process, int ready);
