/* SPDX-License-Identifier: Apache-2.0 */
#include "server/supervisor.h"

#include "base/clock.h"
#include "base/log.h"
#include "server/crash.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAKEOVER_VARIABLE "ONGGI_TAKEOVER"
#define PAUSE_FIRST_MS 100
#define PAUSE_MAX_MS 10000
/* Who lived this long did not crash because of how it was started. */
#define STEADY_NS (UINT64_C(10) * 1000000000)
#define KILL_AFTER_MS 5000
#define CHECK_NS (UINT64_C(30) * 1000000000)

struct child {
    pid_t pid; /* 0: none */
    int ready; /* its end of the pipe has not spoken yet; -1: it has, or has gone */
    bool has_answered;
    uint64_t start_ns;
};

struct state {
    struct supervisor *config;
    char program[PATH_MAX]; /* the file, which may be replaced while we run */
    int signals;
    struct child current, old;
    pid_t checking; /* a trial of the new program; 0: none */
    uint64_t check_until_ns;
    unsigned pause_ms;
    uint64_t start_at_ns; /* when to start the next child; 0: now or not at all */
    bool announced, stopping;
    uint64_t kill_at_ns;
    int exit_code;
};

/* ---- takeover */

struct takeover takeover_read(void)
{
    const char *text = getenv(TAKEOVER_VARIABLE);
    struct takeover takeover = { .lock = -1 };
    long pid = 0;
    int used = 0;

    /* The pid tells a process that was run anew from a child that inherited the variable. */
    if (text == NULL ||
        sscanf(text, "%ld %d %u %ld%n", &pid, &takeover.lock, &takeover.port, &takeover.child,
               &used) != 4 ||
        pid != getpid())
        return (struct takeover){ .lock = -1 };
    text += used;
    while (takeover.listener_count < LISTENERS_MAX &&
           sscanf(text, "%d%n", &takeover.listeners[takeover.listener_count], &used) == 1) {
        takeover.listener_count++;
        text += used;
    }
    takeover.is_one = takeover.listener_count > 0;
    unsetenv(TAKEOVER_VARIABLE);
    return takeover;
}

static void keep_over_exec(int fd, bool keep)
{
    (void)fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC);
}

static void write_takeover(const struct state *state)
{
    const struct takeover *sockets = &state->config->sockets;
    char text[LISTENERS_MAX * 8 + 128];
    int len = snprintf(text, sizeof(text), "%ld %d %u %ld", (long)getpid(), sockets->lock,
                       sockets->port, (long)state->current.pid);

    for (size_t i = 0; i < sockets->listener_count; i++)
        len += snprintf(text + len, sizeof(text) - (size_t)len, " %d", sockets->listeners[i]);
    setenv(TAKEOVER_VARIABLE, text, 1);
}

/* Once it runs in our place there is no way back: it says beforehand whether it could. */
static void run_check(const struct state *state)
{
    char *argv[64] = { 0 };
    sigset_t none;
    size_t count = 0;

    while (state->config->argv[count] != NULL && count < ARRAY_LEN(argv) - 2) {
        argv[count] = state->config->argv[count];
        count++;
    }
    argv[count] = (char *)(uintptr_t)"--check";
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(state->program, argv);
    log_error("server: cannot run '%s': %s", state->program, strerror(errno));
    _exit(EXIT_FAILURE);
}

static bool may_run_anew(const struct state *state)
{
    if (state->current.pid != 0 && state->current.has_answered && state->old.pid == 0 &&
        state->checking == 0 && !state->stopping)
        return true;
    log_warn("server: a start is under way; a new program has to wait for it");
    return false;
}

static void check_new_program(struct state *state)
{
    pid_t pid;

    if (!may_run_anew(state))
        return;
    pid = fork();
    if (pid == 0)
        run_check(state);
    if (pid < 0) {
        log_error("server: cannot start a child: %s; going on as before", strerror(errno));
        return;
    }
    state->checking = pid;
    state->check_until_ns = clock_monotonic_ns() + CHECK_NS;
}

