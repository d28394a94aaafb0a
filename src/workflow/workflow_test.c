/* SPDX-License-Identifier: Apache-2.0 */
/* The engine with real scripts, a real database, and lives that end. */
#include "workflow/workflow_test.h"

#include <glob.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

TEST(scripts_pass_on_what_they_make)
{
    struct place place = place_open();
    struct execution_info info;

    put_two_steps(&place);
    place_start(&place, NULL);
    info = wait_for_end(&place, run(&place, ""));
    assert_str_equal(info.cause, STR_EMPTY);
    assert_int_equal(info.status, EXECUTION_SUCCEEDED);
    assert_str_contains(info.output, STR("\"metrics\":{\"letters\":5}"));
    assert_str_contains(info.output, STR("\"args\":{\"word\":\"hello\",\"n\":1}"));
    place_close(&place);
}

TEST(a_closed_gate_tells_the_numbers)
{
    struct place place = place_open();
    struct execution_info info;

    put_two_steps(&place);
    place_start(&place, NULL);
    info = wait_for_end(&place, run(&place, "{\"word\":\"hi\",\"times\":\"2\"}"));
    assert_int_equal(info.status, EXECUTION_FAILED);
    assert_str_equal(info.error, STR("Onggi.GateClosed"));
    assert_str_contains(info.cause, STR("does not hold; count.metrics.letters is 2"));
    place_close(&place);
}

#define ONE_STEP(options) "pipeline: p\nsteps:\n  only: {script: only.sh" options "}\n"

static struct execution_info run_only(struct place *place, const char *pipeline,
                                      const char *script)
{
    put(place, "pipeline.yaml", pipeline);
    put(place, "only.sh", script);
    place_start(place, NULL);
    return wait_for_end(place, run(place, ""));
}

TEST(a_script_that_exits_3_is_told_with_its_last_words)
{
    struct place place = place_open();
    struct execution_info info = run_only(
        &place, ONE_STEP(""),
        "echo cannot find the data >&2\necho out of coffee > $SM_OUTPUT_DIR/failure\nexit 3\n");

    assert_int_equal(info.status, EXECUTION_FAILED);
    assert_str_equal(info.error, STR("Onggi.ScriptFailed"));
    assert_str_contains(info.cause, STR("only.sh ended with exit code 3: out of coffee"));
    assert_str_contains(info.cause, STR("cannot find the data"));
    place_close(&place);
}

TEST(a_script_that_loops_for_ever_is_ended_with_its_children)
{
    struct place place = place_open();
    struct execution_info info = run_only(
        &place, ONE_STEP(", timeout: 1s"),
        "trap '' TERM; echo $$ > $SM_MODEL_DIR/pid\n(while :; do sleep 1; done) &\n"
        "trap - TERM; while :; do sleep 1; done\n");

    assert_int_equal(info.status, EXECUTION_FAILED);
    assert_str_equal(info.error, STR("States.Timeout"));
    assert_int_equal(count_events(&place, info.id, "TaskTimedOut"), 1);
    place_close(&place);
}

TEST(a_script_that_eats_memory_is_ended)
{
    struct place place = place_open();
    struct execution_info info = run_only(&place, ONE_STEP(", memory: 60MiB"),
                                          "x=0123456789abcdef; while :; do x=$x$x; done\n");

    assert_int_equal(info.status, EXECUTION_FAILED);
    assert_str_equal(info.error, STR("Onggi.MemoryLimit"));
    assert_str_contains(info.cause, STR("60 MiB are allowed"));
    place_close(&place);
}

TEST(a_missing_script_or_output_is_told)
{
    struct place place = place_open();
    struct execution_info info = run_only(&place, ONE_STEP(", out: [text]"), "true\n");

    assert_int_equal(info.status, EXECUTION_FAILED);
    assert_str_contains(info.cause, STR("wrote nothing to its output 'text'"));
    put(&place, "pipeline.yaml", "pipeline: p\nsteps:\n  only: {script: other.sh}\n");
    info = wait_for_end(&place, run(&place, ""));
    assert_str_equal(info.error, STR("Onggi.NotFound"));
    assert_str_contains(info.cause, STR("there is no script pipelines/p/other.sh"));
    place_close(&place);
}

