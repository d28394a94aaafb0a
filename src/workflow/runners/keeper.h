/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A keeper is a small process between the engine and a script. Whatever the
 * script starts, in whatever session and with whatever environment, stays
 * below the keeper: the kernel gives it all orphans (PR_SET_CHILD_SUBREAPER).
 * When the script ends, when it is told to, or when the engine has died, it
 * ends everything below it until nothing is left, and then itself.
 *
 * It is this same program under another name: main() asks keeper_is_wanted()
 * first of all. Its standard input is a socket to the engine; output and
 * error are the script's log. process.h is the engine's side.
 */
#include <stdbool.h>
#include <stdint.h>

#define KEEPER_NAME \
    "script-keeper" /* argv[0]; not ours, so that who kills us by name spares it */

bool keeper_is_wanted(char **argv);
int keeper_main(void);

/* First over the socket: this, then `bytes` of texts, each with its NUL. */
struct keeper_script {
    uint32_t bytes, argc, envc; /* the texts: program, folder, argc arguments, envc variables */
};

/* Then single bytes. */
enum keeper_command {
    KEEPER_GO = 'g',
    KEEPER_TERM = 't', /* SIGTERM to the script's process group */
    KEEPER_KILL = 'k', /* SIGKILL to everything */
};

/* Back come these: STARTED or FAILED after GO, ENDED as the last. */
enum keeper_report_kind {
    KEEPER_STARTED, /* value: the script's pid */
    KEEPER_FAILED,  /* value: errno; the keeper is about to leave */
    KEEPER_ENDED,   /* value: as waitpid() gave it; nothing of the script is left */
};
struct keeper_report {
    int32_t kind, value;
};
