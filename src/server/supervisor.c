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

#define PAUSE_FIRST_MS 100
#define PAUSE_MAX_MS 10000
/* Who lived this long did not crash because of how it was started. */
#define STEADY_NS (UINT64_C(10) * 1000000000)
#define KILL_AFTER_MS 5000
#define CHECK_NS (UINT64_C(30) * 1000000000)
/* Who was killed and is not gone yet is killed again after so long. */
#define KILL_AGAIN_NS (UINT64_C(100) * 1000000)
/* Of a child that somebody else has waited for: how it ended is not known. */
#define STATUS_UNKNOWN (EXIT_FAILURE << 8)

struct child {
    pid_t pid; /* 0: none */
    int ready; /* its end of the pipe has not spoken yet; -1: it has, or has gone */
    bool has_answered;
    uint64_t start_ns;
    int64_t start_us; /* the same by the wall clock */
};

struct state {
    struct supervisor *config;
    char program[PATH_MAX]; /* the file, which may be replaced while we run */
    int signals;
    sigset_t mask_before;
    struct child current, old;
    pid_t checking; /* a trial of the new program; 0: none */
    uint64_t check_until_ns;
    unsigned pause_ms;
    uint64_t start_at_ns; /* when to start the next child; 0: now or not at all */
    bool announced, stopping;
    uint64_t kill_at_ns; /* 0: not yet */
    int exit_code;
};

/* ---- a new program */

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
    if (!may_run_anew(state))
        return;
    takeover_offer(&state->config->sockets, state->current.pid);
    /* The signals stay blocked: one that comes now waits for the new program. */
    execv(state->program, state->config->argv);
    log_error("server: cannot run '%s' anew: %s; going on as before", state->program,
              strerror(errno));
    takeover_withdraw(&state->config->sockets);
}

/* ---- children */

/* The signals stay blocked until there are handlers: before, they would be its end. */
static void become_child(struct state *state, pid_t supervisor, int ready)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != supervisor)
        _exit(EXIT_FAILURE); /* it died before it could be asked for the signal */
    prctl(PR_SET_NAME, "onggi-server");
    close(state->signals);
    crash_trace_into(state->config->logs);
    exit(state->config->serve(state->config->context, ready));
}

static void try_later(struct state *state)
{
    log_error("server: cannot start a child: %s; trying again", strerror(errno));
    state->start_at_ns = clock_monotonic_ns() + (uint64_t)PAUSE_MAX_MS * 1000000;
}

static void start_child(struct state *state)
{
    pid_t supervisor = getpid(), pid;
    int ends[2];

    state->start_at_ns = 0;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        try_later(state);
        return;
    }
    pid = fork();
    if (pid == 0) {
        close(ends[0]);
        become_child(state, supervisor, ends[1]);
    }
    if (pid < 0) {
        try_later(state);
        close(ends[0]);
    }
    close(ends[1]);
    if (pid < 0)
        return;
    state->current = (struct child){ .pid = pid,
                                     .ready = ends[0],
                                     .start_ns = clock_monotonic_ns(),
                                     .start_us = clock_now_us() };
}

static void on_ready(struct state *state)
{
    char byte;
    ssize_t n = read(state->current.ready, &byte, 1);

    close(state->current.ready);
    state->current.ready = -1;
    if (n != 1)
        return; /* it died before; reap() sees to the rest */
    state->current.has_answered = true;
    state->config->on_ready(state->config->context, !state->announced);
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
    struct arena *arena = arena_new();
    const char *trace = NULL;
    bool steady = clock_monotonic_ns() - dead->start_ns > STEADY_NS;
    char text[96];
    unsigned pause = steady ? 0 : state->pause_ms;

    crash_traces_prune(state->config->logs);
    if (!crash_trace_find(arena, state->config->logs, dead->pid, dead->start_us, &trace))
        trace = NULL;
    log_error("server: the serving process %ld %s%s%s; starting another one in %u ms",
              (long)dead->pid, describe_end(status, text, sizeof(text)),
              trace == NULL ? "" : "; its stack is in ", trace == NULL ? "" : trace, pause);
    state->start_at_ns = clock_monotonic_ns() + (uint64_t)pause * 1000000 + 1;
    state->pause_ms = steady || pause == 0 ? PAUSE_FIRST_MS : pause * 2;
    if (state->pause_ms > PAUSE_MAX_MS)
        state->pause_ms = PAUSE_MAX_MS;
    arena_free(arena);
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
    if (state->stopping)
        return;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        run_anew(state);
    else
        log_error("server: the new program cannot take over: its check %s; going on as before",
                  describe_end(status, text, sizeof(text)));
}

static void on_end(struct state *state, pid_t pid, int status)
{
    if (pid == state->current.pid)
        on_current_end(state, status);
    else if (pid == state->old.pid)
        state->old = (struct child){ .ready = -1 };
    else if (pid == state->checking)
        on_check_end(state, status);
}

