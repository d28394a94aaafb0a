/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A script's process, under a keeper (keeper.h) which sees to it that nothing
 * of it stays. It waits at a gate until process_release(): what must be on
 * disk before it may run gets there first. It dies with us, and is the first
 * that the kernel ends when memory runs out.
 */
#include "base/status.h"
#include "workflow/runners/process_tree.h"

struct process_spec {
    const char *program; /* a path */
    char *const *argv, *const *envp;
    const char *folder; /* to run in */
    const char *log;    /* stdout and stderr are appended here */
};

struct process {
    pid_t keeper;
    uint64_t
        start_ticks; /* with keeper: never two processes alike until the machine restarts */
    pid_t script;    /* once it is released */
    int socket;
    uint64_t log_start; /* what the log held before, of earlier tries */
};

struct process_limits {
    uint64_t memory_bytes; /* of the script and all that it starts; 0: none */
    uint64_t log_bytes;    /* of what this process appends; 0: none */
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
    int code;       /* exit code or signal */
    bool left_some; /* perhaps: the keeper was killed before it had ended all that it kept */
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
 * Waits for the end, whatever the reason, and leaves nothing behind that descends from the
 * script, unless it says so. A cancelled one gets SIGTERM, and five seconds later SIGKILL.
 */
void process_wait(struct process *process, const struct process_limits *limits,
                  process_cancelled cancelled, void *context, struct process_end *out);

/*
 * After a crash: returns when the keeper of then is gone with all below it. It ends by itself when
 * its engine dies; if it does not do so soon, it is helped.
 */
void process_end_kept(pid_t keeper, uint64_t start_ticks);
/* Three quarters of the machine's memory, or of the container's. */
uint64_t process_default_memory(void);
