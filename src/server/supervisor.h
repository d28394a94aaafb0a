/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The parent of the server. It holds the listening sockets and the project's
 * lock, and starts one child that serves. A child that crashes is replaced at
 * once, with longer and longer pauses if that goes on; clients wait in the
 * sockets' queues meanwhile.
 *
 * SIGTERM and SIGINT end it gracefully, a second SIGINT at once. SIGHUP lets
 * the child read its configuration again. SIGUSR2 runs the program anew from
 * its file, which may be another version by then, with the same sockets: the
 * new child starts, and when it is ready the old one finishes its requests. The
 * new program is asked first, by `--check`, whether it could start.
 */
#include "server/takeover.h"

#include <stdbool.h>

struct supervisor {
    char **argv;      /* to run the program anew */
    const char *logs; /* folder for stack traces */
    unsigned drain_ms;
    struct takeover sockets; /* lock, listeners and port; is_one tells whether child is set */
    /*
     * Serves until SIGTERM; runs in the child, which unblocks the signals once it handles them. Writes a
     * byte to ready when it answers. Returns the exit code.
     */
    int (*serve)(void *context, int ready);
    /* Reads in the parent what has changed: before another child starts (`restart`), and on SIGHUP, when the child tells. */
    void (*reread)(void *context, bool restart);
    /* Called in the parent when a child answers; `first`: it serves from now on, and did not before. */
    void (*on_ready)(void *context, bool first);
    void *context;
};

/* Returns the exit code. */
int supervisor_run(struct supervisor *supervisor);
