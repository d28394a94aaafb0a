/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Runs a short program and takes what it prints: for questions, not for work. */
#include "base/arena.h"
#include "base/str.h"

/*
 * argv ends with NULL; argv[0] is looked up in PATH. *output: what it wrote to stdout and stderr,
 * at most 4 KiB. Returns its exit code, -1 if it did not start, crashed, or took longer.
 */
int run_program(struct arena *arena, const char *const *argv, unsigned timeout_ms,
                struct str *output);