/* Returns only if it failed; then everything is as before. */
static void run_anew(struct state *state)
{
    struct takeover *sockets = &state->config->sockets;

    if (!may_run_anew(state))
        return;
    write_takeover(state);
    for (size_t i = 0; i < sockets->listener_count; i++)
        keep_over_exec(sockets->listeners[i], true);
    keep_over_exec(sockets->lock, true);
    /* The signals stay blocked: one that comes now waits for the new program. */
    execv(state->program, state->config->argv);
    log_error("server: cannot run '%s' anew: %s; going on as before", state->program,
              strerror(errno));
    for (size_t i = 0; i < sockets->listener_count; i++)
        keep_over_exec(sockets->listeners[i], false);
    keep_over_exec(sockets->lock, false);
    unsetenv(TAKEOVER_VARIABLE);
}

/* ---- children */

static void become_child(struct state *state, int ready)
{
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_NAME, "onggi-server");
    close(state->signals);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    crash_trace_into(state->config->logs);
    exit(state->config->serve(state->config->context, ready));
}

static void start_child(struct state *state)
{
    int ends[2];
    pid_t pid;

    state->start_at_ns = 0;
    if (pipe2(ends, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
        log_error("server: cannot start a child: %s; trying again", strerror(errno));
        state->start_at_ns = clock_monotonic_ns() + (uint64_t)PAUSE_MAX_MS * 1000000;
        return;
    }
    if (pid == 0) {
        close(ends[0]);
        become_child(state, ends[1]);
    }
    close(ends[1]);
    state->current =
        (struct child){ .pid = pid, .ready = ends[0], .start_ns = clock_monotonic_ns() };
}

static void on_ready(struct state *state)
{
    char byte;
    ssize_t n = read(state->current.ready, &byte, 1);

    close(state->current.ready);
    state->current.ready = -1;
    if (n != 1)
        return; /* it died before; SIGCHLD tells the rest */
    state->current.has_answered = true;
    if (!state->announced)
        state->config->on_ready(state->config->context);
    state->announced = true;
    if (state->old.pid != 0)
        kill(state->old.pid, SIGTERM);
}

static const char *describe_end(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(text, size, "was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(text, size, "ended with exit code %d", WEXITSTATUS(status));
    return text;
}

static void plan_restart(struct state *state, const struct child *dead, int status)
{
    const char *trace = crash_trace_of(state->config->logs, dead->pid);
    bool steady = clock_monotonic_ns() - dead->start_ns > STEADY_NS;
    char text[96];
    unsigned pause = steady ? 0 : state->pause_ms;

    log_error("server: the serving process %ld %s%s%s; starting another one in %u ms",
              (long)dead->pid, describe_end(status, text, sizeof(text)),
              trace == NULL ? "" : "; its stack is in ", trace == NULL ? "" : trace, pause);
    state->start_at_ns = clock_monotonic_ns() + (uint64_t)pause * 1000000 + 1;
    state->pause_ms = steady || pause == 0 ? PAUSE_FIRST_MS : pause * 2;
    if (state->pause_ms > PAUSE_MAX_MS)
        state->pause_ms = PAUSE_MAX_MS;
}

static void on_current_end(struct state *state, int status)
{
    struct child dead = state->current;

    if (dead.ready >= 0)
        close(dead.ready);
    state->current = (struct child){ .ready = -1 };
    if (state->stopping) {
        state->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
    } else if (dead.has_answered || (state->announced && state->old.pid == 0)) {
        plan_restart(state, &dead, status);
    } else if (state->old.pid != 0) {
        log_error("server: the new program did not come up; the old one serves on");
        state->current = state->old;
        state->old = (struct child){ .ready = -1 };
    } else {
        /* It never came up, and has said why. */
        state->stopping = true;
        state->exit_code = WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status)
                                                                         : EXIT_FAILURE;
    }
}

static void on_check_end(struct state *state, int status)
{
    char text[96];

    state->checking = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        run_anew(state);
    else
        log_error("server: the new program cannot take over: its check %s; going on as before",
                  describe_end(status, text, sizeof(text)));
}

static void reap(struct state *state)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == state->current.pid)
            on_current_end(state, status);
        else if (pid == state->old.pid)
            state->old = (struct child){ .ready = -1 };
        else if (pid == state->checking)
            on_check_end(state, status);
    }
}

