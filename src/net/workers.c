/* SPDX-License-Identifier: Apache-2.0 */
#include "net/workers.h"

#include "base/crash_stack.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define LANES 2

struct lane {
    struct work *first;
    struct work **last;
    size_t waiting;
};

/* Threads that take the same work. */
struct crew {
    struct workers *workers;
    pthread_cond_t wanted; /* work is there, or the end */
    bool decisions_only;
    unsigned count; /* of those that take from a queue */
    unsigned count_max;
};

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t left; /* a thread has ended */
    struct lane lanes[LANES];
    uint64_t order;
    size_t queue_max;
    struct crew all, reserved;
    size_t threads; /* of both crews, and the long ones */
    size_t long_ones;
    size_t long_max;
    bool ending;
};

static _Thread_local struct crew *my_crew;
/* Whether this thread still belongs to the count. */
static _Thread_local bool is_long;

/* The lane whose first piece is next for the crew; NULL when there is none. */
static struct lane *next_lane(struct crew *crew)
{
    struct lane *control = &crew->workers->lanes[LANE_CONTROL];
    struct lane *decision = &crew->workers->lanes[LANE_DECISION];

    if (crew->decisions_only || control->first == NULL)
        return decision->first == NULL ? NULL : decision;
    if (decision->first == NULL || control->first->order < decision->first->order)
        return control;
    return decision;
}

static struct work *take(struct crew *crew)
{
    struct lane *lane;
    struct work *work;

    while ((lane = next_lane(crew)) == NULL && !crew->workers->ending)
        pthread_cond_wait(&crew->wanted, &crew->workers->lock);
    if (lane == NULL)
        return NULL;
    work = lane->first;
    lane->first = work->next;
    if (lane->first == NULL)
        lane->last = &lane->first;
    lane->waiting--;
    return work;
}

/* After a long piece: stay if the count has room again, which another's leaving makes. */
static bool may_stay(struct crew *crew)
{
    if (!is_long)
        return true;
    is_long = false;
    crew->workers->long_ones--;
    if (crew->count >= crew->count_max)
        return false;
    crew->count++;
    return true;
}

static void *worker_main(void *argument)
{
    struct crew *crew = argument;
    struct workers *workers = crew->workers;
    bool counted = true;
    struct work *work;

    crash_stack_ready();
    my_crew = crew;
    pthread_mutex_lock(&workers->lock);
    while (counted && (work = take(crew)) != NULL) {
        pthread_mutex_unlock(&workers->lock);
        work->run(work);
        pthread_mutex_lock(&workers->lock);
        counted = may_stay(crew);
    }
    if (counted)
        crew->count--;
    workers->threads--;
    pthread_cond_broadcast(&workers->left);
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

/* With the lock held. */
static bool add_thread(struct crew *crew)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int problem;

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    problem = pthread_create(&thread, &attributes, worker_main, crew);
    pthread_attr_destroy(&attributes);
    if (problem != 0)
        return false;
    crew->workers->threads++;
    crew->count++;
    return true;
}

static void crew_start(struct workers *workers, struct crew *crew, unsigned count)
{
    bool started = true;

    crew->workers = workers;
    crew->count_max = count;
    pthread_cond_init(&crew->wanted, NULL);
    pthread_mutex_lock(&workers->lock);
    while (started && crew->count < count)
        started = add_thread(crew);
    pthread_mutex_unlock(&workers->lock);
    if (!started) {
        fprintf(stderr, "onggi: cannot start %u worker threads\n", count);
        abort();
    }
}

struct workers *workers_new(const struct workers_config *config)
{
    struct workers *workers = calloc(1, sizeof(*workers));

    if (workers == NULL)
        abort();
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->left, NULL);
    for (size_t i = 0; i < LANES; i++)
        workers->lanes[i].last = &workers->lanes[i].first;
    workers->queue_max = config->queue_max;
    workers->long_max = config->long_max;
    workers->reserved.decisions_only = true;
    crew_start(workers, &workers->all, config->count);
    crew_start(workers, &workers->reserved, config->reserved);
    return workers;
}

void workers_free(struct workers **pointer)
{
    struct workers *workers = *pointer;

    if (workers == NULL)
        return;
    pthread_mutex_lock(&workers->lock);
    workers->ending = true;
    pthread_cond_broadcast(&workers->all.wanted);
    pthread_cond_broadcast(&workers->reserved.wanted);
    while (workers->threads > 0)
        pthread_cond_wait(&workers->left, &workers->lock);
    pthread_mutex_unlock(&workers->lock);
    pthread_cond_destroy(&workers->all.wanted);
    pthread_cond_destroy(&workers->reserved.wanted);
    pthread_cond_destroy(&workers->left);
    pthread_mutex_destroy(&workers->lock);
    free(workers);
    *pointer = NULL;
}

bool workers_submit(struct workers *workers, enum work_lane which, struct work *work)
{
    struct lane *lane = &workers->lanes[which];
    bool fits;

    pthread_mutex_lock(&workers->lock);
    fits = lane->waiting < workers->queue_max;
    if (fits) {
        work->next = NULL;
        work->order = workers->order++;
        *lane->last = work;
        lane->last = &work->next;
        lane->waiting++;
        pthread_cond_signal(&workers->all.wanted);
        if (which == LANE_DECISION)
            pthread_cond_signal(&workers->reserved.wanted);
    }
    pthread_mutex_unlock(&workers->lock);
    return fits;
}

bool workers_begin_long(struct workers *workers)
{
    bool allowed;

    assert(!is_long && my_crew != NULL);
    pthread_mutex_lock(&workers->lock);
    allowed = workers->long_ones < workers->long_max;
    if (allowed) {
        my_crew->count--;
        allowed = add_thread(my_crew);
        if (allowed) {
            workers->long_ones++;
            is_long = true;
        } else {
            my_crew->count++;
        }
    }
    pthread_mutex_unlock(&workers->lock);
    return allowed;
}

size_t workers_waiting(struct workers *workers, enum work_lane lane)
{
    size_t waiting;

    pthread_mutex_lock(&workers->lock);
    waiting = workers->lanes[lane].waiting;
    pthread_mutex_unlock(&workers->lock);
    return waiting;
}
