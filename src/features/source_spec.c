/* SPDX-License-Identifier: Apache-2.0 */
#include "features/source_spec.h"

struct listing {
    yyjson_mut_doc *doc;
    struct arena *arena;
    yyjson_mut_val *array;
    const struct source **listed;
    size_t count, capacity;
};

static void add_types(yyjson_mut_doc *doc, yyjson_mut_val *object, const struct source *source)
{
    yyjson_mut_val *types = yyjson_mut_obj_add_obj(doc, object, "types");

    for (size_t i = 0; i < source->override_count; i++)
        yyjson_mut_obj_add(
            types,
            yyjson_mut_strn(doc, source->overrides[i].name.data, source->overrides[i].name.len),
            yyjson_mut_str(doc, value_type_name(source->overrides[i].type)));
}

static void add_source(struct listing *listing, const struct source *source)
{
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(listing->doc, listing->array);

    json_add_str(listing->doc, object, "name", source->name);
    json_add_str(listing->doc, object, source->kind == SOURCE_SQL ? "sql" : "path",
                 source->text);
    json_add_str(listing->doc, object, "time", source->time);
    json_add_str(listing->doc, object, "created", source->created);
    if (source->override_count > 0)
        add_types(listing->doc, object, source);
}

/* What it reads comes first; definitions have no cycles. */
static void list_source(struct listing *listing, const struct source *source)
{
    for (size_t i = 0; i < listing->count; i++)
        if (listing->listed[i] == source)
            return;
    for (size_t i = 0; i < source->read_count; i++)
        list_source(listing, source->reads[i]);
    ARENA_PUSH(listing->arena, listing->listed, listing->count, listing->capacity) = source;
    add_source(listing, source);
}

yyjson_mut_val *source_specs_json(yyjson_mut_doc *doc, struct arena *arena,
                                  const struct source *const *wanted, size_t count)
{
    struct listing listing = { .doc = doc, .arena = arena, .array = yyjson_mut_arr(doc) };

    for (size_t i = 0; i < count; i++)
        list_source(&listing, wanted[i]);
    return listing.array;
}
