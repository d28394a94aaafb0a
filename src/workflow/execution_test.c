/* SPDX-License-Identifier: Apache-2.0 */
/* What states do, and that every prefix of a history leads to the same end. */
#include "workflow/execution_test.h"

#define FLAKY(fails, fields) \
    ONE("'Type':'Task','Resource':'test:flaky','Parameters':{'fails':" #fails \
        ",'try.$':'$$.State.RetryCount'},'End':true" fields)

TEST(tasks_are_retried_and_caught)
{
    const char *const retry = FLAKY(2, ",'Retry':[{'ErrorEquals':['Other']},"
                                       "{'ErrorEquals':['Test.Flaky'],'MaxAttempts':2}]");
    const char *const caught = FLAKY(
        2, ",'Retry':[{'ErrorEquals':['States.ALL'],'MaxAttempts':1}],"
           "'Catch':[{'ErrorEquals':['States.TaskFailed'],'Next':'B',"
           "'ResultPath':'$.error'}]");
    char *two_states;

    assert_output(retry, "{}", "{'fails':2,'try':2}");
    assert_failure(FLAKY(3, ",'Retry':[{'ErrorEquals':['States.ALL'],'MaxAttempts':2}]"), "{}",
                   "Test.Flaky", "not this time");
    assert_failure(FLAKY(1, ""), "{}", "Test.Flaky", "not this time");
    assert_true(asprintf(&two_states, "%.*s,'B':{'Type':'Pass','End':true}}}",
                         (int)strlen(caught) - 2, caught) > 0);
    assert_output(two_states, "{'a':1}",
                  "{'a':1,'error':{'Error':'Test.Flaky','Cause':'not this time'}}");
    free(two_states);
    assert_output(ONE("'Type':'Task','Resource':'test:wait','Parameters':{'a':1,'b':2},"
                      "'ResultSelector':{'c.$':'$.b'},'ResultPath':'$.r','End':true"),
                  "{}", "{'r':{'c':2}}");
}

#define CAUGHT(fields, errors) \
    "{'StartAt':'A','States':{'A':{'Type':'Task','Resource':'test:echo','Parameters':{'x.$':'$'}," \
    "'Catch':[{'ErrorEquals':" errors ",'Next':'B'}],'Next':'C'" fields \
    "},'B':{'Type':'Pass','Result':'caught','End':true},'C':{'Type':'Pass','End':true}}}"

TEST(a_runtime_error_cannot_be_caught)
{
    static const char *const catchers[] = {
        CAUGHT(",'OutputPath':'$.no.more'", "['States.Runtime']"),
        CAUGHT(",'OutputPath':'$.no.more'", "['States.TaskFailed']"),
        CAUGHT(",'OutputPath':'$.no.more'", "['States.ALL']"),
        CAUGHT(",'ResultSelector':{'y.$':'$.no'}", "['States.ALL']"),
        CAUGHT(",'InputPath':'$.no'", "['States.Runtime','States.TaskFailed']"),
    };

    for (size_t i = 0; i < ARRAY_LEN(catchers); i++)
        assert_failure(catchers[i], "{}", "States.Runtime",
                       "An error occurred while executing the state 'A'");
}

static struct str long_text(struct arena *arena, size_t len)
{
    char *text = arena_alloc(arena, len + 1);

    memset(text, 'x', len);
    return (struct str){ text, len };
}

/* Runs to the first try of the state A, which then gives `output`. */
static struct execution *run_with_output(const char *definition, struct str input,
                                         struct str output)
{
    struct execution *execution = execution_of(definition);
    struct str token;

    execution_start(execution, input, START_US);
    assert_true(execution_advance(execution, START_US, 100, SIZE_MAX));
    token = arena_str(execution->arena, execution->cursor.token);
    assert_true(execution_task_started(execution, token, STR_EMPTY, START_US));
    assert_true(execution_task_succeeded(execution, token, output, START_US));
    assert_true(execution_advance(execution, START_US, 100, SIZE_MAX));
    return execution;
}

