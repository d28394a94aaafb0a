/* SPDX-License-Identifier: Apache-2.0 */
#include "features/job.h"

#include "base/buffer.h"
#include "support/test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

/* This program is its own job: job_run starts /proc/self/exe. */

static enum status run_echo(struct job *job, struct arena *arena, const yyjson_val *spec,
                            struct str *result, struct error *err)
{
    (void)err;
    for (uint64_t i = 0; i <= 1000; i++)
        job_progress(job, "counting", i, 1000);
    *result = arena_printf(arena, "{\"got\":%s,\"memory\":%llu}", json_write(arena, spec).data,
                           (unsigned long long)job_limits(job)->memory_bytes);
    return STATUS_OK;
}

static enum status run_fail(struct job *job, struct arena *arena, const yyjson_val *spec,
                            struct str *result, struct error *err)
{
    (void)job, (void)arena, (void)spec, (void)result;
    return error_set(err, STATUS_NOT_FOUND, "source 'x': no \"file\"\n");
}

static enum status run_crash(struct job *job, struct arena *arena, const yyjson_val *spec,
                             struct str *result, struct error *err)
{
    (void)job, (void)arena, (void)spec, (void)result, (void)err;
    fprintf(stderr, "last words\n");
    signal(SIGABRT, SIG_DFL);
    kill(getpid(), SIGABRT);
    return STATUS_OK;
}

static enum status run_killed(struct job *job, struct arena *arena, const yyjson_val *spec,
                              struct str *result, struct error *err)
{
    (void)job, (void)arena, (void)spec, (void)result, (void)err;
    kill(getpid(), SIGKILL);
    return STATUS_OK;
}

/* A sanitizer would end the process its own way, and takes the limit away; there the last wish is too much. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1:handle_abort=0";
}

static enum status run_greedy(struct job *job, struct arena *arena, const yyjson_val *spec,
                              struct str *result, struct error *err)
{
    struct buffer pieces[4] = { 0 }, last = { 0 };

    (void)job, (void)arena, (void)spec, (void)result, (void)err;
    signal(SIGABRT, SIG_DFL);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
        buffer_reserve(&pieces[i], (size_t)256 << 20);
    buffer_reserve(&last, (size_t)1 << 42);
    return STATUS_OK;
}

/* A control group with little memory, of version 1 or 2; needs root and a hierarchy that may be written. */
struct group {
    const char *folder, *limit;
};
static const struct group groups[] = {
    { "/sys/fs/cgroup/memory", "memory.limit_in_bytes" },
    { "/sys/fs/cgroup", "memory.max" },
};
#define GROUP_MEMORY "100663296"

static bool put_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return done;
}

static const char *group_path(const struct group *group, pid_t owner, const char *file)
{
    static char path[256];

    /* NOLINTNEXTLINE(-Wanalyzer-null-dereference): cmocka leaves a test that asserts what is not */
    snprintf(path, sizeof(path), "%s/onggi-job-test-%d/%s", group->folder, (int)owner, file);
    return path;
}

static const struct group *group_new(void)
{
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        if (mkdir(group_path(&groups[i], getpid(), ""), 0755) != 0)
            continue;
        if (put_text(group_path(&groups[i], getpid(), groups[i].limit), GROUP_MEMORY))
            return &groups[i];
        rmdir(group_path(&groups[i], getpid(), ""));
    }
    return NULL;
}

static enum status run_hog(struct job *job, struct arena *arena, const yyjson_val *spec,
                           struct str *result, struct error *err)
{
    size_t bytes = (size_t)512 << 20;
    struct buffer memory = { 0 };

    (void)job, (void)arena, (void)spec, (void)result;
    for (size_t i = 0; i < ARRAY_LEN(groups); i++)
        if (put_text(group_path(&groups[i], getppid(), "cgroup.procs"), "0"))
            break;
    memset(buffer_reserve(&memory, bytes), 1, bytes);
    buffer_free(&memory);
    return error_set(err, STATUS_INTERNAL, "memory was enough");
}

