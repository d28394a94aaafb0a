/* SPDX-License-Identifier: Apache-2.0 */
#include "base/grace.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS_MAX 4096

/* A cache line each, so that readers do not disturb one another. */
struct slot {
    _Alignas(64) atomic_uint sequence; /* odd while its thread is inside */
    atomic_bool taken;
};

static struct slot slots[THREADS_MAX];
static atomic_uint slots_used; /* none above was ever taken */
static _Thread_local struct slot *own;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_thread_end;

static void give_back(void *slot)
{
    atomic_store(&((struct slot *)slot)->taken, false);
}

static void make_key(void)
{
    if (pthread_key_create(&at_thread_end, give_back) != 0)
        abort();
}

static struct slot *take_slot(void)
{
    unsigned used;

    pthread_once(&once, make_key);
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        if (atomic_exchange(&slots[i].taken, true))
            continue;
        used = atomic_load(&slots_used);
        while (used <= i && !atomic_compare_exchange_weak(&slots_used, &used, i + 1))
            ;
        pthread_setspecific(at_thread_end, &slots[i]);
        return &slots[i];
    }
    fprintf(stderr, "onggi: more than %d threads\n", THREADS_MAX);
    abort();
}

void grace_enter(void)
{
    unsigned sequence;

    if (own == NULL)
        own = take_slot();
    sequence = atomic_load_explicit(&own->sequence, memory_order_relaxed);
    assert((sequence & 1) == 0);
    /* Ordered before the pointer is loaded: either the replacer sees us or we see its pointer. */
    atomic_store(&own->sequence, sequence + 1);
}

void grace_leave(void)
{
    unsigned sequence = atomic_load_explicit(&own->sequence, memory_order_relaxed);

    assert((sequence & 1) == 1);
    atomic_store_explicit(&own->sequence, sequence + 1, memory_order_release);
}

void grace_wait(void)
{
    unsigned used = atomic_load(&slots_used);

    for (unsigned i = 0; i < used; i++) {
        unsigned sequence = atomic_load(&slots[i].sequence);

        while ((sequence & 1) == 1 && atomic_load(&slots[i].sequence) == sequence)
            sched_yield();
    }
}
