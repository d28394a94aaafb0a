/* SPDX-License-Identifier: Apache-2.0 */
#include "features/job.h"

#include "support/test.h"

#include <signal.h>
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

static enum status run_starve(struct job *job, struct arena *arena, const yyjson_val *spec,
                              struct str *result, struct error *err)
{
    (void)job, (void)arena, (void)spec, (void)result, (void)err;
    kill(getpid(), SIGKILL);
    return STATUS_OK;
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
    { "echo", run_echo },     { "fail", run_fail },   { "crash", run_crash },
    { "starve", run_starve }, { "sleep", run_sleep }, { 0 },
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
    assert_fails(STATUS_LIMIT, run("starve"));
    assert_fails(STATUS_INVALID, run("unknown"));
    assert_str_contains(str_from(err.message), STR("unknown"));
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
