/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the shell sees. docs/cli.md has the same list; scripts rely on it. */
#include "base/status.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,        /* what was asked could not be done; the message says why */
    EXIT_USAGE = 2,         /* the command line itself makes no sense */
    EXIT_MISSING = 3,       /* the thing named does not exist */
    EXIT_REFUSED = 4,       /* this user may not, or nobody said who asks */
    EXIT_AWAY = 5,          /* something needed does not answer, or not in time; try again */
    EXIT_INTERRUPTED = 130, /* Ctrl-C, as shells have it: 128 + SIGINT */
};

enum exit_code exit_code_of_status(enum status status);
