/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about features: list, show, search, get, materialize, training-set. */
#include "cli/batch.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/service.h"

/* ---- list, search, show */

static enum status print_definitions(struct cli *cli, struct str target, struct error *err)
{
    static const char *const titles[] = { "KIND", "NAME", "WHERE", "DESCRIPTION", NULL };
    struct table *table = table_new(cli->arena, titles);
    yyjson_val *answer, *list, *item;
    size_t index, max;

    TRY(cli_get(cli, target, &answer, err));
    if (cli->json) {
        print_json(cli, answer);
        return STATUS_OK;
    }
    list = json_find(answer, STR("definitions"));
    yyjson_arr_foreach(list, index, max, item)
    {
        table_cell(table, json_field_text(cli->arena, item, "kind"));
        table_cell(table, json_field_text(cli->arena, item, "name"));
        table_cellf(table, "%s:%s", cli_field(cli, item, "file"), cli_field(cli, item, "line"));
        table_cell(table, json_str(json_find(item, STR("description"))));
    }
    table_print(table);
    if (yyjson_arr_size(list) == 0)
        print_note("nothing found; 'onggi apply' records definitions");
    return STATUS_OK;
}

static enum status run_list(struct cli *cli, struct error *err)
{
    struct str kind = cli_option(cli, "kind"), target = STR("/api/v1/definitions");

    if (kind.len > 0)
        target = cli_target(cli, "/api/v1/definitions?kind=", kind, "");
    return print_definitions(cli, target, err);
}

static enum status run_search(struct cli *cli, struct error *err)
{
    return print_definitions(
        cli, cli_target(cli, "/api/v1/definitions?search=", cli_arg(cli, 0), ""), err);
}

static void print_features(struct cli *cli, yyjson_val *features)
{
    static const char *const titles[] = { "FEATURE", "TYPE", "FROM", NULL };
    struct table *table = table_new(cli->arena, titles);
    size_t index, max;
    yyjson_val *item;

    yyjson_arr_foreach(features, index, max, item)
    {
        yyjson_val *from = json_find(item, STR("aggregate"));

        if (from == NULL)
            from = json_find(item, STR("expr"));
        if (from == NULL)
            from = json_find(item, STR("view"));
        table_cell(table, json_field_text(cli->arena, item, "name"));
        table_cell(table, json_field_text(cli->arena, item, "type"));
        table_cell(table, from == NULL ? STR_EMPTY : json_text(cli->arena, from));
    }
    table_print(table);
}

/* Every scalar field on a line, lists of fields as tables below. */
static void print_definition(struct cli *cli, yyjson_val *definition)
{
    size_t index, max;
    yyjson_val *key, *value;

    yyjson_obj_foreach(definition, index, max, key, value)
    {
        if (!yyjson_is_arr(value) && !yyjson_is_null(value))
            print_line("%-12s %s", cli_text(cli, key),
                       arena_cstr(cli->arena, json_text(cli->arena, value)));
    }
    yyjson_obj_foreach(definition, index, max, key, value)
    {
        if (!yyjson_is_arr(value) || yyjson_arr_size(value) == 0)
            continue;
        print_line("\n%s", cli_text(cli, key));
        print_features(cli, value);
    }
}

