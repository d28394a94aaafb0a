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

/* Names of views with names of generations. */
struct manifest {
    yyjson_val *views;   /* what is served; NULL when there is no manifest yet */
    yyjson_val *removed; /* this generation and all before it are dead; NULL: none */
};

static enum status manifest_read(struct arena *arena, const char *folder, struct manifest *out,
                                 struct error *err)
{
    char *path = arena_cstr(arena, arena_printf(arena, "%s/manifest.json", folder));
    struct str text;
    yyjson_val *root;
    int64_t version = 0;
    enum status status = file_read(arena, path, MANIFEST_MAX, &text, err);

    *out = (struct manifest){ 0 };
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    if (json_parse(arena, text, &root, err) != STATUS_OK ||
        json_want_int64(root, "version", &version, err) != STATUS_OK ||
        json_need_object(root, "views", &out->views, err) != STATUS_OK)
        return error_wrap(err, "read '%s'", path);
    if (version != MANIFEST_VERSION)
        return error_set(err, STATUS_INVALID,
                         "read '%s': version %lld is not ours (%d): made by a newer onggi?",
                         path, (long long)version, MANIFEST_VERSION);
    out->removed = json_find(root, STR("removed"));
    return STATUS_OK;
}

static struct str generation_of(yyjson_val *views, struct str view)
{
    return views == NULL ? STR_EMPTY : json_str(json_find(views, view));
}

enum status online_folder_current(struct arena *arena, const char *folder, struct str view,
                                  struct str *generation, struct error *err)
{
    struct manifest manifest;

    TRY(manifest_read(arena, folder, &manifest, err));
    *generation = generation_of(manifest.views, view);
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

/* One more than every generation of the view, served, removed, being built or left behind. */
static enum status next_number(struct arena *arena, const char *folder, struct str view,
                               int64_t *out, struct error *err)
{
    struct manifest manifest;
    struct str last_known;
    struct str *names;
    size_t count;
    int64_t last = 0;

    TRY(manifest_read(arena, folder, &manifest, err));
    last_known = generation_of(manifest.views, view);
    if (last_known.len == 0)
        last_known = generation_of(manifest.removed, view);
    if (last_known.len > 0 && !str_to_int64(last_known, &last))
        return error_set(err, STATUS_INVALID,
                         "'%s/manifest.json': '" STR_FMT "' is no generation", folder,
                         STR_ARG(last_known));
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

/* A manifest that is being changed. */
struct draft {
    yyjson_mut_doc *doc;
    yyjson_mut_val *views, *removed;
};

static yyjson_mut_val *copy_of(yyjson_mut_doc *doc, yyjson_val *object)
{
    return object == NULL ? yyjson_mut_obj(doc) : yyjson_val_mut_copy(doc, object);
}

static struct draft draft_of(struct arena *arena, const struct manifest *manifest)
{
    yyjson_mut_doc *doc = json_mut_doc(arena);

    return (struct draft){ doc, copy_of(doc, manifest->views),
                           copy_of(doc, manifest->removed) };
}

static void draft_put(struct arena *arena, struct draft *draft, yyjson_mut_val *object,
                      struct str view, struct str generation)
{
    yyjson_mut_obj_remove_keyn(object, view.data, view.len);
    json_add_str(draft->doc, object, arena_cstr(arena, view), generation);
}

static enum status draft_write(struct arena *arena, const char *folder, struct draft *draft,
                               struct error *err)
{
    char *path = arena_cstr(arena, arena_printf(arena, "%s/manifest.json", folder));
    yyjson_mut_val *root = yyjson_mut_obj(draft->doc);

    yyjson_mut_obj_add_int(draft->doc, root, "version", MANIFEST_VERSION);
    yyjson_mut_obj_add_val(draft->doc, root, "views", draft->views);
    if (yyjson_mut_obj_size(draft->removed) > 0)
        yyjson_mut_obj_add_val(draft->doc, root, "removed", draft->removed);
    return file_write(path, json_mut_write_pretty(arena, root), err);
}

/* The old views with the new generations in their places. */
static enum status put_items(struct arena *arena, const struct manifest *old,
                             struct draft *draft, const struct online_publication *items,
                             size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct str view = items[i].view;

        if (str_compare(generation_of(old->views, view), items[i].generation) > 0)
            return error_set(err, STATUS_CONFLICT,
                             "view '" STR_FMT "' was materialised again in the meantime; the "
                             "newer values stay",
                             STR_ARG(view));
        if (str_compare(generation_of(old->removed, view), items[i].generation) >= 0)
            return error_set(err, STATUS_CONFLICT,
                             "view '" STR_FMT "' was removed in the meantime; materialise the "
                             "others again",
                             STR_ARG(view));
        draft_put(arena, draft, draft->views, view, items[i].generation);
        yyjson_mut_obj_remove_keyn(draft->removed, view.data, view.len);
    }
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
static void remove_folder(struct arena *arena, const char *folder, struct str name)
{
    char *path = arena_cstr(arena, arena_printf(arena, "%s/" STR_FMT, folder, STR_ARG(name)));
    struct error err;

    if (folder_remove(path, &err) != STATUS_OK)
        log_warn("features: an old generation stays on disk: %s", err.message);
}

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
            if (is_older(names[i], &items[k]))
                remove_folder(arena, folder, names[i]);
        }
    }
}

