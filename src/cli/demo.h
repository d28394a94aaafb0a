/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A server for the demo: this same program, started on the project the way a
 * person would, so that all that follows goes over real HTTP.
 */
#include "cli/cli.h"

#include <sys/types.h>

struct demo_server {
    pid_t pid; /* 0: somebody else's server was found */
    struct server_info info;
};

/* Uses the server that lives on the project; else starts one, on the default port or a free one. */
MUST_USE enum status demo_server_start(struct cli *cli, struct demo_server *out,
                                       struct error *err);
/* Waits until it has ended; nothing to do for somebody else's. */
void demo_server_stop(struct demo_server *server);
