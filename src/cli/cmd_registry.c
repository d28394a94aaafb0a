/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about runs and model versions, and about who decided what. */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/evidence.h"
#include "cli/output.h"

/* ---- runs */

static enum status run_runs_list(struct cli *cli, struct error *err)
{
    static const char *const titles[] = { "RUN",     "NAME",    "STATUS", "STARTED",
                                          "SECONDS", "METRICS", NULL };
    struct table *table = table_new(cli->arena, titles);
    yyjson_val *answer, *item;
    size_t index, max;

    TRY(cli_get(cli, STR("/api/v1/runs"), &answer, err));
    if (cli->json) {
        print_json(cli, answer);
        return STATUS_OK;
    }
    yyjson_arr_foreach(json_find(answer, STR("runs")), index, max, item)
    {
        table_cell(table, json_field_text(cli->arena, item, "id"));
        table_cell(table, json_field_text(cli->arena, item, "name"));
        table_cell(table, json_field_text(cli->arena, item, "status"));
        table_cell(table, json_field_text(cli->arena, item, "started"));
        table_cellf(table, "%.1f", json_field_number(item, "seconds"));
        table_cell(table, evidence_metrics_text(cli, json_find(item, STR("metrics"))));
    }
    table_print(table);
    return STATUS_OK;
}

static enum status run_runs_show(struct cli *cli, struct error *err)
{
    yyjson_val *answer, *item;
    size_t index, max;
    struct str id;

    TRY(cli_id(cli, "runs", cli_arg(cli, 0), &id, err));
    TRY(cli_get(cli, cli_target(cli, "/api/v1/runs/", id, ""), &answer, err));
    if (cli->json) {
        print_json(cli, answer);
        return STATUS_OK;
    }
    print_line("run %s  %s  %s  %s", cli_field(cli, answer, "id"),
               cli_field(cli, answer, "name"), cli_field(cli, answer, "status"),
               cli_field(cli, answer, "started"));
    evidence_print_members("parameters", cli, json_find(answer, STR("params")));
    evidence_print_members("metrics", cli, json_find(answer, STR("metrics")));
    print_line("\nartifacts");
    yyjson_arr_foreach(json_find(answer, STR("artifacts")), index, max, item)
    {
        print_line("  %10s  %s", cli_field(cli, item, "bytes"), cli_field(cli, item, "path"));
    }
    return STATUS_OK;
}

static enum status run_runs_compare(struct cli *cli, struct error *err)
{
    struct str first, second;

    TRY(cli_id(cli, "runs", cli_arg(cli, 0), &first, err));
    TRY(cli_id(cli, "runs", cli_arg(cli, 1), &second, err));
    return evidence_compare(cli, cli_target(cli, "/api/v1/runs/", first, ""),
                            cli_target(cli, "/api/v1/runs/", second, ""), err);
}

/* ---- models */

static struct str version_target(struct cli *cli, struct str model, struct str version,
                                 const char *rest)
{
    struct str tail = cli_target(cli, "/versions/", version, rest);

    return cli_target(cli, "/api/v1/models/", model, tail.data);
}

static enum status run_models_list(struct cli *cli, struct error *err)
{
    static const char *const titles[] = { "MODEL",    "VERSIONS", "LATEST",
                                          "APPROVED", "DEPLOYED", NULL };
    struct table *table = table_new(cli->arena, titles);
    yyjson_val *answer, *item, *place;
    size_t index, max, at, count;

    TRY(cli_get(cli, STR("/api/v1/models"), &answer, err));
    if (cli->json) {
        print_json(cli, answer);
        return STATUS_OK;
    }
    yyjson_arr_foreach(json_find(answer, STR("models")), index, max, item)
    {
        struct str deployed = STR_EMPTY;

        yyjson_arr_foreach(json_find(item, STR("deployed")), at, count, place)
        {
            deployed = arena_printf(cli->arena, STR_FMT "%s%s: %s", STR_ARG(deployed),
                                    at > 0 ? ", " : "", cli_field(cli, place, "endpoint"),
                                    cli_field(cli, place, "version"));
        }
        table_cell(table, json_field_text(cli->arena, item, "name"));
        table_cell(table, json_field_text(cli->arena, item, "versions"));
        table_cell(table, json_field_text(cli->arena, item, "latest"));
        table_cell(table, json_field_text(cli->arena, item, "approved"));
        table_cell(table, deployed);
    }
    table_print(table);
    return STATUS_OK;
}

static enum status show_model(struct cli *cli, struct error *err)
{
    static const char *const titles[] = { "VERSION", "STATUS",  "CREATED", "BY",
                                          "REASON",  "METRICS", NULL };
    struct table *table = table_new(cli->arena, titles);
    yyjson_val *answer, *item;
    size_t index, max;