struct publishing {
    const struct online_publication *items;
    size_t count;
};

static enum status publish_locked(struct arena *arena, const char *folder, const void *context,
                                  struct error *err)
{
    const struct publishing *publishing = context;
    struct manifest old;
    struct draft draft;

    TRY(manifest_read(arena, folder, &old, err));
    draft = draft_of(arena, &old);
    TRY(put_items(arena, &old, &draft, publishing->items, publishing->count, err));
    TRY(draft_write(arena, folder, &draft, err));
    remove_older(arena, folder, publishing->items, publishing->count);
    return STATUS_OK;
}

/* One at a time, of all processes. */
static enum status with_lock(const char *folder,
                             enum status (*change)(struct arena *arena, const char *folder,
                                                   const void *context, struct error *err),
                             const void *context, struct error *err)
{
    struct arena *arena = arena_new();
    char *path = arena_cstr(arena, arena_printf(arena, "%s/lock", folder));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    enum status status;

    if (fd < 0 || flock(fd, LOCK_EX) != 0)
        status = error_errno(err, errno, "lock '%s'", path);
    else
        status = change(arena, folder, context, err);
    if (fd >= 0)
        close(fd);
    arena_free(arena);
    return status;
}

enum status online_folder_publish(const char *folder, const struct online_publication *items,
                                  size_t count, struct error *err)
{
    const struct publishing publishing = { items, count };

    return with_lock(folder, publish_locked, &publishing, err);
}

/* --- views that are no more ------------------------------------------------ */

struct keeping {
    const struct str *views;
    size_t count;
};

static bool is_kept(const struct keeping *keeping, struct str view)
{
    for (size_t i = 0; i < keeping->count; i++) {
        if (str_equal(keeping->views[i], view))
            return true;
    }
    return false;
}

/* The view of a generation's folder; empty if the name is none. */
static struct str view_of_folder(struct str name)
{
    struct str view = STR_EMPTY;

    if (name.len > GENERATION_DIGITS + 1)
        view = str_slice(name, 0, name.len - GENERATION_DIGITS - 1);
    return generation_number(name, view) > 0 ? view : STR_EMPTY;
}

/* Whatever of them the manifest serves, is built at this moment or was left by a crash is dead. */
static bool bury(struct arena *arena, struct draft *draft, struct str view,
                 struct str generation)
{
    yyjson_mut_val *known = yyjson_mut_obj_getn(draft->removed, view.data, view.len);
    struct str dead = { yyjson_mut_get_str(known), yyjson_mut_get_len(known) };

    if (str_compare(dead, generation) >= 0)
        return false;
    draft_put(arena, draft, draft->removed, view, generation);
    return true;
}

static bool bury_all(struct arena *arena, const struct manifest *old, struct draft *draft,
                     const struct keeping *keeping, const struct str *names, size_t count)
{
    bool changed = false;
    yyjson_val *key, *value;
    yyjson_obj_iter views;

    for (size_t i = 0; i < count; i++) {
        struct str view = view_of_folder(names[i]);

        if (view.len > 0 && !is_kept(keeping, view))
            changed |= bury(arena, draft, view,
                            str_slice(names[i], view.len + 1, names[i].len));
    }
    if (old->views == NULL)
        return changed;
    yyjson_obj_iter_init(old->views, &views);
    while ((key = yyjson_obj_iter_next(&views)) != NULL) {
        struct str view = json_str(key);

        value = yyjson_obj_iter_get_val(key);
        if (is_kept(keeping, view))
            continue;
        bury(arena, draft, view, json_str(value));
        yyjson_mut_obj_remove_keyn(draft->views, view.data, view.len);
        changed = true;
    }
    return changed;
}

/* What is on disk of it goes after the manifest has let go of it: a crash between leaves it to the next time. */
static enum status keep_locked(struct arena *arena, const char *folder, const void *context,
                               struct error *err)
{
    const struct keeping *keeping = context;
    struct manifest old;
    struct draft draft;
    struct str *names;
    size_t count;

    TRY(manifest_read(arena, folder, &old, err));
    TRY(folder_list(arena, folder, &names, &count, err));
    draft = draft_of(arena, &old);
    if (bury_all(arena, &old, &draft, keeping, names, count))
        TRY(draft_write(arena, folder, &draft, err));
    for (size_t i = 0; i < count; i++) {
        struct str view = view_of_folder(names[i]);

        if (view.len > 0 && !is_kept(keeping, view))
            remove_folder(arena, folder, names[i]);
    }
    return STATUS_OK;
}

enum status online_folder_keep(const char *folder, const struct str *views, size_t count,
                               struct error *err)
{
    const struct keeping keeping = { views, count };

    return with_lock(folder, keep_locked, &keeping, err);
}
