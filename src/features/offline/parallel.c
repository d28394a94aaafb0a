/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/parallel.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS_MAX 64

struct loop {
    parallel_task task;
    void *context;
    size_t count;
    atomic_size_t next;
    atomic_bool failed;
};

struct runner {
    struct loop *loop;
    unsigned thread;
    size_t failed; /* task */
    enum status status;
    struct error error;
};

static void *run(void *argument)
{
    struct runner *runner = argument;
    struct loop *loop = runner->loop;
    size_t task;

    while (runner->status == STATUS_OK && !atomic_load(&loop->failed) &&
           (task = atomic_fetch_add(&loop->next, 1)) < loop->count)
        runner->status = loop->task(loop->context, runner->failed = task, runner->thread,
                                    &runner->error);
    if (runner->status != STATUS_OK)
        atomic_store(&loop->failed, true);
    return NULL;
}

enum status parallel_run(unsigned threads, size_t count, parallel_task task, void *context,
                         struct error *err)
{
    struct loop loop = { .task = task, .context = context, .count = count };
    struct runner runners[THREADS_MAX] = { 0 };
    pthread_t ids[THREADS_MAX];
    const struct runner *first = NULL;
    unsigned started = 1;

    for (unsigned i = 0; i < THREADS_MAX; i++)
        runners[i] = (struct runner){ .loop = &loop, .thread = i };
    /* A thread that cannot be had is one fewer: the others do its part. */
    while (started < threads && started < THREADS_MAX && started < count &&
           pthread_create(&ids[started], NULL, run, &runners[started]) == 0)
        started++;
    run(&runners[0]);
    for (unsigned i = 1; i < started; i++)
        pthread_join(ids[i], NULL);
    /* Tasks are begun in their order, so that the first one that fails has always been run. */
    for (unsigned i = 0; i < started; i++) {
        if (runners[i].status != STATUS_OK &&
            (first == NULL || runners[i].failed < first->failed))
            first = &runners[i];
    }
    if (first == NULL)
        return STATUS_OK;
    *err = first->error;
    return first->status;
}