static _Noreturn enum status run_sleep(struct job *job, struct arena *arena,
                                       const yyjson_val *spec, struct str *result,
                                       struct error *err)
{
    (void)job, (void)arena, (void)spec, (void)result, (void)err;
    for (;;)
        pause();
}

static const struct job_kind kinds[] = {
    { "echo", run_echo },     { "fail", run_fail },
    { "crash", run_crash },   { "killed", run_killed },
    { "greedy", run_greedy }, { "hog", run_hog },
    { "sleep", run_sleep },   { 0 },
};

static struct arena *arena;
static struct error err;
static struct str result;

static enum status run(const char *name)
{
    const struct job_spec spec = { .name = name, .spec = STR("{\"a\":1}") };

    return job_run(arena, &spec, &result, &err);
}

struct progress {
    unsigned calls;
    uint64_t done;
};

static void on_progress(void *context, struct str phase, uint64_t done, uint64_t total)
{
    struct progress *progress = context;

    assert_str_equal(phase, STR("counting"));
    assert_int_equal(total, 1000);
    progress->calls++;
    progress->done = done;
}

TEST(a_result_and_its_progress_arrive)
{
    struct progress progress = { 0 };
    const struct job_spec spec = { .name = "echo",
                                   .spec = STR("{\"a\":\"\\n\"}"),
                                   .limits = { .memory_bytes = 1 << 20 },
                                   .on_progress = on_progress,
                                   .context = &progress };

    assert_ok(job_run(arena, &spec, &result, &err));
    assert_str_equal(result, STR("{\"got\":{\"a\":\"\\n\"},\"memory\":1048576}"));
    assert_int_equal(progress.done, 1000);
    assert_in_range(progress.calls, 2, 100);
}

TEST(an_error_keeps_its_status_and_words)
{
    assert_fails(STATUS_NOT_FOUND, run("fail"));
    assert_string_equal(err.message, "source 'x': no \"file\"\n");
}

TEST(a_crash_is_told_with_its_last_words)
{
    assert_fails(STATUS_INTERNAL, run("crash"));
    assert_str_contains(str_from(err.message), STR("last words"));
    assert_fails(STATUS_INVALID, run("unknown"));
    assert_str_contains(str_from(err.message), STR("unknown"));
}

TEST(a_kill_from_outside_is_no_limit)
{
    assert_fails(STATUS_UNAVAILABLE, run("killed"));
    assert_str_contains(str_from(err.message), STR("killed by signal 9"));
}

TEST(its_own_memory_limit_is_a_limit)
{
    const struct job_spec spec = { .name = "greedy",
                                   .spec = STR("{}"),
                                   .limits = { .memory_bytes = 1 << 20 } };

    assert_fails(STATUS_LIMIT, job_run(arena, &spec, &result, &err));
    assert_str_contains(str_from(err.message), STR("more memory than it may take"));
}

TEST(a_system_without_memory_is_a_limit)
{
    const struct group *group = group_new();

    if (group == NULL)
        skip();
    assert_fails(STATUS_LIMIT, run("hog"));
    assert_str_contains(str_from(err.message), STR("ran out of memory"));
    assert_int_equal(rmdir(group_path(group, getpid(), "")), 0);
}

TEST(a_cancelled_job_ends)
{
    atomic_bool cancel = true;
    const struct job_spec spec = { .name = "sleep", .spec = STR("{}"), .cancel = &cancel };

    assert_fails(STATUS_UNAVAILABLE, job_run(arena, &spec, &result, &err));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST_CASE(a_result_and_its_progress_arrive),
        TEST_CASE(an_error_keeps_its_status_and_words),
        TEST_CASE(a_crash_is_told_with_its_last_words),
        TEST_CASE(a_kill_from_outside_is_no_limit),
        TEST_CASE(its_own_memory_limit_is_a_limit),
        TEST_CASE(a_system_without_memory_is_a_limit),
        TEST_CASE(a_cancelled_job_ends),
    };
    int failed;

    if (argc > 2 && strcmp(argv[1], "job") == 0)
        return job_main(argc - 2, argv + 2, kinds);
    arena = arena_new();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(arena);
    return failed;
}
