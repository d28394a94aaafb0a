/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/runners/keeper.h"

#include "base/arena.h"
#include "base/clock.h"
#include "workflow/runners/process_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENGINE 0 /* the descriptor of the socket */
#define SCRIPT_BYTES_MAX (16u << 20)
#define QUICK_ROUNDS 200
#define PAUSE_MS 2
/* What still lives then hangs in the kernel and will die when that lets go of it. */
#define END_ALL_NS (30 * UINT64_C(1000000000))

struct keeper {
    struct keeper_script script;
    char *program, *folder;
    char **argv, **envp;
    int signals; /* a signalfd */
    pid_t pid;   /* of the script */
    bool ended;  /* the script */
    int state;   /* as waitpid() gave it */
    bool engine_gone;
};

bool keeper_is_wanted(char **argv)
{
    return argv[0] != NULL && strcmp(argv[0], KEEPER_NAME) == 0;
}

static bool read_all(void *data, size_t len)
{
    char *to = data;

    while (len > 0) {
        ssize_t n = read(ENGINE, to, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        to += n;
        len -= (size_t)n;
    }
    return true;
}

static void report(enum keeper_report_kind kind, int value)
{
    const struct keeper_report message = { (int32_t)kind, value };

    /* An engine that is gone does not miss it. */
    if (send(ENGINE, &message, sizeof(message), MSG_NOSIGNAL) < 0)
        errno = 0;
}

static char *next_text(char **at, const char *end)
{
    char *text = *at;

    if (text < end)
        *at = text + strlen(text) + 1;
    return text;
}

static bool read_script(struct keeper *keeper)
{
    struct keeper_script *script = &keeper->script;
    char *texts, *at, *end;

    if (!read_all(script, sizeof(*script)) || script->bytes > SCRIPT_BYTES_MAX ||
        script->argc > script->bytes || script->envc > script->bytes)
        return false;
    texts = calloc(1, (size_t)script->bytes + 1);
    keeper->argv = calloc((size_t)script->argc + 1, sizeof(char *));
    keeper->envp = calloc((size_t)script->envc + 1, sizeof(char *));
    if (texts == NULL || keeper->argv == NULL || keeper->envp == NULL ||
        !read_all(texts, script->bytes)) {
        free(texts);
        return false;
    }
    at = texts;
    end = texts + script->bytes;
    keeper->program = next_text(&at, end);
    keeper->folder = next_text(&at, end);
    for (uint32_t i = 0; i < script->argc; i++)
        keeper->argv[i] = next_text(&at, end);
    for (uint32_t i = 0; i < script->envc; i++)
        keeper->envp[i] = next_text(&at, end);
    return true;
}

/* When memory runs out, the kernel is to end the script, not us or the engine. */
static void set_oom_victim(void)
{
    int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (file >= 0 && write(file, "1000", 4) != 4)
        errno = 0;
    if (file >= 0)
        close(file);
}

static _Noreturn void run_script(const struct keeper *keeper, pid_t parent, int trouble)
{
    int empty = open("/dev/null", O_RDONLY | O_CLOEXEC), number;
    sigset_t none;

    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    set_oom_victim();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (chdir(keeper->folder) == 0 && empty >= 0 && dup2(empty, 0) == 0) {
        close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
        execve(keeper->program, keeper->argv, keeper->envp);
    }
    number = errno;
    if (write(trouble, &number, sizeof(number)) < 0)
        _exit(126);
    _exit(127);
}

/* Returns once the script's own program runs, or cannot: errno. */
static int start_script(struct keeper *keeper)
{
    pid_t self = getpid();
    int trouble[2], number = 0;
    ssize_t got;

    if (pipe2(trouble, O_CLOEXEC) != 0)
        return errno;
    keeper->pid = fork();
    if (keeper->pid == 0)
        run_script(keeper, self, trouble[1]);
    if (keeper->pid < 0)
        number = errno;
    close(trouble[1]);
    do
        got = read(trouble[0], &number, sizeof(number));
    while (got < 0 && errno == EINTR);
    close(trouble[0]);
    return number;
}

/* False if there are no children any more. */
static bool reap(struct keeper *keeper)
{
    int state = 0;
    pid_t pid;

    while ((pid = waitpid(-1, &state, WNOHANG)) > 0) {
        if (pid == keeper->pid) {
            keeper->ended = true;
            keeper->state = state;
        }
    }
    return pid == 0 || errno != ECHILD;
}

/*
 * Our own children, as the kernel lists them: far quicker than all of /proc. A chain of processes,
 * each of which starts the next and leaves, is always here with its living end.
 */
static void kill_children(void)
{
    char path[64];
    FILE *file;
    long pid;

    snprintf(path, sizeof(path), "/proc/self/task/%ld/children", (long)getpid());
    file = fopen(path, "re");
    if (file == NULL)
        return;
    while (fscanf(file, "%ld", &pid) == 1)
        kill((pid_t)pid, SIGKILL);
    fclose(file);
}

static void kill_tree(void)
{
    struct arena *arena = arena_new();
    size_t count;
    pid_t *pids;

    process_tree_list(arena, getpid(), &pids, &count);
    for (size_t i = 0; i < count; i++)
        kill(pids[i], SIGKILL);
    arena_free(arena);
}

/* Every orphan becomes our child, so without children there are no descendants. */
static void end_all(struct keeper *keeper)
{
    uint64_t until_ns = clock_monotonic_ns() + END_ALL_NS;

    while (reap(keeper) && clock_monotonic_ns() < until_ns) {
        kill_tree();
        for (unsigned i = 0; i < QUICK_ROUNDS; i++) {
            if (!reap(keeper))
                return;
            kill_children();
        }
        poll(NULL, 0, PAUSE_MS);
    }
}

/* From now on by descriptor: a command, a death, or the wish that we end. */
static bool open_signals(struct keeper *keeper)
{
    sigset_t wanted;

    /* Whoever started the server may have ignored it; then no death would be told. */
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGCHLD);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    sigaddset(&wanted, SIGHUP);
    sigprocmask(SIG_SETMASK, &wanted, NULL);
    keeper->signals = signalfd(-1, &wanted, SFD_CLOEXEC);
    return keeper->signals >= 0;
}

