/* SPDX-License-Identifier: Apache-2.0 */
#include "features/apply.h"

#include "base/log.h"
#include "features/apply_record.h"
#include "features/feature_store_view.h"

#include <pthread.h>
#include <stdlib.h>

#define LISTENERS_MAX 8

struct listener {
    definitions_changed callback;
    void *context;
};

struct definition_store {
    struct definition_store_config config;
    struct str project;       /* absolute */
    pthread_mutex_t applying; /* one apply at a time; taken before `lock` */
    pthread_mutex_t lock;     /* guards `current` for the moment of taking a reference */
    const struct definitions *current;
    _Atomic int64_t revision;
    struct listener listeners[LISTENERS_MAX];
    size_t listener_count;
    definitions_review review; /* or NULL */
    void *review_context;
};

/*
 * What an older version recorded may be wrong by today's rules. An apply mends that, so the store
 * opens all the same.
 */
static const struct definitions *nothing_applied(struct definition_store *store,
                                                 int64_t revision, const struct error *err)
{
    struct definitions *empty = definitions_new(store->project);

    log_warn("features: the recorded definitions cannot be used (%s); run `onggi apply`",
             err->message);
    empty->revision = revision;
    return empty;
}

static enum status restore(struct definition_store *store, struct error *err)
{
    struct arena *arena = arena_new();
    struct definition_record record;
    struct definitions *definitions;
    enum status status = apply_record_migrate(store->config.db, err);

    if (status == STATUS_OK)
        status = apply_record_read(store->config.db, arena, &record, err);
    if (status == STATUS_OK) {
        if (definitions_restore(store->project, &record, &definitions, err) == STATUS_OK)
            store->current = definitions;
        else
            store->current = nothing_applied(store, record.revision, err);
        store->revision = store->current->revision;
    }
    arena_free(arena);
    return status;
}

enum status definition_store_open(const struct definition_store_config *config,
                                  struct definition_store **out, struct error *err)
{
    char *project = realpath(config->project, NULL);
    struct definition_store *store;

    if (project == NULL)
        return error_set(err, STATUS_NOT_FOUND, "there is no folder '%s'", config->project);
    store = calloc(1, sizeof(*store));
    if (store == NULL)
        abort();
    store->config = *config;
    store->project = str_from(project);
    pthread_mutex_init(&store->applying, NULL);
    pthread_mutex_init(&store->lock, NULL);
    if (restore(store, err) != STATUS_OK) {
        definition_store_close(&store);
        return error_wrap(err, "read the recorded definitions");
    }
    *out = store;
    return STATUS_OK;
}

void definition_store_close(struct definition_store **store)
{
    struct definition_store *closing = *store;

    *store = NULL;
    if (closing == NULL)
        return;
    definitions_unref(&closing->current);
    pthread_mutex_destroy(&closing->applying);
    pthread_mutex_destroy(&closing->lock);
    free((char *)(uintptr_t)closing->project.data);
    free(closing);
}

const struct definitions *definition_store_current(struct definition_store *store)
{
    const struct definitions *current;

    pthread_mutex_lock(&store->lock);
    current = definitions_ref(store->current);
    pthread_mutex_unlock(&store->lock);
    return current;
}

int64_t definition_store_revision(const struct definition_store *store)
{
    return atomic_load_explicit(&store->revision, memory_order_acquire);
}

void definition_store_on_change(struct definition_store *store, definitions_changed callback,
                                void *context)
{
    if (store->listener_count == LISTENERS_MAX)
        abort();
    store->listeners[store->listener_count++] = (struct listener){ callback, context };
}

void definition_store_on_review(struct definition_store *store, definitions_review callback,
                                void *context)
{
    store->review = callback;
    store->review_context = context;
}

/* --- comparing -------------------------------------------------------------- */

struct comparison {
    struct arena *arena;
    const struct definitions *before, *after;
    struct definition_changes *changes;
    size_t capacity;
};

static void add_change(struct comparison *comparison, enum definition_change_kind change,
                       const struct definition_item *item)
{
    struct arena *arena = comparison->arena;
    struct definition_change added = { .change = change };

    added.kind = arena_str(arena, item->kind);
    added.name = arena_str(arena, item->name);
    added.place = item->place;
    added.place.file = arena_str(arena, item->place.file);
    ARENA_PUSH(arena, comparison->changes->items, comparison->changes->count,
               comparison->capacity) = added;
}

/* A source has changed, too, when its files now have other columns. */
static bool columns_differ(const struct comparison *comparison,
                           const struct definition_item *item)
{
    const struct source *before, *after;

    if (!str_equal(item->kind, STR("source")))
        return false;
    before = definitions_source_find(comparison->before, item->name);
    after = definitions_source_find(comparison->after, item->name);
    return !str_equal(definition_columns_json(comparison->arena, before),
                      definition_columns_json(comparison->arena, after));
}

