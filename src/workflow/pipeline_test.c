/* SPDX-License-Identifier: Apache-2.0 */
/* The short form: the ASL it becomes, and what is said of its mistakes. */
#include "base/file.h"
#include "support/test.h"
#include "workflow/execution.h"
#include "workflow/pipeline.h"
#include "workflow/pipeline_compile.h"

struct compiled {
    struct arena *arena;
    struct pipeline pipeline;
    char faults[4000];
    size_t fault_count;
};

static void on_fault(void *context, const struct error *err)
{
    struct compiled *compiled = context;
    size_t len = strlen(compiled->faults);

    snprintf(compiled->faults + len, sizeof(compiled->faults) - len, "%s\n", err->message);
    compiled->fault_count++;
}

static void compile(struct compiled *compiled, const char *text)
{
    struct yaml_node *documents;
    struct machine *machine;
    struct error err;
    size_t count;

    *compiled = (struct compiled){ .arena = arena_new() };
    assert_ok(
        yaml_parse(compiled->arena, STR("p.yaml"), str_from(text), &documents, &count, &err));
    assert_int_equal(count, 1);
    if (pipeline_compile(compiled->arena, documents, on_fault, compiled, &compiled->pipeline))
        assert_ok(machine_parse(compiled->arena, compiled->pipeline.definition, NULL, NULL,
                                &machine, &err));
}

static void assert_fault(const char *text, const char *fault)
{
    struct compiled compiled;

    compile(&compiled, text);
    assert_str_contains(str_from(compiled.faults), str_from(fault));
    arena_free(compiled.arena);
}

static void assert_asl(const char *text, const char *part)
{
    struct compiled compiled;

    compile(&compiled, text);
    assert_string_equal(compiled.faults, "");
    assert_str_contains(compiled.pipeline.definition, str_from(part));
    arena_free(compiled.arena);
}

#define TRAIN \
    "pipeline: p\nschedule: \"0 3 * * *\"\nparams: {from: 2018-07-25, depth: 6, name: null}\nsteps:\n" \
    "  data: {training_set: {service: s, entities_sql: \"SELECT '{}' WHERE t > '${params.from}'\"}}\n" \
    "  train:\n    script: train.py\n    in: {train: data}\n    args: {max_depth: \"${params.depth}\"}\n" \
    "    out: [model, extra]\n    timeout: 2h\n    memory: 2GiB\n    retry: 2\n"

TEST(names_become_paths)
{
    assert_asl(TRAIN, "\"train.$\":\"$['data']['path']\"");
    assert_asl(TRAIN, "\"max_depth.$\":\"$['params']['depth']\"");
    assert_asl(TRAIN, "States.Format('SELECT \\\\'\\\\{\\\\}\\\\' WHERE t > \\\\'{}\\\\'', "
                      "$['params']['from'])");
    assert_asl(TRAIN, "\"TimeoutSeconds\":7200");
    assert_asl(TRAIN, "{\"ErrorEquals\":[\"Onggi.Interrupted\"],\"IntervalSeconds\":1,"
                      "\"MaxAttempts\":100,\"BackoffRate\":1.0}");
    assert_asl(TRAIN, "\"ResultPath\":\"$['train']\"");
    assert_asl(TRAIN "  reg: {register: {model: m, from: train.model}}\n",
               "\"from.$\":\"$['train']['model']\"");
}

#define GATE(when) TRAIN "  gate: {when: \"" when "\"}\n"

TEST(conditions_become_rules)
{
    assert_asl(GATE("train.metrics.auc >= 0.75"),
               "\"Choices\":[{\"Variable\":\"$['train']['metrics']['auc']\","
               "\"NumericGreaterThanEquals\":0.75,\"Next\":\"all steps done\"}],"
               "\"Default\":\"gate is closed\"");
    assert_asl(GATE("0.75 < train.metrics.auc"), "\"NumericGreaterThan\":0.75");
    assert_asl(GATE("train.metrics.kind == 'good'"), "\"StringEquals\":\"good\"");
    assert_asl(GATE("not (train.metrics.ok == true)"), "{\"Not\":{\"Variable\"");
    assert_asl(GATE("train.metrics.a != 1"),
               "\"Variable\":\"$['train']['metrics']['a']\",\"NumericEquals\":1.0}");
    assert_asl(GATE("train.metrics.a > train.metrics.b"),
               "\"NumericGreaterThanPath\":\"$['train']['metrics']['b']\"");
    /* `and` binds tighter than `or`. */
    assert_asl(
        GATE("train.metrics.a > 1 or train.metrics.b > 2 and train.metrics.c > 3"),
        "\"Or\":[{\"Variable\":\"$['train']['metrics']['a']\",\"NumericGreaterThan\":1.0},"
        "{\"And\":[");
}

