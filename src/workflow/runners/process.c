/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/runners/process.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_EVERY_MS 100
#define TERM_GRACE_NS (5 * UINT64_C(1000000000))
#define GROUP_SCAN_EVERY 3 /* looks; finding the children means reading all of /proc */

/* In the child, between fork and exec: only what is safe there. */
static void set_oom_victim(void)
{
    int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (file >= 0 && write(file, "1000", 4) != 4)
        errno = 0;
    if (file >= 0)
        close(file);
}

static _Noreturn void run_child(const struct process_spec *spec, int gate, int report, int log)
{
    int empty = open("/dev/null", O_RDONLY | O_CLOEXEC), number;
    sigset_t none;
    char go;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    set_oom_victim();
    /* The end of file means that our parent has died, or does not want us. */
    if (read(gate, &go, 1) != 1)
        _exit(127);
    if (chdir(spec->folder) == 0 && empty >= 0 && dup2(empty, 0) == 0 && dup2(log, 1) == 1 &&
        dup2(log, 2) == 2) {
        close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
        execve(spec->program, spec->argv, spec->envp);
    }
    number = errno;
    if (write(report, &number, sizeof(number)) < 0)
        _exit(126);
    _exit(127);
}

bool process_start_ticks(pid_t pid, uint64_t *out)
{
    char path[64], text[1024], *rest;
    unsigned long long ticks;
    FILE *file;
    size_t len;

    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    file = fopen(path, "re");
    if (file == NULL)
        return false;
    len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    /* The name may hold spaces and brackets; the numbers follow its last bracket. */
    rest = strrchr(text, ')');
    if (rest == NULL ||
        sscanf(rest + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
               "%*d %*d %*d %llu",
               &ticks) != 1)
        return false;
    *out = ticks;
    return true;
}

static enum status open_pipes(int gate[2], int report[2], struct error *err)
{
    if (pipe2(gate, O_CLOEXEC) != 0)
        return error_errno(err, errno, "pipe");
    if (pipe2(report, O_CLOEXEC) == 0)
        return STATUS_OK;
    close(gate[0]);
    close(gate[1]);
    return error_errno(err, errno, "pipe");
}

static enum status fork_child(const struct process_spec *spec, int log, struct process *out,
                              struct error *err)
{
    int gate[2], report[2];
    pid_t pid;

    TRY(open_pipes(gate, report, err));
    pid = fork();
    if (pid == 0) {
        close(gate[1]);
        run_child(spec, gate[0], report[1], log);
    }
    close(gate[0]);
    close(report[1]);
    if (pid < 0) {
        close(gate[1]);
        close(report[0]);
        return error_errno(err, errno, "start '%s'", spec->program);
    }
    *out = (struct process){ .pid = pid,
                             .handle = (int)syscall(SYS_pidfd_open, pid, 0),
                             .gate = gate[1],
                             .report = report[0] };
    (void)process_start_ticks(pid, &out->start_ticks);
    return STATUS_OK;
}

enum status process_spawn(const struct process_spec *spec, struct process *out,
                          struct error *err)
{
    int log = open(spec->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    enum status status;

    if (log < 0)
        return error_errno(err, errno, "open '%s'", spec->log);
    status = fork_child(spec, log, out, err);
    close(log);
    return status;
}

static void reap(struct process *process)
{
    while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    close(process->handle);
}

void process_abandon(struct process *process)
{
    close(process->gate);
    close(process->report);
    kill(process->pid, SIGKILL);
    reap(process);
}

enum status process_release(struct process *process, struct error *err)
{
    int number = 0;
    ssize_t got;

