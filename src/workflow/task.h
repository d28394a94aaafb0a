/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A task type is what a Task state's Resource names: onggi:script is the
 * engine's own, the others are brought by those who know registry, features
 * or endpoints, before the engine starts.
 *
 * Each try of a task runs on a thread of its own and may block for hours. It
 * looks at task_is_cancelled() a few times a second. What it does to the world
 * must bear being done again under the same key: after a crash the engine
 * cannot know how far it came.
 */
#include "base/arena.h"
#include "base/json.h"
#include "base/status.h"

/* One try of one task. */
struct task {
    struct arena *arena;  /* lives as long as the try */
    struct str execution; /* id */
    struct str pipeline;  /* its name; empty for a definition without one */
    struct str state;     /* name of the state: in the short form, of the step */
    struct str key;       /* the same for all tries of one visit to the state */
    struct str token;     /* of this try alone; workflow_task_succeed() takes it */
    unsigned retry;       /* 0 in the first try */
    struct str user;      /* who started the execution */
    yyjson_val *input;    /* the state's Parameters, evaluated */
    struct str project;   /* the project's folder */
    struct str folder;    /* for this try's files: fresh and empty, absolute */
    struct str code;      /* the pipeline's folder as it was when the execution started */
};

enum task_start {
    TASK_START_AT_ONCE,   /* counts as started before run() is called */
    TASK_START_BY_ITSELF, /* run() says so, with task_started() */
};

struct task_type {
    const char *resource; /* "onggi:register" */
    /*
     * The output is a JSON text in task->arena. A failure becomes the error of the state: its
     * name as task_fail() gave it, or else "Onggi.Invalid", "Onggi.NotFound", … by status.
     */
    enum status (*run)(struct task *task, void *context, struct str *output, struct error *err);
    enum task_start start;
    /* Optional: finds fault with Parameters at check time; those that end in ".$" are not known yet. */
    enum status (*check)(yyjson_val *parameters, struct error *err);
    /* Optional: after a crash, ends what a try that had said task_started(private_part) left behind. */
    void (*clean_up)(struct str project, yyjson_val *private_part);
};

/* Stopped, timed out, or the engine is closing: leave soon, with whatever status. */
bool task_is_cancelled(const struct task *task);
/* Fails the try with an error name that Retry and Catch can match; returns INTERNAL for `return`. */
enum status task_fail(struct task *task, struct str error, struct str cause, struct error *err);
/*
 * For TASK_START_BY_ITSELF: returns once private_part (a JSON object, or empty) is on disk, so
 * that after a crash clean_up() gets it. A failure means: do not begin.
 */
MUST_USE enum status task_started(struct task *task, struct str private_part,
                                  struct error *err);
/*
 * Before returning OK: the task is not done, somebody will call workflow_task_succeed() or
 * workflow_task_fail() with its token, perhaps days and restarts later. run()'s output is then
 * only shown in the history.
 */
void task_submit(struct task *task);
/* Appends a line to the step's log. */
void task_log(struct task *task, const char *format, ...) PRINTF_LIKE(2, 3);
/* Shown to who follows: {"done": 120, "total": 500, "unit": "rows"}; kept nowhere. */
void task_progress(struct task *task, struct str json);
/* HeartbeatSeconds counts from the last of these. Progress and log lines count too. */
void task_heartbeat(struct task *task);
/* The path below the project's folder, as outputs give paths. */
struct str task_relative(const struct task *task, struct str path);
