/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/runner.h"

#include "base/clock.h"
#include "base/crash_stack.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

/* How late an overdue run may be noticed. */
#define TICK_NS UINT64_C(2000000)
/* After so many ticks without a deadline to watch the keeper sleeps until there is one. */
#define IDLE_TICKS 25
#define NS_PER_SECOND UINT64_C(1000000000)

/* In place of a deadline: the keeper is ending the run; it has. */
#define ENDING UINT64_MAX
#define ENDED (UINT64_MAX - 1)

struct keeper {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct runner_pool *pools;
    struct keeper_task *tasks;
    atomic_bool asleep;
    bool stopping;
};

/* --- runners -------------------------------------------------------------- */

static size_t thread_number(void)
{
    static atomic_size_t threads;
    static _Thread_local size_t number;

    if (number == 0)
        number = atomic_fetch_add(&threads, 1) + 1;
    return number;
}

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){ (time_t)(ns / NS_PER_SECOND), (long)(ns % NS_PER_SECOND) };
}

/* By the wall clock, which sanitizers understand; should it be set meanwhile, we wait longer or less. */
static struct timespec wall_time_of(uint64_t deadline_ns)
{
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    struct timespec wall;

    clock_gettime(CLOCK_REALTIME, &wall);
    return timespec_of((uint64_t)wall.tv_sec * NS_PER_SECOND + (uint64_t)wall.tv_nsec +
                       left_ns);
}

static enum status wait_for(struct runner *runner, uint64_t deadline_ns, struct error *err)
{
    struct timespec until;
    int rc;

    if (deadline_ns == 0) {
        pthread_mutex_lock(&runner->lock);
        return STATUS_OK;
    }
    until = wall_time_of(deadline_ns);
    rc = pthread_mutex_timedlock(&runner->lock, &until);
    if (rc == ETIMEDOUT)
        return error_set(err, STATUS_TIMEOUT, "the model was busy for too long");
    assert(rc == 0);
    return STATUS_OK;
}

enum status runner_take(struct runner_pool *pool, uint64_t deadline_ns, struct runner **out,
                        struct error *err)
{
    size_t first = thread_number() % pool->count;

    for (size_t i = 0; i < pool->count; i++) {
        struct runner *runner = &pool->runners[(first + i) % pool->count];

        if (pthread_mutex_trylock(&runner->lock) == 0) {
            *out = runner;
            return STATUS_OK;
        }
    }
    TRY(wait_for(&pool->runners[first], deadline_ns, err));
    *out = &pool->runners[first];
    return STATUS_OK;
}

void runner_give(struct runner *runner)
{
    pthread_mutex_unlock(&runner->lock);
}

void runner_arm(struct runner_pool *pool, struct runner *runner, uint64_t deadline_ns)
{
    struct keeper *keeper = pool->keeper;

    if (deadline_ns == 0)
        return;
    atomic_store(&runner->deadline_ns, deadline_ns);
    /* In this order: either we see it asleep, or it sees our deadline before it sleeps. */
    if (!atomic_load(&keeper->asleep))
        return;
    pthread_mutex_lock(&keeper->lock);
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->lock);
}

enum status runner_disarm(struct runner_pool *pool, struct runner *runner, uint64_t deadline_ns,
                          enum status status, struct error *err)
{
    uint64_t expected = deadline_ns;

    if (deadline_ns == 0 || atomic_compare_exchange_strong(&runner->deadline_ns, &expected, 0))
        return status;
    /* A few instructions of the keeper's: the stop must have come before it can be taken back. */
    while (atomic_load(&runner->deadline_ns) == ENDING)
        sched_yield();
    pool->model->runtime->driver->stop(pool->model, runner->base, false);
    atomic_store(&runner->deadline_ns, 0);
    return error_set(err, STATUS_TIMEOUT, "the model did not answer in time");
}

/* --- the keeper ----------------------------------------------------------- */

static bool watch_runner(struct runner_pool *pool, struct runner *runner, uint64_t now_ns)
{
    uint64_t deadline = atomic_load(&runner->deadline_ns);

    if (deadline == 0)
        return false;
    if (deadline <= now_ns &&
        atomic_compare_exchange_strong(&runner->deadline_ns, &deadline, ENDING)) {
        pool->model->runtime->driver->stop(pool->model, runner->base, true);
        atomic_store(&runner->deadline_ns, ENDED);
    }
    return true;
}