    if (write(process->gate, "g", 1) != 1)
        number = errno;
    close(process->gate);
    do
        got = read(process->report, &number, sizeof(number));
    while (got < 0 && errno == EINTR);
    close(process->report);
    if (number == 0)
        return STATUS_OK;
    reap(process);
    return error_errno(err, number, "run the program");
}

static uint64_t resident_bytes(pid_t pid)
{
    char path[64];
    unsigned long long pages = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%ld/statm", (long)pid);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*u %llu", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* With shared pages divided among those who share them: forked workers share most of theirs. */
static uint64_t proportional_bytes(pid_t pid)
{
    char path[64], line[256];
    unsigned long long kib = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%ld/smaps_rollup", (long)pid);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "Pss: %llu", &kib) == 1)
            break;
    fclose(file);
    return kib * 1024;
}

typedef void (*each_process)(void *context, pid_t pid);

static void for_each_process(struct arena *arena, each_process function, void *context)
{
    struct arena_mark mark = arena_mark(arena);
    struct str *names;
    struct error err;
    size_t count = 0;

    if (folder_list(arena, "/proc", &names, &count, &err) != STATUS_OK)
        count = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t pid;

        if (str_to_int64(names[i], &pid) && pid > 1)
            function(context, (pid_t)pid);
    }
    arena_rewind(arena, mark);
}

struct group_memory {
    pid_t session;
    uint64_t resident, proportional;
    bool exact;
};

static void add_member(void *context, pid_t pid)
{
    struct group_memory *memory = context;

    if (getsid(pid) != memory->session)
        return;
    memory->resident += resident_bytes(pid);
    if (memory->exact)
        memory->proportional += proportional_bytes(pid);
}

/* The cheap sum counts shared pages more than once; only where it is over the limit is it checked. */
static uint64_t group_bytes(struct arena *arena, pid_t session, uint64_t limit)
{
    struct group_memory memory = { .session = session };

    for_each_process(arena, add_member, &memory);
    if (limit == 0 || memory.resident <= limit)
        return memory.resident;
    memory = (struct group_memory){ .session = session, .exact = true };
    for_each_process(arena, add_member, &memory);
    return memory.proportional > 0 ? memory.proportional : memory.resident;
}

static uint64_t file_bytes(const char *path)
{
    struct stat info;

    return path != NULL && stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
}

struct watch {
    struct process *process;
    const struct process_limits *limits;
    struct arena *arena;
    struct process_end *end;
    uint64_t term_ns; /* when SIGTERM was sent; 0: not yet */
    unsigned looks;
};

static void end_group(struct watch *watch, enum process_end_kind why, int signal_number)
{
    if (watch->end->kind == PROCESS_EXITED)
        watch->end->kind = why;
    kill(-watch->process->pid, signal_number);
}

static void check_limits(struct watch *watch)
{
    uint64_t limit = watch->limits->memory_bytes, bytes;
    bool scan = watch->looks++ % GROUP_SCAN_EVERY == 0;

    /* Between two scans the leader alone is watched: it is the one that grows, mostly. */
    bytes = scan ? group_bytes(watch->arena, watch->process->pid, limit)
                 : resident_bytes(watch->process->pid);
    if (bytes > watch->end->peak_bytes)
        watch->end->peak_bytes = bytes;
    if (limit > 0 && bytes > limit)
        end_group(watch, PROCESS_OUT_OF_MEMORY, SIGKILL);
    if (watch->limits->log_bytes > 0 &&
        file_bytes(watch->limits->log) > watch->limits->log_bytes)
        end_group(watch, PROCESS_LOG_FULL, SIGKILL);
}

static void check_cancelled(struct watch *watch, process_cancelled cancelled, void *context)
{
    if (watch->term_ns == 0 && cancelled(context)) {
        watch->term_ns = clock_monotonic_ns();
        end_group(watch, PROCESS_CANCELLED, SIGTERM);
    } else if (watch->term_ns != 0 && clock_monotonic_ns() - watch->term_ns > TERM_GRACE_NS) {
        end_group(watch, PROCESS_CANCELLED, SIGKILL);
    }
}

static void kill_member(void *context, pid_t pid)
{
    const pid_t *session = context;

    if (getsid(pid) == *session)
        kill(pid, SIGKILL);
}

static void take_exit(struct process *process, struct process_end *end)
{
    int state = 0;

    while (waitpid(process->pid, &state, 0) < 0 && errno == EINTR)
        ;
    if (end->kind == PROCESS_EXITED && WIFSIGNALED(state))
        end->kind = PROCESS_SIGNALLED;
    end->code = WIFSIGNALED(state) ? WTERMSIG(state) : WEXITSTATUS(state);
    close(process->handle);
}

void process_wait(struct process *process, const struct process_limits *limits,
                  process_cancelled cancelled, void *context, struct process_end *out)
{
    struct pollfd ready = { .fd = process->handle, .events = POLLIN };
    struct process_end end = { .kind = PROCESS_EXITED };
    struct watch watch = { process, limits, arena_new(), &end, 0, 0 };

    while (poll(&ready, 1, LOOK_EVERY_MS) <= 0) {
        check_limits(&watch);
        check_cancelled(&watch, cancelled, context);
    }
    /* The leader has ended but is not reaped, so its number still means this session. */
    for_each_process(watch.arena, kill_member, &process->pid);
    take_exit(process, &end);
    arena_free(watch.arena);
    *out = end;
}

struct marked {
    struct arena *arena;
    struct str wanted; /* "\0NAME=value…": the environment is a list of such */
};

static void kill_marked(void *context, pid_t pid)
{
    struct marked *marked = context;
    struct arena_mark mark = arena_mark(marked->arena);
    struct str path, environment;
    struct error err;

    path = arena_printf(marked->arena, "/proc/%ld/environ", (long)pid);
    /* Most are not ours to read, and then not ours to end. */
    if (pid != getpid() &&
        file_read(marked->arena, path.data, (size_t)4 << 20, &environment, &err) == STATUS_OK &&
        (memmem(environment.data, environment.len, marked->wanted.data, marked->wanted.len) ||
         str_starts(environment, str_slice(marked->wanted, 1, marked->wanted.len))))
        kill(pid, SIGKILL);
    arena_rewind(marked->arena, mark);
}

void process_end_marked(struct str variable, struct str value_start)
{
    struct arena *arena = arena_new();
    struct marked marked = { .arena = arena };

    marked.wanted = arena_printf(arena, "#" STR_FMT "=" STR_FMT, STR_ARG(variable),
                                 STR_ARG(value_start));
    ((char *)(uintptr_t)marked.wanted.data)[0] = '\0';
    for_each_process(arena, kill_marked, &marked);
    arena_free(arena);
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
