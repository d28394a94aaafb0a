/* SPDX-License-Identifier: Apache-2.0 */
#include "features/feature_store.h"

#include "base/log.h"
#include "features/feature_store_plan.h"

const char *feature_status_name(enum feature_status status)
{
    static const char *const names[] = {
        [FEATURE_PRESENT] = "PRESENT",     [FEATURE_NULL_VALUE] = "NULL_VALUE",
        [FEATURE_NOT_FOUND] = "NOT_FOUND", [FEATURE_OUTSIDE_MAX_AGE] = "OUTSIDE_MAX_AGE",
        [FEATURE_TOO_EARLY] = "TOO_EARLY",
    };

    return names[status];
}

/* "lmdb:.onggi/online" names a folder of the project. */
static struct str absolute_location(struct arena *arena, const char *project,
                                    struct str location)
{
    size_t colon = str_index(location, ':');
    struct str driver = str_slice(location, 0, colon);
    struct str place = str_slice(location, colon + 1, location.len);

    if (!str_equal(driver, STR("lmdb")) || place.len == 0 || place.data[0] == '/')
        return arena_str(arena, location);
    return arena_printf(arena, STR_FMT ":%s/" STR_FMT, STR_ARG(driver), project,
                        STR_ARG(place));
}

/* Only what a definition stores stays in the online store. */
void feature_store_forget_views(struct feature_store *store,
                                const struct definitions *definitions)
{
    struct arena *arena = arena_new();
    size_t all, count = 0;
    const struct view *views = definitions_views(definitions, &all);
    struct str *names = ARENA_ARRAY(arena, struct str, all);
    struct error err;

    for (size_t i = 0; i < all; i++)
        if (views[i].kind != VIEW_REQUEST)
            names[count++] = views[i].name;
    if (online_store_keep(store->online, names, count, &err) != STATUS_OK)
        log_warn("features: %s; the next apply tries again", err.message);
    arena_free(arena);
}

static void on_definitions_changed(void *context, const struct definitions *now)
{
    feature_store_forget_views(context, now);
}

enum status feature_store_open(const struct feature_store_config *config,
                               struct feature_store **out, struct error *err)
{
    struct arena *arena = arena_new();
    struct feature_store *store = ARENA_NEW(arena, struct feature_store);
    struct str location = config->online.len > 0 ? config->online : STR("lmdb:.onggi/online");

    store->arena = arena;
    store->definitions = config->definitions;
    store->project = arena_cstr(arena, str_from(config->project));
    store->online_location = absolute_location(arena, config->project, location);
    store->limits = (struct job_limits){ config->job_memory_bytes, config->job_threads };
    store->plans_revision = -1;
    if (online_store_open(store->online_location, &store->online, err) != STATUS_OK) {
        arena_free(arena);
        return err->status;
    }
    pthread_mutex_init(&store->lock, NULL);
    definition_store_on_change(store->definitions, on_definitions_changed, store);
    *out = store;
    return STATUS_OK;
}

void feature_store_close(struct feature_store **store)
{
    struct feature_store *closing = *store;

    *store = NULL;
    if (closing == NULL)
        return;
    feature_store_drop_plans(closing);
    online_store_close(&closing->online);
    pthread_mutex_destroy(&closing->lock);
    arena_free(closing->arena);
}
