/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "features/job_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_MAX_BYTES ((size_t)64 << 20)
#define LAST_WORDS 300
#define POLL_MS 100
#define MEMORY_DEFAULT_MAX (UINT64_C(4) << 30)

/* One running job, seen from its parent. */
struct child {
    const struct job_spec *spec;
    struct arena *arena;
    pid_t pid;
    int report;         /* its reports, read from here */
    int words;          /* its stderr */
    uint64_t oom_kills; /* of the whole system, when it was started */
    struct buffer lines;
    char last_words[LAST_WORDS + 1];
    size_t last_len;
    bool cancelled;
    bool answered;
    struct str result;
    enum status status;
    struct error error;
};

/* --- limits --------------------------------------------------------------- */

static uint64_t machine_memory(void)
{
    struct sysinfo info;
    uint64_t total = sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : UINT64_MAX;
    FILE *file = fopen("/sys/fs/cgroup/memory.max", "re");
    unsigned long long group;

    if (file == NULL)
        return total;
    if (fscanf(file, "%llu", &group) == 1 && group < total)
        total = group;
    fclose(file);
    return total;
}

static unsigned machine_cores(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

void job_limits_default(struct job_limits *limits)
{
    if (limits->memory_bytes == 0) {
        limits->memory_bytes = machine_memory() / 2;
        if (limits->memory_bytes > MEMORY_DEFAULT_MAX)
            limits->memory_bytes = MEMORY_DEFAULT_MAX;
    }
    if (limits->threads == 0)
        limits->threads = machine_cores();
}

/* Processes that the system ended for want of memory since its start, whosever; 0 where it does not tell. */
static uint64_t oom_kills(void)
{
    FILE *file = fopen("/proc/vmstat", "re");
    unsigned long long count = 0;
    char line[128];

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL &&
           sscanf(line, "oom_kill %llu", &count) != 1)
        continue;
    fclose(file);
    return count;
}

/* --- start ---------------------------------------------------------------- */

/* The specification as an open file, so that writing it can neither block nor break. */
static enum status spec_file(const struct job_spec *spec, int *out, struct error *err)
{
    struct job_limits limits = spec->limits;
    struct buffer text = { 0 };
    int fd = memfd_create("onggi-job", MFD_CLOEXEC);
    bool written;

    if (fd < 0)
        return error_errno(err, errno, "start job '%s'", spec->name);
    job_limits_default(&limits);
    buffer_printf(&text, "{\"parent\":%lld,\"memory_bytes\":%llu,\"threads\":%u,\"spec\":",
                  (long long)getpid(), (unsigned long long)limits.memory_bytes, limits.threads);
    buffer_append(&text, spec->spec);
    buffer_append_byte(&text, '}');
    written = write(fd, text.data, text.len) == (ssize_t)text.len &&
              lseek(fd, 0, SEEK_SET) == 0;
    buffer_free(&text);
    if (!written) {
        close(fd);
        return error_errno(err, errno, "start job '%s'", spec->name);
    }
    *out = fd;
    return STATUS_OK;
}

/*
 * Ours, with huge pages for what malloc takes from the system: a job fills columns of hundreds of
 * megabytes, and a tenth of its time would go into the faults of small pages.
 */
static char **job_environment(struct arena *arena)
{
    static char huge_pages[] = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1";
    char **variables;
    size_t count = 0;

    while (environ[count] != NULL)
        count++;
    variables = ARENA_ARRAY(arena, char *, count + 2);
    memcpy(variables, environ, count * sizeof(*variables));
    if (getenv("GLIBC_TUNABLES") == NULL)
        variables[count++] = huge_pages;
    variables[count] = NULL;
    return variables;
}

static int spawn(struct child *child, int spec, int report, int words)
{
    char *argv[] = { "onggi", "job", (char *)(uintptr_t)child->spec->name, NULL };
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    int rc;

    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, spec, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, words, STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&files, report, JOB_REPORT_FD);
    posix_spawnattr_init(&attributes);
    /* A group of its own: Ctrl-C is the parent's to answer. */
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    rc = posix_spawn(&child->pid, "/proc/self/exe", &files, &attributes, argv,
                     job_environment(child->arena));
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

