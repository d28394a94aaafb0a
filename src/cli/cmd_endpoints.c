/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about endpoints: what is served where, and by which rules. */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"

static void note_server(const struct cli *cli)
{
    if (cli->server.len == 0)
        print_note("no server runs; this is what one would serve");
}

static enum status run_list(struct cli *cli, struct error *err)
{
    static const char *const titles[] = { "ENDPOINT", "SERVICE", "MODEL",
                                          "VERSION",  "STATUS",  NULL };
    struct table *table = table_new(cli->arena, titles);
    yyjson_val *answer, *list, *item;
    size_t index, max;

    TRY(cli_get(cli, STR("/api/v1/endpoints"), &answer, err));
    if (cli->json) {
        print_json(cli, answer);
        return STATUS_OK;
    }
    list = json_find(answer, STR("endpoints"));
    yyjson_arr_foreach(list, index, max, item)
    {
        table_cell(table, json_field_text(cli->arena, item, "name"));
        table_cell(table, json_field_text(cli->arena, item, "service"));
        table_cell(table, json_field_text(cli->arena, item, "model"));
        table_cell(table, json_field_text(cli->arena, item, "version"));
        table_cell(table, json_field_text(cli->arena, item, "status"));
    }
    table_print(table);
    if (yyjson_arr_size(list) == 0)
        print_note("no endpoint is defined; docs/endpoints.md says how");
    else
        note_server(cli);
    return STATUS_OK;
}

static void print_rules(struct cli *cli, yyjson_val *answer)
{
    static const char *const titles[] = { "DECISION", "WHEN", NULL };
    struct table *table = table_new(cli->arena, titles);
    yyjson_val *rules = json_find(answer, STR("rules")), *rule;
    size_t index, max;

    if (yyjson_arr_size(rules) == 0)
        return;
    yyjson_arr_foreach(rules, index, max, rule)
    {
        table_cell(table, json_field_text(cli->arena, rule, "decision"));
        table_cell(table, json_field_text(cli->arena, rule, "when"));
    }
    print_line("%s", "");
    table_print(table);
}

static void print_fallback(struct cli *cli, yyjson_val *fallback)
{
    if (fallback == NULL)
        print_line("fallback  none: an error where the model cannot answer");
    else if (json_find(fallback, STR("decision")) == NULL)
        print_line("fallback  score %s", cli_field(cli, fallback, "score"));
    else
        print_line("fallback  score %s, decision %s", cli_field(cli, fallback, "score"),
                   cli_field(cli, fallback, "decision"));
}

static void print_last_fallback(struct cli *cli, yyjson_val *last)
{
    if (last != NULL)
        print_line("last      %s  %s: %s", cli_field(cli, last, "time"),
                   cli_field(cli, last, "reason"), cli_field(cli, last, "why"));
}

static enum status run_show(struct cli *cli, struct error *err)
{
    yyjson_val *answer;

    TRY(cli_get(cli, cli_target(cli, "/api/v1/endpoints/", cli_arg(cli, 0), ""), &answer, err));
    if (cli->json) {
        print_json(cli, answer);
        return STATUS_OK;
    }
    print_line("endpoint  %s\nstatus    %s\nmodel     %s version %s\nservice   %s",
               cli_field(cli, answer, "name"), cli_field(cli, answer, "status"),
               cli_field(cli, answer, "model"), cli_field(cli, answer, "version"),
               cli_field(cli, answer, "service"));
    print_line("timeout   %s", cli_field(cli, answer, "timeout"));
    print_fallback(cli, json_find(answer, STR("fallback")));
    print_last_fallback(cli, json_find(answer, STR("last_fallback")));
    if (json_find(answer, STR("model_p50_us")) != NULL)
        print_line("speed     p50 %s µs, p99 %s µs a row, the model alone, %s",
                   cli_field(cli, answer, "model_p50_us"),
                   cli_field(cli, answer, "model_p99_us"),
                   cli_field(cli, answer, "model_runs"));
    print_rules(cli, answer);
    note_server(cli);
    return STATUS_OK;
}

/* With the models: without them it could not be said which version answers. */
const struct command endpoint_commands[] = {
    { "endpoints list", "", "endpoints and the versions that they serve",
      "onggi endpoints list", NULL, 0, 0, ACCESS_MODELS, false, run_list },
    { "endpoints show", "NAME", "rules, fallback, time-out and speed of an endpoint",
      "onggi endpoints show flight_delay", NULL, 1, 1, ACCESS_MODELS, false, run_show },
    COMMANDS_END,
};