static void take_signal(struct keeper *keeper)
{
    struct signalfd_siginfo info;

    if (read(keeper->signals, &info, sizeof(info)) != sizeof(info))
        return;
    if (info.ssi_signo != SIGCHLD)
        keeper->engine_gone = true; /* whoever sends such a signal wants the same */
    (void)reap(keeper);
}

static void take_command(struct keeper *keeper)
{
    char command;
    ssize_t n = read(ENGINE, &command, 1);

    if (n < 0 && errno == EINTR)
        return;
    if (n <= 0)
        keeper->engine_gone = true;
    else if (command == KEEPER_TERM && !keeper->ended)
        kill(-keeper->pid, SIGTERM);
    else if (command == KEEPER_KILL)
        kill_tree();
}

static void keep(struct keeper *keeper)
{
    struct pollfd ready[] = { { .fd = ENGINE, .events = POLLIN },
                              { .fd = keeper->signals, .events = POLLIN } };

    while (!keeper->ended && !keeper->engine_gone) {
        if (poll(ready, 2, -1) < 0)
            continue;
        if (ready[1].revents != 0)
            take_signal(keeper);
        if (ready[0].revents != 0)
            take_command(keeper);
    }
}

int keeper_main(void)
{
    struct keeper keeper = { .pid = -1 };
    char go;
    int number;

    prctl(PR_SET_NAME, KEEPER_NAME);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    /* The end of the stream means that the engine has died, or does not want the script. */
    if (!open_signals(&keeper) || !read_script(&keeper) || !read_all(&go, 1) || go != KEEPER_GO)
        _exit(1);
    number = start_script(&keeper);
    if (number != 0) {
        report(KEEPER_FAILED, number);
        _exit(1);
    }
    report(KEEPER_STARTED, keeper.pid);
    keep(&keeper);
    end_all(&keeper);
    report(KEEPER_ENDED, keeper.state);
    _exit(0); /* what a sanitizer would tell of us belongs in no log */
}
