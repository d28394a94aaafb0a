/* SPDX-License-Identifier: Apache-2.0 */
/* What paths, functions, variables and comparisons make of data. */
#include "workflow/execution_test.h"

TEST(paths_and_templates_shape_the_data)
{
    assert_output(PASS(""), "{'a':1}", "{'a':1}");
    assert_output(PASS(",'Result':{'b':2}"), "{'a':1}", "{'b':2}");
    assert_output(PASS(",'Result':2,'ResultPath':'$.x.y'"), "{'a':1}", "{'a':1,'x':{'y':2}}");
    assert_output(PASS(",'Result':2,'ResultPath':null"), "{'a':1}", "{'a':1}");
    assert_output(PASS(",'InputPath':'$.a'"), "{'a':[1,2]}", "[1,2]");
    assert_output(PASS(",'InputPath':null"), "{'a':1}", "{}");
    assert_output(PASS(",'OutputPath':'$.a[-1]'"), "{'a':[1,2]}", "2");
    assert_output(PASS(",'Parameters':{'x.$':'$.a','y':[{'z.$':'$.b'}]}"), "{'a':1,'b':2}",
                  "{'x':1,'y':[{'z':2}]}");
    /* ResultPath goes into the state's input, not into what InputPath left of it. */
    assert_output(PASS(",'InputPath':'$.a','ResultPath':'$.r'"), "{'a':1}", "{'a':1,'r':1}");
    assert_output(PASS(",'Parameters':{'n.$':'$$.State.Name','i.$':'$$.Execution.Input.a'}"),
                  "{'a':1}", "{'n':'A','i':1}");
    assert_output(PASS(",'Parameters':{'x.$':'$.a[*].b','y.$':'$.a[1:].b','z.$':'$.no[*]'}"),
                  "{'a':[{'b':1},{'b':2}]}", "{'x':[1,2],'y':[2],'z':[]}");
    assert_output(PASS(",'Parameters':{'x.$':'States.Format(`{}: {}`, $.a, 2)'}"), "{'a':'n'}",
                  "{'x':'n: 2'}");
}

#define EVAL(expression) PASS(",'Parameters':{'x.$':'" expression "'}")

