/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#define NAMES_MAX 256

static const struct command_option general_options[] = {
    { "json", NULL, "answer in JSON on stdout", false },
    { "project", "DIR", "the project's folder; default: the next onggi.yaml upwards", false },
    { "server", "URL", "ask this server; also ONGGI_SERVER", false },
    { "token", "TOKEN", "who asks; better in ONGGI_TOKEN", false },
    { "help", NULL, "this text", false },
    { 0 },
};

/* Where no command is named. */
static const struct command_option bare_options[] = {
    { "version", NULL, "the version of this program", false },
    { 0 },
};

/* ---- finding commands */

typedef bool (*command_visitor)(const struct command *command, void *context);

static void each_command(const struct command *const *tables, command_visitor visit,
                         void *context)
{
    for (; *tables != NULL; tables++) {
        for (const struct command *command = *tables; command->name != NULL; command++) {
            if (!visit(command, context))
                return;
        }
    }
}

/* "features" of "features get"; empty for a command of one word. */
static struct str group_of(const struct command *command)
{
    struct str name = str_from(command->name);
    size_t space = str_index(name, ' ');

    return space == name.len ? STR_EMPTY : str_slice(name, 0, space);
}

static bool is_second_word(struct str name, struct str verb)
{
    size_t space = str_index(name, ' ');

    return space < name.len && str_equal(str_slice(name, space + 1, name.len), verb);
}

struct search {
    struct str wanted;
    const struct command *found;
    bool is_group;
    struct str names[NAMES_MAX]; /* of commands and groups */
    size_t count;
};

static bool visit_search(const struct command *command, void *context)
{
    struct search *search = context;
    struct str name = str_from(command->name), group = group_of(command);

    if (str_equal(name, search->wanted))
        search->found = command;
    if (group.len > 0 && str_equal(group, search->wanted))
        search->is_group = true;
    if (!command->hidden && search->count + 2 <= NAMES_MAX) {
        search->names[search->count++] = name;
        if (group.len > 0)
            search->names[search->count++] = group;
    }
    return true;
}

/* "'onggi models deploy'": the commands whose second word is the verb; empty if there are none. */
static struct str commands_of_verb(struct arena *arena, const struct search *search,
                                   struct str verb)
{
    struct str text = STR_EMPTY;

    for (size_t i = 0; i < search->count; i++) {
        if (is_second_word(search->names[i], verb))
            text = arena_printf(arena, STR_FMT "%s'onggi " STR_FMT "'", STR_ARG(text),
                                text.len > 0 ? " or " : "", STR_ARG(search->names[i]));
    }
    return text;
}

static struct str nearest_verb(const struct search *search, struct str wanted)
{
    struct str verbs[NAMES_MAX];
    size_t count = 0;

    for (size_t i = 0; i < search->count; i++) {
        struct str name = search->names[i];
        size_t space = str_index(name, ' ');

        if (space < name.len)
            verbs[count++] = str_slice(name, space + 1, name.len);
    }
    return str_nearest(wanted, verbs, count);
}

static struct str quoted(struct arena *arena, struct str name)
{
    return name.len == 0 ? STR_EMPTY
                         : arena_printf(arena, "'onggi " STR_FMT "'", STR_ARG(name));
}

/* A verb in another group or without one, then a slip in both words, in the first, in a verb. */
static struct str what_was_meant(struct arena *arena, const struct search *search,
                                 const struct str *words, size_t count)
{
    struct str verb = count > 1 && search->is_group ? words[1] : words[0];
    struct str meant = commands_of_verb(arena, search, verb), nearest;

    if (meant.len == 0 && count > 1) {
        nearest = str_nearest(
            arena_printf(arena, STR_FMT " " STR_FMT, STR_ARG(words[0]), STR_ARG(words[1])),
            search->names, search->count);
        meant = str_index(nearest, ' ') < nearest.len ? quoted(arena, nearest) : STR_EMPTY;
    }
    if (meant.len == 0)
        meant = quoted(arena, str_nearest(words[0], search->names, search->count));
    nearest = meant.len == 0 ? nearest_verb(search, verb) : STR_EMPTY;
    return nearest.len > 0 ? commands_of_verb(arena, search, nearest) : meant;
}

static enum status unknown_command(struct arena *arena, const struct search *search,
                                   const struct str *words, size_t count, struct error *err)
{
    struct str meant = what_was_meant(arena, search, words, count), wanted = words[0];

    if (count > 1 && search->is_group)
        wanted = arena_printf(arena, STR_FMT " " STR_FMT, STR_ARG(words[0]), STR_ARG(words[1]));
    if (meant.len == 0)
        return error_set(err, STATUS_INVALID,
                         "there is no command '" STR_FMT "'; see 'onggi --help'",
                         STR_ARG(wanted));
    return error_set(err, STATUS_INVALID,
                     "there is no command '" STR_FMT "'; did you mean " STR_FMT "?",
                     STR_ARG(wanted), STR_ARG(meant));
}

