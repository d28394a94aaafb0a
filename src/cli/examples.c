/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/examples.h"

#include "base/buffer.h"
#include "base/file.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Data that is too large to lie in the tree; dev/setup brings it. */
static const struct {
    const char *example, *file;
} data_files[] = {
    { "flights", "flights-3m.parquet" },
};

static struct str program_folder(struct arena *arena)
{
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (len < 0)
        return STR(".");
    path[len] = '\0';
    return arena_str(arena, str_from(dirname(path)));
}

/* The first of these places that has it: installed beside the program, or in the tree it was built in. */
static char *find_near_program(struct arena *arena, const char *const *places, const char *name)
{
    struct str folder = program_folder(arena);

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

static enum status copy_folder(struct arena *arena, const char *from, const char *to,
                               struct error *err)
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
        TRY(S_ISDIR(info.st_mode) ? copy_folder(arena, source, target, err)
                                  : file_copy(source, target, err));
    }
    return STATUS_OK;
}

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

enum status example_copy(struct arena *arena, struct str name, const char *folder,
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
    TRY(copy_folder(arena, from, folder, err));
    for (size_t i = 0; i < ARRAY_LEN(data_files); i++) {
        if (str_equal(name, str_from(data_files[i].example)))
            TRY(bring_data(arena, data_files[i].file, folder, err));
    }
    return STATUS_OK;
}
