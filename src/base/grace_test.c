/* SPDX-License-Identifier: Apache-2.0 */
#include "base/grace.h"

#include "support/test.h"

#include <pthread.h>
#include <stdatomic.h>

#define READERS 3
#define REPLACEMENTS 300

struct thing {
    unsigned number;
    unsigned twice; /* of the number, while the thing lives */
};

static _Atomic(struct thing *) current;
static atomic_bool done;
static atomic_uint torn;

static struct thing *thing_new(unsigned number)
{
    struct thing *thing = malloc(sizeof(*thing));

    assert_non_null(thing);
    *thing = (struct thing){ number, number * 2 };
    return thing;
}

static void *read_on(void *unused)
{
    (void)unused;
    while (!atomic_load(&done)) {
        struct thing *thing;

        grace_enter();
        thing = atomic_load(&current);
        if (thing->twice != thing->number * 2)
            atomic_fetch_add(&torn, 1);
        grace_leave();
    }
    return NULL;
}

/* What is freed too early is the sanitizer's to see. */
TEST(nothing_is_freed_under_a_reader)
{
    pthread_t readers[READERS];

    atomic_store(&current, thing_new(0));
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, NULL), 0);
    for (unsigned i = 1; i <= REPLACEMENTS; i++) {
        struct thing *old = atomic_exchange(&current, thing_new(i));

        grace_wait();
        old->twice = 1;
        free(old);
    }
    atomic_store(&done, true);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    free(atomic_load(&current));
    assert_int_equal(atomic_load(&torn), 0);
}

static void *enter_once(void *unused)
{
    (void)unused;
    grace_enter();
    grace_leave();
    return NULL;
}

TEST(places_of_ended_threads_are_used_again)
{
    for (unsigned i = 0; i < 5000; i++) {
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, enter_once, NULL), 0);
        pthread_join(thread, NULL);
    }
    grace_wait();
}

TEST_MAIN(TEST_CASE(nothing_is_freed_under_a_reader),
          TEST_CASE(places_of_ended_threads_are_used_again))
