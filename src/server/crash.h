/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a crash leaves behind: a file with the signal and the stack, written by
 * the dying process itself. The addresses of a stripped program are offsets
 * that addr2line and the .debug file turn into lines.
 */

/* Files become folder/crash-SECONDS-PID.txt. Called once, before threads start. */
void crash_trace_into(const char *folder);
/* The newest trace of that process; NULL if there is none. The result is static. */
const char *crash_trace_of(const char *folder, long pid);