TEST(a_failed_step_is_tried_again_in_a_fresh_folder)
{
    struct place place = place_open();
    struct execution_info info = run_only(
        &place, ONE_STEP(", retry: {times: 2, wait: 1s}, out: [text]"),
        "ls -A $SM_OUTPUT_DATA_DIR/text | grep -q . && exit 9\n"
        "echo x > $SM_OUTPUT_DATA_DIR/text/x\n"
        "f=$SAGEMAKER_BASE_DIR/../tries; echo x >> $f; [ $(wc -l < $f) = 3 ] || exit 1\n");

    assert_int_equal(info.status, EXECUTION_SUCCEEDED);
    assert_int_equal(count_events(&place, info.id, "TaskFailed"), 2);
    place_close(&place);
}

TEST(a_stopped_execution_ends_at_once_and_can_be_redriven)
{
    struct place place = place_open();
    struct execution_info info;
    struct error err;
    struct str id;

    put(&place, "pipeline.yaml", ONE_STEP(""));
    put(&place, "only.sh",
        "[ -e $SAGEMAKER_BASE_DIR/../seen ] && exit 0\n"
        "touch $SAGEMAKER_BASE_DIR/../seen; sleep 60\n");
    place_start(&place, NULL);
    id = run(&place, "");
    while (count_events(&place, id, "TaskStarted") == 0)
        workflow_wait(place.workflow, workflow_generation(place.workflow), 50);
    usleep(300000);
    assert_ok(workflow_execution_stop(place.workflow, id, STR("ann"), STR("Stop"),
                                      STR("enough"), &err));
    info = wait_for_end(&place, id);
    assert_int_equal(info.status, EXECUTION_ABORTED);
    assert_str_equal(info.cause, STR("enough"));
    assert_str_equal(info.stopped_by, STR("ann"));
    assert_fails(STATUS_CONFLICT, workflow_execution_stop(place.workflow, id, STR("ann"),
                                                          STR(""), STR(""), &err));
    while (workflow_execution_redrive(place.workflow, id, STR("bob"), &err) == STATUS_CONFLICT)
        usleep(50000); /* its script is still being ended */
    info = wait_for_end(&place, id);
    assert_int_equal(info.status, EXECUTION_SUCCEEDED);
    assert_str_equal(info.stopped_by, STR_EMPTY);
    assert_str_equal(info.redriven_by, STR("bob"));
    place_close(&place);
}

TEST(a_script_that_prints_keeps_its_heartbeat)
{
    static const char pipeline[] =
        "{\"StartAt\":\"only\",\"States\":{\"only\":{\"Type\":\"Task\",\"Resource\":"
        "\"onggi:script\",\"HeartbeatSeconds\":1,\"Parameters\":{\"script\":\"only.sh\"},"
        "\"End\":true}}}";
    struct place place = place_open();

    put(&place, "pipeline.asl.json", pipeline);
    put(&place, "only.sh",
        "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo $i; sleep 0.2; done\n");
    place_start(&place, NULL);
    assert_int_equal(wait_for_end(&place, run(&place, "")).status, EXECUTION_SUCCEEDED);
    put(&place, "only.sh", "sleep 30\n");
    assert_str_equal(wait_for_end(&place, run(&place, "")).error,
                     STR("States.HeartbeatTimeout"));
    place_close(&place);
}

TEST(closing_ends_scripts_and_the_next_engine_runs_them_again)
{
    struct place place = place_open();
    struct execution_info info;
    struct error err;
    struct str id;

    put(&place, "pipeline.yaml", ONE_STEP(""));
    put(&place, "only.sh",
        "[ -e $SAGEMAKER_BASE_DIR/../seen ] && exit 0\n"
        "touch $SAGEMAKER_BASE_DIR/../seen; sleep 600\n");
    place_start(&place, NULL);
    id = run(&place, "");
    while (count_events(&place, id, "TaskStarted") == 0)
        workflow_wait(place.workflow, workflow_generation(place.workflow), 50);
    usleep(300000);
    place_stop(&place);
    place_start(&place, NULL);
    assert_ok(workflow_resume(place.workflow, &err));
    info = wait_for_end(&place, id);
    assert_int_equal(info.status, EXECUTION_SUCCEEDED);
    assert_int_equal(count_events(&place, id, "TaskFailed"), 1);
    place_close(&place);
}

/* A life of the engine in a process of its own, to be killed. */
static void live(struct place *place, bool begin)
{
    struct error err;
    struct str id;

    place_start(place, NULL);
    if (begin)
        id = run(place, "");
    else if (workflow_resume(place->workflow, &err) != STATUS_OK)
        _exit(1);
    (void)id;
    for (;;)
        pause();
}

#define SLOW_STEPS \
    "pipeline: p\nsteps:\n" \
    "  make: {script: make.sh, out: [text]}\n" \
    "  more: {script: more.sh, in: {text: make.text}, out: [text]}\n" \
    "  last: {script: more.sh, in: {text: more.text}, out: [text]}\n"