/* A name may stand for several kinds of thing: all of them are shown. */
static enum status run_show(struct cli *cli, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(cli->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *shown = yyjson_mut_obj_add_arr(doc, root, "definitions");
    struct str name = cli_arg(cli, 0), folder;
    yyjson_val *answer, *list, *item, *definition;
    size_t index, max;

    TRY(cli_get(cli, cli_target(cli, "/api/v1/definitions?name=", name, ""), &answer, err));
    list = json_find(answer, STR("definitions"));
    if (yyjson_arr_size(list) == 0)
        return error_set(err, STATUS_NOT_FOUND,
                         "nothing recorded is called '" STR_FMT
                         "'; 'onggi features list' shows "
                         "what is",
                         STR_ARG(name));
    yyjson_arr_foreach(list, index, max, item)
    {
        folder = arena_printf(cli->arena, "/api/v1/definitions/%s/",
                              cli_field(cli, item, "kind"));
        TRY(cli_get(cli, cli_target(cli, folder.data, name, ""), &definition, err));
        if (cli->json)
            yyjson_mut_arr_append(shown, yyjson_val_mut_copy(doc, definition));
        else
            print_definition(cli, definition);
    }
    if (cli->json)
        print_json_mut(cli, root);
    return STATUS_OK;
}

/* ---- get */

static void print_values(struct cli *cli, yyjson_val *answer)
{
    static const char *const titles[] = { "FEATURE", "VALUE", "STATUS", "EVENT TIME", NULL };
    struct table *table = table_new(cli->arena, titles);
    yyjson_val *names = json_find(answer, STR("features"));
    yyjson_val *row = yyjson_arr_get_first(json_find(answer, STR("rows")));
    yyjson_val *statuses = yyjson_arr_get_first(json_find(answer, STR("statuses")));
    yyjson_val *times = yyjson_arr_get_first(json_find(answer, STR("event_times")));
    size_t index, max;
    yyjson_val *name;

    yyjson_arr_foreach(names, index, max, name)
    {
        table_cell(table, json_str(name));
        table_cell(table, json_text(cli->arena, yyjson_arr_get(row, index)));
        table_cell(table, json_text(cli->arena, yyjson_arr_get(statuses, index)));
        table_cell(table, json_text(cli->arena, yyjson_arr_get(times, index)));
    }
    table_print(table);
}

static enum status run_get(struct cli *cli, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(cli->arena);
    yyjson_mut_val *body = yyjson_mut_obj(doc);
    struct str service = cli_option(cli, "service");
    yyjson_val *answer;

    json_add_str(doc, body, "service", service);
    TRY(service_fill(cli, service, 0, true, doc, body, err));
    TRY(cli_post(cli, STR("/api/v1/features/get"), json_mut_write(cli->arena, body), &answer,
                 err));
    if (cli->json)
        print_json(cli, answer);
    else
        print_values(cli, answer);
    return STATUS_OK;
}

/* ---- materialize */

static struct str materialize_body(struct cli *cli)
{
    yyjson_mut_doc *doc = json_mut_doc(cli->arena);
    yyjson_mut_val *body = yyjson_mut_obj(doc), *views;

    if (cli_has(cli, "view")) {
        views = yyjson_mut_obj_add_arr(doc, body, "views");
        for (size_t i = 0; i < cli->line.option_count; i++) {
            struct command_line_option option = cli->line.options[i];

            if (str_equal(option.name, STR("view")))
                yyjson_mut_arr_add_strncpy(doc, views, option.value.data, option.value.len);
        }
    }
    if (cli_has(cli, "from"))
        json_add_str(doc, body, "from", cli_option(cli, "from"));
    if (cli_has(cli, "to"))
        json_add_str(doc, body, "to", cli_option(cli, "to"));
    return json_mut_write(cli->arena, body);
}

static enum status run_materialize(struct cli *cli, struct error *err)
{
    static const char *const titles[] = { "VIEW", "ROWS", "ENTITIES", "SECONDS", NULL };
    struct cli_request request = { .method = "POST",
                                   .target = STR("/api/v1/features/materialize"),
                                   .body = materialize_body(cli),
                                   .events = true };
    struct table *table = table_new(cli->arena, titles);
    struct cli_answer answer;
    yyjson_val *view;
    size_t index, max;

    TRY(cli_ask(cli, &request, &answer, err));
    if (cli->json) {
        print_json(cli, answer.json);
        return STATUS_OK;
    }
    yyjson_arr_foreach(json_find(answer.json, STR("views")), index, max, view)
    {
        table_cell(table, json_field_text(cli->arena, view, "view"));
        table_cell(table, text_count(cli->arena, (int64_t)json_field_number(view, "rows")));
        table_cell(table, text_count(cli->arena, (int64_t)json_field_number(view, "entities")));
        table_cellf(table, "%.1f", json_field_number(view, "seconds"));
    }
    table_print(table);
    return STATUS_OK;
}

/* ---- training-set */

static enum status run_training_set(struct cli *cli, struct error *err)
{
    const struct batch batch = { .target = STR("/api/v1/features/training-set"),
                                 .service = cli_option(cli, "service") };

    return batch_run(cli, &batch, err);
}

static const struct command_option list_options[] = {
    { "kind", "KIND", "only these: entity, source, view, service, pipeline, endpoint", false },
    { 0 },
};
static const struct command_option get_options[] = {
    { "service", "NAME", "whose features", true },
    { 0 },
};
static const struct command_option materialize_options[] = {
    { "view", "NAME", "only this view; may be given again", false },
    { "from", "TIME", "source rows from here on", false },
    { "to", "TIME", "source rows before this", false },
    { 0 },
};
static const struct command_option training_set_options[] = {
    { "service", "NAME", "whose features", true },
    BATCH_OPTIONS,
    { "as-known", NULL, "only what had been loaded by then (the source's created column)",
      false },
    { "full-names", NULL, "name columns view__feature", false },
    { 0 },
};

const struct command feature_commands[] = {
    { "features list", "", "what is defined", "onggi features list --kind view", list_options,
      0, 0, ACCESS_READ, false, run_list },
    { "features show", "NAME", "one definition with its features and types",
      "onggi features show flight_v1", NULL, 1, 1, ACCESS_READ, false, run_show },
    { "features search", "TEXT", "definitions that have the text in name or description",
      "onggi features search delay", NULL, 1, 1, ACCESS_READ, false, run_search },
    { "features get", "k=v …", "the values of a service that are true now",
      "onggi features get --service flight_v1 origin=ATL destination=ORD "
      "date=2001-07-01T08:30:00Z distance=606",
      get_options, 0, -1, ACCESS_READ, false, run_get },
    { "features materialize", "", "bring the newest values into the online store",
      "onggi features materialize\nonggi features materialize --view origin_delays",
      materialize_options, 0, 0, ACCESS_WRITE, false, run_materialize },
    { "features training-set", "",
      "entity rows, and beside each the features as they were at its time",
      "onggi features training-set --service flight_v1 --out train.csv --entities-sql \\\n"
      "    'SELECT date, origin, destination, distance FROM flights LIMIT 1000'\n"
      "onggi features training-set --service flight_v1 --entities data/flights-3m.parquet "
      "--out train.parquet",
      training_set_options, 0, 0, ACCESS_WRITE, false, run_training_set },
    COMMANDS_END,
};
