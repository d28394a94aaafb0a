/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/proxy.h"

#include "base/log.h"

#include <pthread.h>
#include <stdlib.h>

/*
 * The lock is held for a look-up among a few names, which gives a reference;
 * an endpoint itself never changes, so nothing else needs one.
 */
struct proxy {
    struct feature_store *store;
    pthread_mutex_t lock;
    struct endpoint **endpoints; /* sorted by name */
    size_t count;
    pthread_mutex_t change; /* one sync or deploy at a time */
};

struct proxy *proxy_new(struct feature_store *store)
{
    struct proxy *proxy = calloc(1, sizeof(*proxy));

    proxy->store = store;
    pthread_mutex_init(&proxy->lock, NULL);
    pthread_mutex_init(&proxy->change, NULL);
    return proxy;
}

void proxy_free(struct proxy **proxy)
{
    if (*proxy == NULL)
        return;
    for (size_t i = 0; i < (*proxy)->count; i++)
        proxy_release(*proxy, (*proxy)->endpoints[i]);
    free((*proxy)->endpoints);
    pthread_mutex_destroy(&(*proxy)->lock);
    pthread_mutex_destroy(&(*proxy)->change);
    free(*proxy);
    *proxy = NULL;
}

void proxy_release(struct proxy *proxy, struct endpoint *endpoint)
{
    (void)proxy;
    if (endpoint != NULL && atomic_fetch_sub(&endpoint->references, 1) == 1)
        endpoint_free(endpoint);
}

/* The index of the name, or of where it would stand. Call with the lock. */
static size_t place_of(const struct proxy *proxy, struct str name, bool *found)
{
    size_t low = 0, high = proxy->count;

    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = str_compare(proxy->endpoints[middle]->spec.name, name);

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
    bool found;
    size_t at;

    pthread_mutex_lock(&proxy->lock);
    at = place_of(proxy, name, &found);
    if (found) {
        endpoint = proxy->endpoints[at];
        atomic_fetch_add(&endpoint->references, 1);
    }
    pthread_mutex_unlock(&proxy->lock);
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
    size_t count;

    pthread_mutex_lock(&proxy->lock);
    count = proxy->count;
    *out = ARENA_ARRAY(arena, struct endpoint *, count);
    for (size_t i = 0; i < count; i++) {
        (*out)[i] = proxy->endpoints[i];
        atomic_fetch_add(&(*out)[i]->references, 1);
    }
    pthread_mutex_unlock(&proxy->lock);
    return count;
}

/* Puts it in the place of the one with its name, or among the others; takes over the reference. */
static void put(struct proxy *proxy, struct endpoint *endpoint)
{
    struct endpoint *old = NULL;
    bool found;
    size_t at;

    pthread_mutex_lock(&proxy->lock);
    at = place_of(proxy, endpoint->spec.name, &found);
    if (found) {
        old = proxy->endpoints[at];
    } else {
        proxy->endpoints = realloc(proxy->endpoints,
                                   (proxy->count + 1) * sizeof(*proxy->endpoints));
        memmove(proxy->endpoints + at + 1, proxy->endpoints + at,
                (proxy->count - at) * sizeof(*proxy->endpoints));
        proxy->count++;
    }
    proxy->endpoints[at] = endpoint;
    pthread_mutex_unlock(&proxy->lock);
    proxy_release(proxy, old);
}

static bool is_defined(const struct definitions *definitions, struct str name)
{
    return definitions_item_find(definitions, STR("endpoint"), name) != NULL;
}

static void remove_undefined(struct proxy *proxy, const struct definitions *definitions)
{
    struct arena *arena = arena_new();
    struct endpoint **gone = ARENA_ARRAY(arena, struct endpoint *, proxy->count);
    size_t gone_count = 0, kept = 0;

    pthread_mutex_lock(&proxy->lock);
    for (size_t i = 0; i < proxy->count; i++) {
        if (is_defined(definitions, proxy->endpoints[i]->spec.name))
            proxy->endpoints[kept++] = proxy->endpoints[i];
        else
            gone[gone_count++] = proxy->endpoints[i];
    }
    proxy->count = kept;
    pthread_mutex_unlock(&proxy->lock);
    for (size_t i = 0; i < gone_count; i++)
        proxy_release(proxy, gone[i]);
    arena_free(arena);
}

static enum status sync_one(struct proxy *proxy, struct arena *arena,
                            const struct definition_item *item, struct error *err)
{
    struct endpoint *old = acquire(proxy, item->name);
    struct endpoint *endpoint = NULL;
    struct endpoint_spec spec;
    struct yaml_node *document;
    enum status status = yaml_from_json(arena, item->place.file, item->place.line, item->json,
                                        &document, err);

    if (status == STATUS_OK)
        status = endpoint_spec_read(arena, document, &spec, err);
    if (status == STATUS_OK) {
        bool keeps_model = old != NULL && str_equal(old->spec.model, spec.model);

        status = endpoint_new(&spec, proxy->store, keeps_model ? old->model : NULL, &endpoint,
                              err);
    }
    if (status == STATUS_OK)
        put(proxy, endpoint);
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

enum status proxy_deploy(struct proxy *proxy, struct str name, struct model *model,
                         proxy_before_deploy before, void *context, struct error *err)
{
    struct endpoint *old = NULL, *endpoint = NULL;
    enum status status;

    pthread_mutex_lock(&proxy->change);
    status = proxy_acquire(proxy, name, &old, err);
    if (status == STATUS_OK)
        status = endpoint_new(&old->spec, proxy->store, model, &endpoint, err);
    if (status == STATUS_OK && before != NULL && (status = before(context, err)) != STATUS_OK)
        endpoint_free(endpoint);
    if (status == STATUS_OK)
        put(proxy, endpoint);
    proxy_release(proxy, old);
    pthread_mutex_unlock(&proxy->change);
    return status;
}