static void compare(struct comparison *comparison)
{
    const struct definitions *before = comparison->before, *after = comparison->after;

    for (size_t i = 0; i < after->item_count; i++) {
        const struct definition_item *item = &after->items[i];
        const struct definition_item *old = definitions_item_find(before, item->kind,
                                                                  item->name);

        if (old == NULL)
            add_change(comparison, DEFINITION_ADDED, item);
        else if (!str_equal(old->json, item->json) || columns_differ(comparison, item))
            add_change(comparison, DEFINITION_CHANGED, item);
    }
    for (size_t i = 0; i < before->item_count; i++) {
        const struct definition_item *old = &before->items[i];

        if (definitions_item_find(after, old->kind, old->name) == NULL)
            add_change(comparison, DEFINITION_REMOVED, old);
    }
}

/* A view is named also where only what it is made from has changed. */
static bool is_unbuilt(const struct comparison *comparison, const struct view *view)
{
    const struct view *old = definitions_view_find(comparison->before, view->name);
    struct stored_view before, after;

    if (view->kind == VIEW_REQUEST)
        return false;
    if (old == NULL || old->kind == VIEW_REQUEST)
        return true;
    stored_view_init(&before, comparison->arena, old);
    stored_view_init(&after, comparison->arena, view);
    return !str_equal(before.layout, after.layout);
}

static void list_unbuilt(struct comparison *comparison)
{
    struct definition_changes *changes = comparison->changes;
    size_t count;
    const struct view *views = definitions_views(comparison->after, &count);

    changes->unbuilt = ARENA_ARRAY(comparison->arena, struct str, count);
    for (size_t i = 0; i < count; i++) {
        if (is_unbuilt(comparison, &views[i]))
            changes->unbuilt[changes->unbuilt_count++] = arena_str(comparison->arena,
                                                                   views[i].name);
    }
}

/* --- applying --------------------------------------------------------------- */

static void put_in_force(struct definition_store *store, const struct definitions *definitions)
{
    const struct definitions *before;

    pthread_mutex_lock(&store->lock);
    before = store->current;
    store->current = definitions;
    pthread_mutex_unlock(&store->lock);
    atomic_store_explicit(&store->revision, definitions->revision, memory_order_release);
    definitions_unref(&before);
    /* Who came last stands highest, and lets go first of what those below may take away. */
    for (size_t i = store->listener_count; i-- > 0;)
        store->listeners[i].callback(store->listeners[i].context, definitions);
}

/*
 * Also without a change worth showing there may be something to keep: other lines, or files that
 * changed without their columns.
 */
static enum status record(struct definition_store *store, struct definitions *loaded,
                          struct definition_changes *changes, struct error *err)
{
    loaded->revision = definition_store_revision(store) + (changes->count > 0 ? 1 : 0);
    TRY(apply_record_write(store->config.db, loaded, err));
    put_in_force(store, definitions_ref(loaded));
    changes->applied = true;
    changes->revision = loaded->revision;
    return STATUS_OK;
}

/* What the files say is sound by itself; here those speak who go by it. */
static enum status review(struct definition_store *store, const struct definitions *before,
                          const struct definitions *next, enum apply_mode mode,
                          struct definition_errors *errors, struct definition_errors *warnings,
                          struct error *err)
{
    struct definition_errors *broken = mode == APPLY_FORCED ? warnings : errors;

    if (store->review == NULL)
        return STATUS_OK;
    store->review(store->review_context, before, next, broken, warnings);
    return errors->count == 0 ? STATUS_OK : definition_errors_set(errors, err);
}

static enum status load_and_record(struct definition_store *store, struct arena *arena,
                                   const struct definition_apply *how,
                                   struct definition_changes *out,
                                   struct definition_errors *errors, struct error *err)
{
    const struct definitions *before = definition_store_current(store);
    struct definition_input input = { .project = store->project.data,
                                      .kinds = store->config.kinds,
                                      .describe = store->config.describe,
                                      .describe_context = store->config.describe_context,
                                      .is_cancelled = how->is_cancelled,
                                      .cancel_context = how->context,
                                      .recorded = before };
    struct definition_changes changes = { .revision = before->revision,
                                          .warnings = { .arena = arena } };
    struct comparison comparison = { .arena = arena, .before = before, .changes = &changes };
    struct definitions *loaded = NULL;
    const struct definitions *done;
    enum status status = definitions_load(&input, errors, &loaded, err);

    if (status == STATUS_OK) {
        comparison.after = loaded;
        compare(&comparison);
        list_unbuilt(&comparison);
        status = review(store, before, loaded, how->mode, errors, &changes.warnings, err);
        if (status == STATUS_OK && how->mode != APPLY_DRY_RUN)
            status = record(store, loaded, &changes, err);
    }
    done = loaded;
    definitions_unref(&done);
    definitions_unref(&before);
    if (status == STATUS_OK)
        *out = changes;
    return status;
}

enum status definition_store_apply(struct definition_store *store, struct arena *arena,
                                   const struct definition_apply *how,
                                   struct definition_changes *out,
                                   struct definition_errors *errors, struct error *err)
{
    enum status status;

    pthread_mutex_lock(&store->applying);
    status = load_and_record(store, arena, how, out, errors, err);
    pthread_mutex_unlock(&store->applying);
    return status;
}
