/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/place.h"

#include <libgen.h>
#include <stdlib.h>
#include <unistd.h>

#define PATH_BYTES 4096

struct str place_of_program(struct arena *arena)
{
    char path[PATH_BYTES];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (len < 0)
        return STR(".");
    path[len] = '\0';
    return arena_str(arena, str_from(dirname(path)));
}

struct str place_absolute(struct arena *arena, struct str path)
{
    struct str rest = path, part, result = STR_EMPTY;
    char here[PATH_BYTES];

    if (!str_starts(path, STR("/")) && getcwd(here, sizeof(here)) != NULL)
        rest = arena_printf(arena, "%s/" STR_FMT, here, STR_ARG(path));
    while (str_split(&rest, '/', &part)) {
        if (part.len == 0 || str_equal(part, STR(".")))
            continue;
        if (!str_equal(part, STR(".."))) {
            result = arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(result), STR_ARG(part));
            continue;
        }
        while (result.len > 0 && result.data[--result.len] != '/')
            ;
    }
    return result.len == 0 ? STR("/") : arena_str(arena, result);
}

/* How many bytes of both are the same folders. */
static size_t common_folders(struct str a, struct str b)
{
    size_t at = 0, common = 0;

    for (; at <= a.len && at <= b.len; at++) {
        bool a_ends = at == a.len || a.data[at] == '/',
             b_ends = at == b.len || b.data[at] == '/';

        if (a_ends && b_ends)
            common = at;
        if (at == a.len || at == b.len || a.data[at] != b.data[at])
            break;
    }
    return common;
}

struct str place_from(struct arena *arena, struct str folder, struct str to)
{
    size_t common = common_folders(folder, to);
    struct str up = str_slice(folder, common, folder.len), part, result = STR_EMPTY;
    struct str down = str_slice(to, common + 1, to.len);

    if (common == 0)
        return to;
    while (str_split(&up, '/', &part)) {
        if (part.len > 0)
            result = arena_printf(arena, STR_FMT "../", STR_ARG(result));
    }
    result = arena_printf(arena, STR_FMT STR_FMT, STR_ARG(result), STR_ARG(down));
    return result.len == 0 ? STR(".") : result;
}

struct str place_from_here(struct arena *arena, struct str to)
{
    struct str path = place_from(arena, place_absolute(arena, STR(".")), to);

    return str_starts(path, STR("..")) ? to : path;
}

struct str place_in_shell(struct arena *arena, struct str path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._-+,:=@%";
    struct str rest = path, part, quoted = STR_EMPTY;
    size_t at = 0;

    while (at < path.len && memchr(plain, path.data[at], sizeof(plain) - 1) != NULL)
        at++;
    if (at == path.len && path.len > 0)
        return path;
    while (str_split(&rest, '\'', &part))
        quoted = arena_printf(arena, STR_FMT "%s" STR_FMT, STR_ARG(quoted),
                              quoted.len > 0 ? "'\\''" : "'", STR_ARG(part));
    return arena_printf(arena, STR_FMT "'", STR_ARG(quoted));
}

struct str place_command(struct cli *cli, struct str folder)
{
    struct str called = str_from(cli->called), path;

    if (called.len == 0 || str_index(called, '/') == called.len)
        return called.len == 0 ? STR("onggi") : called;
    path = place_from(cli->arena, folder, place_absolute(cli->arena, called));
    /* A name without a slash would be looked for in PATH. */
    if (str_index(path, '/') == path.len)
        path = arena_printf(cli->arena, "./" STR_FMT, STR_ARG(path));
    return place_in_shell(cli->arena, path);
}
