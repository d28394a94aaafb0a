/* SPDX-License-Identifier: Apache-2.0 */
#include "features/definition_internal.h"

#include "base/clock.h"

struct definitions *definitions_new(struct str project)
{
    struct arena *arena = arena_new();
    struct definitions *definitions = ARENA_NEW(arena, struct definitions);

    definitions->arena = arena;
    definitions->project = arena_str(arena, project);
    atomic_init(&definitions->references, 1);
    return definitions;
}

/* The count of references is the one thing in a snapshot that changes. */
static struct definitions *counted(const struct definitions *definitions)
{
    return (struct definitions *)(uintptr_t)definitions;
}

const struct definitions *definitions_ref(const struct definitions *definitions)
{
    atomic_fetch_add_explicit(&counted(definitions)->references, 1, memory_order_relaxed);
    return definitions;
}

void definitions_unref(const struct definitions **definitions)
{
    struct definitions *last = counted(*definitions);

    *definitions = NULL;
    if (last != NULL &&
        atomic_fetch_sub_explicit(&last->references, 1, memory_order_acq_rel) == 1)
        arena_free(last->arena); /* holds the snapshot itself, too */
}

struct str definitions_project(const struct definitions *definitions)
{
    return definitions->project;
}

int64_t definitions_revision(const struct definitions *definitions)
{
    return definitions->revision;
}

const struct entity *definitions_entities(const struct definitions *definitions, size_t *count)
{
    *count = definitions->entity_count;
    return definitions->entities;
}

const struct source *definitions_sources(const struct definitions *definitions, size_t *count)
{
    *count = definitions->source_count;
    return definitions->sources;
}

const struct view *definitions_views(const struct definitions *definitions, size_t *count)
{
    *count = definitions->view_count;
    return definitions->views;
}

const struct service *definitions_services(const struct definitions *definitions, size_t *count)
{
    *count = definitions->service_count;
    return definitions->services;
}

const struct definition_item *definitions_items(const struct definitions *definitions,
                                                size_t *count)
{
    *count = definitions->item_count;
    return definitions->items;
}

/* A project has tens of each: a walk is as quick as a table, and needs none. */
#define FIND(items, count, wanted) \
    do { \
        for (size_t i = 0; i < (count); i++) { \
            if (str_equal((items)[i].name, (wanted))) \
                return &(items)[i]; \
        } \
        return NULL; \
    } while (0)

const struct entity *definitions_entity_find(const struct definitions *definitions,
                                             struct str name)
{
    FIND(definitions->entities, definitions->entity_count, name);
}

const struct source *definitions_source_find(const struct definitions *definitions,
                                             struct str name)
{
    FIND(definitions->sources, definitions->source_count, name);
}

const struct view *definitions_view_find(const struct definitions *definitions, struct str name)
{
    FIND(definitions->views, definitions->view_count, name);
}

const struct service *definitions_service_find(const struct definitions *definitions,
                                               struct str name)
{
    FIND(definitions->services, definitions->service_count, name);
}

const struct feature *view_feature_find(const struct view *view, struct str name)
{
    FIND(view->features, view->feature_count, name);
}

const struct source_column *source_column_find(const struct source *source, struct str name)
{
    FIND(source->columns, source->column_count, name);
}

const struct definition_item *definitions_item_find(const struct definitions *definitions,
                                                    struct str kind, struct str name)
{
    for (size_t i = 0; i < definitions->item_count; i++) {
        if (str_equal(definitions->items[i].kind, kind) &&
            str_equal(definitions->items[i].name, name))
            return &definitions->items[i];
    }
    return NULL;
}

static enum status not_there(const struct definitions *definitions, struct str kind,
                             struct str name, struct error *err)
{
    struct arena *arena = arena_new();
    struct str *names = ARENA_ARRAY(arena, struct str, definitions->item_count);
    struct str shown = str_slice(name, 0, 80);
    struct str near;
    size_t count = 0;

    for (size_t i = 0; i < definitions->item_count; i++) {
        if (str_equal(definitions->items[i].kind, kind))
            names[count++] = definitions->items[i].name;
    }
    near = str_nearest(name, names, count);
    if (near.len > 0)
        error_set(err, STATUS_NOT_FOUND,
                  "there is no " STR_FMT " '" STR_FMT "'; did you mean '" STR_FMT "'?",
                  STR_ARG(kind), STR_ARG(shown), STR_ARG(near));
    else if (definitions->item_count == 0)
        error_set(err, STATUS_NOT_FOUND,
                  "there is no " STR_FMT " '" STR_FMT
                  "': nothing is applied yet; `onggi apply` does",
                  STR_ARG(kind), STR_ARG(shown));
    else
        error_set(err, STATUS_NOT_FOUND, "there is no " STR_FMT " '" STR_FMT "'", STR_ARG(kind),
                  STR_ARG(shown));
    arena_free(arena);
    return STATUS_NOT_FOUND;
}

enum status definitions_item_get(const struct definitions *definitions, struct str kind,
                                 struct str name, const struct definition_item **out,
                                 struct error *err)
{
    const struct definition_item *item = definitions_item_find(definitions, kind, name);

    if (item == NULL)
        return not_there(definitions, str_slice(kind, 0, 40), name, err);
    *out = item;
    return STATUS_OK;
}

enum status definitions_service_get(const struct definitions *definitions, struct str name,
                                    const struct service **out, struct error *err)
{
    const struct service *service = definitions_service_find(definitions, name);

    if (service == NULL)
        return not_there(definitions, STR("service"), name, err);
    *out = service;
    return STATUS_OK;
}

enum status definitions_view_get(const struct definitions *definitions, struct str name,
                                 const struct view **out, struct error *err)
{
    const struct view *view = definitions_view_find(definitions, name);

    if (view == NULL)
        return not_there(definitions, STR("view"), name, err);
    *out = view;
    return STATUS_OK;
}

int64_t window_hop_us(int64_t window_us)
{
    if (window_us >= 12 * US_PER_DAY)
        return US_PER_DAY;
    return window_us >= 12 * US_PER_HOUR ? US_PER_HOUR : 5 * US_PER_MINUTE;
}
