/* SPDX-License-Identifier: Apache-2.0 */
/* The engine with real scripts, a real database, and lives that end. */
#include "base/clock.h"
#include "base/file.h"
#include "support/test.h"
#include "workflow/runners/keeper.h"
#include "workflow/workflow.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* This program also is its scripts' keeper, as the real one is. */
__attribute__((constructor)) static void be_keeper(int argc, char **argv)
{
    (void)argc;
    if (keeper_is_wanted(argv))
        exit(keeper_main());
}

struct place {
    char *folder;
    struct arena *arena;
    struct sql *db;
    struct workflow *workflow;
};

static void place_start(struct place *place, const struct task_type *type)
{
    struct workflow_config config = { .python = STR("sh") };
    struct error err;

    config.project = str_from(place->folder);
    assert_ok(sql_open(arena_printf(place->arena, "sqlite:%s/.onggi/meta.db", place->folder),
                       &place->db, &err));
    config.db = place->db;
    assert_ok(workflow_open(&config, &place->workflow, &err));
    if (type != NULL)
        workflow_add_task_type(place->workflow, type, NULL);
}

static struct place place_open(void)
{
    struct place place = { .folder = test_folder(), .arena = arena_new() };
    struct error err;

    assert_ok(folder_create(arena_printf(place.arena, "%s/.onggi", place.folder).data, &err));
    assert_ok(
        folder_create(arena_printf(place.arena, "%s/pipelines/p", place.folder).data, &err));
    return place;
}

static void place_stop(struct place *place)
{
    workflow_close(&place->workflow);
    sql_close(&place->db);
}

static void place_close(struct place *place)
{
    struct error err;

    place_stop(place);
    assert_ok(folder_remove(place->folder, &err));
    arena_free(place->arena);
    free(place->folder);
}

static void put(struct place *place, const char *name, const char *content)
{
    struct error err;

    assert_ok(
        file_write(arena_printf(place->arena, "%s/pipelines/p/%s", place->folder, name).data,
                   str_from(content), &err));
}

static struct str run(struct place *place, const char *params)
{
    struct error err;
    struct str id;

    assert_ok(workflow_start_pipeline(place->workflow, place->arena, STR("p"), str_from(params),
                                      STR("local"), &id, &err));
    return id;
}

static struct execution_info wait_for_end(struct place *place, struct str id)
{
    struct execution_info info;
    struct error err;

    for (int looks = 0; looks < 600; looks++) {
        uint64_t generation = workflow_generation(place->workflow);

        assert_ok(workflow_execution_get(place->workflow, place->arena, id, &info, &err));
        if (info.status != EXECUTION_RUNNING)
            return info;
        workflow_wait(place->workflow, generation, 100);
    }
    fail_msg("the execution does not end; it is in '" STR_FMT "'", STR_ARG(info.state));
    return info;
}

static size_t count_events(struct place *place, struct str id, const char *type)
{
    struct workflow_event *events = NULL;
    size_t count, found = 0;
    struct error err;

    assert_ok(
        workflow_event_list(place->workflow, place->arena, id, 0, 1000, &events, &count, &err));
    for (size_t i = 0; i < count; i++)
        found += str_equal(events[i].type, str_from(type));
    return found;
}

#define TWO_STEPS \
    "pipeline: p\n" \
    "params: {word: hello, times: 2}\n" \
    "steps:\n" \
    "  make: {script: make.sh, args: {word: \"${params.word}\", n: 1}, out: [text]}\n" \
    "  count: {script: count.sh, in: {text: make.text}, out: [model]}\n" \
    "  gate: {when: \"count.metrics.letters >= 5 and params.times == 2\"}\n"
#define MAKE_SH \
    "echo making $1 $2 $3 $4\n" \
    "mkdir -p $SM_OUTPUT_DATA_DIR/text && echo $4 > $SM_OUTPUT_DATA_DIR/text/word\n"
#define COUNT_SH \
    "set -e\n" \
    "n=$(tr -d '\\n' < $SM_CHANNEL_TEXT/word | wc -c)\n" \
    "echo model > $SM_MODEL_DIR/m\n" \
    "echo \"{\\\"letters\\\": $n}\" > $SM_OUTPUT_DATA_DIR/metrics.json\n"

static void put_two_steps(struct place *place)
{
    put(place, "pipeline.yaml", TWO_STEPS);
    put(place, "make.sh", MAKE_SH);
    put(place, "count.sh", COUNT_SH);
}

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
    assert_ok(workflow_execution_stop(place.workflow, id, STR("Stop"), STR("enough"), &err));
    info = wait_for_end(&place, id);
    assert_int_equal(info.status, EXECUTION_ABORTED);
    assert_str_equal(info.cause, STR("enough"));
    assert_fails(STATUS_CONFLICT,
                 workflow_execution_stop(place.workflow, id, STR(""), STR(""), &err));
    while (workflow_execution_redrive(place.workflow, id, &err) == STATUS_CONFLICT)
        usleep(50000); /* its script is still being ended */
    info = wait_for_end(&place, id);
    assert_int_equal(info.status, EXECUTION_SUCCEEDED);
    place_close(&place);
}

static enum status submit(struct task *task, void *context, struct str *output,
                          struct error *err)
{
    struct str path = arena_printf(task->arena, STR_FMT "/.onggi/token",
                                   STR_ARG(task->project));

