/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/runners/process.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "workflow/runners/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_EVERY_MS 100
#define TREE_EVERY 3 /* looks; finding the descendants means reading all of /proc */
#define TERM_GRACE_NS (5 * UINT64_C(1000000000))
/* A keeper that has not ended everything by then is stopped, or waits for the kernel. */
#define KILL_GRACE_NS (40 * UINT64_C(1000000000))
#define KEEPER_LEAVES_MS 5000
#define KEEPER_LOOK_MS 10

/* In the child, between fork and exec: only what is safe there. */
static _Noreturn void become_keeper(int socket, int log)
{
    static char *argv[] = { KEEPER_NAME, NULL };
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    if (dup2(socket, 0) == 0 && dup2(log, 1) == 1 && dup2(log, 2) == 2) {
        close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
        execve("/proc/self/exe", argv, environ);
    }
    _exit(127);
}

static enum status fork_keeper(int log, struct process *out, struct error *err)
{
    int sockets[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0)
        return error_errno(err, errno, "socketpair");
    pid = fork();
    if (pid == 0)
        become_keeper(sockets[1], log);
    close(sockets[1]);
    if (pid < 0) {
        close(sockets[0]);
        return error_errno(err, errno, "start a script's keeper");
    }
    *out = (struct process){ .keeper = pid, .socket = sockets[0] };
    (void)process_start_ticks(pid, &out->start_ticks);
    return STATUS_OK;
}

