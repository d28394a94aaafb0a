/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine promises beyond the running of scripts: time, stops, redrives, names, fairness. */
#include "workflow/workflow_test.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

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
static enum status spoil_first(struct sql_tx *tx, void *context, struct error *err)
{
    const struct str *id = context;

    return sql_run(
        tx, "UPDATE workflow_event SET type = 'Nonsense' WHERE execution = ?1 AND id = 1",
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
    assert_ok(sql_write(place.db, spoil_first, &id, &err));
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

static enum status heal_first(struct sql_tx *tx, void *context, struct error *err)
{
    const struct str *id = context;

    return sql_run(
        tx,
        "UPDATE workflow_event SET type = 'ExecutionStarted' WHERE execution = ?1 AND id = 1",
        SQL_ARGS(sql_arg_str(*id)), err);
}

/* It runs, though the engine could not load it when it began. */
TEST(an_execution_that_is_not_loaded_is_stopped_and_not_redriven)
{
    struct place place = place_open();
    struct execution_info info;
    struct error err;
    struct str id;

    place_start(&place, &wait_type);
    id = start(&place, WAIT(""), STR("{}"));
    place_stop(&place);
    place_start(&place, &wait_type);
    assert_ok(sql_write(place.db, spoil_first, &id, &err));
    assert_ok(workflow_resume(place.workflow, &err));
    assert_ok(sql_write(place.db, heal_first, &id, &err));
    assert_fails(STATUS_CONFLICT,
                 workflow_execution_redrive(place.workflow, id, STR("ann"), &err));
    assert_str_contains(str_from(err.message), STR("still runs"));
    assert_ok(workflow_execution_stop(place.workflow, id, STR("ann"), STR(""), STR(""), &err));
    info = wait_for_end(&place, id);
    assert_int_equal(info.status, EXECUTION_ABORTED);
    assert_ok(workflow_execution_redrive(place.workflow, id, STR("ann"), &err));
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

/* The engine cannot read what has just been created. */
static void spoil_started(void *context, struct str id, struct str pipeline,
                          enum execution_status status)
{
    struct error err;

    (void)pipeline;
    if (status == EXECUTION_RUNNING)
        assert_ok(sql_write(context, spoil_first, &id, &err));
}

TEST(what_is_on_disk_has_started_whatever_the_engine_says)
{
    struct place place = place_open();
    struct execution_info info;
    struct error err;
    struct str id;

    place_start(&place, NULL);
    workflow_on_change(place.workflow, spoil_started, place.db);
    id = start(&place, QUICK, STR("{}"));
    assert_ok(workflow_execution_get(place.workflow, place.arena, id, &info, &err));
    assert_int_equal(info.status, EXECUTION_RUNNING);
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

/* Holds the lock as an engine does, and is gone before a child that it was just starting. */
static void hold_lock_and_die(struct place *place)
{
    int file = open(arena_printf(place->arena, "%s/.onggi/workflow.lock", place->folder).data,
                    O_RDWR | O_CREAT, 0666);

    if (flock(file, LOCK_EX | LOCK_NB) != 0 || dprintf(file, "%ld", (long)getpid()) < 0)
        _exit(1);
    if (fork() == 0)
        usleep(400000);
    _exit(0);
}

TEST(a_killed_engines_lock_is_waited_for)
{
    struct place place = place_open();
    struct error err;
    pid_t child = fork();

    if (child == 0)
        hold_lock_and_die(&place);
    waitpid(child, NULL, 0);
    place_start(&place, NULL);
    assert_ok(workflow_resume(place.workflow, &err));
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

/* Forks first: a process with threads forks badly. */
TEST_MAIN(TEST_CASE(a_killed_engines_lock_is_waited_for),
          TEST_CASE(time_in_the_queue_is_not_the_tasks),
          TEST_CASE(an_execution_that_cannot_be_read_can_be_stopped),
          TEST_CASE(an_execution_that_is_not_loaded_is_stopped_and_not_redriven),
          TEST_CASE(a_redrive_is_told_like_a_start),
          TEST_CASE(the_same_name_and_input_start_once),
          TEST_CASE(what_is_on_disk_has_started_whatever_the_engine_says),
          TEST_CASE(a_submitted_task_that_stays_silent_misses_its_heartbeat),
          TEST_CASE(a_submitted_task_waits_across_restarts),
          TEST_CASE(a_second_engine_is_refused),
          TEST_CASE(loops_over_large_states_leave_the_others_their_turn))
