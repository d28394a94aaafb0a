/* SPDX-License-Identifier: Apache-2.0 */
#include "features/job.h"

#include "base/clock.h"
#include "features/job_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define PROGRESS_EVERY_NS UINT64_C(100000000)
/* What a process needs beside the memory that its work may take: stacks, libraries' own data. */
#define MEMORY_BESIDE (UINT64_C(768) << 20)
/* A job is what the system should take first when memory runs out, not the server. */
#define OOM_SCORE "500"

struct job {
    struct job_limits limits;
    uint64_t told_ns;
    const char *told_phase;
};

static void report(struct str line)
{
    while (line.len > 0) {
        ssize_t written = write(JOB_REPORT_FD, line.data, line.len);

        if (written < 0 && errno != EINTR)
            return; /* the parent is gone, and so are we soon */
        if (written > 0)
            line = str_slice(line, (size_t)written, line.len);
    }
}

void job_progress(struct job *job, const char *phase, uint64_t done, uint64_t total)
{
    uint64_t now = clock_monotonic_ns();
    char line[256];
    int len;

    if (phase == job->told_phase && now - job->told_ns < PROGRESS_EVERY_NS && done != total)
        return;
    job->told_ns = now;
    job->told_phase = phase;
    len = snprintf(line, sizeof(line), "{\"phase\":\"%s\",\"done\":%llu,\"total\":%llu}\n",
                   phase, (unsigned long long)done, (unsigned long long)total);
    report((struct str){ line, (size_t)len });
}

const struct job_limits *job_limits(const struct job *job)
{
    return &job->limits;
}

static void report_end(const char *name, struct str json)
{
    struct buffer line = { 0 };

    buffer_printf(&line, "{\"%s\":", name);
    buffer_append(&line, json);
    buffer_append(&line, STR("}\n"));
    report(buffer_str(&line));
    buffer_free(&line);
}

static void report_error(struct arena *arena, const struct error *err)
{
    struct buffer json = { 0 };

    buffer_printf(&json, "{\"status\":\"%s\",\"message\":", status_name(err->status));
    json_write_str(&json, str_from(err->message));
    buffer_append_byte(&json, '}');
    report_end("error", arena_str(arena, buffer_str(&json)));
    buffer_free(&json);
}

static enum status read_all(int fd, struct buffer *out, struct error *err)
{
    ssize_t got;

    do {
        got = read(fd, buffer_reserve(out, 65536), 65536);
        if (got > 0)
            out->len += (size_t)got;
    } while (got > 0 || (got < 0 && errno == EINTR));
    return got < 0 ? error_errno(err, errno, "read the job's specification") : STATUS_OK;
}

static void limit_memory(uint64_t bytes)
{
    struct rlimit limit = { .rlim_cur = bytes + MEMORY_BESIDE,
                            .rlim_max = bytes + MEMORY_BESIDE };

    /* An address sanitizer maps terabytes; there the limit would end every job at once. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    if (setrlimit(RLIMIT_DATA, &limit) != 0)
        perror("onggi job: memory limit");
#else
    (void)limit;
#endif
}

static void offer_to_oom_killer(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (write(fd, OOM_SCORE, sizeof(OOM_SCORE) - 1) < 0)
        perror("onggi job: oom_score_adj");
    close(fd);
}

static void die_with_parent(int64_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* It may have died before it could be watched. */
    if (parent != 0 && getppid() != (pid_t)parent)
        _exit(1);
}

static enum status begin(struct arena *arena, struct job *job, yyjson_val **spec,
                         struct error *err)
{
    struct buffer text = { 0 };
    int64_t parent = 0, memory = 0, threads = 0;
    enum status status = read_all(STDIN_FILENO, &text, err);
    yyjson_val *envelope;

    if (status == STATUS_OK)
        status = json_parse(arena, buffer_str(&text), &envelope, err);
    buffer_free(&text);
    TRY(status);
    TRY(json_want_int64(envelope, "parent", &parent, err));
    TRY(json_want_int64(envelope, "memory_bytes", &memory, err));
    TRY(json_want_int64(envelope, "threads", &threads, err));
    TRY(json_need_object(envelope, "spec", spec, err));
    die_with_parent(parent);
    job->limits = (struct job_limits){ (uint64_t)memory, (unsigned)threads };
    job_limits_default(&job->limits);
    offer_to_oom_killer();
    limit_memory(job->limits.memory_bytes);
    return STATUS_OK;
}

static const struct job_kind *kind_find(const struct job_kind *kinds, struct str name)
{
    for (; kinds->name != NULL; kinds++) {
        if (str_equal(str_from(kinds->name), name))
            return kinds;
    }
    return NULL;
}

static enum status run(struct arena *arena, const struct job_kind *kinds, struct str name,
                       struct str *result, struct error *err)
{
    const struct job_kind *kind = kind_find(kinds, name);
    struct job job = { 0 };
    yyjson_val *spec;

    if (kind == NULL)
        return error_set(err, STATUS_INVALID, "there is no job '" STR_FMT "'", STR_ARG(name));
    TRY(begin(arena, &job, &spec, err));
    return kind->run(&job, arena, spec, result, err);
}

int job_main(int argc, char **argv, const struct job_kind *kinds)
{
    struct arena *arena = arena_new();
    struct error err;
    struct str result;
    int code = 0;

    signal(SIGPIPE, SIG_IGN);
    /* By hand, for a look: no pipe from a parent, so the report goes to stdout. */
    if (fcntl(JOB_REPORT_FD, F_GETFD) < 0)
        (void)dup2(STDOUT_FILENO, JOB_REPORT_FD);
    if (run(arena, kinds, str_from(argc > 0 ? argv[0] : ""), &result, &err) == STATUS_OK) {
        report_end("result", result);
    } else {
        report_error(arena, &err);
        code = 1;
    }
    arena_free(arena);
    return code;
}