static enum status start(struct child *child, struct error *err)
{
    int spec = -1, report[2] = { -1, -1 }, words[2] = { -1, -1 }, rc = 0;

    TRY(spec_file(child->spec, &spec, err));
    child->oom_kills = oom_kills();
    /* Above 3, so that none of them is overwritten by another one's place in the child. */
    if (pipe2(report, O_CLOEXEC) != 0 || pipe2(words, O_CLOEXEC) != 0)
        rc = errno;
    if (rc == 0)
        rc = spawn(child, spec, report[1], words[1]);
    close(spec);
    if (report[1] >= 0)
        close(report[1]);
    if (words[1] >= 0)
        close(words[1]);
    child->report = report[0];
    child->words = words[0];
    if (rc != 0)
        return error_errno(err, rc, "start job '%s'", child->spec->name);
    return STATUS_OK;
}

/* --- listen --------------------------------------------------------------- */

static enum status status_from_name(struct str name)
{
    for (int status = STATUS_INVALID; status <= STATUS_INTERNAL; status++) {
        if (str_equal(name, str_from(status_name((enum status)status))))
            return (enum status)status;
    }
    return STATUS_INTERNAL;
}

static void on_progress(struct child *child, const yyjson_val *line)
{
    struct str phase = json_str(json_find(line, STR("phase")));
    uint64_t done = yyjson_get_uint(json_find(line, STR("done")));
    uint64_t total = yyjson_get_uint(json_find(line, STR("total")));

    if (child->spec->on_progress != NULL)
        child->spec->on_progress(child->spec->context, phase, done, total);
}

static void on_line(struct child *child, struct str text)
{
    struct arena_mark mark = arena_mark(child->arena);
    struct error ignored;
    yyjson_val *line, *result, *error;

    if (json_parse(child->arena, text, &line, &ignored) != STATUS_OK)
        return;
    result = json_find(line, STR("result"));
    error = json_find(line, STR("error"));
    if (result == NULL && error == NULL) {
        on_progress(child, line);
        arena_rewind(child->arena, mark);
        return;
    }
    child->answered = true;
    if (error != NULL)
        child->status = error_set(&child->error,
                                  status_from_name(json_str(json_find(error, STR("status")))),
                                  STR_FMT, STR_ARG(json_str(json_find(error, STR("message")))));
    else
        child->result = json_write(child->arena, result);
}

/* False at the end. */
static bool read_report(struct child *child)
{
    ssize_t got = read(child->report, buffer_reserve(&child->lines, 65536), 65536);
    struct str rest;
    size_t end;

    if (got <= 0)
        return got < 0 && errno == EINTR;
    child->lines.len += (size_t)got;
    rest = buffer_str(&child->lines);
    while ((end = str_index(rest, '\n')) < rest.len) {
        on_line(child, str_slice(rest, 0, end));
        rest = str_slice(rest, end + 1, rest.len);
    }
    buffer_consume(&child->lines, child->lines.len - rest.len);
    return child->lines.len <= LINE_MAX_BYTES;
}

/* Keeps the end of what it said; all of it goes on to our own stderr. */
static bool read_words(struct child *child)
{
    char piece[4096];
    ssize_t got = read(child->words, piece, sizeof(piece));
    size_t len, keep;

    if (got <= 0)
        return got < 0 && errno == EINTR;
    if (write(STDERR_FILENO, piece, (size_t)got) < 0)
        log_debug("features: nobody reads stderr");
    len = (size_t)got < LAST_WORDS ? (size_t)got : LAST_WORDS;
    keep = child->last_len + len <= LAST_WORDS ? child->last_len : LAST_WORDS - len;
    memmove(child->last_words, child->last_words + child->last_len - keep, keep);
    memcpy(child->last_words + keep, piece + (size_t)got - len, len);
    child->last_len = keep + len;
    return true;
}