/* Each has a child that outlives a crash, and would write into its try's folder if nobody ended it. */
#define ORPHAN "(sleep 2; echo orphan >> $SM_OUTPUT_DATA_DIR/text/word) &\n"
#define SLOW_MAKE ORPHAN "sleep 0.3; echo one > $SM_OUTPUT_DATA_DIR/text/word; kill $!\n"
#define SLOW_MORE \
    ORPHAN "sleep 0.1; cat $SM_CHANNEL_TEXT/word > $SM_OUTPUT_DATA_DIR/text/word\n" \
           "echo more >> $SM_OUTPUT_DATA_DIR/text/word; sleep 0.2\n" \
           "echo \"{\\\"lines\\\": $(wc -l < $SM_OUTPUT_DATA_DIR/text/word)}\" > " \
           "$SM_OUTPUT_DATA_DIR/metrics.json; kill $!\n"

/* However slow the machine is: the first script runs when its engine is killed. */
static void wait_for_script(struct place *place)
{
    struct str logs = arena_printf(place->arena, "%s/.onggi/logs/*/make.log", place->folder);
    glob_t found = { 0 };

    for (int looks = 0; looks < 1000 && glob(logs.data, 0, NULL, &found) != 0; looks++)
        usleep(10000);
    globfree(&found);
}

static void kill_a_life(struct place *place, bool begin, long after_us)
{
    const struct timespec after = { after_us / 1000000, after_us % 1000000 * 1000 };
    pid_t child = fork();

    if (child == 0)
        live(place, begin);
    if (begin)
        wait_for_script(place);
    nanosleep(&after, NULL);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/* What the scripts wrote is in files called `word`; their own text is not. */
static void assert_no_orphan(struct place *place)
{
    char *command, line[256] = "";
    FILE *found;

    assert_true(asprintf(&command,
                         "grep -rl --include=word orphan %s/.onggi/runs;"
                         " grep -lzs '^ONGGI_TASK_FOLDER=%s/' /proc/[0-9]*/environ",
                         place->folder, place->folder) > 0);
    sleep(2); /* as long as an orphan waits */
    usleep(200000);
    found = popen(command, "r"); /* NOLINT(cert-env33-c): a test's own command */
    if (found == NULL)
        abort();
    assert_null(fgets(line, sizeof(line), found));
    assert_string_equal(line, "");
    pclose(found);
    free(command);
}

TEST(ten_kills_later_the_result_is_the_same)
{
    struct place place = place_open();
    struct execution_info *infos, info;
    struct error err;
    size_t count;

    put(&place, "pipeline.yaml", SLOW_STEPS);
    put(&place, "make.sh", SLOW_MAKE);
    put(&place, "more.sh", SLOW_MORE);
    kill_a_life(&place, true, 100000);
    for (useconds_t i = 0; i < 9; i++)
        kill_a_life(&place, false, 90000 + i * 170000);
    place_start(&place, NULL);
    assert_ok(workflow_resume(place.workflow, &err));
    assert_ok(workflow_execution_list(place.workflow, place.arena, STR("p"), STR_EMPTY, 10,
                                      &infos, &count, &err));
    assert_int_equal(count, 1);
    info = wait_for_end(&place, infos[0].id);
    assert_str_equal(info.cause, STR_EMPTY);
    assert_int_equal(info.status, EXECUTION_SUCCEEDED);
    assert_str_contains(info.output, STR("\"metrics\":{\"lines\":3}"));
    assert_true(count_events(&place, info.id, "TaskFailed") >= 1);
    assert_no_orphan(&place);
    place_close(&place);
}

/* Forks first: a process with threads forks badly. */
TEST_MAIN(TEST_CASE(ten_kills_later_the_result_is_the_same),
          TEST_CASE(scripts_pass_on_what_they_make), TEST_CASE(a_closed_gate_tells_the_numbers),
          TEST_CASE(a_script_that_exits_3_is_told_with_its_last_words),
          TEST_CASE(a_script_that_loops_for_ever_is_ended_with_its_children),
          TEST_CASE(a_script_that_eats_memory_is_ended),
          TEST_CASE(a_missing_script_or_output_is_told),
          TEST_CASE(a_failed_step_is_tried_again_in_a_fresh_folder),
          TEST_CASE(a_stopped_execution_ends_at_once_and_can_be_redriven),
          TEST_CASE(a_script_that_prints_keeps_its_heartbeat),
          TEST_CASE(closing_ends_scripts_and_the_next_engine_runs_them_again))
