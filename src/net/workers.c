/* SPDX-License-Identifier: Apache-2.0 */
#include "net/workers.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t wanted; /* work is there, or the end */
    pthread_cond_t left;   /* a thread has ended */
    struct work *first;
    struct work **last;
    size_t waiting;
    size_t queue_max;
    unsigned count; /* threads that take from the queue */
    unsigned count_max;
    size_t threads; /* these and the long ones */
    size_t long_ones;
    size_t long_max;
    bool ending;
};

/* Whether this thread still belongs to the count. */
static _Thread_local bool is_long;

static struct work *take(struct workers *workers)
{
    struct work *work;

    while (workers->first == NULL && !workers->ending)
        pthread_cond_wait(&workers->wanted, &workers->lock);
    work = workers->first;
    if (work == NULL)
        return NULL;
    workers->first = work->next;
    if (workers->first == NULL)
        workers->last = &workers->first;
    workers->waiting--;
    return work;
}

/* After a long piece: stay if the count has room again, which another's leaving makes. */
static bool may_stay(struct workers *workers)
{
    if (!is_long)
        return true;
    is_long = false;
    workers->long_ones--;
    if (workers->count >= workers->count_max)
        return false;
    workers->count++;
    return true;
}

static void *worker_main(void *argument)
{
    struct workers *workers = argument;
    bool counted = true;
    struct work *work;

    pthread_mutex_lock(&workers->lock);
    while (counted && (work = take(workers)) != NULL) {
        pthread_mutex_unlock(&workers->lock);
        work->run(work);
        pthread_mutex_lock(&workers->lock);
        counted = may_stay(workers);
    }
    if (counted)
        workers->count--;
    workers->threads--;
    pthread_cond_broadcast(&workers->left);
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

/* With the lock held. */
static bool add_thread(struct workers *workers)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int problem;

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    problem = pthread_create(&thread, &attributes, worker_main, workers);
    pthread_attr_destroy(&attributes);
    if (problem != 0)
        return false;
    workers->threads++;
    workers->count++;
    return true;
}

struct workers *workers_new(unsigned count, size_t queue_max, size_t long_max)
{
    struct workers *workers = calloc(1, sizeof(*workers));
    bool started = true;

    if (workers == NULL)
        abort();
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->wanted, NULL);
    pthread_cond_init(&workers->left, NULL);
    workers->last = &workers->first;
    workers->count_max = count;
    workers->queue_max = queue_max;
    workers->long_max = long_max;
    pthread_mutex_lock(&workers->lock);
    while (started && workers->count < count)
        started = add_thread(workers);
    pthread_mutex_unlock(&workers->lock);
    if (!started) {
        fprintf(stderr, "onggi: cannot start %u worker threads\n", count);
        abort();
    }
    return workers;
}

void workers_free(struct workers **pointer)
{
    struct workers *workers = *pointer;

    if (workers == NULL)
        return;
    pthread_mutex_lock(&workers->lock);
    workers->ending = true;
    pthread_cond_broadcast(&workers->wanted);
    while (workers->threads > 0)
        pthread_cond_wait(&workers->left, &workers->lock);
    pthread_mutex_unlock(&workers->lock);
    pthread_cond_destroy(&workers->wanted);
    pthread_cond_destroy(&workers->left);
    pthread_mutex_destroy(&workers->lock);
    free(workers);
    *pointer = NULL;
}

bool workers_submit(struct workers *workers, struct work *work)
{
    bool fits;

    pthread_mutex_lock(&workers->lock);
    fits = workers->waiting < workers->queue_max;
    if (fits) {
        work->next = NULL;
        *workers->last = work;
        workers->last = &work->next;
        workers->waiting++;
        pthread_cond_signal(&workers->wanted);
    }
    pthread_mutex_unlock(&workers->lock);
    return fits;
}

bool workers_begin_long(struct workers *workers)
{
    bool allowed;

    assert(!is_long);
    pthread_mutex_lock(&workers->lock);
    allowed = workers->long_ones < workers->long_max;
    if (allowed) {
        workers->count--;
        allowed = add_thread(workers);
        if (allowed) {
            workers->long_ones++;
            is_long = true;
        } else {
            workers->count++;
        }
    }
    pthread_mutex_unlock(&workers->lock);
    return allowed;
}

size_t workers_waiting(struct workers *workers)
{
    size_t waiting;

    pthread_mutex_lock(&workers->lock);
    waiting = workers->waiting;
    pthread_mutex_unlock(&workers->lock);
    return waiting;
}