static bool send_all(int socket, const void *data, size_t len)
{
    const char *from = data;

    while (len > 0) {
        ssize_t n = send(socket, from, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        from += n;
        len -= (size_t)n;
    }
    return true;
}

static void command(const struct process *process, enum keeper_command what)
{
    const char byte = (char)what;

    /* A keeper that is gone is noticed where its reports are read. */
    (void)send_all(process->socket, &byte, 1);
}

static void append_text(struct buffer *texts, const char *text)
{
    buffer_append(texts, (struct str){ text, strlen(text) + 1 });
}

static uint32_t append_texts(struct buffer *texts, char *const *list)
{
    uint32_t count = 0;

    for (; list[count] != NULL; count++)
        append_text(texts, list[count]);
    return count;
}

static bool send_script(const struct process *process, const struct process_spec *spec)
{
    struct keeper_script script = { 0 };
    struct buffer texts = { 0 };
    bool sent;

    append_text(&texts, spec->program);
    append_text(&texts, spec->folder);
    script.argc = append_texts(&texts, spec->argv);
    script.envc = append_texts(&texts, spec->envp);
    script.bytes = (uint32_t)buffer_str(&texts).len;
    sent = send_all(process->socket, &script, sizeof(script)) &&
           send_all(process->socket, buffer_str(&texts).data, script.bytes);
    buffer_free(&texts);
    return sent;
}

static void reap(struct process *process)
{
    while (waitpid(process->keeper, NULL, 0) < 0 && errno == EINTR)
        ;
    close(process->socket);
}

void process_abandon(struct process *process)
{
    kill(process->keeper, SIGKILL);
    reap(process);
}

static uint64_t file_bytes(const char *path)
{
    struct stat info;

    return path != NULL && stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
}

enum status process_spawn(const struct process_spec *spec, struct process *out,
                          struct error *err)
{
    int log = open(spec->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    enum status status;

    if (log < 0)
        return error_errno(err, errno, "open '%s'", spec->log);
    status = fork_keeper(log, out, err);
    close(log);
    TRY(status);
    out->log_start = file_bytes(spec->log);
    if (send_script(out, spec))
        return STATUS_OK;
    process_abandon(out);
    return error_set(err, STATUS_INTERNAL, "start '%s': its keeper has ended", spec->program);
}

/* False when the keeper is gone. */
static bool read_report(const struct process *process, struct keeper_report *out)
{
    ssize_t n;

    do
        n = recv(process->socket, out, sizeof(*out), MSG_WAITALL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(*out);
}

enum status process_release(struct process *process, struct error *err)
{
    struct keeper_report report;
    bool told;

    command(process, KEEPER_GO);
    told = read_report(process, &report);
    if (told && report.kind == KEEPER_STARTED) {
        process->script = report.value;
        return STATUS_OK;
    }
    process_abandon(process);
    if (told && report.kind == KEEPER_FAILED)
        return error_errno(err, report.value, "run the program");
    return error_set(err, STATUS_INTERNAL, "run the program: its keeper has ended");
}

struct watch {
    struct process *process;
    const struct process_limits *limits;
    struct arena *arena;
    struct process_end *end;
    uint64_t term_ns; /* when SIGTERM was sent; 0: not yet */
    uint64_t kill_ns; /* when everything was to be killed; 0: not yet */
    unsigned looks;
};

static void end_script(struct watch *watch, enum process_end_kind why, enum keeper_command how)
{
    if (watch->end->kind == PROCESS_EXITED)
        watch->end->kind = why;
    if (how == KEEPER_KILL && watch->kill_ns == 0)
        watch->kill_ns = clock_monotonic_ns();
    command(watch->process, how);
}

static void check_limits(struct watch *watch)
{
    const struct process_limits *limits = watch->limits;
    const struct process *process = watch->process;
    uint64_t bytes, log_bytes = file_bytes(limits->log);

    /* Between two looks at all, the script alone is watched: it is the one that grows, mostly. */
    bytes = watch->looks++ % TREE_EVERY == 0
                ? process_tree_bytes(watch->arena, process->keeper, limits->memory_bytes)
                : process_bytes(process->script);
    if (bytes > watch->end->peak_bytes)
        watch->end->peak_bytes = bytes;
    if (watch->kill_ns != 0)
        return;
    if (limits->memory_bytes > 0 && bytes > limits->memory_bytes)
        end_script(watch, PROCESS_OUT_OF_MEMORY, KEEPER_KILL);
    else if (limits->log_bytes > 0 && log_bytes > process->log_start + limits->log_bytes)
        end_script(watch, PROCESS_LOG_FULL, KEEPER_KILL);
}

static void check_cancelled(struct watch *watch, process_cancelled cancelled, void *context)
{
    uint64_t now_ns = clock_monotonic_ns();

    if (watch->term_ns == 0 && cancelled(context)) {
        watch->term_ns = now_ns;
        end_script(watch, PROCESS_CANCELLED, KEEPER_TERM);
    } else if (watch->term_ns != 0 && watch->kill_ns == 0 &&
               now_ns - watch->term_ns > TERM_GRACE_NS) {
        end_script(watch, PROCESS_CANCELLED, KEEPER_KILL);
    } else if (watch->kill_ns != 0 && now_ns - watch->kill_ns > KILL_GRACE_NS) {
        process_tree_end(watch->process->keeper);
    }
}

/* A keeper that was killed took the script with it, but not what else it kept. */
static void take_end(struct process *process, struct process_end *end)
{
    struct keeper_report report;
    int state = SIGKILL;

    end->left_some = !read_report(process, &report) || report.kind != KEEPER_ENDED;
    if (!end->left_some)
        state = report.value;
    if (end->kind == PROCESS_EXITED && WIFSIGNALED(state))
        end->kind = PROCESS_SIGNALLED;
    end->code = WIFSIGNALED(state) ? WTERMSIG(state) : WEXITSTATUS(state);
    reap(process);
}

void process_wait(struct process *process, const struct process_limits *limits,
                  process_cancelled cancelled, void *context, struct process_end *out)
{
    struct pollfd ready = { .fd = process->socket, .events = POLLIN };
    struct process_end end = { .kind = PROCESS_EXITED };
    struct watch watch = {
        .process = process, .limits = limits, .arena = arena_new(), .end = &end
    };

    while (poll(&ready, 1, LOOK_EVERY_MS) <= 0) {
        check_limits(&watch);
        check_cancelled(&watch, cancelled, context);
    }
    take_end(process, &end);
    arena_free(watch.arena);
    *out = end;
}

static bool is_alive(pid_t keeper, uint64_t start_ticks)
{
    uint64_t ticks;

    return process_start_ticks(keeper, &ticks) && ticks == start_ticks;
}

void process_end_kept(pid_t keeper, uint64_t start_ticks)
{
    for (unsigned ms = 0; ms < KEEPER_LEAVES_MS; ms += KEEPER_LOOK_MS) {
        if (!is_alive(keeper, start_ticks))
            return;
        poll(NULL, 0, KEEPER_LOOK_MS);
    }
    if (is_alive(keeper, start_ticks))
        process_tree_end(keeper);
}

uint64_t process_default_memory(void)
{
    uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    unsigned long long container = 0;
    FILE *file = fopen("/sys/fs/cgroup/memory.max", "re");

    if (file != NULL) {
        if (fscanf(file, "%llu", &container) == 1 && container < machine)
            machine = container;
        fclose(file);
    }
    return machine / 4 * 3;
}