#define CONDITION(when) \
    "pipeline: p\nparams: {a: 1, b: 1}\nsteps:\n  gate: {when: \"" when "\"}\n"

/* Lets the compiled gate decide. */
static bool is_open(const char *pipeline, struct str a, struct str b)
{
    struct execution *execution = execution_new(STR("01X"), STR("p"), STR("local"));
    struct compiled compiled;
    struct error err;
    bool open;

    compile(&compiled, pipeline);
    assert_string_equal(compiled.faults, "");
    assert_ok(execution_define(execution, compiled.pipeline.definition, NULL, NULL, &err));
    execution_start(execution,
                    arena_printf(compiled.arena,
                                 "{\"params\":{\"a\":" STR_FMT ",\"b\":" STR_FMT "}}",
                                 STR_ARG(a), STR_ARG(b)),
                    0);
    assert_true(execution_advance(execution, 0, 100, SIZE_MAX));
    open = execution->status == EXECUTION_SUCCEEDED;
    if (!open)
        assert_str_equal(execution->fault.error, STR("Onggi.GateClosed"));
    execution_free(execution);
    arena_free(compiled.arena);
    return open;
}

TEST(a_gate_compares_values_of_every_kind)
{
    static const struct {
        const char *pipeline;
        struct str a, b;
        bool open;
    } cases[] = {
        { CONDITION("params.a == params.b"), STR_INIT("1"), STR_INIT("1.0"), true },
        { CONDITION("params.a == params.b"), STR_INIT("\"x\""), STR_INIT("\"x\""), true },
        { CONDITION("params.a == params.b"), STR_INIT("\"x\""), STR_INIT("\"y\""), false },
        { CONDITION("params.a == params.b"), STR_INIT("true"), STR_INIT("true"), true },
        { CONDITION("params.a == params.b"), STR_INIT("null"), STR_INIT("null"), true },
        { CONDITION("params.a == params.b"), STR_INIT("1"), STR_INIT("\"1\""), false },
        { CONDITION("params.a == params.b"), STR_INIT("\"NaN\""), STR_INIT("\"NaN\""), false },
        { CONDITION("params.a != params.b"), STR_INIT("\"NaN\""), STR_INIT("0.9"), false },
        { CONDITION("params.a < params.b"), STR_INIT("\"Infinity\""), STR_INIT("\"NaN\""),
          false },
        { CONDITION("not params.a < params.b"), STR_INIT("\"NaN\""), STR_INIT("\"NaN\""),
          false },
        { CONDITION("params.a != params.b"), STR_INIT("\"x\""), STR_INIT("\"x\""), false },
        { CONDITION("params.a != params.b"), STR_INIT("\"x\""), STR_INIT("\"y\""), true },
        { CONDITION("params.a != params.b"), STR_INIT("false"), STR_INIT("false"), false },
        { CONDITION("params.a != params.b"), STR_INIT("null"), STR_INIT("1"), true },
        { CONDITION("params.a < params.b"), STR_INIT("\"x\""), STR_INIT("\"y\""), true },
        { CONDITION("params.a < params.b"), STR_INIT("2"), STR_INIT("10"), true },
        { CONDITION("params.a < params.b"), STR_INIT("2"), STR_INIT("\"x\""), false },
        { CONDITION("not params.a < params.b"), STR_INIT("2"), STR_INIT("\"x\""), false },
        { CONDITION("not params.a < params.b"), STR_INIT("3"), STR_INIT("2"), true },
        { CONDITION("not params.a < params.b"), STR_INIT("\"y\""), STR_INIT("\"x\""), true },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (is_open(cases[i].pipeline, cases[i].a, cases[i].b) != cases[i].open)
            fail_msg("case %zu: %s with " STR_FMT ", " STR_FMT, i, cases[i].pipeline,
                     STR_ARG(cases[i].a), STR_ARG(cases[i].b));
}

TEST(a_gate_stays_closed_for_a_number_that_is_none)
{
    static const char *const conditions[] = {
        CONDITION("params.a < 0.8"),
        CONDITION("not params.a < 0.8"),
        CONDITION("not 0.8 > params.a"),
        CONDITION("params.a != 0.8"),
        CONDITION("not params.a == 0.8"),
        CONDITION("not (not params.a >= 0.8)"),
        CONDITION("not (params.a < 0.8 or params.b != 1)"),
        CONDITION("not params.a < 'm' and params.a != 3"),
    };

    for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
        assert_false(is_open(conditions[i], STR("null"), STR("1")));
        assert_false(is_open(conditions[i], STR("true"), STR("1")));
        if (i + 1 < ARRAY_LEN(conditions)) {
            assert_false(is_open(conditions[i], STR("\"x\""), STR("1")));
            assert_int_equal(is_open(conditions[i], STR("0.9"), STR("1")), i > 0);
        }
    }
    /* One part of an `or` may still hold. */
    assert_true(
        is_open(CONDITION("not (params.a < 1 and params.b < 2)"), STR("null"), STR("5")));
}