/* words: those that are no flags, in order. *used: how many of them name the command. */
static enum status find_command(struct arena *arena, const struct command *const *tables,
                                const struct str *words, size_t count, size_t *used,
                                struct command_line *out, struct error *err)
{
    struct search search = { .wanted = count > 0 ? words[0] : STR_EMPTY };

    *used = 0;
    if (count == 0)
        return STATUS_OK;
    each_command(tables, visit_search, &search);
    *used = 1;
    out->command = search.found;
    if (search.found != NULL && !(search.is_group && count > 1))
        return STATUS_OK;
    if (!search.is_group)
        return unknown_command(arena, &search, words, count, err);
    out->group = words[0];
    if (count == 1)
        return STATUS_OK;
    search.wanted = arena_printf(arena, STR_FMT " " STR_FMT, STR_ARG(words[0]),
                                 STR_ARG(words[1]));
    search.count = 0;
    each_command(tables, visit_search, &search);
    if (search.found == NULL)
        return unknown_command(arena, &search, words, count, err);
    *used = str_index(str_from(search.found->name), ' ') < strlen(search.found->name) ? 2 : 1;
    out->command = search.found;
    return STATUS_OK;
}

/* ---- reading flags */

static const struct command_option *find_option(const struct command_option *options,
                                                struct str name)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (str_equal(str_from(options->name), name))
            return options;
    }
    return NULL;
}

static void option_names(const struct command_option *options, struct str *names, size_t *count)
{
    for (; options != NULL && options->name != NULL && *count < NAMES_MAX; options++)
        names[(*count)++] = str_from(options->name);
}

static enum status unknown_option(const struct command *command, struct str name,
                                  struct error *err)
{
    struct str names[NAMES_MAX], nearest;
    size_t count = 0;

    option_names(general_options, names, &count);
    option_names(command == NULL ? bare_options : command->options, names, &count);
    nearest = str_nearest(name, names, count);
    if (nearest.len == 0)
        return error_set(err, STATUS_INVALID,
                         "there is no option '--" STR_FMT "' here; see 'onggi %s%s--help'",
                         STR_ARG(name), command == NULL ? "" : command->name,
                         command == NULL ? "" : " ");
    return error_set(err, STATUS_INVALID,
                     "there is no option '--" STR_FMT "' here; did you mean '--" STR_FMT "'?",
                     STR_ARG(name), STR_ARG(nearest));
}

static bool is_flag(struct str word)
{
    return word.len > 2 && word.data[0] == '-' && word.data[1] == '-';
}

static bool is_short_help(struct str word)
{
    return str_equal(word, STR("-h"));
}

static bool is_short_version(struct str word)
{
    return str_equal(word, STR("-v")) || str_equal(word, STR("-V"));
}

static void add_option(struct arena *arena, struct command_line *line, size_t *capacity,
                       struct str name, struct str value)
{
    ARENA_PUSH(arena, line->options, line->option_count,
               *capacity) = (struct command_line_option){ name, value };
}

struct reader {
    struct arena *arena;
    const struct command *command;
    char **argv;
    int argc, at;
    size_t capacity;
};

/* argv[at] is a flag; takes its value along. */
static enum status read_flag(struct reader *reader, struct command_line *line,
                             struct error *err)
{
    struct str word = str_from(reader->argv[reader->at]);
    size_t equals = str_index(word, '=');
    struct str name = str_slice(word, 2, equals);
    const struct command_option *option = find_option(general_options, name);

    if (option == NULL)
        option = find_option(reader->command == NULL ? bare_options : reader->command->options,
                             name);
    if (option == NULL)
        return unknown_option(reader->command, name, err);
    if (option->value == NULL && equals < word.len)
        return error_set(err, STATUS_INVALID, "option '--%s' takes no value", option->name);
    if (option->value == NULL) {
        add_option(reader->arena, line, &reader->capacity, name, STR("true"));
    } else if (equals < word.len) {
        add_option(reader->arena, line, &reader->capacity, name,
                   str_slice(word, equals + 1, word.len));
    } else if (reader->at + 1 < reader->argc &&
               !str_starts(str_from(reader->argv[reader->at + 1]), STR("--"))) {
        add_option(reader->arena, line, &reader->capacity, name,
                   str_from(reader->argv[++reader->at]));
    } else {
        return error_set(err, STATUS_INVALID, "option '--%s' needs a value: --%s %s",
                         option->name, option->name, option->value);
    }
    return STATUS_OK;
}

