/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Runners, shared out among threads: each thread has its favourite, so that
 * threads meet only where there are more of them than runners. And the keeper,
 * a thread that ends runs which overstay and frees what nobody holds any more.
 */
#include "serving/runtime/runtime.h"

#include <pthread.h>
#include <stdatomic.h>

struct runner {
    _Alignas(64) pthread_mutex_t lock; /* held by who runs */
    _Atomic uint64_t deadline_ns;      /* of the run there is; 0: none, or it has none */
    struct runtime_runner *base;
};

struct runner_pool {
    struct keeper *keeper;
    struct runtime_model *model;
    struct runner *runners;
    size_t count;
    struct runner_pool *next;
};

struct keeper;

MUST_USE enum status keeper_start(struct keeper **out, struct error *err);
/* Does what was put off, then ends. Its pools are gone by then. */
void keeper_stop(struct keeper **keeper);

/* Something to do later, off the calling thread; lies in what it is about. */
struct keeper_task {
    void (*run)(struct keeper_task *task);
    struct keeper_task *next;
};
void keeper_later(struct keeper *keeper, struct keeper_task *task);

/* The keeper watches the pool from now on, until it is closed. Nobody runs then. */
void runner_pool_open(struct runner_pool *pool, struct keeper *keeper,
                      struct runtime_model *model);
void runner_pool_close(struct runner_pool *pool);

/* The caller runs it until runner_give. TIMEOUT when none is free by then; deadline 0 waits as long as it takes. */
MUST_USE enum status runner_take(struct runner_pool *pool, uint64_t deadline_ns,
                                 struct runner **out, struct error *err);
void runner_give(struct runner *runner);
/* Around a run. disarm passes the run's status on, or makes it a TIMEOUT if the keeper ended it. */
void runner_arm(struct runner_pool *pool, struct runner *runner, uint64_t deadline_ns);
enum status runner_disarm(struct runner_pool *pool, struct runner *runner, uint64_t deadline_ns,
                          enum status status, struct error *err);
