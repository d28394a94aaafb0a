/* SPDX-License-Identifier: Apache-2.0 */
#include "features/online/online_folder.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANIFEST_MAX ((size_t)16 << 20)
#define MANIFEST_VERSION 1
/* Leading zeros: generations sort by name as they do by age. */
#define GENERATION_DIGITS 10

/* The object "views" of the manifest; NULL when there is no manifest yet. */
static enum status manifest_read(struct arena *arena, const char *folder, yyjson_val **views,
                                 struct error *err)
{
    char *path = arena_cstr(arena, arena_printf(arena, "%s/manifest.json", folder));
    struct str text;
    yyjson_val *root;
    int64_t version = 0;
    enum status status = file_read(arena, path, MANIFEST_MAX, &text, err);

    *views = NULL;
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    if (json_parse(arena, text, &root, err) != STATUS_OK ||
        json_want_int64(root, "version", &version, err) != STATUS_OK ||
        json_need_object(root, "views", views, err) != STATUS_OK)
        return error_wrap(err, "read '%s'", path);
    if (version != MANIFEST_VERSION)
        return error_set(err, STATUS_INVALID,
                         "read '%s': version %lld is not ours (%d): made by a newer onggi?",
                         path, (long long)version, MANIFEST_VERSION);
    return STATUS_OK;
}

enum status online_folder_current(struct arena *arena, const char *folder, struct str view,
                                  struct str *generation, struct error *err)
{
    yyjson_val *views;

    TRY(manifest_read(arena, folder, &views, err));
    *generation = views == NULL ? STR_EMPTY : json_str(json_find(views, view));
    return STATUS_OK;
}

char *online_folder_path(struct arena *arena, const char *folder, struct str view,
                         struct str generation)
{
    return arena_cstr(arena, arena_printf(arena, "%s/" STR_FMT "." STR_FMT, folder,
                                          STR_ARG(view), STR_ARG(generation)));
}

/* The number behind "VIEW."; 0 if the folder is none of the view's. */
static int64_t generation_number(struct str name, struct str view)
{
    int64_t number;

    if (name.len != view.len + 1 + GENERATION_DIGITS || name.data[view.len] != '.' ||
        !str_starts(name, view) ||
        !str_to_int64(str_slice(name, view.len + 1, name.len), &number))
        return 0;
    return number;
}

