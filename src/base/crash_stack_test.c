/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crash_stack.h"
#include "support/test.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAID 7

static void on_overflow(int number)
{
    (void)number;
    _exit(SAID);
}

/* Deeper than any stack; the sum keeps the compiler from making a loop of it. */
static int deeper(int depth)
{
    volatile char room[4096];

    room[depth % 4096] = (char)depth;
    return depth == 0 ? room[1] : deeper(depth - 1) + room[depth % 4096];
}

static void *overflow(void *unused)
{
    crash_stack_ready();
    crash_stack_ready(); /* the first one stays */
    return deeper(1 << 20) == 0 ? NULL : unused;
}

static void die_in_a_thread(void)
{
    struct sigaction action = { .sa_handler = on_overflow, .sa_flags = SA_ONSTACK };
    pthread_t thread;

    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, NULL);
    if (pthread_create(&thread, NULL, overflow, NULL) == 0)
        pthread_join(thread, NULL);
    _exit(0);
}

TEST(a_thread_without_a_stack_left_can_tell_of_it)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        die_in_a_thread();
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), SAID);
}

static void *come_and_go(void *unused)
{
    crash_stack_ready();
    return unused;
}

/* The leak checker looks at what they leave. */
TEST(threads_come_and_go)
{
    for (int i = 0; i < 20; i++) {
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, come_and_go, NULL), 0);
        pthread_join(thread, NULL);
    }
}

TEST_MAIN(TEST_CASE(a_thread_without_a_stack_left_can_tell_of_it),
          TEST_CASE(threads_come_and_go))