    (void)context;
    TRY(file_write(path.data, task->token, err));
    task_submit(task);
    *output = STR("{\"asked\":true}");
    return STATUS_OK;
}

static const struct task_type wait_type = { .resource = "test:wait", .run = submit };

TEST(a_submitted_task_waits_across_restarts)
{
    struct place place = place_open();
    struct execution_info info;
    struct error err;
    struct str id, token;

    place_start(&place, &wait_type);
    assert_ok(workflow_start_definition(
        place.workflow, place.arena,
        STR("{\"StartAt\":\"A\",\"States\":{\"A\":{\"Type\":\"Task\",\"Resource\":\"test:wait\","
            "\"End\":true}}}"),
        STR("{}"), STR("local"), &id, &err));
    while (count_events(&place, id, "TaskSubmitted") == 0)
        workflow_wait(place.workflow, workflow_generation(place.workflow), 50);
    place_stop(&place);
    place_start(&place, &wait_type);
    assert_ok(workflow_resume(place.workflow, &err));
    assert_ok(file_read(place.arena,
                        arena_printf(place.arena, "%s/.onggi/token", place.folder).data, 100,
                        &token, &err));
    assert_fails(STATUS_NOT_FOUND,
                 workflow_task_succeed(place.workflow, STR("nonsense"), STR("{}"), &err));
    assert_ok(workflow_task_succeed(place.workflow, token, STR("{\"yes\":1}"), &err));
    info = wait_for_end(&place, id);
    assert_str_equal(info.output, STR("{\"yes\":1}"));
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

TEST(a_second_engine_is_refused)
{
    struct place place = place_open(), second;
    struct error err;

    place_start(&place, NULL);
    assert_ok(workflow_resume(place.workflow, &err));
    second = place;
    place_start(&second, NULL);
    assert_fails(STATUS_CONFLICT, workflow_resume(second.workflow, &err));
    assert_str_contains(str_from(err.message), STR("already runs this project's pipelines"));
    place_stop(&second);
    place_close(&place);
}

#define LOOP \
    "{\"StartAt\":\"A\",\"States\":{\"A\":{\"Type\":\"Pass\",\"Next\":\"B\"}," \
    "\"B\":{\"Type\":\"Pass\",\"Next\":\"A\"}}}"
#define QUICK "{\"StartAt\":\"A\",\"States\":{\"A\":{\"Type\":\"Pass\",\"End\":true}}}"

static struct str start(struct place *place, const char *definition, struct str input)
{
    struct error err;
    struct str id;

    assert_ok(workflow_start_definition(place->workflow, place->arena, str_from(definition),
                                        input, STR("local"), &id, &err));
    return id;
}

static int64_t last_event(struct place *place, struct str id)
{
    struct execution_info info;
    struct error err;

    assert_ok(workflow_execution_get(place->workflow, place->arena, id, &info, &err));
    return info.last_event;
}

TEST(loops_over_large_states_leave_the_others_their_turn)
{
    struct place place = place_open();
    struct arena *arena = arena_new();
    char *large = arena_alloc(arena, 200003);
    struct str loops[8];
    struct error err;

    memset(large, 'x', 200002);
    large[0] = large[200001] = '"';
    place_start(&place, NULL);
    for (size_t i = 0; i < ARRAY_LEN(loops); i++)
        loops[i] = start(&place, LOOP, str_from(large));
    for (int i = 0; i < 3; i++)
        assert_int_equal(wait_for_end(&place, start(&place, QUICK, STR("{}"))).status,
                         EXECUTION_SUCCEEDED);
    for (size_t i = 0; i < ARRAY_LEN(loops); i++) {
        assert_true(last_event(&place, loops[i]) > 3);
        assert_ok(workflow_execution_stop(place.workflow, loops[i], STR(""), STR(""), &err));
    }
    arena_free(arena);
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
/* Its child outlives it, and would write into its try's folder if nobody ended it. */
#define ORPHAN_S "2"
#define SLOW_MAKE \
    "(sleep " ORPHAN_S "; echo orphan >> $SM_OUTPUT_DATA_DIR/text/word) &\n" \
    "sleep 0.1; echo one > $SM_OUTPUT_DATA_DIR/text/word; kill $!\n"
#define SLOW_MORE \
    "sleep 0.1; cat $SM_CHANNEL_TEXT/word > $SM_OUTPUT_DATA_DIR/text/word\n" \
    "echo more >> $SM_OUTPUT_DATA_DIR/text/word; sleep 0.1\n" \
    "echo \"{\\\"lines\\\": $(wc -l < $SM_OUTPUT_DATA_DIR/text/word)}\" > " \
    "$SM_OUTPUT_DATA_DIR/metrics.json\n"

static void kill_a_life(struct place *place, bool begin, uint64_t after_us)
{
    const struct timespec after = { .tv_sec = (time_t)(after_us / 1000000),
                                    .tv_nsec = (long)(after_us % 1000000) * 1000 };
    pid_t child = fork();

    if (child == 0)
        live(place, begin);
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
    found = popen(command, "r");
    assert_non_null(found);
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
    kill_a_life(&place, true, 200000);
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
          TEST_CASE(a_submitted_task_waits_across_restarts),
          TEST_CASE(closing_ends_scripts_and_the_next_engine_runs_them_again),
          TEST_CASE(a_second_engine_is_refused),
          TEST_CASE(loops_over_large_states_leave_the_others_their_turn))