TEST(data_over_the_limit_can_be_caught_by_any_name)
{
    static const char *const names[] = { "['States.DataLimitExceeded']", "['States.ALL']",
                                         "['States.TaskFailed']" };
    struct arena *arena = arena_new();
    struct str large = arena_printf(arena, "\"" STR_FMT "\"",
                                    STR_ARG(long_text(arena, 262144)));

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *definition;
        struct execution *execution;

        assert_true(asprintf(&definition, CAUGHT("", "%s"), names[i]) > 0);
        execution = run_with_output(definition, STR("{}"), large);
        assert_int_equal(execution->status, EXECUTION_SUCCEEDED);
        assert_str_equal(execution->output, STR("\"caught\""));
        execution_free(execution);
        free(definition);
    }
    arena_free(arena);
}

TEST(errors_and_causes_keep_to_their_limits)
{
    struct arena *arena = arena_new();
    struct execution *execution = execution_of(
        "{'StartAt':'A','States':{'A':{'Type':'Task','Resource':'test:echo','Catch':[{"
        "'ErrorEquals':['States.ALL'],'ResultPath':'$.why','Next':'B'}],'Next':'B'},"
        "'B':{'Type':'Pass','End':true}}}");
    struct fault fault = { long_text(arena, 300), long_text(arena, 40000) };
    struct str token, input = arena_printf(arena, "{\"x\":\"" STR_FMT "\"}",
                                           STR_ARG(long_text(arena, 240000)));

    /* A character of three bytes at the very limit. */
    memcpy((char *)(uintptr_t)fault.cause.data + 32767, "\xED\x95\x9C", 3);
    execution_start(execution, input, START_US);
    assert_true(execution_advance(execution, START_US, 100, SIZE_MAX));
    token = arena_str(execution->arena, execution->cursor.token);
    assert_true(execution_task_failed(execution, token, &fault, START_US));
    assert_int_equal(execution->cursor.fault.error.len, 256);
    assert_int_equal(execution->cursor.fault.cause.len, 32770);
    /* With the error in it the next state's input would be too large. */
    assert_true(execution_advance(execution, START_US, 100, SIZE_MAX));
    assert_int_equal(execution->status, EXECUTION_FAILED);
    assert_str_equal(execution->fault.error, STR("States.DataLimitExceeded"));
    execution_free(execution);
    arena_free(arena);
}

TEST(waits_between_tries_grow_up_to_their_limit)
{
    struct execution *execution = execution_of(
        FLAKY(9, ",'Retry':[{'ErrorEquals':['States.ALL'],'IntervalSeconds':2,'BackoffRate':3,"
                 "'MaxDelaySeconds':10,'MaxAttempts':9}]"));
    const int64_t waits_s[] = { 2, 6, 10, 10 };
    int64_t now_us = START_US;

    execution_start(execution, STR("{}"), START_US);
    for (size_t i = 0; i < ARRAY_LEN(waits_s); i++) {
        (void)execution_advance(execution, now_us, 1000, SIZE_MAX);
        run_try(execution, now_us);
        assert_int_equal(execution->cursor.phase, PHASE_RETRYING);
        assert_int_equal(execution->cursor.wake_us - now_us, waits_s[i] * US_PER_SECOND);
        assert_int_equal(execution_wake_us(execution), execution->cursor.wake_us);
        now_us = execution->cursor.wake_us;
    }
    execution_free(execution);
}

#define WHOLE \
    "{'StartAt':'Data','TimeoutSeconds':9999999,'States':{" \
    "'Data':{'Type':'Task','Resource':'test:echo','Parameters':{'path':'d'},'ResultPath':'$.data'," \
    "'Next':'Train','Retry':[{'ErrorEquals':['Onggi.Interrupted'],'MaxAttempts':9}]}," \
    "'Train':{'Type':'Task','Resource':'test:flaky','Parameters':{'fails':2,'in.$':'$.data.path'}," \
    "'ResultPath':'$.train','Next':'Gate','Retry':[{'ErrorEquals':['Onggi.Interrupted']," \
    "'MaxAttempts':9},{'ErrorEquals':['States.ALL'],'JitterStrategy':'FULL'}]}," \
    "'Gate':{'Type':'Choice','Choices':[{'Variable':'$.train.fails','NumericEquals':2," \
    "'Next':'Approve'}],'Default':'Closed'}," \
    "'Approve':{'Type':'Task','Resource':'test:wait','ResultPath':null,'Next':'Done','Retry':[{" \
    "'ErrorEquals':['Onggi.Interrupted'],'MaxAttempts':9}]}," \
    "'Done':{'Type':'Succeed'},'Closed':{'Type':'Fail'}}}"