/* ---- signals */

static void signal_children(const struct state *state, int number)
{
    if (state->current.pid != 0)
        kill(state->current.pid, number);
    if (state->old.pid != 0)
        kill(state->old.pid, number);
}

static void on_stop(struct state *state, int number)
{
    if (state->stopping) {
        /* Asked twice by a person, who has waited long enough. */
        if (number == SIGINT)
            signal_children(state, SIGKILL);
        return;
    }
    state->stopping = true;
    state->kill_at_ns = clock_monotonic_ns() +
                        ((uint64_t)state->config->drain_ms + KILL_AFTER_MS) * 1000000;
    signal_children(state, SIGTERM);
}

static void on_signal(struct state *state)
{
    struct signalfd_siginfo info;

    if (read(state->signals, &info, sizeof(info)) != sizeof(info))
        return;
    switch (info.ssi_signo) {
    case SIGCHLD:
        reap(state);
        break;
    case SIGHUP:
        state->config->reread(state->config->context, false);
        signal_children(state, SIGHUP);
        break;
    case SIGUSR2:
        check_new_program(state);
        break;
    default:
        on_stop(state, (int)info.ssi_signo);
    }
}

static int watch_signals(void)
{
    static const int watched[] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR2 };
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(watched); i++)
        sigaddset(&set, watched[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* ---- the loop */

static int until(uint64_t when_ns)
{
    uint64_t now = clock_monotonic_ns();

    return when_ns <= now ? 0 : (int)((when_ns - now) / 1000000) + 1;
}

static void wait_for_something(struct state *state)
{
    struct pollfd fds[2] = { { .fd = state->signals, .events = POLLIN },
                             { .fd = state->current.ready, .events = POLLIN } };
    int timeout = -1;

    if (state->start_at_ns != 0)
        timeout = until(state->start_at_ns);
    else if (state->checking != 0)
        timeout = until(state->check_until_ns);
    if (state->stopping)
        timeout = until(state->kill_at_ns);
    if (poll(fds, 2, timeout) < 0 && errno != EINTR)
        abort();
    if (fds[1].revents != 0)
        on_ready(state);
    if (fds[0].revents != 0)
        on_signal(state);
}

int supervisor_run(struct supervisor *supervisor)
{
    struct state state = { .config = supervisor, .current.ready = -1, .old.ready = -1 };
    ssize_t len = readlink("/proc/self/exe", state.program, sizeof(state.program) - 1);

    if (len > 0)
        state.program[len] = '\0';
    state.signals = watch_signals();
    if (supervisor->sockets.is_one) {
        state.old.pid = (pid_t)supervisor->sockets.child;
        state.old.has_answered = true;
        state.announced = true;
    }
    start_child(&state);
    while (!state.stopping || state.current.pid != 0 || state.old.pid != 0) {
        wait_for_something(&state);
        if (state.start_at_ns != 0 && until(state.start_at_ns) == 0 && !state.stopping) {
            supervisor->reread(supervisor->context, true);
            start_child(&state);
        }
        if (state.checking != 0 && until(state.check_until_ns) == 0)
            kill(state.checking, SIGKILL);
        if (state.stopping && state.kill_at_ns != 0 && until(state.kill_at_ns) == 0)
            signal_children(&state, SIGKILL);
    }
    close(state.signals);
    return state.exit_code;
}