static bool wants_end(const struct job_spec *spec)
{
    return (spec->cancel != NULL && atomic_load(spec->cancel)) ||
           (spec->is_cancelled != NULL && spec->is_cancelled(spec->context));
}

static void listen_to(struct child *child)
{
    struct pollfd fds[2] = { { .fd = child->report, .events = POLLIN },
                             { .fd = child->words, .events = POLLIN } };

    while (fds[0].fd >= 0) {
        int ready = poll(fds, 2, POLL_MS);

        if (ready > 0 && fds[1].revents != 0 && !read_words(child))
            fds[1].fd = -1;
        if (ready > 0 && fds[0].revents != 0 && !read_report(child))
            fds[0].fd = -1;
        if (!child->cancelled && wants_end(child->spec)) {
            child->cancelled = true;
            kill(-child->pid, SIGKILL);
        }
    }
}

/* What it said between its last report and its end. */
static void hear_last_words(struct child *child)
{
    struct pollfd fd = { .fd = child->words, .events = POLLIN };

    while (poll(&fd, 1, 0) > 0 && read_words(child))
        continue;
}

/* --- end ------------------------------------------------------------------ */

/* SIGKILL leaves no words: the system's own count tells whether it was want of memory. */
static enum status explain_kill(const struct child *child, struct error *err)
{
    if (oom_kills() > child->oom_kills)
        return error_set(err, STATUS_LIMIT,
                         "job '%s' was killed by the system, which ran out of memory; give it "
                         "more, lower the jobs' memory limit, or ask for fewer rows or columns",
                         child->spec->name);
    return error_set(
        err, STATUS_UNAVAILABLE,
        "job '%s' was killed by signal 9 from outside, not for want of memory; what "
        "was there before stays; ask again",
        child->spec->name);
}

static enum status explain_crash(const struct child *child, int wait_status, struct error *err)
{
    const char *name = child->spec->name;
    struct str words = str_trim((struct str){ child->last_words, child->last_len });
    bool starved = memmem(words.data, words.len, "out of memory", 13) != NULL;

    if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL)
        return explain_kill(child, err);
    if (starved)
        return error_set(err, STATUS_LIMIT,
                         "job '%s' needs more memory than it may take; raise "
                         "the jobs' memory limit, or ask for fewer rows or columns",
                         name);
    if (WIFSIGNALED(wait_status))
        return error_set(err, STATUS_INTERNAL, "job '%s' crashed (%s): " STR_FMT, name,
                         strsignal(WTERMSIG(wait_status)), STR_ARG(words));
    return error_set(err, STATUS_INTERNAL,
                     "job '%s' ended without an answer (code %d): " STR_FMT, name,
                     WEXITSTATUS(wait_status), STR_ARG(words));
}

static enum status finish(struct child *child, struct str *result, struct error *err)
{
    int wait_status = 0;

    hear_last_words(child);
    while (waitpid(child->pid, &wait_status, 0) < 0 && errno == EINTR)
        continue;
    if (child->cancelled)
        return error_set(err, STATUS_UNAVAILABLE, "job '%s' was stopped", child->spec->name);
    if (!child->answered)
        return explain_crash(child, wait_status, err);
    if (child->status != STATUS_OK)
        *err = child->error;
    else
        *result = child->result;
    return child->status;
}

enum status job_run(struct arena *arena, const struct job_spec *spec, struct str *result,
                    struct error *err)
{
    struct child child = { .spec = spec, .arena = arena, .report = -1, .words = -1 };
    enum status status = start(&child, err);

    if (status == STATUS_OK) {
        listen_to(&child);
        status = finish(&child, result, err);
    }
    if (child.report >= 0)
        close(child.report);
    if (child.words >= 0)
        close(child.words);
    buffer_free(&child.lines);
    return status;
}
