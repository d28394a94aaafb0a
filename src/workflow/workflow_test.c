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

static const struct execution_starter local = { STR_INIT("local"), STR_INIT("") };

static struct str run(struct place *place, const char *params)
{
    struct started_execution started;
    struct error err;

    assert_ok(workflow_start_pipeline(place->workflow, place->arena, STR("p"), str_from(params),
                                      &local, &started, &err));
    return started.id;
}

static struct str start(struct place *place, const char *definition, struct str input)
{
    struct started_execution started;
    struct error err;

    assert_ok(workflow_start_definition(place->workflow, place->arena, str_from(definition),
                                        input, &local, &started, &err));
    return started.id;
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

static enum status nap(struct task *task, void *context, struct str *output, struct error *err)
{
    (void)task;
    (void)context;
    (void)err;
    usleep(600000);
    *output = STR("{}");
    return STATUS_OK;
}

static const struct task_type nap_type = { .resource = "test:nap", .run = nap };

#define WAIT(fields) \
    "{\"StartAt\":\"A\",\"States\":{\"A\":{\"Type\":\"Task\",\"Resource\":\"test:wait\"" fields \
    ",\"End\":true}}}"

#define QUICK "{\"StartAt\":\"A\",\"States\":{\"A\":{\"Type\":\"Pass\",\"End\":true}}}"

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

/* More at once than there are threads for tries: the last ones queue for longer than they may take. */
TEST(time_in_the_queue_is_not_the_tasks)
{
    static const char nap[] =
        "{\"StartAt\":\"A\",\"States\":{\"A\":{\"Type\":\"Task\",\"Resource\":\"test:nap\","
        "\"TimeoutSeconds\":1,\"End\":true}}}";
    struct place place = place_open();
    struct str ids[66 + 64];

    place_start(&place, &nap_type);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        ids[i] = start(&place, nap, STR("{}"));
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        assert_int_equal(wait_for_end(&place, ids[i]).status, EXECUTION_SUCCEEDED);
    place_close(&place);
}

/* What nobody can read, an update of the program or a bit of the disk being to blame. */
static enum status spoil(struct sql_tx *tx, void *context, struct error *err)
{
    const struct str *id = context;

    return sql_run(
        tx, "UPDATE workflow_event SET type = 'Nonsense' WHERE execution = ?1 AND id = 2",
        SQL_ARGS(sql_arg_str(*id)), err);
}

TEST(an_execution_that_cannot_be_read_can_be_stopped)
{
    struct place place = place_open();
    struct execution_info info;
    struct error err;
    struct str id;

    place_start(&place, &wait_type);
    id = start(&place, WAIT(""), STR("{}"));
    while (count_events(&place, id, "TaskSubmitted") == 0)
        workflow_wait(place.workflow, workflow_generation(place.workflow), 50);
    place_stop(&place);
    place_start(&place, &wait_type);
    assert_ok(sql_write(place.db, spoil, &id, &err));
    assert_ok(workflow_resume(place.workflow, &err));
    assert_fails(STATUS_INTERNAL,
                 workflow_execution_redrive(place.workflow, id, STR("ann"), &err));
    assert_ok(workflow_execution_stop(place.workflow, id, STR("ann"), STR("Own"), STR("broken"),
                                      &err));
    info = wait_for_end(&place, id);
    assert_int_equal(info.status, EXECUTION_ABORTED);
    assert_str_equal(info.error, STR("Own"));
    assert_str_equal(info.stopped_by, STR("ann"));
    assert_int_equal(count_events(&place, id, "ExecutionAborted"), 1);
    assert_fails(STATUS_CONFLICT, workflow_execution_stop(place.workflow, id, STR("ann"),
                                                          STR(""), STR(""), &err));
    place_close(&place);
}

struct told {
    enum execution_status statuses[8];
    _Atomic size_t count;
};

static void on_change(void *context, struct str id, struct str pipeline,
                      enum execution_status status)
{
    struct told *told = context;

