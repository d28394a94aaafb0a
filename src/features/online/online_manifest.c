/* SPDX-License-Identifier: Apache-2.0 */
#include "features/online/online_manifest.h"

#include "base/file.h"

#define MANIFEST_MAX ((size_t)16 << 20)
#define MANIFEST_VERSION 1
/* Leading zeros: generations sort by name as they do by age. */
#define GENERATION_DIGITS 10

static char *manifest_path(struct arena *arena, const char *folder)
{
    return arena_cstr(arena, arena_printf(arena, "%s/manifest.json", folder));
}

enum status online_manifest_read(struct arena *arena, const char *folder,
                                 struct online_manifest *out, struct error *err)
{
    char *path = manifest_path(arena, folder);
    struct online_manifest manifest = { 0 };
    struct str text;
    yyjson_val *root;
    int64_t version = 0;
    enum status status = file_read(arena, path, MANIFEST_MAX, &text, err);

    *out = manifest;
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    if (json_parse(arena, text, &root, err) != STATUS_OK ||
        json_want_int64(root, "version", &version, err) != STATUS_OK ||
        json_want_int64(root, "last", &manifest.last, err) != STATUS_OK ||
        json_need_object(root, "views", &manifest.views, err) != STATUS_OK)
        return error_wrap(err, "read '%s'", path);
    if (version != MANIFEST_VERSION)
        return error_set(err, STATUS_INVALID,
                         "read '%s': version %lld is not ours (%d): made by a newer onggi?",
                         path, (long long)version, MANIFEST_VERSION);
    manifest.removed = json_find(root, STR("removed"));
    *out = manifest;
    return STATUS_OK;
}

static struct str generation_in(yyjson_val *object, struct str view)
{
    return object == NULL ? STR_EMPTY : json_str(json_find(object, view));
}

struct str online_manifest_served(const struct online_manifest *manifest, struct str view)
{
    return generation_in(manifest->views, view);
}

struct str online_manifest_removed(const struct online_manifest *manifest, struct str view)
{
    return generation_in(manifest->removed, view);
}

static void take_greatest(yyjson_val *object, int64_t *last)
{
    yyjson_obj_iter views;
    yyjson_val *key;

    if (object == NULL)
        return;
    yyjson_obj_iter_init(object, &views);
    while ((key = yyjson_obj_iter_next(&views)) != NULL) {
        int64_t number;

        if (str_to_int64(json_str(yyjson_obj_iter_get_val(key)), &number) && number > *last)
            *last = number;
    }
}

int64_t online_manifest_last(const struct online_manifest *manifest)
{
    int64_t last = manifest->last;

    take_greatest(manifest->views, &last);
    take_greatest(manifest->removed, &last);
    return last;
}

struct str online_generation_name(struct arena *arena, int64_t number)
{
    return arena_printf(arena, "%0*lld", GENERATION_DIGITS, (long long)number);
}

int64_t online_generation_number(struct str folder, struct str *view)
{
    size_t dot = folder.len > GENERATION_DIGITS + 1 ? folder.len - GENERATION_DIGITS - 1 : 0;
    int64_t number;

    if (dot == 0 || folder.data[dot] != '.' ||
        !str_to_int64(str_slice(folder, dot + 1, folder.len), &number) || number <= 0)
        return 0;
    *view = str_slice(folder, 0, dot);
    return number;
}

/* --- changing it ------------------------------------------------------------ */

static yyjson_mut_val *copy_of(yyjson_mut_doc *doc, yyjson_val *object)
{
    return object == NULL ? yyjson_mut_obj(doc) : yyjson_val_mut_copy(doc, object);
}

struct manifest_draft online_manifest_draft(struct arena *arena,
                                            const struct online_manifest *manifest)
{
    yyjson_mut_doc *doc = json_mut_doc(arena);

    return (struct manifest_draft){ arena, doc, copy_of(doc, manifest->views),
                                    copy_of(doc, manifest->removed),
                                    online_manifest_last(manifest) };
}

static void put(struct manifest_draft *draft, yyjson_mut_val *object, struct str view,
                struct str generation)
{
    yyjson_mut_obj_remove_keyn(object, view.data, view.len);
    json_add_str(draft->doc, object, arena_cstr(draft->arena, view), generation);
}

void manifest_draft_serve(struct manifest_draft *draft, struct str view, struct str generation)
{
    put(draft, draft->views, view, generation);
    yyjson_mut_obj_remove_keyn(draft->removed, view.data, view.len);
}

bool manifest_draft_remove(struct manifest_draft *draft, struct str view, struct str generation)
{
    yyjson_mut_val *known = yyjson_mut_obj_getn(draft->removed, view.data, view.len);
    struct str dead = { yyjson_mut_get_str(known), yyjson_mut_get_len(known) };
    bool was_served = yyjson_mut_obj_remove_keyn(draft->views, view.data, view.len) != NULL;

    if (str_compare(dead, generation) >= 0)
        return was_served;
    put(draft, draft->removed, view, generation);
    return true;
}

enum status manifest_draft_write(struct manifest_draft *draft, const char *folder,
                                 struct error *err)
{
    yyjson_mut_val *root = yyjson_mut_obj(draft->doc);

    yyjson_mut_obj_add_int(draft->doc, root, "version", MANIFEST_VERSION);
    yyjson_mut_obj_add_int(draft->doc, root, "last", draft->last);
    yyjson_mut_obj_add_val(draft->doc, root, "views", draft->views);
    if (yyjson_mut_obj_size(draft->removed) > 0)
        yyjson_mut_obj_add_val(draft->doc, root, "removed", draft->removed);
    return file_write(manifest_path(draft->arena, folder),
                      json_mut_write_pretty(draft->arena, root), err);
}
