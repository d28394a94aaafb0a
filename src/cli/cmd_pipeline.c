/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about pipelines and their executions. */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/output.h"

static struct str pipeline_target(struct cli *cli, struct str name, const char *rest)
{
    return cli_target(cli, "/api/v1/pipelines/", name, rest);
}

static struct str execution_target(struct cli *cli, struct str id, const char *rest)
{
    return cli_target(cli, "/api/v1/executions/", id, rest);
}

/* The execution that the first argument names. */
static enum status named_execution(struct cli *cli, struct str *out, struct error *err)
{
    return cli_id(cli, "executions", cli_arg(cli, 0), out, err);
}

static enum status run_list(struct cli *cli, struct error *err)
{
    static const char *const titles[] = {
        "PIPELINE", "STEPS", "SCHEDULE", "LAST", "FILE", NULL
    };
    struct table *table = table_new(cli->arena, titles);
    yyjson_val *answer, *item;
    size_t index, max;

    TRY(cli_get(cli, STR("/api/v1/pipelines"), &answer, err));
    if (cli->json) {
        print_json(cli, answer);
        return STATUS_OK;
    }
    yyjson_arr_foreach(json_find(answer, STR("pipelines")), index, max, item)
    {
        table_cell(table, json_field_text(cli->arena, item, "name"));
        table_cell(table, json_field_text(cli->arena, item, "steps"));
        table_cell(table, json_field_text(cli->arena, item, "schedule"));
        table_cell(table, json_field_text(cli->arena, json_find(item, STR("last")), "status"));
        table_cell(table, json_field_text(cli->arena, item, "file"));
    }
    table_print(table);
    return STATUS_OK;
}

static enum status run_show(struct cli *cli, struct error *err)
{
    bool asl = cli_has(cli, "asl");
    yyjson_val *answer, *step;
    size_t index, max;

    TRY(cli_get(cli, pipeline_target(cli, cli_arg(cli, 0), asl ? "/asl" : ""), &answer, err));
    if (asl || cli->json) {
        if (asl)
            print_json_pretty(cli, answer);
        else
            print_json(cli, answer);
        return STATUS_OK;
    }
    print_line("pipeline  %s\nfile      %s\nschedule  %s\nparams    %s",
               cli_field(cli, answer, "name"), cli_field(cli, answer, "file"),
               cli_field(cli, answer, "schedule"), cli_field(cli, answer, "params"));
    yyjson_arr_foreach(json_find(answer, STR("steps")), index, max, step)
    {
        print_line("  %zu  %-16s %s", index + 1, cli_field(cli, step, "name"),
                   cli_field(cli, step, "resource"));
    }
    return STATUS_OK;
}

/* ---- run */

/* --param k=v: a number, true, false and null as JSON has them, else text. */
static enum status add_param(struct cli *cli, yyjson_mut_doc *doc, yyjson_mut_val *params,
                             struct str word, struct error *err)
{
    size_t equals = str_index(word, '=');
    struct str name = str_slice(word, 0, equals);
    struct str text = str_slice(word, equals + 1, word.len);
    struct error ignored;
    yyjson_val *json;
    yyjson_mut_val *value;

    if (equals == word.len)
        return cli_usage(cli, err, "--param " STR_FMT ": expected name=value", STR_ARG(word));
    if (yyjson_mut_obj_getn(params, name.data, name.len) != NULL)
        return cli_usage(cli, err, "--param " STR_FMT " is given twice", STR_ARG(name));
    if (json_parse(cli->arena, text, &json, &ignored) == STATUS_OK && !yyjson_is_ctn(json))
        value = yyjson_val_mut_copy(doc, json);
    else
        value = yyjson_mut_strncpy(doc, text.data, text.len);
    yyjson_mut_obj_put(params, yyjson_mut_strncpy(doc, name.data, name.len), value);
    return STATUS_OK;
}

static enum status run_body(struct cli *cli, struct str *out, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(cli->arena);
    yyjson_mut_val *body = yyjson_mut_obj(doc), *params = yyjson_mut_obj(doc);

    for (size_t i = 0; i < cli->line.option_count; i++) {
        if (str_equal(cli->line.options[i].name, STR("param")))
            TRY(add_param(cli, doc, params, cli->line.options[i].value, err));
    }
    yyjson_mut_obj_add_val(doc, body, "params", params);
    *out = json_mut_write(cli->arena, body);
    return STATUS_OK;
}

/* With --json the result is the answer, also when the execution failed. */
static enum status follow_to_end(struct cli *cli, struct str id, struct error *err)
{
    yyjson_val *result;
    enum status status = follow_execution(cli, id, &result, err);

    if (cli->json && result != NULL)
        print_json(cli, result);
    return status;
}

static enum status run_run(struct cli *cli, struct error *err)
{
    yyjson_val *answer;
    struct str body, id;

