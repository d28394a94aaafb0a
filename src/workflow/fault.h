/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a state fails with: an error name that Retry and Catch match, and a
 * cause for people. Unlike a struct error it may hold a whole input, as the
 * causes of Step Functions do; both live in the arena of the evaluation.
 */
#include "base/arena.h"

struct fault {
    struct str error;
    struct str cause;
};

#define ERROR_RUNTIME STR("States.Runtime")
#define ERROR_ALL STR("States.ALL")
#define ERROR_TIMEOUT STR("States.Timeout")
#define ERROR_HEARTBEAT STR("States.HeartbeatTimeout")
#define ERROR_TASK_FAILED STR("States.TaskFailed")
#define ERROR_DATA_LIMIT STR("States.DataLimitExceeded")
#define ERROR_RESULT_PATH STR("States.ResultPathMatchFailure")
/* A try that was cut off by a crash or a stop of the engine. */
#define ERROR_INTERRUPTED STR("Onggi.Interrupted")

/* What the events of Step Functions hold of them. */
#define ERROR_CHARACTERS_MAX ((size_t)256)
#define CAUSE_CHARACTERS_MAX ((size_t)32768)

/* What a state's input, output or parameters may weigh, as in Step Functions. */
#define DATA_MAX ((size_t)262144)
