/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/proxy.h"

#include "base/grace.h"
#include "base/log.h"

#include <pthread.h>
#include <stdlib.h>

/* The endpoints there are, sorted by name. Never changed, only replaced. */
struct table {
    size_t count;
    struct endpoint *endpoints[]; /* a reference to each */
};

struct proxy {
    struct feature_store *store;
    _Atomic(struct table *) table;
    pthread_mutex_t change; /* held by who replaces the table: one sync or deploy at a time */
};

static struct table *table_new(size_t count)
{
    struct table *table = calloc(1, sizeof(*table) + count * sizeof(table->endpoints[0]));

    if (table == NULL)
        abort();
    table->count = count;
    return table;
}

struct proxy *proxy_new(struct feature_store *store)
{
    struct proxy *proxy = calloc(1, sizeof(*proxy));

    if (proxy == NULL)
        abort();
    proxy->store = store;
    atomic_init(&proxy->table, table_new(0));
    pthread_mutex_init(&proxy->change, NULL);
    return proxy;
}

void proxy_free(struct proxy **at)
{
    struct proxy *proxy = *at;
    struct table *table;

    if (proxy == NULL)
        return;
    table = atomic_load(&proxy->table);
    for (size_t i = 0; i < table->count; i++)
        proxy_release(proxy, table->endpoints[i]);
    free(table);
    pthread_mutex_destroy(&proxy->change);
    free(proxy);
    *at = NULL;
}

void proxy_release(struct proxy *proxy, struct endpoint *endpoint)
{
    (void)proxy;
    if (endpoint != NULL && atomic_fetch_sub(&endpoint->references, 1) == 1)
        endpoint_free(endpoint);
}

static struct endpoint *reference(struct endpoint *endpoint)
{
    atomic_fetch_add_explicit(&endpoint->references, 1, memory_order_relaxed);
    return endpoint;
}

