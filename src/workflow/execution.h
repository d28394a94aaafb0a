/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One execution: what it knows, and what it decides next. There are no
 * threads, clocks or disks here. All that an execution knows follows from its
 * events: execution_advance() makes an event and applies it, at once, by the
 * very function that replays it after a crash. So any prefix of a history is a
 * state from which the rest can be decided anew.
 */
#include "workflow/asl.h"
#include "workflow/workflow.h"

#define HISTORY_EVENTS_MAX 25000 /* as in Step Functions; the last one says so */

struct event {
    int64_t id, previous_id, time_us;
    struct str type;
    struct str details;      /* as in struct workflow_event */
    struct str private_part; /* JSON for the engine alone; or empty */
    struct str state;        /* that was entered; or empty. Of fresh events only */
};

/* Where an execution stands in its state. */
enum phase {
    PHASE_NEXT,      /* about to enter the state */
    PHASE_ENTERED,   /* its work is to be done */
    PHASE_SCHEDULED, /* the task is to be started */
    PHASE_STARTED,   /* a try runs, here or where a crash left it */
    PHASE_SUBMITTED, /* somebody is to report the result */
    PHASE_SUCCEEDED, /* the task's result is there, the state is to be left */
    PHASE_FAILED,    /* the try failed, its error is to be retried, caught or passed on */
    PHASE_RETRYING,  /* waits for the next try */
    PHASE_ENDED,     /* the last state was left */
};

/* The one place where control is; branches of Parallel and Map will each have theirs. */
struct cursor {
    struct arena *arena; /* of this visit to the state */
    enum phase phase;
    const struct state *state;
    struct str input;   /* of the state, JSON */
    int64_t entered_id; /* of the event that entered it */
    int64_t entered_us;
    struct str parameters;            /* of the task, JSON */
    struct str token;                 /* of the try that is scheduled, runs or was submitted */
    int64_t scheduled_id;             /* of the event that scheduled it */
    int64_t begun_us;                 /* when that try began, as far as is known */
    int64_t beat_us;                  /* when a submitted one last gave a sign of life */
    int64_t timeout_us, heartbeat_us; /* of the task; 0: none */
    struct str started;               /* the private part of its start */
    struct str result;                /* of the task, or of the last state, JSON */
    struct fault fault;               /* why the try failed */
    int64_t *attempts;                /* retries so far, by retrier */
    unsigned retries;                 /* all of them */
    int64_t wake_us;                  /* when PHASE_RETRYING ends */
};

struct execution {
    struct arena *arena;   /* owned; holds the machine and what follows */
    struct arena *scratch; /* of one event being made or applied */
    struct str id, pipeline, user, definition;
    struct str stopped_by, redriven_by; /* users; empty: nobody */
    struct machine *machine;
    struct str input;
    int64_t start_us, redrive_us, redrive_count;
    enum execution_status status;
    struct str output;  /* when SUCCEEDED */
    struct fault fault; /* when FAILED, ABORTED or TIMED_OUT */
    struct variables variables;
    int64_t stop_us;
    int64_t last_id;
    struct cursor cursor;
    int64_t now_us; /* of the events being made */
    /* Made, applied, not yet on disk. In their own arena, renewed by execution_clear_fresh(). */
    struct arena *fresh_arena;
    struct event *fresh;
    size_t fresh_count, fresh_capacity;
    size_t fresh_bytes; /* of their texts */
};

struct execution *execution_new(struct str id, struct str pipeline, struct str user);
void execution_free(struct execution *execution);
MUST_USE enum status execution_define(struct execution *execution, struct str definition,
                                      resource_check check, void *check_context,
                                      struct error *err);

/* The first event. */
void execution_start(struct execution *execution, struct str input, int64_t now_us);
/* Replays an event from disk. INTERNAL if it does not fit what came before. */
MUST_USE enum status execution_apply(struct execution *execution, const struct event *event,
                                     struct error *err);
/*
 * Goes on until it must wait, has ended, or holds `events_max` events or `bytes_max` bytes of them
 * that are not on disk. False in the last case.
 */
bool execution_advance(struct execution *execution, int64_t now_us, size_t events_max,
                       size_t bytes_max);

/* What became of the try with this token. False, and nothing happens, if it is not the current one. */
bool execution_task_started(struct execution *execution, struct str token,
                            struct str private_part, int64_t now_us);
/* The time at which a try began goes to disk only with its submission. */
void execution_task_begun(struct execution *execution, int64_t now_us);
bool execution_task_submitted(struct execution *execution, struct str token, struct str output,
                              int64_t now_us);
bool execution_task_succeeded(struct execution *execution, struct str token, struct str output,
                              int64_t now_us);
bool execution_task_failed(struct execution *execution, struct str token,
                           const struct fault *fault, int64_t now_us);

void execution_abort(struct execution *execution, const struct fault *fault, struct str user,
                     int64_t now_us);
void execution_time_out(struct execution *execution, int64_t now_us);
/* Only of one that FAILED, was ABORTED or TIMED_OUT. */
void execution_redrive(struct execution *execution, struct str user, int64_t now_us);
/*
 * When something is to be done without anybody asking: retry, time-outs but those of tries that
 * run here. INT64_MAX: never.
 */
int64_t execution_wake_us(const struct execution *execution);
int64_t execution_deadline_us(
    const struct execution *execution); /* TimeoutSeconds of the machine */
void execution_clear_fresh(struct execution *execution);

/* For states/: an evaluation's view, and the events that a state's work ends with. */
struct scope execution_scope(struct execution *execution, struct arena *arena);
/* Applies InputPath; scope->input becomes the effective input. */
MUST_USE bool execution_select_input(struct execution *execution, struct scope *scope,
                                     struct fault *fault);
/* Assign (or NULL), ResultPath and OutputPath, then the exit event. next is empty at the end. */
void execution_exit(struct execution *execution, struct scope *scope, yyjson_mut_val *result,
                    const struct state_path *result_path, yyjson_val *assign, struct str next);
/* The state fails: Catch, or the end of the execution. Runtime faults get the state's name in front. */
void execution_fail(struct execution *execution, const struct fault *fault);
void execution_schedule_task(struct execution *execution, struct str parameters,
                             int64_t timeout_s, int64_t heartbeat_s);
