/* SPDX-License-Identifier: Apache-2.0 */
#include "features/result_file.h"

#include "base/file.h"
#include "base/hash.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KEPT_SECONDS (24 * 60 * 60)

static const struct {
    const char *ending, *content_type;
} kinds[] = {
    { "parquet", "application/vnd.apache.parquet" },
    { "csv", "text/csv; charset=utf-8" },
};

static const char *folder_of(struct arena *arena, const char *project)
{
    return arena_printf(arena, "%s/.onggi/tmp/results", project).data;
}

/* What was asked for and never fetched. */
static void remove_old(struct arena *arena, const char *folder)
{
    struct error ignored;
    struct str *names;
    size_t count;
    time_t now = time(NULL);

    if (folder_list(arena, folder, &names, &count, &ignored) != STATUS_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        const char *path = arena_printf(arena, "%s/" STR_FMT, folder, STR_ARG(names[i])).data;
        struct stat info;

        if (stat(path, &info) == 0 && now - info.st_mtime > KEPT_SECONDS)
            unlink(path);
    }
}

enum status result_file_new(struct arena *arena, const char *project, const char *ending,
                            struct str *id, const char **path, struct error *err)
{
    const char *folder = folder_of(arena, project);

    TRY(folder_create(folder, err));
    remove_old(arena, folder);
    *id = id_new(arena);
    *path = arena_printf(arena, "%s/" STR_FMT ".%s", folder, STR_ARG(*id), ending).data;
    return STATUS_OK;
}

/* Anything else could be a way out of the folder. */
static bool is_id(struct str id)
{
    if (id.len != ID_LEN)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        if (!((id.data[i] >= '0' && id.data[i] <= '9') ||
              (id.data[i] >= 'A' && id.data[i] <= 'Z')))
            return false;
    }
    return true;
}

enum status result_file_get(struct arena *arena, const char *project, struct str id,
                            const char **path, const char **content_type, struct error *err)
{
    const char *folder = folder_of(arena, project);

    for (size_t i = 0; is_id(id) && i < ARRAY_LEN(kinds); i++) {
        *path =
            arena_printf(arena, "%s/" STR_FMT ".%s", folder, STR_ARG(id), kinds[i].ending).data;
        *content_type = kinds[i].content_type;
        if (file_exists(*path))
            return STATUS_OK;
    }
    return error_set(err, STATUS_NOT_FOUND,
                     "there is no result '" STR_FMT
                     "'; a result can be fetched once, within a day",
                     STR_ARG(str_slice(id, 0, 40)));
}
