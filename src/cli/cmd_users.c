/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about users. Their tokens are shown once; only a hash is kept. */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"

static enum status run_list(struct cli *cli, struct error *err)
{
    static const char *const titles[] = { "USER", "ROLE", NULL };
    struct table *table = table_new(cli->arena, titles);
    yyjson_val *answer, *item;
    size_t index, max;

    TRY(cli_get(cli, STR("/api/v1/users"), &answer, err));
    if (cli->json) {
        print_json(cli, answer);
        return STATUS_OK;
    }
    yyjson_arr_foreach(json_find(answer, STR("users")), index, max, item)
    {
        table_cell(table, json_field_text(cli->arena, item, "name"));
        table_cell(table, json_field_text(cli->arena, item, "role"));
    }
    table_print(table);
    if (yyjson_arr_size(json_find(answer, STR("users"))) == 0)
        print_note("no users: whoever can reach this machine's loopback may do everything");
    return STATUS_OK;
}

static enum status run_add(struct cli *cli, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(cli->arena);
    yyjson_mut_val *body = yyjson_mut_obj(doc);
    struct str role = cli_option(cli, "role");
    yyjson_val *answer;

    json_add_str(doc, body, "name", cli_arg(cli, 0));
    json_add_str(doc, body, "role", role.len > 0 ? role : STR("viewer"));
    TRY(cli_post(cli, STR("/api/v1/users"), json_mut_write(cli->arena, body), &answer, err));
    if (cli->json) {
        print_json(cli, answer);
        return STATUS_OK;
    }
    print_note("user %s, %s; this token is shown only now:", cli_field(cli, answer, "name"),
               cli_field(cli, answer, "role"));
    print_line("%s", cli_field(cli, answer, "token"));
    return STATUS_OK;
}

static enum status run_remove(struct cli *cli, struct error *err)
{
    struct cli_request request = {
        .method = "DELETE",
        .target = cli_target(cli, "/api/v1/users/", cli_arg(cli, 0), ""),
    };
    struct cli_answer answer;

    TRY(cli_ask(cli, &request, &answer, err));
    if (cli->json) {
        yyjson_mut_doc *doc = json_mut_doc(cli->arena);
        yyjson_mut_val *root = yyjson_mut_obj(doc);

        json_add_str(doc, root, "removed", cli_arg(cli, 0));
        print_json_mut(cli, root);
        return STATUS_OK;
    }
    print_note("user %s is gone; the token is worth nothing now", cli_arg_z(cli, 0));
    return STATUS_OK;
}

static const struct command_option add_options[] = {
    { "role", "ROLE", "viewer (default), editor, approver or admin", false },
    { 0 },
};

const struct command user_commands[] = {
    { "users list", "", "who may use the server", "onggi users list", NULL, 0, 0, ACCESS_READ,
      false, run_list },
    { "users add", "NAME", "add a user and print the token, once",
      "onggi users add anna --role admin", add_options, 1, 1, ACCESS_WRITE, false, run_add },
    { "users remove", "NAME", "take a user away", "onggi users remove anna", NULL, 1, 1,
      ACCESS_WRITE, false, run_remove },
    COMMANDS_END,
};
