/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crash_stack.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#define STACK_BYTES (64 * 1024)

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void give_back(void *stack)
{
    const stack_t none = { .ss_flags = SS_DISABLE };

    sigaltstack(&none, NULL);
    free(stack);
}

static void make_key(void)
{
    if (pthread_key_create(&key, give_back) != 0)
        abort();
}

void crash_stack_ready(void)
{
    stack_t stack = { .ss_size = STACK_BYTES }, before;

    pthread_once(&once, make_key);
    /* A sanitizer has brought its own. */
    if (sigaltstack(NULL, &before) != 0 || (before.ss_flags & SS_DISABLE) == 0)
        return;
    stack.ss_sp = malloc(STACK_BYTES);
    if (stack.ss_sp == NULL)
        return;
    if (sigaltstack(&stack, NULL) != 0 || pthread_setspecific(key, stack.ss_sp) != 0)
        give_back(stack.ss_sp);
}