/* One more than every generation of the view, served, being built or left behind. */
static enum status next_number(struct arena *arena, const char *folder, struct str view,
                               int64_t *out, struct error *err)
{
    struct str served;
    struct str *names;
    size_t count;
    int64_t last = 0;

    TRY(online_folder_current(arena, folder, view, &served, err));
    if (served.len > 0 && !str_to_int64(served, &last))
        return error_set(err, STATUS_INVALID,
                         "'%s/manifest.json': '" STR_FMT "' is no generation", folder,
                         STR_ARG(served));
    TRY(folder_list(arena, folder, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        int64_t number = generation_number(names[i], view);

        last = number > last ? number : last;
    }
    *out = last + 1;
    return STATUS_OK;
}

enum status online_folder_create(struct arena *arena, const char *folder, struct str view,
                                 struct str *generation, struct error *err)
{
    int64_t number = 0;
    char *path;

    TRY(next_number(arena, folder, view, &number, err));
    for (;; number++) {
        *generation = arena_printf(arena, "%0*lld", GENERATION_DIGITS, (long long)number);
        path = online_folder_path(arena, folder, view, *generation);
        if (mkdir(path, 0755) == 0)
            return STATUS_OK;
        if (errno != EEXIST)
            return error_errno(err, errno, "create folder '%s'", path);
    }
}

enum status online_folder_describe(const char *path, const struct online_info *info,
                                   struct error *err)
{
    struct arena *arena = arena_new();
    yyjson_mut_doc *doc = json_mut_doc(arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    enum status status;

    json_add_str(doc, root, "generation", info->generation);
    json_add_str(doc, root, "layout", info->layout);
    yyjson_mut_obj_add_int(doc, root, "entities", (int64_t)info->entities);
    yyjson_mut_obj_add_int(doc, root, "newest_us", info->newest_us);
    yyjson_mut_obj_add_int(doc, root, "built_us", info->built_us);
    status = file_write(arena_cstr(arena, arena_printf(arena, "%s/generation.json", path)),
                        json_mut_write_pretty(arena, root), err);
    arena_free(arena);
    return status;
}

enum status online_folder_info(struct arena *arena, const char *path, struct online_info *info,
                               struct error *err)
{
    char *file = arena_cstr(arena, arena_printf(arena, "%s/generation.json", path));
    struct online_info read = { 0 };
    int64_t entities = 0;
    yyjson_val *root;
    struct str text;

    TRY(file_read(arena, file, MANIFEST_MAX, &text, err));
    if (json_parse(arena, text, &root, err) != STATUS_OK ||
        json_need_str(root, "generation", &read.generation, err) != STATUS_OK ||
        json_need_str(root, "layout", &read.layout, err) != STATUS_OK ||
        json_want_int64(root, "entities", &entities, err) != STATUS_OK ||
        json_want_int64(root, "newest_us", &read.newest_us, err) != STATUS_OK ||
        json_want_int64(root, "built_us", &read.built_us, err) != STATUS_OK)
        return error_wrap(err, "read '%s'", file);
    read.entities = (uint64_t)entities;
    *info = read;
    return STATUS_OK;
}

/* The old views with the new generations in their places. */
static enum status manifest_text(struct arena *arena, yyjson_val *old,
                                 const struct online_publication *items, size_t count,
                                 struct str *out, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *views = old == NULL ? yyjson_mut_obj(doc) : yyjson_val_mut_copy(doc, old);

    for (size_t i = 0; i < count; i++) {
        struct str served = old == NULL ? STR_EMPTY : json_str(json_find(old, items[i].view));

        if (str_compare(served, items[i].generation) > 0)
            return error_set(err, STATUS_CONFLICT,
                             "view '" STR_FMT "' was materialised again in the meantime; the "
                             "newer values stay",
                             STR_ARG(items[i].view));
        yyjson_mut_obj_remove_keyn(views, items[i].view.data, items[i].view.len);
        json_add_str(doc, views, arena_cstr(arena, items[i].view), items[i].generation);
    }
    yyjson_mut_obj_add_int(doc, root, "version", MANIFEST_VERSION);
    yyjson_mut_obj_add_val(doc, root, "views", views);
    *out = json_mut_write_pretty(arena, root);
    return STATUS_OK;
}

static bool is_older(struct str name, const struct online_publication *item)
{
    int64_t number = generation_number(name, item->view);
    int64_t published = 0;

    return number > 0 && str_to_int64(item->generation, &published) && number < published;
}

/*
 * Who has an old generation open keeps its files until it closes them, so nobody need be asked. What
 * cannot be removed only takes room; the next publication tries again.
 */
static void remove_older(struct arena *arena, const char *folder,
                         const struct online_publication *items, size_t count)
{
    struct error err;
    struct str *names;
    size_t name_count;

    if (folder_list(arena, folder, &names, &name_count, &err) != STATUS_OK)
        return;
    for (size_t i = 0; i < name_count; i++) {
        for (size_t k = 0; k < count; k++) {
            char *path;

            if (!is_older(names[i], &items[k]))
                continue;
            path = arena_cstr(arena,
                              arena_printf(arena, "%s/" STR_FMT, folder, STR_ARG(names[i])));
            if (folder_remove(path, &err) != STATUS_OK)
                log_warn("features: an old generation stays on disk: %s", err.message);
        }
    }
}

static enum status publish_locked(struct arena *arena, const char *folder,
                                  const struct online_publication *items, size_t count,
                                  struct error *err)
{
    char *path = arena_cstr(arena, arena_printf(arena, "%s/manifest.json", folder));
    yyjson_val *old;
    struct str text;

    TRY(manifest_read(arena, folder, &old, err));
    TRY(manifest_text(arena, old, items, count, &text, err));
    TRY(file_write(path, text, err));
    remove_older(arena, folder, items, count);
    return STATUS_OK;
}

enum status online_folder_publish(const char *folder, const struct online_publication *items,
                                  size_t count, struct error *err)
{
    struct arena *arena = arena_new();
    char *path = arena_cstr(arena, arena_printf(arena, "%s/lock", folder));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    enum status status;

    if (fd < 0 || flock(fd, LOCK_EX) != 0)
        status = error_errno(err, errno, "lock '%s'", path);
    else
        status = publish_locked(arena, folder, items, count, err);
    if (fd >= 0)
        close(fd);
    arena_free(arena);
    return status;
}