    TRY(run_body(cli, &body, err));
    TRY(cli_post(cli, pipeline_target(cli, cli_arg(cli, 0), "/executions"), body, &answer,
                 err));
    TRY(json_need_str(answer, "execution", &id, err));
    print_note("execution " STR_FMT, STR_ARG(id));
    /* Without a server the engine lives in this process, so leaving would stop it. */
    if (cli->server.len > 0 && !cli_has(cli, "follow")) {
        if (cli->json)
            print_json(cli, answer);
        print_note("'onggi pipeline executions " STR_FMT "' shows how it goes", STR_ARG(id));
        return STATUS_OK;
    }
    return follow_to_end(cli, id, err);
}

/* ---- executions, logs, stop, redrive */

static enum status show_execution(struct cli *cli, struct error *err)
{
    static const char *const titles[] = { "STEP", "STATUS", "TRY", "SECONDS", "MESSAGE", NULL };
    struct table *table = table_new(cli->arena, titles);
    yyjson_val *answer, *step;
    size_t index, max;
    struct str id;

    TRY(named_execution(cli, &id, err));
    TRY(cli_get(cli, execution_target(cli, id, ""), &answer, err));
    if (cli->json) {
        print_json(cli, answer);
        return STATUS_OK;
    }
    print_line("%s  %s  %s  %s", cli_field(cli, answer, "id"),
               cli_field(cli, answer, "pipeline"), cli_field(cli, answer, "status"),
               cli_field(cli, answer, "started"));
    if (json_find(answer, STR("error")) != NULL)
        print_line("%s: " STR_FMT, cli_field(cli, answer, "error"),
                   STR_ARG(json_str(json_find(answer, STR("cause")))));
    yyjson_arr_foreach(json_find(answer, STR("steps")), index, max, step)
    {
        table_cell(table, json_field_text(cli->arena, step, "name"));
        table_cell(table, json_field_text(cli->arena, step, "status"));
        table_cell(table, json_field_text(cli->arena, step, "attempt"));
        table_cellf(table, "%.1f", json_field_number(step, "seconds"));
        table_cell(table, json_str(json_find(step, STR("message"))));
    }
    table_print(table);
    return STATUS_OK;
}

static enum status list_executions(struct cli *cli, struct error *err)
{
    static const char *const titles[] = { "EXECUTION", "PIPELINE", "STATUS",
                                          "STARTED",   "SECONDS",  NULL };
    struct table *table = table_new(cli->arena, titles);
    yyjson_val *answer, *item;
    size_t index, max;

    TRY(cli_get(cli, STR("/api/v1/executions"), &answer, err));
    if (cli->json) {
        print_json(cli, answer);
        return STATUS_OK;
    }
    yyjson_arr_foreach(json_find(answer, STR("executions")), index, max, item)
    {
        table_cell(table, json_field_text(cli->arena, item, "id"));
        table_cell(table, json_field_text(cli->arena, item, "pipeline"));
        table_cell(table, json_field_text(cli->arena, item, "status"));
        table_cell(table, json_field_text(cli->arena, item, "started"));
        table_cellf(table, "%.1f", json_field_number(item, "seconds"));
    }
    table_print(table);
    return STATUS_OK;
}

static enum status run_executions(struct cli *cli, struct error *err)
{
    return cli->line.arg_count > 0 ? show_execution(cli, err) : list_executions(cli, err);
}

static enum status list_logs(struct cli *cli, struct str id, struct error *err)
{
    static const char *const titles[] = { "STEP", "BYTES", NULL };
    struct table *table = table_new(cli->arena, titles);
    yyjson_val *answer, *item;
    size_t index, max;

    TRY(cli_get(cli, execution_target(cli, id, "/logs"), &answer, err));
    if (cli->json) {
        print_json(cli, answer);
        return STATUS_OK;
    }
    yyjson_arr_foreach(json_find(answer, STR("logs")), index, max, item)
    {
        table_cell(table, json_field_text(cli->arena, item, "step"));
        table_cell(table, json_field_text(cli->arena, item, "bytes"));
    }
    table_print(table);
    return STATUS_OK;
}

static enum status on_log(void *context, struct str event, struct str data, struct error *err)
{
    struct cli *cli = context;
    struct arena_mark mark = arena_mark(cli->arena);
    struct error ignored;
    yyjson_val *json;

    if (str_equal(event, STR("log")) &&
        json_parse(cli->arena, data, &json, &ignored) == STATUS_OK) {
        if (cli->json) {
            print_json(cli, json);
        } else {
            print_log(json_str(json_find(json, STR("line"))));
            print_text(STR("\n"));
        }
        output_flush();
    }
    arena_rewind(cli->arena, mark);
    return output_is_wanted() ? STATUS_OK : output_is_unwanted(cli, err);
}

