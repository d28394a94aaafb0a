/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The workflow engine runs state machines in the Amazon States Language and
 * forgets nothing: each step of an execution is an event on disk before it has
 * an effect, and after a crash the events alone tell where to go on.
 *
 * pipeline.h compiles the short form into ASL; asl.h reads and checks ASL;
 * execution.h holds what one execution knows and decides, without threads or
 * disk; engine.h brings events to disk, keeps time and starts tasks; task.h is
 * the face for task types; workflow_http.h has the doors.
 *
 * One process at a time runs the engine of a project: the first that calls
 * workflow_resume() or starts an execution. Reading needs no engine. All
 * functions may be called from any thread but the event loops': they block.
 */
#include "base/arena.h"
#include "base/status.h"
#include "sql/sql.h"
#include "workflow/task.h"

struct workflow;

struct workflow_config {
    struct sql *db;
    struct str project; /* folder; executions keep their files in its .onggi/ */
    struct str python;  /* for scripts; empty: $ONGGI_PYTHON, else python3 */
    uint64_t
        memory_limit; /* of one script with its children, in bytes; 0: three quarters of the machine */
    /* Of each pipeline so many ended executions keep their files, and their logs; 0: 3 and 30. */
    unsigned keep_runs, keep_logs;
};

MUST_USE enum status workflow_open(const struct workflow_config *config, struct workflow **out,
                                   struct error *err);
/* Running tasks are cancelled and count as interrupted: the next engine goes on with them. */
void workflow_close(struct workflow **workflow);
/* Before workflow_resume(). The type must outlive the workflow. */
void workflow_add_task_type(struct workflow *workflow, const struct task_type *type,
                            void *context);
enum execution_status {
    EXECUTION_RUNNING,
    EXECUTION_SUCCEEDED,
    EXECUTION_FAILED,
    EXECUTION_TIMED_OUT,
    EXECUTION_ABORTED,
};
const char *execution_status_name(enum execution_status status); /* "RUNNING", … */

/*
 * Called when an execution has started, goes on after a redrive, or has ended, on disk: on the
 * thread that starts it or the engine's, which waits meanwhile. After a crash in between it is not called again. Before
 * workflow_resume().
 */
typedef void (*execution_changed)(void *context, struct str id, struct str pipeline,
                                  enum execution_status status);
void workflow_on_change(struct workflow *workflow, execution_changed callback, void *context);
/*
 * Takes the engine's lock and goes on with all executions that a crash or a stop left running.
 * CONFLICT, naming the process, if another one runs the engine. A second call does nothing.
 */
MUST_USE enum status workflow_resume(struct workflow *workflow, struct error *err);

struct execution_info {
    struct str id;
    struct str pipeline; /* empty for a definition without one */
    enum execution_status status;
    struct str state; /* where it is, or was when it ended */
    int64_t start_us;
    int64_t stop_us; /* 0 while it runs */
    int64_t redrive_count;
    int64_t last_event;
    struct str user, stopped_by, redriven_by; /* the last two are empty if nobody did */
    struct str name;                          /* that its starter gave it; or empty */
    struct str input;                         /* JSON */
    struct str output;                        /* JSON; empty unless SUCCEEDED */
    struct str error, cause;
    struct str code_sha256; /* of the code that was copied for it; whatever its input says */
    struct str definition;  /* ASL; only from workflow_execution_get() */
};

/*
 * With a name, starting twice starts once: the same name with the same parameters (or definition
 * and input) gives the execution that is there already, with others CONFLICT. OK means that the
 * execution is on disk: it runs, or will when the next engine does.
 */
struct execution_starter {
    struct str user;
    struct str name; /* or empty; of the pipeline's executions no other has it */
};
struct started_execution {
    struct str id;
    bool existed;
};
/* params is a JSON object, or empty; names and types are checked against the pipeline's. */
MUST_USE enum status workflow_start_pipeline(struct workflow *workflow, struct arena *arena,
                                             struct str pipeline, struct str params,
                                             const struct execution_starter *starter,
                                             struct started_execution *out, struct error *err);
/* Any ASL; input is a JSON text. */
MUST_USE enum status workflow_start_definition(struct workflow *workflow, struct arena *arena,
                                               struct str definition, struct str input,
                                               const struct execution_starter *starter,
                                               struct started_execution *out,
                                               struct error *err);
MUST_USE enum status workflow_execution_get(struct workflow *workflow, struct arena *arena,
                                            struct str id, struct execution_info *out,
                                            struct error *err);
/*
 * Newest first. pipeline may be empty; only those older than before, unless that is empty. Without
 * input, output and cause: each may be large.
 */
MUST_USE enum status workflow_execution_list(struct workflow *workflow, struct arena *arena,
                                             struct str pipeline, struct str before,
                                             size_t limit, struct execution_info **out,
                                             size_t *count, struct error *err);
/* Returns when the execution is ABORTED on disk. CONFLICT if it has ended already. */
MUST_USE enum status workflow_execution_stop(struct workflow *workflow, struct str id,
                                             struct str user, struct str error,
                                             struct str cause, struct error *err);
/* From the state that failed, with the input it had and the definition of then. CONFLICT while it runs. */
MUST_USE enum status workflow_execution_redrive(struct workflow *workflow, struct str id,
                                                struct str user, struct error *err);

struct workflow_event {
    int64_t id, previous_id, time_us;
    struct str type;    /* "TaskStateEntered" */
    struct str details; /* {"stateEnteredEventDetails": {…}}: GetExecutionHistory's; or empty */
    bool will_retry;    /* a failed try that another one follows */
    struct str state;   /* that was entered; only from workflow_event_visit() */
};
MUST_USE enum status workflow_event_list(struct workflow *workflow, struct arena *arena,
                                         struct str id, int64_t after, size_t limit,
                                         struct workflow_event **out, size_t *count,
                                         struct error *err);
/* The same, but the page also ends once it holds bytes_max. */
MUST_USE enum status workflow_event_page(struct workflow *workflow, struct arena *arena,
                                         struct str id, int64_t after, size_t limit,
                                         size_t bytes_max, struct workflow_event **out,
                                         size_t *count, struct error *err);
/* The event is gone when the call returns; what it needs of it may be built in scratch, and goes too. */
typedef void (*event_visit)(void *context, struct arena *scratch,
                            const struct workflow_event *event);
/*
 * For those who tell of steps: one event at a time, so that a long history does not stand in
 * memory. Only those have details that end a try or the execution.
 */
MUST_USE enum status workflow_event_visit(struct workflow *workflow, struct str id,
                                          int64_t after, size_t limit, event_visit visit,
                                          void *context, struct error *err);
/* Whether this process runs the engine. */
bool workflow_is_running(struct workflow *workflow);
/*
 * For those who follow: the counter goes up with every commit and every progress of a task. Take
 * it, look at what is new, then wait until it has moved on from there, or the time is over.
 */
uint64_t workflow_generation(struct workflow *workflow);
void workflow_wait(struct workflow *workflow, uint64_t generation, unsigned timeout_ms);
/* What the running task of an execution last told; false if there is none. */
bool workflow_progress_get(struct workflow *workflow, struct arena *arena, struct str id,
                           struct str *state, struct str *json);

/* For tasks that were submitted (task_submit). NOT_FOUND for a token nobody waits for any more. */
MUST_USE enum status workflow_task_succeed(struct workflow *workflow, struct str token,
                                           struct str output, struct error *err);
MUST_USE enum status workflow_task_fail(struct workflow *workflow, struct str token,
                                        struct str error, struct str cause, struct error *err);
