/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What executions leave on disk does not grow without end: of each pipeline the folders of the last
 * few ended executions are kept, and the logs of some more. Which go is the engine's thread to
 * choose, since it knows what runs; they are renamed first, so that a folder is there whole or not
 * at all, and a thread of their own then removes them, which may take a while.
 */
#include "base/arena.h"
#include "base/status.h"

struct retention;
struct workflow;

/* Starts the thread; what a crash left half removed goes first. */
struct retention *retention_open(struct str project);
/* Waits for the folder that is being removed; the next open goes on. */
void retention_close(struct retention **retention);
/* On the engine's thread: chooses, and leaves the rest to the other thread. */
void retention_look(struct retention *retention, struct workflow *workflow);
/* CONFLICT if the execution's folder was removed: it cannot be gone on with. */
MUST_USE enum status retention_check(const struct workflow *workflow, struct str execution,
                                     struct error *err);