/* What an engine does with an execution that it finds after a crash. */
static void recover(struct execution *execution)
{
    const struct fault fault = { ERROR_INTERRUPTED, STR("the engine ended") };
    struct str token = arena_str(execution->arena, execution->cursor.token);

    if (execution->cursor.phase == PHASE_STARTED)
        assert_true(execution_task_failed(execution, token, &fault, START_US));
    run(execution);
}

static struct execution *replayed(const struct execution *whole, size_t count)
{
    struct execution *execution = execution_of(WHOLE);
    struct error err;

    for (size_t i = 0; i < count; i++)
        assert_ok(execution_apply(execution, &whole->fresh[i], &err));
    return execution;
}

TEST(from_every_prefix_of_a_history_the_same_end_is_reached)
{
    struct execution *whole = run_new(WHOLE, "{'a':1}");

    assert_int_equal(whole->status, EXECUTION_SUCCEEDED);
    assert_true(whole->fresh_count > 20);
    for (size_t count = 1; count <= whole->fresh_count; count++) {
        struct execution *execution = replayed(whole, count);

        recover(execution);
        assert_int_equal(execution->status, EXECUTION_SUCCEEDED);
        assert_str_equal(execution->output, whole->output);
        execution_free(execution);
    }
    execution_free(whole);
}

/* One life after a crash: one event more, or one try begun, and it dies again. */
static struct execution *live_briefly(struct execution *before, int64_t now_us)
{
    struct execution *execution = replayed(before, before->fresh_count);
    const struct fault fault = { ERROR_INTERRUPTED, STR("the engine ended") };
    struct str token = arena_str(execution->arena, execution->cursor.token);

    /* Replayed events are not fresh; they are kept here so that the next life finds them. */
    for (size_t i = 0; i < before->fresh_count; i++)
        ARENA_PUSH(execution->fresh_arena, execution->fresh, execution->fresh_count,
                   execution->fresh_capacity) = before->fresh[i];
    if (execution->cursor.phase == PHASE_STARTED && execution->cursor.retries < 5)
        (void)execution_task_failed(execution, token, &fault, now_us);
    else if (execution->cursor.phase == PHASE_SCHEDULED)
        (void)execution_task_started(execution, token, STR_EMPTY, now_us);
    else if (execution->cursor.phase == PHASE_STARTED ||
             execution->cursor.phase == PHASE_SUBMITTED)
        run_try(execution, now_us);
    else
        (void)execution_advance(execution, now_us, execution->fresh_count + 1, SIZE_MAX);
    return execution;
}

TEST(with_a_crash_after_every_event_the_same_end_is_reached)
{
    struct execution *whole = run_new(WHOLE, "{'a':1}");
    struct execution *lives[400];
    size_t count = 1;

    lives[0] = execution_of(WHOLE);
    execution_start(lives[0], STR("{\"a\":1}"), START_US);
    while (lives[count - 1]->status == EXECUTION_RUNNING && count < ARRAY_LEN(lives)) {
        lives[count] = live_briefly(lives[count - 1],
                                    START_US + (int64_t)count * US_PER_DAY / 1000);
        count++;
    }
    assert_int_equal(lives[count - 1]->status, EXECUTION_SUCCEEDED);
    assert_str_equal(lives[count - 1]->output, whole->output);
    /* Events of a life stand in its arena: all are needed to the end. */
    while (count > 0)
        execution_free(lives[--count]);
    execution_free(whole);
}