TEST(mistakes_are_told_with_their_place_and_the_mend)
{
    assert_fault(GATE("train.metrics.auc => 0.75"), "p.yaml:14:35: ");
    assert_fault(GATE("train.metrics.auc => 0.75"), "expected one of == != < <= > >=");
    assert_fault(GATE("trian.metrics.auc > 1"),
                 "no step before this one is called 'trian'; did you mean 'train'?");
    assert_fault(GATE("train.metric.auc > 1"), "step 'train' has no output 'metric'");
    assert_fault(GATE("train.metrics.ok > true"), "only be compared by == and !=");
    assert_fault(GATE("(train.metrics.a > 1"), "expected ')'");
    assert_fault("pipeline: p\nsteps:\n  a: {scirpt: a.py}\n",
                 "p.yaml:3:6: a step says what it does");
    assert_fault("pipeline: p\nsteps:\n  a: {script: a.py, time_out: 3s}\n", "timeout");
    assert_fault("pipeline: p\nsteps:\n  a: {script: ../a.py}\n", "in the pipeline's folder");
    assert_fault("pipeline: p\nsteps:\n  a: {script: a.py, memory: much}\n",
                 "expected a size like");
    assert_fault("pipeline: p\nsteps:\n  a: {script: a.py, out: [x, y]}\n"
                 "  b: {script: b.py, in: {x: a}}\n",
                 "step 'a' has no single output; write 'a.' and its name");
    assert_fault(
        "pipeline: p\nsteps:\n  b: {script: b.py, in: {x: a.x}}\n  a: {script: a.py}\n",
        "no step before this one is called 'a'");
    assert_fault("pipeline: p\nsteps:\n  params: {script: b.py}\n",
                 "cannot be called 'params'");
    assert_fault("pipeline: p\nsteps:\n  a: {script: a.py, args: {x: \"${params.y}\"}}\n",
                 "there is no parameter 'y'");
    assert_fault("pipeline: p\nsteps:\n  a: {script: a.py, retry: 0}\n", "from 1 to 1000");
    assert_fault("pipeline: p\nschedule: \"0 25 * * *\"\nsteps: {a: {script: a.py}}\n",
                 "the hour (second field) must be from 0 to 23");
    assert_fault("pipeline: p\nsteps: {}\n", "expected 1 to 500 steps");
}

TEST(all_mistakes_are_told_at_once)
{
    struct compiled compiled;

    compile(&compiled, "pipeline: p\ncolour: red\nsteps:\n  a: {script: a.py, out: x}\n"
                       "  b: {when: \"c.d > 1\"}\n");
    assert_int_equal(compiled.fault_count, 3);
    arena_free(compiled.arena);
}