/* Whether any run has a deadline. */
static bool watch_all(struct keeper *keeper)
{
    uint64_t now = clock_monotonic_ns();
    bool any = false;

    for (struct runner_pool *pool = keeper->pools; pool != NULL; pool = pool->next)
        for (size_t i = 0; i < pool->count; i++)
            any |= watch_runner(pool, &pool->runners[i], now);
    return any;
}

static void do_tasks(struct keeper *keeper)
{
    while (keeper->tasks != NULL) {
        struct keeper_task *task = keeper->tasks;

        keeper->tasks = task->next;
        pthread_mutex_unlock(&keeper->lock);
        task->run(task);
        pthread_mutex_lock(&keeper->lock);
    }
}

static void tick(struct keeper *keeper, unsigned *idle)
{
    struct timespec until = timespec_of(clock_monotonic_ns() + TICK_NS);

    *idle = watch_all(keeper) ? 0 : *idle + 1;
    if (*idle < IDLE_TICKS) {
        pthread_cond_timedwait(&keeper->wake, &keeper->lock, &until);
        return;
    }
    atomic_store(&keeper->asleep, true);
    if (!watch_all(keeper))
        pthread_cond_wait(&keeper->wake, &keeper->lock);
    atomic_store(&keeper->asleep, false);
    *idle = 0;
}

static void *keep(void *context)
{
    struct keeper *keeper = context;
    unsigned idle = 0;

    crash_stack_ready();
    pthread_mutex_lock(&keeper->lock);
    for (;;) {
        do_tasks(keeper);
        if (keeper->stopping)
            break;
        tick(keeper, &idle);
    }
    pthread_mutex_unlock(&keeper->lock);
    return NULL;
}

static void wake(struct keeper *keeper)
{
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->lock);
}

enum status keeper_start(struct keeper **out, struct error *err)
{
    struct keeper *keeper = calloc(1, sizeof(*keeper));
    pthread_condattr_t attributes;
    int rc;

    if (keeper == NULL)
        return error_set(err, STATUS_LIMIT, "out of memory");
    pthread_mutex_init(&keeper->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    rc = pthread_create(&keeper->thread, NULL, keep, keeper);
    if (rc != 0) {
        free(keeper);
        return error_errno(err, rc, "start a thread");
    }
    *out = keeper;
    return STATUS_OK;
}

void keeper_stop(struct keeper **at)
{
    struct keeper *keeper = *at;

    if (keeper == NULL)
        return;
    pthread_mutex_lock(&keeper->lock);
    keeper->stopping = true;
    wake(keeper);
    pthread_join(keeper->thread, NULL);
    assert(keeper->pools == NULL);
    pthread_cond_destroy(&keeper->wake);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper);
    *at = NULL;
}

void keeper_later(struct keeper *keeper, struct keeper_task *task)
{
    pthread_mutex_lock(&keeper->lock);
    task->next = keeper->tasks;
    keeper->tasks = task;
    wake(keeper);
}

void runner_pool_open(struct runner_pool *pool, struct keeper *keeper,
                      struct runtime_model *model)
{
    pool->keeper = keeper;
    pool->model = model;
    pool->count = model->runner_count;
    pool->runners = aligned_alloc(_Alignof(struct runner), pool->count * sizeof(struct runner));
    if (pool->runners == NULL)
        abort();
    memset(pool->runners, 0, pool->count * sizeof(struct runner));
    for (size_t i = 0; i < pool->count; i++) {
        pthread_mutex_init(&pool->runners[i].lock, NULL);
        pool->runners[i].base = model->runners[i];
    }
    pthread_mutex_lock(&keeper->lock);
    pool->next = keeper->pools;
    keeper->pools = pool;
    pthread_mutex_unlock(&keeper->lock);
}

void runner_pool_close(struct runner_pool *pool)
{
    struct runner_pool **at;

    if (pool->keeper == NULL)
        return;
    pthread_mutex_lock(&pool->keeper->lock);
    for (at = &pool->keeper->pools; *at != pool; at = &(*at)->next)
        ;
    *at = pool->next;
    pthread_mutex_unlock(&pool->keeper->lock);
    for (size_t i = 0; i < pool->count; i++)
        pthread_mutex_destroy(&pool->runners[i].lock);
    free(pool->runners);
}