static void reap(struct state *state)
{
    const pid_t known[] = { state->old.pid, state->checking, state->current.pid };
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        on_end(state, pid, status);
    if (pid == 0 || errno != ECHILD)
        return;
    /* Nobody is left, so whom we still know is gone as well. */
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i] != 0)
            on_end(state, known[i], STATUS_UNKNOWN);
}

/* ---- signals */

static void signal_children(const struct state *state, int number)
{
    if (state->current.pid != 0)
        kill(state->current.pid, number);
    if (state->old.pid != 0)
        kill(state->old.pid, number);
}

/* A child that is gone already is no harm: until reap() has seen it, its number is nobody else's. */
static void end_all(struct state *state, int number)
{
    signal_children(state, number);
    if (state->checking != 0)
        kill(state->checking, number);
}

/* The children close theirs too: from then on a client is refused instead of kept waiting. */
static void close_listeners(struct state *state)
{
    struct takeover *sockets = &state->config->sockets;

    while (sockets->listener_count > 0)
        close(sockets->listeners[--sockets->listener_count]);
}

static void on_stop(struct state *state, int number)
{
    if (state->stopping) {
        /* Asked twice by a person, who has waited long enough. */
        if (number == SIGINT)
            end_all(state, SIGKILL);
        return;
    }
    state->stopping = true;
    state->start_at_ns = 0;
    state->kill_at_ns = clock_monotonic_ns() +
                        ((uint64_t)state->config->drain_ms + KILL_AFTER_MS) * 1000000;
    close_listeners(state);
    end_all(state, SIGTERM);
}

static void on_signal(struct state *state)
{
    struct signalfd_siginfo info;

    if (read(state->signals, &info, sizeof(info)) != sizeof(info))
        return;
    switch (info.ssi_signo) {
    case SIGCHLD:
        break; /* reap() comes after every waiting */
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

static int watch_signals(sigset_t *before)
{
    static const int watched[] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR2 };
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(watched); i++)
        sigaddset(&set, watched[i]);
    sigprocmask(SIG_BLOCK, &set, before);
    /* Over a takeover they stay blocked, which is not how we want to leave them. */
    for (size_t i = 0; i < ARRAY_LEN(watched); i++)
        sigdelset(before, watched[i]);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* ---- the loop */

static int until(uint64_t when_ns)
{
    uint64_t now = clock_monotonic_ns();

    return when_ns <= now ? 0 : (int)((when_ns - now) / 1000000) + 1;
}

static void earlier(uint64_t *at_ns, uint64_t other_ns)
{
    if (other_ns != 0 && (*at_ns == 0 || other_ns < *at_ns))
        *at_ns = other_ns;
}

static void wait_for_something(struct state *state)
{
    struct pollfd fds[2] = { { .fd = state->signals, .events = POLLIN },
                             { .fd = state->current.ready, .events = POLLIN } };
    uint64_t at_ns = state->start_at_ns;

    earlier(&at_ns, state->kill_at_ns);
    earlier(&at_ns, state->checking != 0 ? state->check_until_ns : 0);
    if (poll(fds, 2, at_ns == 0 ? -1 : until(at_ns)) < 0) {
        if (errno != EINTR)
            abort();
        return;
    }
    if (fds[1].revents != 0)
        on_ready(state);
    if (fds[0].revents != 0)
        on_signal(state);
    reap(state);
}

static bool is_due(uint64_t *at_ns, uint64_t again_ns)
{
    if (*at_ns == 0 || until(*at_ns) != 0)
        return false;
    *at_ns = again_ns == 0 ? 0 : clock_monotonic_ns() + again_ns;
    return true;
}

static void do_what_is_due(struct state *state)
{
    struct supervisor *supervisor = state->config;

    if (is_due(&state->start_at_ns, 0)) {
        supervisor->reread(supervisor->context, true);
        start_child(state);
    }
    if (state->checking != 0 && is_due(&state->check_until_ns, KILL_AGAIN_NS))
        kill(state->checking, SIGKILL);
    if (is_due(&state->kill_at_ns, KILL_AGAIN_NS))
        end_all(state, SIGKILL);
}

static bool is_over(const struct state *state)
{
    return state->stopping && state->current.pid == 0 && state->old.pid == 0 &&
           state->checking == 0;
}

int supervisor_run(struct supervisor *supervisor)
{
    struct state state = { .config = supervisor, .current.ready = -1, .old.ready = -1 };
    ssize_t len = readlink("/proc/self/exe", state.program, sizeof(state.program) - 1);

    if (len > 0)
        state.program[len] = '\0';
    state.signals = watch_signals(&state.mask_before);
    if (supervisor->sockets.is_one) {
        state.old.pid = (pid_t)supervisor->sockets.child;
        state.old.has_answered = true;
        state.announced = true;
    }
    start_child(&state);
    while (!is_over(&state)) {
        wait_for_something(&state);
        do_what_is_due(&state);
    }
    close(state.signals);
    sigprocmask(SIG_SETMASK, &state.mask_before, NULL);
    return state.exit_code;
}