TEST(paths_select_by_filters_unions_and_descent)
{
    static const struct {
        const char *definition, *output;
    } cases[] = {
        { EVAL("$.users[?(@.age > 30)].name"), "['bo','cy']" },
        { EVAL("$.users[?(@.age >= 31 && @.name != `bo`)].name"), "['cy']" },
        { EVAL("$.users[?(@.name == `al` || @.age == 31)].age"), "[30,31]" },
        { EVAL("$.users[?(!(@.age < 31))].name"), "['bo','cy']" },
        { EVAL("$.users[?(@.mail)].name"), "['cy']" },
        { EVAL("$.users[?(@.mail == null)].name"), "['cy']" },
        { EVAL("$.users[?(@.age == $.limit)].name"), "['bo']" },
        { EVAL("$.users[?(@.name in [`al`, `cy`])].age"), "[30,40]" },
        { EVAL("$.users[?(@.tags[0] nin [1,2])].name"), "['bo','cy']" },
        { EVAL("$.users[?(@[`name`]==`a]b`)]"), "[]" },
        { EVAL("$..name"), "['al','bo','cy']" },
        { EVAL("$.users..[0]"), "[{'name':'al','age':30,'tags':[1]},1]" },
        { EVAL("$.users[0,2].name"), "['al','cy']" },
        { EVAL("$.users[0][`age`, `name`, `no`]"), "{'age':30,'name':'al'}" },
        { EVAL("$.users[1:][`age`,`mail`]"), "[{'age':31},{'age':40,'mail':null}]" },
        { EVAL("$[`limit`,`users`][0].name"), "['al']" },
        { EVAL("$.users[-1:].name"), "['cy']" },
        { EVAL("$.users[?(@.age > `z`)]"), "[]" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *wanted;

        assert_true(asprintf(&wanted, "{'x':%s}", cases[i].output) > 0);
        assert_output(cases[i].definition,
                      "{'limit':31,'users':[{'name':'al','age':30,'tags':[1]},"
                      "{'name':'bo','age':31},{'name':'cy','age':40,'mail':null}]}",
                      wanted);
        free(wanted);
    }
}

TEST(intrinsic_functions_do_as_step_functions_does)
{
    static const struct {
        const char *definition, *output;
    } cases[] = {
        { EVAL("States.Format(`\\\\{{}\\\\} {}`, 1.5, $.o)"), "'{1.5} {k=v, l=[1, null]}'" },
        { EVAL("States.Format($.template, null)"), "'is null'" },
        { EVAL("States.Array()"), "[]" },
        { EVAL("States.Array(1, `a`, true, null, $.o.k, States.Array(-2.5))"),
          "[1,'a',true,null,'v',[-2.5]]" },
        { EVAL("States.ArrayPartition($.five, 2)"), "[[1,2],[3,4],[5]]" },
        { EVAL("States.ArrayPartition($.five, 2.9)"), "[[1,2],[3,4],[5]]" },
        { EVAL("States.ArrayContains($.five, 3)"), "true" },
        { EVAL("States.ArrayContains($.five, `3`)"), "true" },
        { EVAL("States.ArrayContains(States.Array($.o), $.o)"), "true" },
        { EVAL("States.ArrayContains($.five, false)"), "false" },
        { EVAL("States.ArrayRange(1, 6, 2)"), "[1,3,5]" },
        { EVAL("States.ArrayRange(5, 1, -2)"), "[5,3,1]" },
        { EVAL("States.ArrayRange(5, 1, 1)"), "[]" },
        { EVAL("States.ArrayRange(1.6, 3.9, 1)"), "[1,2,3]" },
        { EVAL("States.ArrayLength(States.ArrayRange(1, 1000, 1))"), "1000" },
        { EVAL("States.ArrayGetItem($.five, 1.9)"), "2" },
        { EVAL("States.ArrayGetItem(States.Array(), 7)"), "null" },
        { EVAL("States.ArrayUnique($.twice)"), "[1,'1',null,{'a':1,'b':2},[1],[2]]" },
        { EVAL("States.Base64Encode(`hello`)"), "'aGVsbG8='" },
        { EVAL("States.Base64Decode(`aGVsbG8=`)"), "'hello'" },
        { EVAL("States.Base64Decode(` aGVs bG8`)"), "'hello'" },
        { EVAL("States.Hash(`hello`, `MD5`)"), "'5d41402abc4b2a76b9719d911017c592'" },
        { EVAL("States.Hash(`hello`, `SHA-1`)"), "'aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d'" },
        { EVAL("States.JsonMerge($.o, $.more, false)"), "{'k':2,'l':[1,null],'m':{}}" },
        { EVAL("States.MathAdd(1.5, 1.49)"), "3" },
        { EVAL("States.MathAdd(-1.5, -1.51)"), "-3" },
        { EVAL("States.MathRandom(3.9, 4.1)"), "3" },
        { EVAL("States.StringSplit(`,a,, b;c;`, `,;`)"), "['a',' b','c']" },
        { EVAL("States.StringSplit(``, `,`)"), "[]" },
        { EVAL("States.StringSplit(`abc`, ``)"), "['abc']" },
        { EVAL("States.StringToJson(`[1, {}]`)"), "[1,{}]" },
        { EVAL("States.StringToJson(` `)"), "null" },
        { EVAL("States.StringToJson(`-0`)"), "0" },
        { EVAL("States.JsonToString($.more)"), "'{\\'k\\':2,\\'m\\':{}}'" },
        { EVAL("States.ArrayLength(States.StringSplit(States.UUID(), `-`))"), "5" },
        { EVAL("States.StringSplit(`a\\\\\\\\b\\\\`c`, `\\\\\\\\`)"), "['a','b`c']" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *wanted;

        assert_true(asprintf(&wanted, "{'x':%s}", cases[i].output) > 0);
        assert_output(cases[i].definition,
                      "{'o':{'k':'v','l':[1,null]},'more':{'k':2,'m':{}},'five':[1,2,3,4,5],"
                      "'template':'is {}',"
                      "'twice':[1,'1',null,1,{'a':1,'b':2},null,{'b':2,'a':1},[1],[2],[1]]}",
                      wanted);
        free(wanted);
    }
}

TEST(an_intrinsic_that_cannot_be_computed_names_the_whole_expression)
{
    static const struct {
        const char *definition, *cause;
    } cases[] = {
        { EVAL("States.Format(`{}`, $.no)"),
          "An error occurred while executing the state 'A' (entered at the event id #2). The "
          "function 'States.Format('{}', $.no)' had the following error: The JsonPath argument "
          "for the field '$.no' could not be found in the input '{\"a\":[1]}'" },
        { EVAL("States.Format(`{} {}`, 1)"), "do not match the occurrences of {}." },
        { EVAL("States.Format(`{`)"), "Invalid template in States.Format: matching '}'" },
        { EVAL("States.ArrayGetItem($.a, 1)"), "Invalid arguments in States.ArrayGetItem" },
        { EVAL("States.ArrayGetItem($.a, -1)"), "Invalid arguments in States.ArrayGetItem" },
        { EVAL("States.ArrayLength(1)"), "Invalid arguments in States.ArrayLength" },
        { EVAL("States.ArrayPartition($.a, 0.9)"),
          "Invalid arguments in States.ArrayPartition" },
        { EVAL("States.ArrayRange(1, 1001, 1)"), "Invalid arguments in States.ArrayRange" },
        { EVAL("States.ArrayRange(1, 9, 0.5)"), "Invalid arguments in States.ArrayRange" },
        { EVAL("States.MathAdd(2147483647, 1)"), "Invalid arguments in States.MathAdd" },
        { EVAL("States.MathAdd(`1`, 1)"), "Invalid arguments in States.MathAdd" },
        { EVAL("States.MathRandom(2, 2)"), "Invalid arguments in States.MathRandom" },
        { EVAL("States.Hash(`a`, `SHA256`)"), "Invalid arguments in States.Hash" },
        { EVAL("States.JsonMerge($, $, true)"), "Invalid arguments in States.JsonMerge" },
        { EVAL("States.StringToJson(`{`)"), "Invalid arguments in States.StringToJson" },
        { EVAL("States.StringSplit(1, `,`)"), "Invalid arguments in States.StringSplit" },
        { EVAL("States.Base64Encode(1)"), "Invalid arguments in States.Base64Encode" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_failure(cases[i].definition, "{'a':[1]}", "States.Runtime", cases[i].cause);
}

/* Ten thousand copies of the input would be gigabytes. */
TEST(expressions_that_make_too_much_data_fail)
{
    static const char open[] = "{\"StartAt\":\"A\",\"States\":{\"A\":{\"Type\":\"Pass\","
                               "\"Parameters\":{\"x.$\":\"States.ArrayLength(States.Array(";
    struct execution *execution = execution_new(STR("01X"), STR("test"), STR("local"));
    struct buffer definition = { 0 }, input = { 0 };
    struct error err;

    buffer_append(&definition, str_from(open));
    for (int i = 0; i < 100; i++) {
        buffer_append(&definition, i == 0 ? STR("States.Array(") : STR(",States.Array("));
        for (int j = 0; j < 100; j++)
            buffer_append(&definition, j == 0 ? STR("$") : STR(",$"));
        buffer_append_byte(&definition, ')');
    }
    buffer_append(&definition, STR("))\"},\"End\":true}}}"));
    buffer_append_byte(&input, '[');
    while (input.len < 200000)
        buffer_append(&input, STR("0,"));
    buffer_append(&input, STR("0]"));
    assert_ok(execution_define(execution, buffer_str(&definition), NULL, NULL, &err));
    execution_start(execution, buffer_str(&input), START_US);
    run(execution);
    assert_str_equal(execution->fault.error, STR("States.DataLimitExceeded"));
    buffer_free(&definition);
    buffer_free(&input);
    execution_free(execution);
}

/* Each name or text would otherwise take as much memory as the whole line. */
TEST(long_paths_and_calls_are_read_in_little_memory)
{
    struct arena *arena = arena_new();
    struct buffer path = { 0 }, call = { 0 };
    struct json_path parsed;
    struct error err;
    size_t before;

    buffer_append(&path, STR("$['a'"));
    buffer_append(&call, STR("States.Array('a'"));
    while (path.len < 500000) {
        buffer_append(&path, STR(",'a'"));
        buffer_append(&call, STR(",'a'"));
    }
    buffer_append(&path, STR("]"));
    buffer_append(&call, STR(")"));
    before = arena_size(arena);
    assert_fails(STATUS_INVALID, json_path_parse(arena, buffer_str(&path), &parsed, &err));
    assert_fails(STATUS_INVALID, expression_check(arena, buffer_str(&call), &err));
    assert_in_range(arena_size(arena) - before, 0, 4000000);
    buffer_free(&path);
    buffer_free(&call);
    arena_free(arena);
}

TEST(variables_are_assigned_together_and_seen_by_later_states)
{
    static const char chain[] =
        "{'StartAt':'A','States':{"
        "'A':{'Type':'Pass','Result':{'n':1},'ResultPath':'$.r','Assign':{'one.$':'$.n',"
        "'list':[1,2],'deep':{'in.$':'$$.State.Name'}},'Next':'B'},"
        "'B':{'Type':'Pass','Assign':{'one.$':'States.MathAdd($one, 1)','before.$':'$one'},"
        "'Parameters':{'one.$':'$one','item.$':'$list[1]','deep.$':'$deep.in'},'Next':'C'},"
        "'C':{'Type':'Choice','Choices':[{'Variable':'$one','NumericEqualsPath':'$list[1]',"
        "'Assign':{'way':'yes'},'Next':'D'}],'Assign':{'way':'no'},'Default':'D'},"
        "'D':{'Type':'Task','Resource':'test:flaky','Parameters':{'fails':1},'Catch':[{"
        "'ErrorEquals':['States.ALL'],'Assign':{'why.$':'$.Error'},'ResultPath':null,"
        "'Next':'E'}],'End':true},"
        "'E':{'Type':'Pass','InputPath':'$way','Parameters':{'way.$':'$','why.$':'$why',"
        "'one.$':'$one','before.$':'$before'},'ResultPath':'$.e','OutputPath':'$.e','End':true}}}";
    struct execution *execution = run_new(chain, "{}"), *again = execution_of(chain);
    struct error err;

    assert_str_equal(execution->fault.cause, STR_EMPTY);
    assert_str_equal(execution->output,
                     STR("{\"way\":\"yes\",\"why\":\"Test.Flaky\",\"one\":2,\"before\":1}"));
    assert_str_contains(execution->fresh[2].details,
                        STR("\"assignedVariables\":{\"one\":\"1\",\"list\":\"[1,2]\","
                            "\"deep\":\"{\\\"in\\\":\\\"A\\\"}\"},"
                            "\"assignedVariablesDetails\":{\"truncated\":false}"));
    /* After a crash they are what the events say. */
    for (size_t i = 0; i < 8; i++)
        assert_ok(execution_apply(again, &execution->fresh[i], &err));
    run(again);
    assert_str_equal(again->output, execution->output);
    execution_free(again);
    execution_free(execution);
    assert_failure(EVAL("$nobody"), "{}", "States.Runtime", "The JSONPath '$nobody' specified");
    assert_failure(PASS(",'InputPath':'$nobody.a'"), "{}", "States.Runtime",
                   "Invalid path '$nobody.a' : there is no variable of this name");
}

TEST(variables_keep_to_their_limit)
{
    struct execution *execution = execution_of(PASS(",'Assign':{'a.$':'$','b.$':'$'}"));
    struct buffer input = { 0 };

    buffer_append_byte(&input, '"');
    while (input.len < 200000)
        buffer_append(&input, STR("0123456789"));
    buffer_append_byte(&input, '"');
    execution_start(execution, buffer_str(&input), START_US);
    run(execution);
    assert_str_equal(execution->fault.error, STR("States.DataLimitExceeded"));
    buffer_free(&input);
    execution_free(execution);
}

TEST(a_path_that_finds_nothing_fails_in_the_known_words)
{
    assert_failure(
        PASS(",'Parameters':{'value.$':'$.no'}"), "{'a':0}", "States.Runtime",
        "An error occurred while executing the state 'A' (entered at the event id #2). "
        "The JSONPath '$.no' specified for the field 'value.$' could not be found in "
        "the input '{\"a\":0}'");
    assert_failure(PASS(",'Result':1,'ResultPath':'$.a.b'"), "{'a':0}",
                   "States.ResultPathMatchFailure", "Unable to apply");
    assert_failure(PASS(",'OutputPath':'$.result.no.more'"), "{'result':{}}", "States.Runtime",
                   "(entered at the event id #2). Invalid path '$.result.no.more' : Missing "
                   "property in path $['result']['no']");
    assert_failure(
        PASS(",'InputPath':'$.a[3]'"), "{'a':[1]}", "States.Runtime",
        "Invalid path '$.a[3]' : Index out of bounds when evaluating path $['a'][3]");
    assert_failure(PASS(",'InputPath':'$.a[`b`,`c`]'"), "{'a':1}", "States.Runtime",
                   "Expected to find an object with property ['b','c'] in path $['a']");
    assert_failure(ONE("'Type':'Task','Resource':'test:echo','TimeoutSecondsPath':'$.limit',"
                       "'End':true"),
                   "{'a':0}", "States.Runtime",
                   "Invalid path '$.limit' : No results for path: $['limit']");
    assert_failure(ONE("'Type':'Task','Resource':'test:echo','TimeoutSecondsPath':'$.limit',"
                       "'End':true"),
                   "{'limit':'soon'}", "States.Runtime",
                   "The TimeoutSecondsPath field refers to value \"soon\" which is not a valid "
                   "integer: $.limit");
}

TEST(data_nested_too_deep_fails_instead_of_vanishing)
{
    char deep[300] = "";

    for (int i = 0; i < 100; i++)
        deep[i] = '[', deep[199 - i] = ']';
    assert_failure(PASS(",'Parameters':{'x.$':'$'}"), deep, "States.Runtime", "its data: ");
}

#define CHOICE(rule) \
    "{'StartAt':'C','States':{'C':{'Type':'Choice','Choices':[{" rule \
    ",'Next':'Y'}],'Default':'N'},'Y':{'Type':'Pass','Result':true,'End':true}," \
    "'N':{'Type':'Pass','Result':false,'End':true}}}"

TEST(every_comparison_decides_as_the_language_says)
{
    static const struct {
        const char *rule, *input, *output;
    } cases[] = {
        { CHOICE("'Variable':'$.v','StringEquals':'a'"), "{'v':'a'}", "true" },
        { CHOICE("'Variable':'$.v','StringEquals':'a'"), "{'v':1}", "false" },
        { CHOICE("'Variable':'$.v','StringLessThan':'b'"), "{'v':'a'}", "true" },
        { CHOICE("'Variable':'$.v','StringGreaterThanEqualsPath':'$.w'"), "{'v':'a','w':'b'}",
          "false" },
        { CHOICE("'Variable':'$.v','StringMatches':'log-*.txt'"), "{'v':'log-1.txt'}", "true" },
        { CHOICE("'Variable':'$.v','StringMatches':'*a*b'"), "{'v':'xaxab'}", "true" },
        { CHOICE("'Variable':'$.v','StringMatches':'a\\\\*'"), "{'v':'ab'}", "false" },
        { CHOICE("'Variable':'$.v','StringMatches':'a\\\\*'"), "{'v':'a*'}", "true" },
        { CHOICE("'Variable':'$.v','NumericEquals':1"), "{'v':1.0}", "true" },
        { CHOICE("'Variable':'$.v','NumericLessThan':1"), "{'v':1}", "false" },
        { CHOICE("'Variable':'$.v','NumericGreaterThanEquals':0.75"), "{'v':0.75}", "true" },
        { CHOICE("'Variable':'$.v','NumericGreaterThan':9007199254740992"),
          "{'v':9007199254740993}", "true" },
        { CHOICE("'Variable':'$.v','NumericLessThan':-9007199254740992"),
          "{'v':-9007199254740993}", "true" },
        { CHOICE("'Variable':'$.v','NumericGreaterThan':-1"), "{'v':18446744073709551615}",
          "true" },
        { CHOICE("'Variable':'$.v','NumericEquals':9007199254740992.0"),
          "{'v':9007199254740993}", "false" },
        { CHOICE("'Variable':'$.v','NumericEquals':1"), "{'v':'1'}", "false" },
        { CHOICE("'Variable':'$.v','BooleanEquals':false"), "{'v':false}", "true" },
        { CHOICE("'Variable':'$.v','TimestampLessThan':'2026-01-01T01:00:00+01:00'"),
          "{'v':'2025-12-31T23:59:59Z'}", "true" },
        { CHOICE("'Variable':'$.v','TimestampEquals':'2026-01-01T00:00:00Z'"),
          "{'v':'2026-01-01'}", "false" },
        { CHOICE("'Variable':'$.v','TimestampLessThan':'2026-01-01T00:00:00.123456789Z'"),
          "{'v':'2026-01-01T00:00:00.123456788Z'}", "true" },
        { CHOICE("'Variable':'$.v','TimestampEquals':'2026-01-01T00:00:00.1234567Z'"),
          "{'v':'2026-01-01T01:00:00.123456700+01:00'}", "true" },
        { CHOICE("'Variable':'$.v','TimestampEquals':'2026-01-01T00:00:00.1Z'"),
          "{'v':'2026-01-01T00:00:00.10-00:00'}", "true" },
        { CHOICE("'Variable':'$.v','IsNull':true"), "{'v':null}", "true" },
        { CHOICE("'Variable':'$.v','IsPresent':false"), "{}", "true" },
        { CHOICE("'Variable':'$.v','IsNumeric':true"), "{'v':1.5}", "true" },
        { CHOICE("'Variable':'$.v','IsString':false"), "{'v':1.5}", "true" },
        { CHOICE("'Variable':'$.v','IsBoolean':true"), "{'v':1}", "false" },
        { CHOICE("'Variable':'$.v','IsTimestamp':true"), "{'v':'2026-01-01T00:00:00Z'}",
          "true" },
        { CHOICE("'And':[{'Variable':'$.v','NumericGreaterThan':1},"
                 "{'Variable':'$.v','NumericLessThan':3}]"),
          "{'v':2}", "true" },
        { CHOICE(
              "'Or':[{'Variable':'$.v','IsNull':true},{'Variable':'$.v','NumericEquals':2}]"),
          "{'v':2}", "true" },
        { CHOICE("'Not':{'Variable':'$.v','NumericEquals':2}"), "{'v':2}", "false" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_output(cases[i].rule, cases[i].input, cases[i].output);
    assert_failure(
        CHOICE("'Variable':'$.v','NumericEquals':2"), "{}", "States.Runtime",
        "Invalid path '$.v': The choice state's condition path references an invalid "
        "value.");
}

TEST(a_choice_without_a_way_and_a_fail_state_fail)
{
    assert_failure(
        "{'StartAt':'C','States':{'C':{'Type':'Choice','Choices':[{'Variable':'$.v',"
        "'NumericEquals':1,'Next':'Y'}]},'Y':{'Type':'Succeed'}}}",
        "{'v':2}", "States.Runtime",
        "An error occurred while executing the state 'C' (entered at the event id #2). "
        "Failed to transition out of the state. The state does not point to a next "
        "state.");
    assert_failure(ONE("'Type':'Fail','Error':'E','Cause':'because'"), "{}", "E", "because");
    assert_failure(ONE("'Type':'Fail','Error':'E','CausePath':'States.Format(`{} < 1`, $.v)'"),
                   "{'v':0.5}", "E", "0.5 < 1");
}

TEST_MAIN(TEST_CASE(paths_and_templates_shape_the_data),
          TEST_CASE(paths_select_by_filters_unions_and_descent),
          TEST_CASE(intrinsic_functions_do_as_step_functions_does),
          TEST_CASE(an_intrinsic_that_cannot_be_computed_names_the_whole_expression),
          TEST_CASE(expressions_that_make_too_much_data_fail),
          TEST_CASE(long_paths_and_calls_are_read_in_little_memory),
          TEST_CASE(variables_are_assigned_together_and_seen_by_later_states),
          TEST_CASE(variables_keep_to_their_limit),
          TEST_CASE(a_path_that_finds_nothing_fails_in_the_known_words),
          TEST_CASE(data_nested_too_deep_fails_instead_of_vanishing),
          TEST_CASE(every_comparison_decides_as_the_language_says),
          TEST_CASE(a_choice_without_a_way_and_a_fail_state_fail))