TEST(a_history_that_does_not_fit_is_refused)
{
    struct execution *whole = run_new(WHOLE, "{}");
    struct execution *execution = execution_of(WHOLE);
    struct event event = whole->fresh[1];
    struct error err;

    assert_fails(STATUS_INTERNAL, execution_apply(execution, &event, &err));
    event = (struct event){ .id = 1, .type = STR("Nonsense") };
    assert_fails(STATUS_INTERNAL, execution_apply(execution, &event, &err));
    assert_str_contains(str_from(err.message), STR("event 1 (Nonsense) does not follow"));
    execution_free(execution);
    execution_free(whole);
}

TEST(events_are_chained_as_step_functions_does)
{
    struct execution *execution = run_new(PASS(""), "{}");
    static const char *const types[] = { "ExecutionStarted", "PassStateEntered",
                                         "PassStateExited", "ExecutionSucceeded" };
    static const int64_t previous[] = { 0, 0, 2, 3 };

    assert_int_equal(execution->fresh_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_str_equal(execution->fresh[i].type, str_from(types[i]));
        assert_int_equal(execution->fresh[i].id, i + 1);
        assert_int_equal(execution->fresh[i].previous_id, previous[i]);
    }
    execution_free(execution);
}

TEST(a_redriven_execution_goes_on_at_the_failed_state)
{
    struct execution *execution = run_new(FLAKY(1, ""), "{'a':1}");

    assert_int_equal(execution->status, EXECUTION_FAILED);
    execution_redrive(execution, STR("ann"), START_US + US_PER_DAY);
    (void)execution_advance(execution, START_US + US_PER_DAY, 1000000, SIZE_MAX);
    assert_int_equal(execution->cursor.phase, PHASE_SCHEDULED);
    assert_str_equal(execution->cursor.state->name, STR("A"));
    assert_str_equal(execution->cursor.input, STR("{\"a\":1}"));
    assert_int_equal(execution->redrive_count, 1);
    assert_str_equal(execution->redriven_by, STR("ann"));
    execution_free(execution);
}

TEST(an_endless_loop_ends_with_the_longest_history)
{
    assert_failure("{'StartAt':'A','States':{'A':{'Type':'Pass','Next':'B'},"
                   "'B':{'Type':'Pass','Next':'A'}}}",
                   "{}", "States.Runtime",
                   "The execution reached the maximum number of history events (25000).");
}

TEST(a_turn_ends_when_its_events_weigh_too_much)
{
    struct execution *execution = execution_of(
        "{'StartAt':'A','States':{'A':{'Type':'Pass','Next':'B'},"
        "'B':{'Type':'Pass','Next':'A'}}}");
    struct buffer input = { 0 };

    buffer_append_byte(&input, '"');
    while (input.len < 200000)
        buffer_append(&input, STR("0123456789"));
    buffer_append_byte(&input, '"');
    execution_start(execution, buffer_str(&input), START_US);
    for (int turns = 0; turns < 3; turns++) {
        assert_false(execution_advance(execution, START_US, 1000, (size_t)1 << 20));
        assert_in_range(execution->fresh_bytes, 1 << 20, (1 << 20) + 210000);
        assert_in_range(execution->fresh_count, 3, 6);
        execution_clear_fresh(execution);
    }
    buffer_free(&input);
    execution_free(execution);
}

TEST_MAIN(TEST_CASE(tasks_are_retried_and_caught), TEST_CASE(a_runtime_error_cannot_be_caught),
          TEST_CASE(data_over_the_limit_can_be_caught_by_any_name),
          TEST_CASE(errors_and_causes_keep_to_their_limits),
          TEST_CASE(waits_between_tries_grow_up_to_their_limit),
          TEST_CASE(from_every_prefix_of_a_history_the_same_end_is_reached),
          TEST_CASE(with_a_crash_after_every_event_the_same_end_is_reached),
          TEST_CASE(a_history_that_does_not_fit_is_refused),
          TEST_CASE(events_are_chained_as_step_functions_does),
          TEST_CASE(a_redriven_execution_goes_on_at_the_failed_state),
          TEST_CASE(an_endless_loop_ends_with_the_longest_history),
          TEST_CASE(a_turn_ends_when_its_events_weigh_too_much))
