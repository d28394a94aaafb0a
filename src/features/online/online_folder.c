/* SPDX-License-Identifier: Apache-2.0 */
#include "features/online/online_folder.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "features/online/online_manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define INFO_MAX ((size_t)16 << 20)

char *online_folder_path(struct arena *arena, const char *folder, struct str view,
                         struct str generation)
{
    return arena_cstr(arena, arena_printf(arena, "%s/" STR_FMT "." STR_FMT, folder,
                                          STR_ARG(view), STR_ARG(generation)));
}

/* --- what a generation says of itself --------------------------------------- */

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

    TRY(file_read(arena, file, INFO_MAX, &text, err));
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

/* --- locks ------------------------------------------------------------------ */

typedef enum status (*folder_change)(struct arena *arena, const char *folder, void *context,
                                     struct error *err);

/* One at a time, of all processes. */
static enum status with_lock(const char *folder, folder_change change, void *context,
                             struct error *err)
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

/* -1 if it is not there, or somebody else has it. */
static int lock_generation(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    close(fd);
    return -1;
}

/*
 * Who has an old generation open keeps its files until it closes them, so nobody need be asked. One
 * that is being built is left to its builder. What cannot be removed only takes room; the next
 * publication tries again.
 */
static void remove_generation(struct arena *arena, const char *folder, struct str name)
{
    char *path = arena_cstr(arena, arena_printf(arena, "%s/" STR_FMT, folder, STR_ARG(name)));
    int fd = lock_generation(path);
    struct error err;

    if (fd < 0)
        return;
    if (folder_remove(path, &err) != STATUS_OK)
        log_warn("features: an old generation stays on disk: %s", err.message);
    close(fd);
}

/* --- building --------------------------------------------------------------- */

struct reserving {
    struct arena *arena;
    struct str generation;
};

/* Later than all that are served, removed, being built or left behind. */
static enum status reserve_locked(struct arena *arena, const char *folder, void *context,
                                  struct error *err)
{
    struct reserving *reserving = context;
    struct online_manifest manifest;
    struct manifest_draft draft;
    struct str *names;
    size_t count;

    TRY(online_manifest_read(arena, folder, &manifest, err));
    TRY(folder_list(arena, folder, &names, &count, err));
    draft = online_manifest_draft(arena, &manifest);
    for (size_t i = 0; i < count; i++) {
        struct str view;
        int64_t number = online_generation_number(names[i], &view);

        draft.last = number > draft.last ? number : draft.last;
        if (str_starts(names[i], STR("manifest.json."))) /* of a writer that was killed */
            unlink(arena_printf(arena, "%s/" STR_FMT, folder, STR_ARG(names[i])).data);
    }
    draft.last++;
    reserving->generation = online_generation_name(reserving->arena, draft.last);
    return manifest_draft_write(&draft, folder, err);
}

enum status online_folder_reserve(struct arena *arena, const char *folder,
                                  struct str *generation, struct error *err)
{
    struct reserving reserving = { .arena = arena };

    TRY(with_lock(folder, reserve_locked, &reserving, err));
    *generation = reserving.generation;
    return STATUS_OK;
}

struct creating {
    const char *path;
    int lock;
};

/* Nobody sees the folder before it is locked. */
static enum status create_locked(struct arena *arena, const char *folder, void *context,
                                 struct error *err)
{
    struct creating *creating = context;

    (void)arena;
    (void)folder;
    if (mkdir(creating->path, 0755) != 0)
        return error_errno(err, errno, "create folder '%s'", creating->path);
    creating->lock = lock_generation(creating->path);
    return STATUS_OK;
}

enum status online_folder_create(const char *folder, const char *path, int *lock,
                                 struct error *err)
{
    struct creating creating = { path, -1 };

    TRY(with_lock(folder, create_locked, &creating, err));
    *lock = creating.lock;
    return STATUS_OK;
}

static enum status discard_locked(struct arena *arena, const char *folder, void *context,
                                  struct error *err)
{
    const struct str *generation = context;
    struct online_manifest manifest;
    struct str *names, view;
    size_t count;