/*
 * The words that may name the command: those before the first value could follow a flag. A
 * general flag with a value ("--project DIR apply") is stepped over.
 */
static size_t leading_words(int argc, char **argv, struct str *words, size_t max,
                            int *positions)
{
    size_t count = 0;

    for (int i = 1; i < argc && count < max; i++) {
        struct str word = str_from(argv[i]);
        const struct command_option *option;

        if (str_equal(word, STR("--")))
            break;
        if (is_short_help(word) || is_short_version(word))
            continue;
        if (!is_flag(word)) {
            positions[count] = i;
            words[count++] = word;
            continue;
        }
        option = find_option(general_options, str_slice(word, 2, word.len));
        if (option == NULL && str_index(word, '=') == word.len)
            break;
        i += option != NULL && option->value != NULL;
    }
    return count;
}

static enum status check_args(const struct command *command, const struct command_line *line,
                              struct error *err)
{
    if ((int)line->arg_count < command->args_min)
        return error_set(err, STATUS_INVALID, "usage: onggi %s %s", command->name,
                         command->args);
    if (command->args_max >= 0 && (int)line->arg_count > command->args_max)
        return error_set(err, STATUS_INVALID,
                         "'" STR_FMT "' is one argument too many; usage: onggi %s %s",
                         STR_ARG(line->args[command->args_max]), command->name, command->args);
    return STATUS_OK;
}

static enum status check_needed(const struct command *command, const struct command_line *line,
                                struct error *err)
{
    const struct command_option *option = command->options;

    for (; option != NULL && option->name != NULL; option++) {
        if (option->needed && command_line_option(line, option->name).len == 0)
            return error_set(err, STATUS_INVALID, "'onggi %s' needs --%s %s: %s", command->name,
                             option->name, option->value, option->help);
    }
    return STATUS_OK;
}

/* "-h" and "help features get" are other ways to say --help. */
static enum status read_words(struct reader *reader, const int *skip, size_t skip_count,
                              struct command_line *line, struct error *err)
{
    bool flags_end = false;

    line->args = ARENA_ARRAY(reader->arena, struct str, (size_t)reader->argc);
    for (reader->at = 1; reader->at < reader->argc; reader->at++) {
        struct str word = str_from(reader->argv[reader->at]);

        if (skip_count > 0 && reader->at == *skip) {
            skip++;
            skip_count--;
        } else if (!flags_end && str_equal(word, STR("--"))) {
            flags_end = true;
        } else if (!flags_end && is_short_help(word)) {
            line->help = true;
        } else if (!flags_end && reader->command == NULL && is_short_version(word)) {
            line->version = true;
        } else if (!flags_end && is_flag(word)) {
            TRY(read_flag(reader, line, err));
        } else {
            line->args[line->arg_count++] = word;
        }
    }
    return STATUS_OK;
}

/* Names travel in URLs and JSON. */
static enum status check_text(int argc, char **argv, struct error *err)
{
    for (int i = 1; i < argc; i++)
        if (!str_is_utf8(str_from(argv[i])))
            return error_set(err, STATUS_INVALID, "argument %d is not UTF-8", i);
    return STATUS_OK;
}

enum status command_line_parse(struct arena *arena, const struct command *const *tables,
                               int argc, char **argv, struct command_line *out,
                               struct error *err)
{
    struct str words[3];
    int positions[3];
    size_t count, used, from;
    struct reader reader = { .arena = arena, .argv = argv, .argc = argc };

    *out = (struct command_line){ 0 };
    TRY(check_text(argc, argv, err));
    count = leading_words(argc, argv, words, ARRAY_LEN(words), positions);
    from = count > 0 && str_equal(words[0], STR("help"));
    out->help = from > 0;
    TRY(find_command(arena, tables, words + from, count - from, &used, out, err));
    reader.command = out->command;
    TRY(read_words(&reader, positions, from + used, out, err));
    out->help = out->help || command_line_option(out, "help").len > 0;
    out->version = out->version || command_line_option(out, "version").len > 0;
    if (out->command == NULL && !out->help && out->group.len > 0)
        out->help = true;
    if (out->command == NULL || out->help)
        return STATUS_OK;
    TRY(check_args(out->command, out, err));
    return check_needed(out->command, out, err);
}

struct str command_line_option(const struct command_line *line, const char *name)
{
    struct str value = STR_EMPTY;

    /* The last one wins, as people expect who append to a line from their history. */
    for (size_t i = 0; i < line->option_count; i++) {
        if (str_equal(line->options[i].name, str_from(name)))
            value = line->options[i].value;
    }
    return value;
}
