/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A child in a session of its own, so that it and all its children can be
 * ended together. It waits at a gate until process_release(): what must be on
 * disk before it may run gets there first. It dies with the thread that
 * started it, and is the first that the kernel ends when memory runs out.
 */
#include "base/arena.h"
#include "base/status.h"

#include <sys/types.h>

struct process_spec {
    const char *program; /* a path */
    char *const *argv, *const *envp;
    const char *folder; /* to run in */
    const char *log;    /* stdout and stderr are appended here */
};

struct process {
    pid_t pid;
    uint64_t start_ticks; /* with pid: never two processes alike until the machine restarts */
    int handle, gate, report;
};

struct process_limits {
    uint64_t memory_bytes; /* of the whole group; 0: none */
    uint64_t log_bytes;
    const char *log;
};

enum process_end_kind {
    PROCESS_EXITED,
    PROCESS_SIGNALLED,
    PROCESS_CANCELLED,
    PROCESS_OUT_OF_MEMORY,
    PROCESS_LOG_FULL,
};
struct process_end {
    enum process_end_kind kind;
    int code; /* exit code or signal */
    uint64_t peak_bytes;
};

MUST_USE enum status process_spawn(const struct process_spec *spec, struct process *out,
                                   struct error *err);
/* NOT_FOUND and the like if the program cannot be run; the process is gone then. */
MUST_USE enum status process_release(struct process *process, struct error *err);
/* Ends a process that is not to be released. */
void process_abandon(struct process *process);

typedef bool (*process_cancelled)(void *context);
/*
 * Waits for the end, whatever the reason, and leaves nothing of the group behind. A cancelled one
 * gets SIGTERM, and five seconds later SIGKILL.
 */
void process_wait(struct process *process, const struct process_limits *limits,
                  process_cancelled cancelled, void *context, struct process_end *out);

/* False if there is no such process any more. */
bool process_start_ticks(pid_t pid, uint64_t *out);
/* Ends every process whose environment has this variable beginning with this value, but ourselves. */
void process_end_marked(struct str variable, struct str value_start);
/* Three quarters of the machine's memory, or of the container's. */
uint64_t process_default_memory(void);