TEST(schedules_are_checked)
{
    static const char *const good[] = { "* * * * *", "0 3 * * 1-5", "*/15 0,12 1 1-6/2 7" };
    static const char *const bad[] = { "* * * *",     "* * * * * *", "60 * * * *",
                                       "*/0 * * * *", "5-1 * * * *", "a * * * *",
                                       "1, * * * *" };

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_null(cron_fault(str_from(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_non_null(cron_fault(str_from(bad[i])));
}

static void assert_input(const struct pipeline *pipeline, struct arena *arena,
                         const char *params, const char *wanted)
{
    struct error err;
    struct str input;

    assert_ok(pipeline_input(arena, pipeline, str_from(params), STR("h"), &input, &err));
    assert_str_equal(input, str_from(wanted));
}

TEST(parameters_take_the_types_of_their_defaults)
{
    struct compiled compiled;
    struct error err;
    struct str input;

    compile(&compiled, TRAIN);
    assert_input(&compiled.pipeline, compiled.arena, "{\"depth\":\"8\",\"name\":\"7\"}",
                 "{\"params\":{\"from\":\"2018-07-25\",\"depth\":8,\"name\":\"7\"},"
                 "\"code\":{\"sha256\":\"h\"}}");
    assert_fails(STATUS_INVALID, pipeline_input(compiled.arena, &compiled.pipeline, STR("{}"),
                                                STR_EMPTY, &input, &err));
    assert_str_contains(str_from(err.message), STR("'name' has no default"));
    assert_fails(STATUS_INVALID,
                 pipeline_input(compiled.arena, &compiled.pipeline,
                                STR("{\"name\":\"x\",\"dept\":1}"), STR_EMPTY, &input, &err));
    assert_str_contains(str_from(err.message), STR("did you mean 'depth'?"));
    assert_fails(STATUS_INVALID, pipeline_input(compiled.arena, &compiled.pipeline,
                                                STR("{\"name\":\"x\",\"depth\":\"deep\"}"),
                                                STR_EMPTY, &input, &err));
    assert_str_contains(str_from(err.message), STR("parameter 'depth': expected a number"));
    arena_free(compiled.arena);
}

static void assert_asl_fault(const char *definition, const char *fault)
{
    struct arena *arena = arena_new();
    struct machine *machine;
    struct error err;

    assert_fails(STATUS_INVALID,
                 machine_parse(arena, str_from(definition), NULL, NULL, &machine, &err));
    assert_str_contains(str_from(err.message), str_from(fault));
    arena_free(arena);
}

#define ASL(state) \
    "{\"StartAt\":\"A\",\"States\":{\"A\":{" state "},\"B\":{\"Type\":\"Succeed\"}}}"

TEST(faults_of_asl_have_their_json_path)
{
    assert_asl_fault(ASL("\"Type\":\"Pass\",\"Next\":\"C\""),
                     "$.States.A: Next: there is no state 'C'");
    assert_asl_fault(ASL("\"Type\":\"Pass\",\"End\":true"), "$.States.B: no state leads to it");
    assert_asl_fault(ASL("\"Type\":\"Pas\",\"Next\":\"B\""),
                     "Type: 'Pas' is not known; there are Pass");
    assert_asl_fault(ASL("\"Type\":\"Pass\",\"Nxt\":\"B\""), "Next");
    assert_asl_fault(ASL("\"Type\":\"Pass\",\"Next\":\"B\",\"ResultPath\":\"$.a[*]\""),
                     "$.States.A: ResultPath: must lead to one place");
    assert_asl_fault(ASL("\"Type\":\"Pass\",\"Next\":\"B\",\"ResultPath\":\"$['a','b']\""),
                     "$.States.A: ResultPath: must lead to one place");
    assert_asl_fault(
        ASL("\"Type\":\"Pass\",\"Next\":\"B\",\"Parameters\":{\"a\":[{\"b.$\":\"c\"}]}"),
        "$.States.A: Parameters: a: b.$: 'c' is no path");
    assert_asl_fault(ASL("\"Type\":\"Task\",\"Resource\":\"x\",\"Next\":\"B\",\"Retry\":[{"
                         "\"ErrorEquals\":[\"States.ALL\"],\"MaxAttempts\":-1}]"),
                     "Retry[0]: MaxAttempts: must be from 0");
    assert_asl_fault(
        ASL("\"Type\":\"Choice\",\"Choices\":[{\"Variable\":\"$.a\",\"NumericEqual\":1,"
            "\"Next\":\"B\"}]"),
        "Choices[0]: 'NumericEqual' is no comparison; did you mean 'NumericEquals'?");
    assert_asl_fault(ASL("\"Type\":\"Choice\",\"Choices\":[{\"Variable\":\"$.a\",\"And\":[{"
                         "\"Variable\":\"$.b\",\"IsNull\":true}],\"Next\":\"B\"}]"),
                     "Choices[0]: 'Variable' cannot stand beside And");
    assert_asl_fault(ASL("\"Type\":\"Task\",\"Resource\":\"x\",\"Next\":\"B\","
                         "\"HeartbeatSeconds\":1,\"HeartbeatSecondsPath\":\"$.h\""),
                     "write either HeartbeatSeconds or HeartbeatSecondsPath");
    assert_asl_fault("{\"StartAt\":\"A\"", "line 1");
}

TEST_MAIN(TEST_CASE(names_become_paths), TEST_CASE(conditions_become_rules),
          TEST_CASE(a_gate_compares_values_of_every_kind),
          TEST_CASE(a_gate_stays_closed_for_a_number_that_is_none),
          TEST_CASE(mistakes_are_told_with_their_place_and_the_mend),
          TEST_CASE(all_mistakes_are_told_at_once), TEST_CASE(schedules_are_checked),
          TEST_CASE(parameters_take_the_types_of_their_defaults),
          TEST_CASE(faults_of_asl_have_their_json_path))
