/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/examples.h"

#include "base/buffer.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/output.h"
#include "cli/place.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_NAME "onggi.yaml"
#define CONFIG_MAX ((size_t)1 << 20)

/* Data that is too large to lie in the tree; dev/setup brings it. */
static const struct {
    const char *example, *file;
} data_files[] = {
    { "flights", "flights-3m.parquet" },
};

/* The first of these places that has it: installed beside the program, or in the tree it was built in. */
static char *find_near_program(struct arena *arena, const char *const *places, const char *name)
{
    struct str folder = place_of_program(arena);

    for (; *places != NULL; places++) {
        struct str path = arena_printf(arena, STR_FMT "/%s/%s", STR_ARG(folder), *places, name);

        if (file_exists(path.data))
            return (char *)path.data;
    }
    return NULL;
}

static char *examples_folder(struct arena *arena)
{
    static const char *const places[] = { ".", "..", "../..", "../../..", NULL };
    const char *chosen = getenv("ONGGI_EXAMPLES");

    if (chosen != NULL)
        return arena_cstr(arena, str_from(chosen));
    return find_near_program(arena, places, "examples");
}

/* Whether it says more than a comment. */
static bool has_keys(struct str text)
{
    struct str line;

    while (str_split(&text, '\n', &line)) {
        line = str_trim(line);
        if (line.len > 0 && line.data[0] != '#')
            return true;
    }
    return false;
}

/* The user's settings are kept whatever is refreshed; comments alone are none. */
static bool is_settled(struct arena *arena, const char *path)
{
    struct error ignored;
    struct str text;

    return file_exists(path) &&
           (file_read(arena, path, CONFIG_MAX, &text, &ignored) != STATUS_OK || has_keys(text));
}

static enum status copy_file(struct arena *arena, const char *from, const char *to,
                             bool refresh, struct error *err)
{
    bool is_config = str_ends(str_from(to), STR("/" CONFIG_NAME));

    if (is_config ? is_settled(arena, to) : !refresh && file_exists(to)) {
        if (!refresh)
            print_note("kept  %s", to);
        return STATUS_OK;
    }
    return file_copy(from, to, err);
}

static enum status copy_folder(struct arena *arena, const char *from, const char *to,
                               bool refresh, struct error *err)
{
    struct str *names;
    size_t count;

    TRY(folder_create(to, err));
    TRY(folder_list(arena, from, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        char *source = (char *)arena_printf(arena, "%s/" STR_FMT, from, STR_ARG(names[i])).data;
        char *target = (char *)arena_printf(arena, "%s/" STR_FMT, to, STR_ARG(names[i])).data;
        struct stat info;

        /* What a run left behind is not part of the example. */
        if (str_equal(names[i], STR(".onggi")) || str_equal(names[i], STR("__pycache__")))
            continue;
        if (stat(source, &info) != 0)
            return error_errno(err, errno, "read '%s'", source);
        TRY(S_ISDIR(info.st_mode) ? copy_folder(arena, source, target, refresh, err)
                                  : copy_file(arena, source, target, refresh, err));
    }
    return STATUS_OK;
}

/* ---- the Python that has the example's packages */

struct str example_python(struct arena *arena, struct str name, const char *folder)
{
    static const char *const places[] = { "venv", "../venv", "../../venv", "../../build/venv",
                                          NULL };
    struct str config = arena_printf(arena, "%s/" CONFIG_NAME, folder);
    struct str chosen = str_from(getenv("ONGGI_PYTHON"));
    struct str file = arena_printf(arena, STR_FMT "/bin/python", STR_ARG(name));
    char *found;

    if (is_settled(arena, config.data))
        return STR_EMPTY;
    if (chosen.len > 0)
        return str_index(chosen, '/') < chosen.len ? place_absolute(arena, chosen) : chosen;
    found = find_near_program(arena, places, file.data);
    /* Its own links stay: an environment is known by its path. */
    return found == NULL ? STR_EMPTY : place_absolute(arena, str_from(found));
}

/* As YAML has it: between quotes where it is not plain. */
static struct str yaml_text(struct arena *arena, struct str text)
{
    struct buffer out = { 0 };
    struct str result = text;

    if (!str_equal(place_in_shell(arena, text), text)) {
        json_write_str(&out, text);
        result = arena_str(arena, buffer_str(&out));
    }
    buffer_free(&out);
    return result;
}

enum status example_keep_python(struct arena *arena, const char *folder, struct str python,
                                struct error *err)
{
    struct str path = arena_printf(arena, "%s/" CONFIG_NAME, folder), text = STR_EMPTY, value;
    char *here = realpath(folder, NULL);

    if (here != NULL && str_starts(python, STR("/")))
        python = place_from(arena, arena_str(arena, str_from(here)), python);
    free(here);
    if (file_exists(path.data))
        TRY(file_read(arena, path.data, CONFIG_MAX, &text, err));
    value = yaml_text(arena, python);
    text = arena_printf(arena, STR_FMT "%spython: " STR_FMT "\n", STR_ARG(text),
                        text.len == 0 || str_ends(text, STR("\n")) ? "" : "\n", STR_ARG(value));
    return file_write(path.data, text, err);
}

/* ---- its data */

/* Hard links cost nothing and stay when the other name goes; across file systems it is a copy. */
static enum status bring_data(struct arena *arena, const char *name, const char *folder,
                              struct error *err)
{
    static const char *const places[] = { "data", "../deps/data", "../../build/deps/data",
                                          NULL };
    struct str to = arena_printf(arena, "%s/data/%s", folder, name);
    char *from = find_near_program(arena, places, name);

    if (file_exists(to.data))
        return STATUS_OK;
    if (from == NULL)
        return error_set(
            err, STATUS_NOT_FOUND,
            "the example's data, %s, is not beside the program; dev/setup brings it, "
            "or put it at %s",
            name, to.data);
    TRY(folder_create(arena_printf(arena, "%s/data", folder).data, err));
    return link(from, to.data) == 0 ? STATUS_OK : file_copy(from, to.data, err);
}

static enum status no_example(struct arena *arena, struct str name, const char *examples,
                              struct error *err)
{
    struct str *names, nearest;
    size_t count;

    TRY(folder_list(arena, examples, &names, &count, err));
    nearest = str_nearest(name, names, count);
    if (nearest.len == 0 && count > 0)
        nearest = names[0];
    return error_set(err, STATUS_NOT_FOUND,
                     "there is no example '" STR_FMT "'; there is '" STR_FMT "'", STR_ARG(name),
                     STR_ARG(nearest));
}

enum status example_copy(struct arena *arena, struct str name, const char *folder, bool refresh,
                         struct error *err)
{
    char *examples = examples_folder(arena), *from;

    if (examples == NULL)
        return error_set(err, STATUS_NOT_FOUND,
                         "the examples are not beside the program; ONGGI_EXAMPLES names their "
                         "folder");
    TRY(path_below(arena, examples, name, &from, err));
    if (!str_is_name(name) || !file_exists(from))
        return no_example(arena, name, examples, err);
    TRY(copy_folder(arena, from, folder, refresh, err));
    for (size_t i = 0; i < ARRAY_LEN(data_files); i++) {
        if (str_equal(name, str_from(data_files[i].example)))
            TRY(bring_data(arena, data_files[i].file, folder, err));
    }
    return STATUS_OK;
}
