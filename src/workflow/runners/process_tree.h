/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What /proc tells of processes, and how all that descend from one are found and ended. */
#include "base/arena.h"

#include <sys/types.h>

/* False if there is no such process any more; one that only waits to be reaped is none. */
bool process_start_ticks(pid_t pid, uint64_t *out);
/* Every process below root, without root itself, as far as /proc shows them at once. */
void process_tree_list(struct arena *arena, pid_t root, pid_t **pids, size_t *count);
/*
 * The memory of all below root. Shared pages count for each who has them, unless that makes it
 * more than limit (0: none): then they are divided among those who share them.
 */
uint64_t process_tree_bytes(struct arena *arena, pid_t root, uint64_t limit);
uint64_t process_bytes(pid_t pid);
/* Kills all below root until none is found, then root. For a root that does not do so itself. */
void process_tree_end(pid_t root);
/*
 * Kills every process whose environment has this variable beginning with this value, but ourselves,
 * until a look at all finds none and nothing that could hide one: a process that was killed may have
 * started another after the list was made, and one that just becomes another program has no environment.
 */
void process_end_marked(struct str variable, struct str value_start);
