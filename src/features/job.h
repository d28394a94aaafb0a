/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Work that may take all memory or crash runs in a process of its own: `onggi
 * job NAME`. It reads its specification (JSON) from stdin and reports on a
 * pipe, a JSON object a line: progress, then one result or one error. It dies
 * with its parent.
 */
#include "base/arena.h"
#include "base/json.h"
#include "base/status.h"

#include <stdatomic.h>

/* --- inside the job ------------------------------------------------------- */

struct job; /* what a running job reports with */

/* Tells how far it is; total 0: unknown. Cheap enough to call for each batch: it sends at most 10 a second. */
void job_progress(struct job *job, const char *phase, uint64_t done, uint64_t total);

struct job_limits {
    uint64_t memory_bytes;
    unsigned threads;
};
const struct job_limits *job_limits(const struct job *job);

/* *result: JSON text in the arena. */
typedef enum status (*job_function)(struct job *job, struct arena *arena,
                                    const yyjson_val *spec, struct str *result,
                                    struct error *err);
struct job_kind {
    const char *name;
    job_function run;
};
/*
 * `onggi job NAME`, called by main with the table of all kinds (ends with { 0 }); argv[0] is the
 * name. Returns the process's exit code.
 */
int job_main(int argc, char **argv, const struct job_kind *kinds);

/* --- at the parent's ------------------------------------------------------ */

typedef void (*job_on_progress)(void *context, struct str phase, uint64_t done, uint64_t total);

struct job_spec {
    const char *name;         /* of the kind */
    struct str spec;          /* JSON object */
    struct job_limits limits; /* 0: half of the machine's memory, 4 GiB at most; all cores */
    /* Either may be NULL. Called in the thread that runs job_run. */
    job_on_progress on_progress;
    void *context;
    const atomic_bool *cancel; /* the job is ended soon after it turns true; may be NULL */
    /* Asked every 100 ms, in place of `cancel` where it is a question; may be NULL. */
    bool (*is_cancelled)(void *context);
};

/*
 * Blocks until the job has ended; for threads that live as long as the process, since the system
 * ends the job together with the thread that started it. What the job fails with is handed up with
 * its own status; a crash is INTERNAL, want of memory is LIMIT, a cancel and a kill by somebody
 * else are UNAVAILABLE.
 */
MUST_USE enum status job_run(struct arena *arena, const struct job_spec *spec,
                             struct str *result, struct error *err);
