/* SPDX-License-Identifier: Apache-2.0 */
#include "server/local.h"

#include "server/users.h"
#include "server/wiring.h"

/* The command's own, and a few of the engine's. */
#define LOCAL_THREADS 4

struct local {
    struct arena *arena;
    struct config config;
    struct wiring *wiring;
};

static enum status open_parts(struct local *local, const struct project *project,
                              enum command_access access, struct error *err)
{
    const struct wiring_config wiring = { .project = project,
                                          .config = &local->config,
                                          .threads = LOCAL_THREADS };

    TRY(config_load(local->arena, project->folder, &local->config, err));
    TRY(wiring_open(&wiring, &local->wiring, err));
    if (access == ACCESS_MODELS || access == ACCESS_ENGINE)
        wiring_load_models(local->wiring);
    return access == ACCESS_ENGINE ? wiring_resume(local->wiring, err) : STATUS_OK;
}

enum status local_open(const struct project *project, enum command_access access,
                       struct router **router, void **out, struct error *err)
{
    struct arena *arena = arena_new();
    struct local *local = ARENA_NEW(arena, struct local);
    enum status status;

    local->arena = arena;
    status = open_parts(local, project, access, err);
    if (status != STATUS_OK) {
        local_close(local);
        return status;
    }
    *router = wiring_router(local->wiring);
    *out = local;
    return STATUS_OK;
}

void local_close(void *context)
{
    struct local *local = context;

    wiring_close(&local->wiring);
    arena_free(local->arena);
}

bool local_has_users(void *context)
{
    struct local *local = context;

    return users_exist(wiring_users(local->wiring));
}
