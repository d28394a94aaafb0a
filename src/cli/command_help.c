/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"
#include "cli/command.h"

#define NAME_COLUMN 26

static const char first_steps[] =
    "onggi carries a model from data to decision: features, pipeline, registry, endpoint.\n"
    "\n"
    "  onggi demo flights                  the whole way on three million real flights\n"
    "  onggi init shop && cd shop          a project of your own\n"
    "  onggi apply                         check and record its definitions\n"
    "  onggi serve                         answer over HTTP\n"
    "\n";

static const char general_help[] =
    "\n"
    "everywhere:\n"
    "  --json             answer in JSON on stdout; messages and progress go to stderr\n"
    "  --project DIR      the project's folder; default: the next onggi.yaml upwards\n"
    "  --server URL       ask this server; also ONGGI_SERVER, with a token in ONGGI_TOKEN\n"
    "  --help             what a command takes, with examples\n";

static struct str first_line(const char *text)
{
    struct str all = str_from(text);

    return str_slice(all, 0, str_index(all, '\n'));
}

static bool in_group(const struct command *command, struct str group)
{
    struct str name = str_from(command->name);

    return group.len == 0 || str_equal(name, group) ||
           (str_starts(name, group) && name.data[group.len] == ' ');
}

static void list_commands(struct buffer *out, const struct command *const *tables,
                          struct str group)
{
    for (; *tables != NULL; tables++) {
        for (const struct command *command = *tables; command->name != NULL; command++) {
            struct str summary = first_line(command->summary);

            if (!command->hidden && in_group(command, group))
                buffer_printf(out, "  %-*s " STR_FMT "\n", NAME_COLUMN, command->name,
                              STR_ARG(summary));
        }
    }
}

static void list_options(struct buffer *out, const struct command_option *options)
{
    if (options == NULL || options->name == NULL)
        return;
    buffer_append(out, STR("\noptions:\n"));
    for (; options->name != NULL; options++) {
        size_t start = out->len;

        buffer_printf(out, "  --%s%s%s", options->name, options->value == NULL ? "" : " ",
                      options->value == NULL ? "" : options->value);
        while (out->len - start < NAME_COLUMN)
            buffer_append_byte(out, ' ');
        buffer_printf(out, " %s%s\n", options->help, options->needed ? " (needed)" : "");
    }
}

static void list_examples(struct buffer *out, const char *examples)
{
    struct str rest = str_from(examples == NULL ? "" : examples), line;

    if (rest.len == 0)
        return;
    buffer_append(out, STR("\nexamples:\n"));
    while (str_split(&rest, '\n', &line)) {
        if (line.len > 0)
            buffer_printf(out, "  " STR_FMT "\n", STR_ARG(line));
    }
}

static void help_of_one(struct buffer *out, const struct command *command)
{
    buffer_printf(out, "usage: onggi %s%s%s\n\n%s\n", command->name,
                  command->args[0] == '\0' ? "" : " ", command->args, command->summary);
    list_options(out, command->options);
    list_examples(out, command->examples);
    buffer_append(out, str_from(general_help));
}

struct str command_help(struct arena *arena, const struct command *const *tables,
                        const struct command_line *line)
{
    struct buffer out = { 0 };
    struct str text;

    if (line->command != NULL) {
        help_of_one(&out, line->command);
    } else if (line->group.len > 0) {
        buffer_printf(&out, "onggi " STR_FMT ":\n", STR_ARG(line->group));
        list_commands(&out, tables, line->group);
        buffer_printf(&out, "\n'onggi " STR_FMT " COMMAND --help' tells more.\n",
                      STR_ARG(line->group));
    } else {
        buffer_append(&out, str_from(first_steps));
        buffer_append(&out, STR("commands:\n"));
        list_commands(&out, tables, STR_EMPTY);
        buffer_append(&out, str_from(general_help));
    }
    text = arena_str(arena, buffer_str(&out));
    buffer_free(&out);
    return text;
}
