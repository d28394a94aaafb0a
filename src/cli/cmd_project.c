/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about the project as a whole: init, validate, apply, status, doctor, version. */
#include "base/file.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/examples.h"
#include "cli/output.h"
#include "cli/place.h"

#include <string.h>

/* ---- init */

static const char new_config[] =
    "# Every key has a default; an empty file works. docs/server.md lists the keys.\n"
    "#\n"
    "# server: {listen: \"127.0.0.1:8470\"}\n"
    "# python: python3                 # what runs the scripts of pipelines\n";

static const char new_features[] =
    "# What is known about whom, and where it comes from. Take the '# ' away and name your own.\n"
    "#\n"
    "# entity: customer\n"
    "# key: customer_id\n"
    "# type: int64\n"
    "# ---\n"
    "# source: transactions\n"
    "# path: data/transactions.parquet\n"
    "# time: tx_time\n"
    "# ---\n"
    "# view: customer_activity\n"
    "# entity: customer\n"
    "# source: transactions\n"
    "# features:\n"
    "#   tx_count_1d:   {count: \"*\", window: 1d}\n"
    "#   amount_avg_7d: {avg: amount, window: 7d}\n"
    "# ---\n"
    "# service: fraud_v1\n"
    "# features: [customer_activity]\n";

static enum status write_new(struct cli *cli, const char *folder, const char *name,
                             struct str text, struct error *err)
{
    struct str path = arena_printf(cli->arena, "%s/%s", folder, name);

    if (file_exists(path.data)) {
        print_note("kept  %s", path.data);
        return STATUS_OK;
    }
    TRY(file_write(path.data, text, err));
    print_note("wrote %s", path.data);
    return STATUS_OK;
}

static enum status make_empty(struct cli *cli, const char *folder, struct error *err)
{
    static const char *const folders[] = { "features", "pipelines", "endpoints", "data" };

    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        TRY(folder_create(arena_printf(cli->arena, "%s/%s", folder, folders[i]).data, err));
    TRY(write_new(cli, folder, "features/features.yaml", str_from(new_features), err));
    TRY(write_new(cli, folder, ".gitignore", STR(".onggi/\n"), err));
    /* Last: with it the folder is a project. */
    return write_new(cli, folder, "onggi.yaml", str_from(new_config), err);
}

static void print_next(struct cli *cli, const char *folder)
{
    struct str place = place_absolute(cli->arena, str_from(folder));
    struct str command = place_command(cli, place);
    struct str way = place_in_shell(cli->arena, str_from(folder));

    if (strcmp(folder, ".") == 0)
        print_note("next: " STR_FMT " apply", STR_ARG(command));
    else
        print_note("next: cd " STR_FMT " && " STR_FMT " apply", STR_ARG(way), STR_ARG(command));
}

static enum status make_example(struct cli *cli, struct str example, const char *folder,
                                struct error *err)
{
    struct str python;

    TRY(example_copy(cli->arena, example, folder, false, err));
    python = example_python(cli->arena, example, folder);
    return python.len == 0 ? STATUS_OK : example_keep_python(cli->arena, folder, python, err);
}

static enum status run_init(struct cli *cli, struct error *err)
{
    const char *folder = cli->line.arg_count > 0 ? cli_arg_z(cli, 0) : ".";
    struct str example = cli_option(cli, "example");

    TRY(folder_create(folder, err));
    if (example.len > 0)
        TRY(make_example(cli, example, folder, err));
    else
        TRY(make_empty(cli, folder, err));
    if (cli->json) {
        yyjson_mut_doc *doc = json_mut_doc(cli->arena);
        yyjson_mut_val *object = yyjson_mut_obj(doc);

        json_add_str(doc, object, "project", str_from(folder));
        print_json_mut(cli, object);
    }
    print_next(cli, folder);
    return STATUS_OK;
}

/* ---- validate and apply */

static void print_change(struct cli *cli, yyjson_val *change)
{
    print_line("%s %-9s %-30s %s:%s", cli_field(cli, change, "change"),
               cli_field(cli, change, "kind"), cli_field(cli, change, "name"),
               cli_field(cli, change, "file"), cli_field(cli, change, "line"));
}

static void print_problems(struct cli *cli, yyjson_val *problems, const char *what)
{
    yyjson_val *problem;
    size_t index, max;

    yyjson_arr_foreach(problems, index, max, problem)
    {
        print_note("%s:%s:%s: %s%s", cli_field(cli, problem, "file"),
                   cli_field(cli, problem, "line"), cli_field(cli, problem, "column"), what,
                   cli_field(cli, problem, "message"));
    }
}

/* What is served of a view was built by its definition, and waits for the next time. */
static void print_unbuilt(struct cli *cli, yyjson_val *view)
{
    print_note("view '%s' wants 'onggi features materialize' before requests can read it",
               arena_cstr(cli->arena, json_str(view)));
}

static enum status check_definitions(struct cli *cli, struct str target, bool recording,
                                     struct error *err)
{
    yyjson_val *answer, *plan, *problems, *warnings, *unbuilt, *item;
    size_t index, max;

