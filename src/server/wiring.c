/* SPDX-License-Identifier: Apache-2.0 */
#include "server/wiring.h"

#include "base/file.h"
#include "blob/blob.h"
#include "registry/registry.h"
#include "registry/registry_http.h"
#include "server/machine_http.h"
#include "server/users.h"
#include "sql/sql.h"

struct wiring {
    struct arena *arena;
    struct wiring_config given;
    struct router *router;
    struct users *users;
    struct sql *metadata;
    struct blob_store *blobs;
    struct registry *registry;
    struct machine machine;
};

/* "driver:rest" with a relative rest taken below the project; "driver://…" is left as it is. */
static struct str location(const struct wiring *wiring, struct str text)
{
    size_t colon = str_index(text, ':');
    struct str rest = str_slice(text, colon + 1, text.len);

    if (colon == text.len || rest.len == 0 || rest.data[0] == '/')
        return text;
    return arena_printf(wiring->arena, STR_FMT ":%s/" STR_FMT, (int)colon, text.data,
                        wiring->given.project->folder, STR_ARG(rest));
}

static enum status wire_users(struct wiring *wiring, struct error *err)
{
    const struct config *config = wiring->given.config;

    (void)err;
    wiring->users = users_new(wiring->given.project->folder, config,
                              host_is_loopback(config->server.host));
    router_set_authenticate(wiring->router, users_authenticate, wiring->users);
    router_mount(wiring->router, &users_door, wiring->users);
    return STATUS_OK;
}

static void unwire_users(struct wiring *wiring)
{
    users_free(&wiring->users);
}

static enum status wire_metadata(struct wiring *wiring, struct error *err)
{
    TRY(folder_create(wiring->given.project->state, err));
    return sql_open(location(wiring, wiring->given.config->metadata), &wiring->metadata, err);
}

static void unwire_metadata(struct wiring *wiring)
{
    sql_close(&wiring->metadata);
}

static enum status wire_registry(struct wiring *wiring, struct error *err)
{
    TRY(blob_store_open(location(wiring, wiring->given.config->blobs), &wiring->blobs, err));
    TRY(registry_open(wiring->metadata, wiring->blobs, &wiring->registry, err));
    router_mount(wiring->router, &registry_door, wiring->registry);
    return STATUS_OK;
}

static void unwire_registry(struct wiring *wiring)
{
    registry_close(&wiring->registry);
    blob_store_close(&wiring->blobs);
}

static enum status wire_machine(struct wiring *wiring, struct error *err)
{
    (void)err;
    wiring->machine = (struct machine){ .router = wiring->router,
                                        .project = wiring->given.project,
                                        .config = wiring->given.config,
                                        .url = wiring->given.url };
    router_mount(wiring->router, &machine_door, &wiring->machine);
    return STATUS_OK;
}

/* In this order; closed in the other. */
static const struct part {
    const char *name;
    enum status (*wire)(struct wiring *wiring, struct error *err);
    void (*unwire)(struct wiring *wiring); /* also after a failed or absent wire; NULL: nothing to do */
} parts[] = {
    { "users", wire_users, unwire_users },
    { "metadata", wire_metadata, unwire_metadata },
    { "registry", wire_registry, unwire_registry },
    { "machine", wire_machine, NULL },
};

enum status wiring_open(const struct wiring_config *config, struct wiring **out,
                        struct error *err)
{
    struct arena *arena = arena_new();
    struct wiring *wiring = ARENA_NEW(arena, struct wiring);

    wiring->arena = arena;
    wiring->given = *config;
    wiring->router = router_new();
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i].wire(wiring, err) != STATUS_OK) {
            wiring_close(&wiring);
            return error_wrap(err, "open %s", parts[i].name);
        }
    }
    *out = wiring;
    return STATUS_OK;
}

void wiring_close(struct wiring **wiring)
{
    if (*wiring == NULL)
        return;
    for (size_t i = ARRAY_LEN(parts); i-- > 0;) {
        if (parts[i].unwire != NULL)
            parts[i].unwire(*wiring);
    }
    router_free(&(*wiring)->router);
    arena_free((*wiring)->arena);
    *wiring = NULL;
}

struct router *wiring_router(struct wiring *wiring)
{
    return wiring->router;
}

struct users *wiring_users(struct wiring *wiring)
{
    return wiring->users;
}

enum status wiring_resume(struct wiring *wiring, struct error *err)
{
    (void)wiring;
    (void)err;
    return STATUS_OK;
}

enum status wiring_reload(struct wiring *wiring, struct error *err)
{
    return users_reload(wiring->users, err);
}