    TRY(online_manifest_read(arena, folder, &manifest, err));
    TRY(folder_list(arena, folder, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (online_generation_number(names[i], &view) > 0 && str_ends(names[i], *generation) &&
            !str_equal(online_manifest_served(&manifest, view), *generation))
            remove_generation(arena, folder, names[i]);
    }
    return STATUS_OK;
}

enum status online_folder_discard(const char *folder, struct str generation, struct error *err)
{
    return with_lock(folder, discard_locked, &generation, err);
}

/* --- publishing ------------------------------------------------------------- */

struct publishing {
    const struct online_publication *items;
    size_t count;
};

static bool is_whole(struct arena *arena, const char *folder,
                     const struct online_publication *item)
{
    char *path = online_folder_path(arena, folder, item->view, item->generation);

    return file_exists(arena_cstr(arena, arena_printf(arena, "%s/generation.json", path)));
}

static enum status check_item(struct arena *arena, const char *folder,
                              const struct online_manifest *manifest,
                              const struct online_publication *item, struct error *err)
{
    struct str served = online_manifest_served(manifest, item->view);
    struct str removed = online_manifest_removed(manifest, item->view);

    if (str_compare(served, item->generation) > 0)
        return error_set(err, STATUS_CONFLICT,
                         "view '" STR_FMT "' was materialised again in the meantime; the "
                         "newer values stay",
                         STR_ARG(item->view));
    if (str_compare(removed, item->generation) >= 0)
        return error_set(err, STATUS_CONFLICT,
                         "view '" STR_FMT "' was removed in the meantime; materialise the "
                         "others again",
                         STR_ARG(item->view));
    if (!is_whole(arena, folder, item))
        return error_set(err, STATUS_CONFLICT,
                         "what was built of view '" STR_FMT "' was removed in the meantime; "
                         "materialise it again",
                         STR_ARG(item->view));
    return STATUS_OK;
}

static enum status publish_all(struct arena *arena, const char *folder,
                               const struct publishing *publishing, struct error *err)
{
    struct online_manifest manifest;
    struct manifest_draft draft;

    TRY(online_manifest_read(arena, folder, &manifest, err));
    draft = online_manifest_draft(arena, &manifest);
    for (size_t i = 0; i < publishing->count; i++) {
        const struct online_publication *item = &publishing->items[i];

        TRY(check_item(arena, folder, &manifest, item, err));
        manifest_draft_serve(&draft, item->view, item->generation);
    }
    return manifest_draft_write(&draft, folder, err);
}

static bool is_older(struct str name, const struct online_publication *item)
{
    struct str view;
    int64_t number = online_generation_number(name, &view), published;

    return number > 0 && str_equal(view, item->view) &&
           str_to_int64(item->generation, &published) && number < published;
}

static void remove_older(struct arena *arena, const char *folder,
                         const struct publishing *publishing)
{
    struct error err;
    struct str *names;
    size_t count;

    if (folder_list(arena, folder, &names, &count, &err) != STATUS_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < publishing->count; k++) {
            if (is_older(names[i], &publishing->items[k]))
                remove_generation(arena, folder, names[i]);
        }
    }
}

/* Nobody can publish them any more. */
static void remove_refused(struct arena *arena, const char *folder,
                           const struct publishing *publishing)
{
    for (size_t i = 0; i < publishing->count; i++) {
        const struct online_publication *item = &publishing->items[i];

        remove_generation(arena, folder,
                          arena_printf(arena, STR_FMT "." STR_FMT, STR_ARG(item->view),
                                       STR_ARG(item->generation)));
    }
}

static enum status publish_locked(struct arena *arena, const char *folder, void *context,
                                  struct error *err)
{
    const struct publishing *publishing = context;
    enum status status = publish_all(arena, folder, publishing, err);

    if (status == STATUS_OK)
        remove_older(arena, folder, publishing);
    else if (status == STATUS_CONFLICT)
        remove_refused(arena, folder, publishing);
    return status;
}

enum status online_folder_publish(const char *folder, const struct online_publication *items,
                                  size_t count, struct error *err)
{
    struct publishing publishing = { items, count };

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

/* Whatever of them the manifest serves, is built at this moment or was left by a crash is dead. */
static bool bury_all(const struct online_manifest *old, struct manifest_draft *draft,
                     const struct keeping *keeping, const struct str *names, size_t count)
{
    struct str last = online_generation_name(draft->arena, draft->last), view;
    bool changed = false;
    yyjson_obj_iter views;
    yyjson_val *key;

    for (size_t i = 0; i < count; i++) {
        if (online_generation_number(names[i], &view) > 0 && !is_kept(keeping, view))
            changed |= manifest_draft_remove(draft, view,
                                             str_slice(names[i], view.len + 1, names[i].len));
    }
    if (old->views == NULL)
        return changed;
    yyjson_obj_iter_init(old->views, &views);
    while ((key = yyjson_obj_iter_next(&views)) != NULL) {
        if (!is_kept(keeping, json_str(key)))
            changed |= manifest_draft_remove(draft, json_str(key), last);
    }
    return changed;
}

/* What is on disk of it goes after the manifest has let go of it: a crash between leaves it to the next time. */
static enum status keep_locked(struct arena *arena, const char *folder, void *context,
                               struct error *err)
{
    const struct keeping *keeping = context;
    struct online_manifest old;
    struct manifest_draft draft;
    struct str *names, view;
    size_t count;

    TRY(online_manifest_read(arena, folder, &old, err));
    TRY(folder_list(arena, folder, &names, &count, err));
    draft = online_manifest_draft(arena, &old);
    if (bury_all(&old, &draft, keeping, names, count))
        TRY(manifest_draft_write(&draft, folder, err));
    for (size_t i = 0; i < count; i++) {
        if (online_generation_number(names[i], &view) > 0 && !is_kept(keeping, view))
            remove_generation(arena, folder, names[i]);
    }
    return STATUS_OK;
}

enum status online_folder_keep(const char *folder, const struct str *views, size_t count,
                               struct error *err)
{
    struct keeping keeping = { views, count };

    return with_lock(folder, keep_locked, &keeping, err);
}