    (void)id;
    (void)pipeline;
    told->statuses[told->count] = status;
    told->count++;
}

TEST(a_redrive_is_told_like_a_start)
{
    static const enum execution_status wanted[] = { EXECUTION_RUNNING, EXECUTION_FAILED,
                                                    EXECUTION_RUNNING, EXECUTION_FAILED };
    struct place place = place_open();
    struct told told = { .count = 0 };
    struct error err;
    struct str id;

    place_start(&place, NULL);
    workflow_on_change(place.workflow, on_change, &told);
    id = start(&place, "{\"StartAt\":\"A\",\"States\":{\"A\":{\"Type\":\"Fail\"}}}", STR("{}"));
    (void)wait_for_end(&place, id);
    while (workflow_execution_redrive(place.workflow, id, STR("bob"), &err) == STATUS_CONFLICT)
        usleep(1000);
    for (int looks = 0; told.count < ARRAY_LEN(wanted) && looks < 1000; looks++)
        usleep(10000);
    assert_int_equal(told.count, ARRAY_LEN(wanted));
    assert_memory_equal(told.statuses, wanted, sizeof(wanted));
    place_close(&place);
}

TEST(the_same_name_and_input_start_once)
{
    const struct execution_starter named = { STR_INIT("local"), STR_INIT("nightly-1") };
    struct place place = place_open();
    struct started_execution first, second;
    struct error err;

    put_two_steps(&place);
    place_start(&place, NULL);
    assert_ok(workflow_start_pipeline(place.workflow, place.arena, STR("p"),
                                      STR("{\"times\":2}"), &named, &first, &err));
    assert_false(first.existed);
    put(&place, "make.sh", "exit 1\n"); /* other code makes no other execution */
    assert_ok(workflow_start_pipeline(place.workflow, place.arena, STR("p"), STR("{}"), &named,
                                      &second, &err));
    assert_true(second.existed);
    assert_str_equal(second.id, first.id);
    assert_fails(STATUS_CONFLICT,
                 workflow_start_pipeline(place.workflow, place.arena, STR("p"),
                                         STR("{\"times\":3}"), &named, &second, &err));
    assert_str_contains(str_from(err.message), STR("is called 'nightly-1' already"));
    assert_int_equal(wait_for_end(&place, first.id).status, EXECUTION_SUCCEEDED);
    assert_ok(workflow_start_definition(place.workflow, place.arena, STR(QUICK),
                                        STR("{\"a\":1}"), &named, &first, &err));
    assert_ok(workflow_start_definition(place.workflow, place.arena, STR(QUICK),
                                        STR("{ \"a\": 1 }"), &named, &second, &err));
    assert_true(!first.existed && second.existed);
    assert_fails(STATUS_CONFLICT,
                 workflow_start_definition(place.workflow, place.arena, STR(QUICK), STR("{}"),
                                           &named, &second, &err));
    place_close(&place);
}

TEST(a_submitted_task_that_stays_silent_misses_its_heartbeat)
{
    struct place place = place_open();
    struct execution_info info;

    place_start(&place, &wait_type);
    info = wait_for_end(&place, start(&place, WAIT(",\"HeartbeatSeconds\":1"), STR("{}")));
    assert_str_equal(info.error, STR("States.HeartbeatTimeout"));
    info = wait_for_end(&place, start(&place, WAIT(",\"TimeoutSeconds\":1"), STR("{}")));
    assert_str_equal(info.error, STR("States.Timeout"));
    place_close(&place);
}

TEST(a_submitted_task_waits_across_restarts)
{
    struct place place = place_open();
    struct execution_info info;
    struct error err;
    struct str id, token;

    place_start(&place, &wait_type);
    id = start(&place, WAIT(""), STR("{}"));
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
        assert_ok(workflow_execution_stop(place.workflow, loops[i], STR("ann"), STR(""),
                                          STR(""), &err));
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
/* Each has a child that outlives a crash, and would write into its try's folder if nobody ended it. */
#define ORPHAN "(sleep 2; echo orphan >> $SM_OUTPUT_DATA_DIR/text/word) &\n"
#define SLOW_MAKE ORPHAN "sleep 0.3; echo one > $SM_OUTPUT_DATA_DIR/text/word; kill $!\n"
#define SLOW_MORE \
    ORPHAN "sleep 0.1; cat $SM_CHANNEL_TEXT/word > $SM_OUTPUT_DATA_DIR/text/word\n" \
           "echo more >> $SM_OUTPUT_DATA_DIR/text/word; sleep 0.2\n" \
           "echo \"{\\\"lines\\\": $(wc -l < $SM_OUTPUT_DATA_DIR/text/word)}\" > " \
           "$SM_OUTPUT_DATA_DIR/metrics.json; kill $!\n"

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
          TEST_CASE(a_script_that_prints_keeps_its_heartbeat),
          TEST_CASE(time_in_the_queue_is_not_the_tasks),
          TEST_CASE(an_execution_that_cannot_be_read_can_be_stopped),
          TEST_CASE(a_redrive_is_told_like_a_start),
          TEST_CASE(the_same_name_and_input_start_once),
          TEST_CASE(a_submitted_task_that_stays_silent_misses_its_heartbeat),
          TEST_CASE(a_submitted_task_waits_across_restarts),
          TEST_CASE(closing_ends_scripts_and_the_next_engine_runs_them_again),
          TEST_CASE(a_second_engine_is_refused),
          TEST_CASE(loops_over_large_states_leave_the_others_their_turn))
