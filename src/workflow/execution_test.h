/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Machines that run in a test, without an engine: what the tests of executions share. */
#include "base/buffer.h"
#include "base/clock.h"
#include "support/test.h"
#include "workflow/execution.h"

#define START_US (1000000 * US_PER_SECOND)

/*
 * Tasks of the tests: test:echo gives its parameters back; test:flaky fails as often as its
 * parameters' "fails" says; test:wait is submitted, and then succeeds.
 */
static inline void run_try(struct execution *execution, int64_t now_us)
{
    struct cursor *cursor = &execution->cursor;
    struct str token = arena_str(execution->arena, cursor->token), out = cursor->parameters;
    struct str resource = cursor->state->resource;
    struct error err;
    yyjson_val *input;

    assert_ok(json_parse(execution->arena, cursor->parameters, &input, &err));
    if (cursor->phase == PHASE_SCHEDULED)
        assert_true(execution_task_started(execution, token, STR("{\"pid\":1}"), now_us));
    if (str_equal(resource, STR("test:wait")) && cursor->phase == PHASE_STARTED)
        assert_true(execution_task_submitted(execution, token, STR("{}"), now_us));
    if (str_equal(resource, STR("test:flaky")) &&
        cursor->retries < yyjson_get_uint(json_find(input, STR("fails")))) {
        const struct fault fault = { STR("Test.Flaky"), STR("not this time") };

        assert_true(execution_task_failed(execution, token, &fault, now_us));
        return;
    }
    assert_true(execution_task_succeeded(execution, token, out, now_us));
}

/* Runs to the end, as an engine with a very fast clock would. */
static inline void run(struct execution *execution)
{
    int64_t now_us = START_US + US_PER_DAY;

    for (int rounds = 0; rounds < 10000; rounds++) {
        (void)execution_advance(execution, now_us, 1000000, SIZE_MAX);
        if (execution->status != EXECUTION_RUNNING)
            return;
        if (execution->cursor.phase == PHASE_RETRYING)
            now_us = execution->cursor.wake_us;
        else
            run_try(execution, now_us);
    }
    fail_msg("does not end");
}

/* Definitions and data are easier to read in single quotes; ` stands for the single quote itself. */
static inline struct str quoted(struct arena *arena, const char *text)
{
    struct str copy = arena_str(arena, str_from(text));

    for (char *c = (char *)(uintptr_t)copy.data; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c == '`' ? '\'' : *c;
    return copy;
}

static inline struct execution *execution_of(const char *definition)
{
    struct execution *execution = execution_new(STR("01X"), STR("test"), STR("local"));
    struct error err;

    assert_ok(
        execution_define(execution, quoted(execution->arena, definition), NULL, NULL, &err));
    return execution;
}

static inline struct execution *run_new(const char *definition, const char *input)
{
    struct execution *execution = execution_of(definition);

    execution_start(execution, quoted(execution->arena, input), START_US);
    run(execution);
    return execution;
}

static inline void assert_output(const char *definition, const char *input, const char *output)
{
    struct execution *execution = run_new(definition, input);

    assert_str_equal(execution->fault.cause, STR_EMPTY);
    assert_int_equal(execution->status, EXECUTION_SUCCEEDED);
    assert_str_equal(execution->output, quoted(execution->arena, output));
    execution_free(execution);
}

static inline void assert_failure(const char *definition, const char *input, const char *error,
                                  const char *cause)
{
    struct execution *execution = run_new(definition, input);

    assert_int_equal(execution->status, EXECUTION_FAILED);
    assert_str_equal(execution->fault.error, str_from(error));
    assert_str_contains(execution->fault.cause, str_from(cause));
    execution_free(execution);
}

#define ONE(state) "{'StartAt':'A','States':{'A':{" state "}}}"
#define PASS(fields) ONE("'Type':'Pass','End':true" fields)
