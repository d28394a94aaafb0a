/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One loop over tasks, shared out to a few threads that live as long as the call. */
#include "base/status.h"

typedef enum status (*parallel_task)(void *context, size_t task, unsigned thread,
                                     struct error *err);

/*
 * Runs tasks 0 to count − 1, each once, on up to `threads` threads; `thread` is below that number. The
 * failure of the first task that fails is handed up; tasks not begun by then are left out.
 */
MUST_USE enum status parallel_run(unsigned threads, size_t count, parallel_task task,
                                  void *context, struct error *err);
