/* SPDX-License-Identifier: Apache-2.0 */
#include "server/run_program.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX 4096

/* Reads until the end of the output or of the time; false for the latter. */
static bool read_output(int fd, unsigned timeout_ms, char *data, size_t *len)
{
    uint64_t start = clock_monotonic_ns();
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
    char overflow[512];

    for (;;) {
        uint64_t passed = (clock_monotonic_ns() - start) / 1000000;
        bool full = *len == OUTPUT_MAX;
        ssize_t n;

        if (passed >= timeout_ms || poll(&poll_fd, 1, (int)(timeout_ms - passed)) == 0)
            return false;
        n = read(fd, full ? overflow : data + *len,
                 full ? sizeof(overflow) : OUTPUT_MAX - *len);
        if (n == 0 || (n < 0 && errno != EINTR))
            return true;
        if (n > 0 && !full)
            *len += (size_t)n;
    }
}

static int spawn(const char *const *argv, int output, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    int reason;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    reason = posix_spawnp(pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv,
                          environ);
    posix_spawn_file_actions_destroy(&actions);
    return reason;
}

int run_program(struct arena *arena, const char *const *argv, unsigned timeout_ms,
                struct str *output)
{
    char *data = arena_alloc(arena, OUTPUT_MAX);
    size_t len = 0;
    int ends[2], status, reason;
    pid_t pid, pid_waited;

    *output = STR_EMPTY;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    reason = spawn(argv, ends[1], &pid);
    close(ends[1]);
    if (reason != 0) {
        close(ends[0]);
        *output = arena_printf(arena, "%s", strerror(reason));
        return -1;
    }
    if (!read_output(ends[0], timeout_ms, data, &len))
        kill(pid, SIGKILL);
    close(ends[0]);
    *output = (struct str){ data, len };
    while ((pid_waited = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
        ;
    return pid_waited == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