/* A script may print anything; JSON holds UTF-8. */
static void print_log_json(struct cli *cli, struct str id, struct str log)
{
    yyjson_mut_doc *doc = json_mut_doc(cli->arena);
    yyjson_mut_val *object = yyjson_mut_obj(doc);

    json_add_str(doc, object, "execution", id);
    json_add_str(doc, object, "step", cli_arg(cli, 1));
    json_add_str(doc, object, "log", arena_str_utf8(cli->arena, log));
    print_json_mut(cli, object);
}

static enum status run_logs(struct cli *cli, struct error *err)
{
    struct cli_request request = { .method = "GET" };
    struct cli_answer answer;
    bool follow = cli_has(cli, "follow");
    struct str rest = cli_target(cli, "/logs/", cli_arg(cli, 1), follow ? "?follow=true" : "");
    struct str id;

    if (cli->line.arg_count == 1 && follow)
        return cli_usage(cli, err,
                         "--follow needs a step: onggi pipeline logs ID STEP --follow");
    TRY(named_execution(cli, &id, err));
    if (cli->line.arg_count == 1)
        return list_logs(cli, id, err);
    request.target = execution_target(cli, id, rest.data);
    request.events = request.output_only = follow;
    request.sink = on_log;
    request.sink_context = cli;
    TRY(cli_ask(cli, &request, &answer, err));
    if (!follow && cli->json)
        print_log_json(cli, id, answer.body);
    else if (!follow)
        print_log(answer.body);
    return STATUS_OK;
}

static enum status post_execution(struct cli *cli, struct str id, const char *rest,
                                  yyjson_val **answer, struct error *err)
{
    struct str cause = cli_option(cli, "reason"), body = STR("{}");
    yyjson_mut_doc *doc = json_mut_doc(cli->arena);
    yyjson_mut_val *object = yyjson_mut_obj(doc);

    if (cause.len > 0) {
        json_add_str(doc, object, "cause", cause);
        body = json_mut_write(cli->arena, object);
    }
    return cli_post(cli, execution_target(cli, id, rest), body, answer, err);
}

static enum status run_stop(struct cli *cli, struct error *err)
{
    yyjson_val *answer;
    struct str id;

    TRY(named_execution(cli, &id, err));
    TRY(post_execution(cli, id, "/stop", &answer, err));
    if (cli->json)
        print_json(cli, answer);
    else
        print_note(STR_FMT " stopped", STR_ARG(id));
    return STATUS_OK;
}

static enum status run_redrive(struct cli *cli, struct error *err)
{
    bool stay = cli->server.len == 0 || cli_has(cli, "follow");
    yyjson_val *answer;
    struct str id;

    TRY(named_execution(cli, &id, err));
    TRY(post_execution(cli, id, "/redrive", &answer, err));
    print_note(STR_FMT " goes on from the step that failed", STR_ARG(id));
    if (!stay && cli->json)
        print_json(cli, answer);
    return stay ? follow_to_end(cli, id, err) : STATUS_OK;
}

static const struct command_option show_options[] = {
    { "asl", NULL, "the state machine that the short form becomes", false },
    { 0 },
};
static const struct command_option run_options[] = {
    { "param", "k=v", "a parameter of the pipeline; may be given again", false },
    { "follow", NULL, "stay and show each step; always so without a server", false },
    { 0 },
};
static const struct command_option follow_options[] = {
    { "follow", NULL, "stay and show what comes", false },
    { 0 },
};
static const struct command_option stop_options[] = {
    { "reason", "TEXT", "kept with the execution", false },
    { 0 },
};

const struct command pipeline_commands[] = {
    { "pipeline list", "", "the pipelines and how each last went", "onggi pipeline list", NULL,
      0, 0, ACCESS_READ, false, run_list },
    { "pipeline show", "NAME", "the steps of a pipeline",
      "onggi pipeline show flight_delay\nonggi pipeline show flight_delay --asl", show_options,
      1, 1, ACCESS_READ, false, run_show },
    { "pipeline run", "NAME", "run a pipeline", "onggi pipeline run flight_delay --follow",
      run_options, 1, 1, ACCESS_ENGINE, false, run_run },
    { "pipeline executions", "[ID]", "what ran; one execution step by step",
      "onggi pipeline executions\nonggi pipeline executions last", NULL, 0, 1, ACCESS_READ,
      false, run_executions },
    { "pipeline logs", "ID [STEP]", "what a step printed",
      "onggi pipeline logs last\nonggi pipeline logs last train --follow", follow_options, 1, 2,
      ACCESS_READ, false, run_logs },
    { "pipeline stop", "ID", "stop an execution",
      "onggi pipeline stop last --reason 'bad data'", stop_options, 1, 1, ACCESS_ENGINE, false,
      run_stop },
    { "pipeline redrive", "ID", "go on with a failed execution from the step that failed",
      "onggi pipeline redrive last", follow_options, 1, 1, ACCESS_ENGINE, false, run_redrive },
    COMMANDS_END,
};