/* The index of the name, or of where it would stand. */
static size_t place_of(const struct table *table, struct str name, bool *found)
{
    size_t low = 0, high = table->count;

    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = str_compare(table->endpoints[middle]->spec.name, name);

        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct endpoint *acquire(struct proxy *proxy, struct str name)
{
    struct endpoint *endpoint = NULL;
    const struct table *table;
    bool found;
    size_t at;

    grace_enter();
    table = atomic_load(&proxy->table);
    at = place_of(table, name, &found);
    if (found)
        endpoint = reference(table->endpoints[at]);
    grace_leave();
    return endpoint;
}

static enum status unknown(struct proxy *proxy, struct str name, struct error *err)
{
    struct arena *arena = arena_new();
    struct endpoint **all;
    size_t count = proxy_list(proxy, arena, &all);
    struct str *names = ARENA_ARRAY(arena, struct str, count);
    struct str near;

    for (size_t i = 0; i < count; i++)
        names[i] = all[i]->spec.name;
    near = str_nearest(name, names, count);
    if (near.len > 0)
        error_set(err, STATUS_NOT_FOUND,
                  "there is no endpoint '" STR_FMT "'; did you mean '" STR_FMT "'?",
                  STR_ARG(str_slice(name, 0, 128)), STR_ARG(near));
    else
        error_set(err, STATUS_NOT_FOUND, "there is no endpoint '" STR_FMT "'",
                  STR_ARG(str_slice(name, 0, 128)));
    for (size_t i = 0; i < count; i++)
        proxy_release(proxy, all[i]);
    arena_free(arena);
    return STATUS_NOT_FOUND;
}

enum status proxy_acquire(struct proxy *proxy, struct str name, struct endpoint **out,
                          struct error *err)
{
    struct endpoint *endpoint = acquire(proxy, name);

    if (endpoint == NULL)
        return unknown(proxy, name, err);
    *out = endpoint;
    return STATUS_OK;
}

size_t proxy_list(struct proxy *proxy, struct arena *arena, struct endpoint ***out)
{
    const struct table *table;
    size_t count;

    grace_enter();
    table = atomic_load(&proxy->table);
    count = table->count;
    *out = ARENA_ARRAY(arena, struct endpoint *, count);
    for (size_t i = 0; i < count; i++)
        (*out)[i] = reference(table->endpoints[i]);
    grace_leave();
    return count;
}

/* What was is freed when nobody can be looking into it any more. Call with the lock. */
static void replace(struct proxy *proxy, struct table *next)
{
    struct table *before = atomic_exchange(&proxy->table, next);

    grace_wait();
    free(before);
}

/* Puts it in the place of the one with its name, or among the others; takes over the reference. */
static void put(struct proxy *proxy, struct endpoint *endpoint)
{
    const struct table *now = atomic_load(&proxy->table);
    struct endpoint *old = NULL;
    struct table *next;
    size_t at, kept;
    bool found;

    at = place_of(now, endpoint->spec.name, &found);
    kept = found ? at + 1 : at; /* from here on they follow the new one */
    next = table_new(now->count + (found ? 0 : 1));
    if (found)
        old = now->endpoints[at];
    memcpy(next->endpoints, now->endpoints, at * sizeof(next->endpoints[0]));
    next->endpoints[at] = endpoint;
    memcpy(next->endpoints + at + 1, now->endpoints + kept,
           (now->count - kept) * sizeof(next->endpoints[0]));
    replace(proxy, next);
    proxy_release(proxy, old);
}

static bool is_defined(const struct definitions *definitions, struct str name)
{
    return definitions_item_find(definitions, STR("endpoint"), name) != NULL;
}

static void remove_undefined(struct proxy *proxy, const struct definitions *definitions)
{
    const struct table *now = atomic_load(&proxy->table);
    struct arena *arena = arena_new();
    struct endpoint **gone = ARENA_ARRAY(arena, struct endpoint *, now->count);
    struct table *next = table_new(now->count);
    size_t gone_count = 0;

    next->count = 0;
    for (size_t i = 0; i < now->count; i++) {
        if (is_defined(definitions, now->endpoints[i]->spec.name))
            next->endpoints[next->count++] = now->endpoints[i];
        else
            gone[gone_count++] = now->endpoints[i];
    }
    replace(proxy, next);
    for (size_t i = 0; i < gone_count; i++)
        proxy_release(proxy, gone[i]);
    arena_free(arena);
}

static enum status read_spec(struct arena *arena, const struct definition_item *item,
                             struct endpoint_spec *out, struct error *err)
{
    struct yaml_node *document;

    TRY(yaml_from_json(arena, item->place.file, item->place.line, item->json, &document, err));
    return endpoint_spec_read(arena, document, out, err);
}

/* It goes on with what it has, and remembers what it should be. */
static void set_update(struct endpoint *endpoint, const struct endpoint_spec *spec,
                       const struct error *why)
{
    struct endpoint_update *update = ARENA_NEW(endpoint->arena, struct endpoint_update);

    update->spec = endpoint_spec_copy(endpoint->arena, spec);
    update->why = arena_str(endpoint->arena, str_from(why->message));
    atomic_store(&endpoint->update, update);
}

static enum status sync_one(struct proxy *proxy, struct arena *arena,
                            const struct definition_item *item, struct error *err)
{
    struct endpoint *old, *endpoint;
    struct endpoint_spec spec;
    enum status status;
    bool keeps_model;

    TRY(read_spec(arena, item, &spec, err));
    old = acquire(proxy, item->name);
    keeps_model = old != NULL && old->model != NULL &&
                  str_equal(model_name(old->model), spec.model);
    status = endpoint_new(&spec, proxy->store, keeps_model ? old->model : NULL, &endpoint, err);
    if (status == STATUS_OK)
        put(proxy, endpoint);
    else if (keeps_model)
        set_update(old, &spec, err);
    proxy_release(proxy, old);
    return status;
}

void proxy_sync(struct proxy *proxy, const struct definitions *definitions)
{
    struct arena *arena = arena_new();
    size_t count;
    const struct definition_item *items = definitions_items(definitions, &count);
    struct error err;

    pthread_mutex_lock(&proxy->change);
    remove_undefined(proxy, definitions);
    for (size_t i = 0; i < count; i++) {
        if (str_equal(items[i].kind, STR("endpoint")) &&
            sync_one(proxy, arena, &items[i], &err) != STATUS_OK)
            log_warn("proxy: %s; it stays as it was", err.message);
    }
    pthread_mutex_unlock(&proxy->change);
    arena_free(arena);
}

static enum status check_item(struct arena *arena, const struct definitions *definitions,
                              struct str name, struct model *model, struct error *err)
{
    const struct definition_item *item;
    const struct service *service;
    struct endpoint_shape shape;
    struct endpoint *endpoint;
    struct endpoint_spec spec;

    TRY(definitions_item_get(definitions, STR("endpoint"), name, &item, err));
    TRY(read_spec(arena, item, &spec, err));
    TRY(definitions_service_get(definitions, spec.service, &service, err));
    shape = endpoint_shape_of(arena, service);
    TRY(endpoint_new_shaped(&spec, &shape, model, &endpoint, err));
    endpoint_free(endpoint);
    return STATUS_OK;
}

enum status proxy_check(const struct definitions *definitions, struct str endpoint,
                        struct model *model, struct error *err)
{
    struct arena *arena = arena_new();
    enum status status = check_item(arena, definitions, endpoint, model, err);

    arena_free(arena);
    return status;
}

/* What it should be by the definitions in force. */
static const struct endpoint_spec *wanted_spec(struct endpoint *endpoint)
{
    const struct endpoint_update *update = atomic_load(&endpoint->update);

    return update == NULL ? &endpoint->spec : &update->spec;
}

enum status proxy_deploy(struct proxy *proxy, struct str name, struct model *model,
                         proxy_before_deploy before, void *context, struct error *err)
{
    struct endpoint *old = NULL, *endpoint = NULL;
    enum status status;

    pthread_mutex_lock(&proxy->change);
    status = proxy_acquire(proxy, name, &old, err);
    if (status == STATUS_OK)
        status = endpoint_new(wanted_spec(old), proxy->store, model, &endpoint, err);
    if (status == STATUS_OK && before != NULL && (status = before(context, err)) != STATUS_OK)
        endpoint_free(endpoint);
    if (status == STATUS_OK)
        put(proxy, endpoint);
    proxy_release(proxy, old);
    pthread_mutex_unlock(&proxy->change);
    return status;
}