    TRY(cli_get(cli, cli_target(cli, "/api/v1/models/", cli_arg(cli, 0), ""), &answer, err));
    if (cli->json) {
        print_json(cli, answer);
        return STATUS_OK;
    }
    yyjson_arr_foreach(json_find(answer, STR("versions")), index, max, item)
    {
        table_cell(table, json_field_text(cli->arena, item, "version"));
        table_cell(table, json_field_text(cli->arena, item, "status"));
        table_cell(table, json_field_text(cli->arena, item, "created"));
        table_cell(table, json_field_text(cli->arena, item, "by"));
        table_cell(table, json_field_text(cli->arena, item, "reason"));
        table_cell(table, evidence_metrics_text(cli, json_find(item, STR("metrics"))));
    }
    table_print(table);
    return STATUS_OK;
}

static enum status show_version(struct cli *cli, struct error *err)
{
    yyjson_val *answer, *item;
    size_t index, max;

    TRY(cli_get(cli, version_target(cli, cli_arg(cli, 0), cli_arg(cli, 1), ""), &answer, err));
    if (cli->json) {
        print_json(cli, answer);
        return STATUS_OK;
    }
    print_line("%s version %s  %s  %s", cli_field(cli, answer, "name"),
               cli_field(cli, answer, "version"), cli_field(cli, answer, "status"),
               cli_field(cli, answer, "created"));
    evidence_print_members("metrics", cli, json_find(answer, STR("metrics")));
    evidence_print_members("parameters", cli, json_find(answer, STR("params")));
    evidence_print_members("lineage", cli, json_find(answer, STR("lineage")));
    print_line("\ndecisions");
    yyjson_arr_foreach(json_find(answer, STR("decisions")), index, max, item)
    {
        print_line("  %s  %-9s %s: %s", cli_field(cli, item, "time"),
                   cli_field(cli, item, "status"), cli_field(cli, item, "by"),
                   cli_field(cli, item, "reason"));
    }
    return STATUS_OK;
}

static enum status run_models_show(struct cli *cli, struct error *err)
{
    return cli->line.arg_count > 1 ? show_version(cli, err) : show_model(cli, err);
}

static enum status run_models_compare(struct cli *cli, struct error *err)
{
    return evidence_compare(cli, version_target(cli, cli_arg(cli, 0), cli_arg(cli, 1), ""),
                            version_target(cli, cli_arg(cli, 0), cli_arg(cli, 2), ""), err);
}

/* What a decision does to endpoints that have the version deployed. */
static void print_concerned(struct cli *cli, yyjson_val *answer)
{
    bool rejected = str_equal(json_str(json_find(answer, STR("status"))), STR("REJECTED"));
    yyjson_val *endpoint;
    size_t index, max;

    yyjson_arr_foreach(json_find(answer, STR("endpoints")), index, max, endpoint)
    {
        const char *name = arena_cstr(cli->arena, json_str(endpoint));

        if (rejected)
            print_note("endpoint %s has stopped serving it and answers with its fallback; "
                       "'onggi models rollback %s' goes back to the version before",
                       name, name);
        else
            print_note("endpoint %s serves it", name);
    }
}

static enum status decide(struct cli *cli, const char *verb, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(cli->arena);
    yyjson_mut_val *body = yyjson_mut_obj(doc);
    yyjson_val *answer;

    json_add_str(doc, body, "reason", cli_option(cli, "reason"));
    TRY(cli_post(cli, version_target(cli, cli_arg(cli, 0), cli_arg(cli, 1), verb),
                 json_mut_write(cli->arena, body), &answer, err));
    if (cli->json)
        print_json(cli, answer);
    else {
        print_note("%s version %s is %s, by %s", cli_field(cli, answer, "name"),
                   cli_field(cli, answer, "version"), cli_field(cli, answer, "status"),
                   cli_field(cli, answer, "by"));
        print_concerned(cli, answer);
    }
    return STATUS_OK;
}

static enum status run_approve(struct cli *cli, struct error *err)
{
    return decide(cli, "/approve", err);
}

static enum status run_reject(struct cli *cli, struct error *err)
{
    return decide(cli, "/reject", err);
}

/* ---- deployments */

static void print_deployment(struct cli *cli, yyjson_val *answer)
{
    if (cli->json)
        print_json(cli, answer);
    else
        print_note("endpoint %s serves %s version %s", cli_field(cli, answer, "endpoint"),
                   cli_field(cli, answer, "model"), cli_field(cli, answer, "version"));
}

/* Loading a model may take a while: its steps are shown. */
static enum status post_deployment(struct cli *cli, struct str target, struct str body,
                                   yyjson_val **out, struct error *err)
{
    const struct cli_request request = {
        .method = "POST", .target = target, .body = body, .events = true
    };
    struct cli_answer answer;

    TRY(cli_ask(cli, &request, &answer, err));
    *out = answer.json;
    return STATUS_OK;
}

static enum status run_deploy(struct cli *cli, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(cli->arena);
    yyjson_mut_val *body = yyjson_mut_obj(doc);
    struct str endpoint = cli_option(cli, "endpoint");
    yyjson_val *answer;
    int64_t version;

    if (!str_to_int64(cli_arg(cli, 1), &version))
        return cli_usage(cli, err, "'%s' is no version: expected a number", cli_arg_z(cli, 1));
    json_add_str(doc, body, "model", cli_arg(cli, 0));
    yyjson_mut_obj_add_int(doc, body, "version", version);
    TRY(post_deployment(cli, cli_target(cli, "/api/v1/endpoints/", endpoint, "/deploy"),
                        json_mut_write(cli->arena, body), &answer, err));
    print_deployment(cli, answer);
    return STATUS_OK;
}

