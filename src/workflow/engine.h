/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The engine's inside. One thread owns all running executions. In a turn it
 * takes what happened meanwhile, lets every execution concerned decide how to
 * go on, brings all new events to disk in one commit, and only then lets them
 * have effects: tries begin, answers leave. Tries of tasks run on threads of
 * their own and talk to the engine by messages.
 */
#include "workflow/execution.h"
#include "workflow/workflow.h"

#include <pthread.h>
#include <stdatomic.h>

enum cancel_reason {
    CANCEL_NO,
    CANCEL_STOPPED,
    CANCEL_TIMEOUT,
    CANCEL_HEARTBEAT,
    CANCEL_CLOSING
};

/* One try, from its start to its last message. Freed by its own thread. */
struct
try {
    struct task task; /* first: task.h's functions get back to the try from it */
    struct arena *arena;
    struct workflow *workflow;
    const struct task_type *type;
    void *context;
    _Atomic int cancelled;        /* enum cancel_reason */
    _Atomic int64_t heartbeat_us; /* of the monotonic clock */
    bool submitted;
    struct fault fault;           /* as task_fail() set it */
    struct arena *progress_arena; /* with progress, under workflow->lock */
    struct str progress;
    struct try *next; /* in workflow->tries, under workflow->lock */
};

/* A running execution, as the engine's thread knows it. */
struct live {
    struct execution *execution;
    struct try *try;  /* the one that runs, or NULL */
    int64_t begun_us; /* when that began, of the monotonic clock */
    bool changed;     /* something is to be decided or committed */
    bool undecided;   /* the turn was full; this one goes first in the next */
    bool redriven;    /* and that is yet to be told */
    struct live *next;
};

enum message_kind {
    MESSAGE_LOAD, /* an execution was created, or is found after a crash */
    MESSAGE_STOP,
    MESSAGE_REDRIVE,
    MESSAGE_STARTED, /* by a try: its private part is to be kept */
    MESSAGE_DONE,    /* by a try: how it ended */
    MESSAGE_SUCCEED, /* by a token */
    MESSAGE_FAIL,
};

/* On the stack of its sender, who waits for the answer. */
struct message {
    enum message_kind kind;
    struct str id;    /* of the execution */
    struct str token; /* instead, for SUCCEED and FAIL */
    struct str text;  /* output or private part */
    struct str user;  /* who wants to stop or redrive */
    struct fault fault;
    struct try *try;
    enum status result; /* of a DONE try */
    enum status status; /* the answer */
    struct error err;
    bool answered;
    struct message *next;
};

struct registered_type {
    const struct task_type *type;
    void *context;
};

#define TASK_TYPES_MAX 64

struct workflow {
    struct sql *db;
    struct arena *arena;
    struct str project, python;
    uint64_t memory_limit;
    unsigned keep_runs, keep_logs;
    struct registered_type types[TASK_TYPES_MAX];
    size_t type_count;
    execution_changed on_change; /* may be NULL */
    void *on_change_context;

    pthread_mutex_t lock;    /* all below, but what is the engine's own */
    pthread_cond_t happened; /* for the engine */
    pthread_cond_t answered; /* for senders */
    pthread_cond_t moved;    /* for followers */
    uint64_t generation;
    struct message *first, **last;
    struct try *tries;
    size_t try_count;
    bool running, closing;
    pthread_t thread;
    int lock_file;

    /* The engine's own, without the lock. */
    struct live *live;
    size_t tries_begun;
    bool draining;  /* no new tries: it closes */
    bool has_ended; /* an execution, since old files were last looked for */
    struct retention *retention;
};

/* Waits until the engine has committed what follows from the message. */
enum status engine_send(struct workflow *workflow, struct message *message, struct error *err);
/* The engine's thread, and what only it calls. */
void *engine_main(void *context);
enum status engine_handle(struct workflow *workflow, struct message *message);
/* Asks the try that runs, if one does, to end. The first reason stays. */
void engine_cancel(struct live *live, enum cancel_reason reason);
void engine_tell(const struct workflow *workflow, struct str id, struct str pipeline,
                 enum execution_status status);
const struct registered_type *engine_type_find(const struct workflow *workflow,
                                               struct str resource);
/* A resource_check whose context is the workflow. */
enum status engine_check_resource(void *context, struct str resource, yyjson_val *parameters,
                                  struct error *err);

/* Begins a try of the execution's task on a thread of its own. */
struct try *try_begin(struct workflow *workflow, const struct execution *execution,
                      const struct registered_type *type);
/* Folder of an execution's files, and the log of one of its states; both in the arena, NUL-terminated. */
struct str run_folder(struct arena *arena, struct str project, struct str execution);
struct str log_path(struct arena *arena, struct str project, struct str execution,
                    struct str state);
