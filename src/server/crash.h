/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a crash leaves behind: a file with the signal and the stack, written by
 * the dying process itself. The addresses of a stripped program are offsets
 * that addr2line and the .debug file turn into lines.
 */
#include "base/arena.h"

/* Files become folder/crash-SECONDS-PID.txt. Called once, before threads start. */
void crash_trace_into(const char *folder);
/* The trace of the process of that number that began then; false if it left none. */
bool crash_trace_find(struct arena *arena, const char *folder, long pid, int64_t since_us,
                      const char **out);
/* The newest twenty stay. */
void crash_traces_prune(const char *folder);