static void print_rollback(struct cli *cli, yyjson_val *answer)
{
    yyjson_val *from = json_find(answer, STR("from")), *skipped;
    yyjson_val *next = json_find(answer, STR("next"));
    size_t index, max;

    print_note("endpoint %s serves %s version %s again, no longer version %s",
               cli_field(cli, answer, "endpoint"), cli_field(cli, answer, "model"),
               cli_field(cli, answer, "version"), cli_field(cli, from, "version"));
    yyjson_arr_foreach(json_find(answer, STR("skipped")), index, max, skipped)
        print_note("version %s lay in between and was skipped: it is not approved",
                   cli_field(cli, skipped, "version"));
    if (yyjson_is_int(next))
        print_note("one more rollback would bring version %s", cli_field(cli, answer, "next"));
    else
        print_note("there is nothing further back");
}

static enum status run_rollback(struct cli *cli, struct error *err)
{
    yyjson_val *answer;

    TRY(post_deployment(cli,
                        cli_target(cli, "/api/v1/endpoints/", cli_arg(cli, 0), "/rollback"),
                        STR("{}"), &answer, err));
    if (cli->json)
        print_json(cli, answer);
    else
        print_rollback(cli, answer);
    return STATUS_OK;
}

static enum status run_history(struct cli *cli, struct error *err)
{
    static const char *const titles[] = { "TIME", "MODEL",      "VERSION", "HOW",
                                          "BY",   "STATUS NOW", NULL };
    struct table *table;
    yyjson_val *answer, *item;
    size_t index, max;

    TRY(cli_get(cli, cli_target(cli, "/api/v1/endpoints/", cli_arg(cli, 0), "/deployments"),
                &answer, err));
    if (cli->json) {
        print_json(cli, answer);
        return STATUS_OK;
    }
    table = table_new(cli->arena, titles);
    yyjson_arr_foreach(json_find(answer, STR("deployments")), index, max, item)
    {
        bool rollback = yyjson_is_true(json_find(item, STR("rollback")));

        table_cell(table, json_field_text(cli->arena, item, "time"));
        table_cell(table, json_field_text(cli->arena, item, "model"));
        table_cell(table, json_field_text(cli->arena, item, "version"));
        table_cell(table, rollback ? STR("rollback") : STR("deploy"));
        table_cell(table, json_field_text(cli->arena, item, "by"));
        table_cell(table, json_field_text(cli->arena, item, "status"));
    }
    table_print(table);
    return STATUS_OK;
}

static const struct command_option reason_options[] = {
    { "reason", "TEXT", "kept with the decision for ever", true },
    { 0 },
};
static const struct command_option deploy_options[] = {
    { "endpoint", "NAME", "which endpoint serves it from now on", true },
    { 0 },
};

const struct command registry_commands[] = {
    { "runs list", "", "what was trained, newest first", "onggi runs list", NULL, 0, 0,
      ACCESS_READ, false, run_runs_list },
    { "runs show", "ID", "parameters, metrics and artifacts of a run", "onggi runs show last",
      NULL, 1, 1, ACCESS_READ, false, run_runs_show },
    { "runs compare", "ID ID", "where two runs differ", "onggi runs compare 01J… last", NULL, 2,
      2, ACCESS_READ, false, run_runs_compare },
    { "models list", "", "models and which versions serve", "onggi models list", NULL, 0, 0,
      ACCESS_READ, false, run_models_list },
    { "models show", "NAME [VERSION]", "the versions of a model; one version with its lineage",
      "onggi models show flight_delay\nonggi models show flight_delay 1", NULL, 1, 2,
      ACCESS_READ, false, run_models_show },
    { "models compare", "NAME VERSION VERSION", "where two versions differ",
      "onggi models compare flight_delay 1 2", NULL, 3, 3, ACCESS_READ, false,
      run_models_compare },
    { "models approve", "NAME VERSION", "allow a version to decide",
      "onggi models approve flight_delay 1 --reason 'calibrated, AUC .76'", reason_options, 2,
      2, ACCESS_WRITE, false, run_approve },
    { "models reject", "NAME VERSION", "keep a version from deciding",
      "onggi models reject flight_delay 1 --reason 'worse on small airports'", reason_options,
      2, 2, ACCESS_WRITE, false, run_reject },
    { "models deploy", "NAME VERSION", "let an endpoint serve an approved version",
      "onggi models deploy flight_delay 1 --endpoint flight_delay", deploy_options, 2, 2,
      ACCESS_WRITE, false, run_deploy },
    { "models rollback", "ENDPOINT", "one deployment back, to the version before",
      "onggi models rollback flight_delay", NULL, 1, 1, ACCESS_WRITE, false, run_rollback },
    { "models history", "ENDPOINT", "what an endpoint served, and who deployed it",
      "onggi models history flight_delay", NULL, 1, 1, ACCESS_READ, false, run_history },
    COMMANDS_END,
};