    TRY(cli_post(cli, target, STR_EMPTY, &answer, err));
    plan = json_find(answer, STR("plan"));
    problems = json_find(answer, STR("errors"));
    warnings = json_find(answer, STR("warnings"));
    unbuilt = json_find(answer, STR("materialize"));
    if (cli->json)
        print_json(cli, answer);
    else
        print_problems(cli, warnings, "warning: ");
    if (!cli->json)
        print_problems(cli, problems, "");
    if (yyjson_arr_size(problems) > 0)
        return error_set(err, STATUS_INVALID, "%zu mistake%s; nothing was recorded",
                         yyjson_arr_size(problems), yyjson_arr_size(problems) == 1 ? "" : "s");
    if (cli->json)
        return STATUS_OK;
    yyjson_arr_foreach(plan, index, max, item)
    {
        print_change(cli, item);
    }
    if (yyjson_arr_size(plan) == 0)
        print_note("no changes");
    else
        print_note(recording ? "%zu change%s recorded"
                             : "%zu change%s; 'onggi apply' records them",
                   yyjson_arr_size(plan), yyjson_arr_size(plan) == 1 ? "" : "s");
    yyjson_arr_foreach(unbuilt, index, max, item)
    {
        print_unbuilt(cli, item);
    }
    return STATUS_OK;
}

static enum status run_validate(struct cli *cli, struct error *err)
{
    return check_definitions(cli, STR("/api/v1/validate"), false, err);
}

static enum status run_apply(struct cli *cli, struct error *err)
{
    return check_definitions(
        cli, cli_has(cli, "force") ? STR("/api/v1/apply?force=true") : STR("/api/v1/apply"),
        true, err);
}

/* ---- status, doctor, version */

static enum status run_status(struct cli *cli, struct error *err)
{
    yyjson_val *answer, *sections, *section, *lines, *line;
    size_t index, max, at, count;

    TRY(cli_get(cli, STR("/api/v1/status"), &answer, err));
    if (cli->json) {
        print_json(cli, answer);
        return STATUS_OK;
    }
    sections = json_find(answer, STR("sections"));
    yyjson_arr_foreach(sections, index, max, section)
    {
        print_line("%s%s", index > 0 ? "\n" : "", cli_field(cli, section, "title"));
        lines = json_find(section, STR("lines"));
        yyjson_arr_foreach(lines, at, count, line)
        {
            print_line("  %-14s %s", cli_field(cli, line, "name"),
                       cli_field(cli, line, "text"));
        }
    }
    return STATUS_OK;
}

static enum status run_doctor(struct cli *cli, struct error *err)
{
    yyjson_val *answer, *checks, *check;
    size_t index, max, bad = 0;

    TRY(cli_get(cli, STR("/api/v1/doctor"), &answer, err));
    if (cli->json)
        print_json(cli, answer);
    checks = json_find(answer, STR("checks"));
    yyjson_arr_foreach(checks, index, max, check)
    {
        struct str state = json_field_text(cli->arena, check, "state");

        bad += str_equal(state, STR("bad"));
        if (!cli->json)
            print_line("%-5s %-14s %s", cli_field(cli, check, "state"),
                       cli_field(cli, check, "name"), cli_field(cli, check, "text"));
    }
    if (bad > 0)
        return error_set(err, STATUS_UNAVAILABLE, "%zu of %zu checks need care", bad,
                         yyjson_arr_size(checks));
    return STATUS_OK;
}

static enum status run_version(struct cli *cli, struct error *err)
{
    (void)err;
    if (cli->json)
        print_line("{\"version\":\"" ONGGI_VERSION "\"}");
    else
        print_line("onggi " ONGGI_VERSION);
    return STATUS_OK;
}

static const struct command_option init_options[] = {
    { "example", "NAME", "start from an example: flights", false },
    { 0 },
};

static const struct command_option apply_options[] = {
    { "force", NULL, "also where an endpoint no longer fits the model that it serves", false },
    { 0 },
};

const struct command project_commands[] = {
    { "init", "[DIR]", "make a project", "onggi init shop\nonggi init --example flights trial",
      init_options, 0, 1, ACCESS_NONE, false, run_init },
    { "validate", "", "check the definitions and show what 'apply' would change",
      "onggi validate\nonggi validate --json", NULL, 0, 0, ACCESS_WRITE, false, run_validate },
    { "apply", "", "check and record the definitions", "onggi apply", apply_options, 0, 0,
      ACCESS_WRITE, false, run_apply },
    { "status", "", "the whole project on one screen", "onggi status", NULL, 0, 0, ACCESS_READ,
      false, run_status },
    { "doctor", "", "check what Onggi needs of this machine", "onggi doctor", NULL, 0, 0,
      ACCESS_DOCTOR, false, run_doctor },
    { "version", "", "the version of this program", "onggi version", NULL, 0, 0, ACCESS_NONE,
      false, run_version },
    COMMANDS_END,
};
