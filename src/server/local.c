/* SPDX-License-Identifier: Apache-2.0 */
#include "server/local.h"

#include "server/machine_http.h"
#include "server/users.h"
#include "server/wiring.h"

/* The command's own, and a few of the engine's. */
#define LOCAL_THREADS 4

struct local {
    struct arena *arena;
    struct config config;
    struct wiring *wiring; /* NULL for a doctor who finds no project that can be opened */
    struct router *router; /* of that doctor */
    struct machine machine;
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

/* What can be said of the machine alone, and of the project why it does not open. */
static enum status open_for_doctor(struct local *local, const struct project *project,
                                   const struct error *problem, struct error *err)
{
    TRY(config_parse(local->arena, STR(CONFIG_FILE), STR_EMPTY, &local->config, err));
    local->machine = (struct machine){ .project = project, .config = &local->config };
    if (project->folder != NULL)
        local->machine.problem = arena_cstr(local->arena, str_from(problem->message));
    local->router = router_new();
    router_mount(local->router, &machine_door, &local->machine);
    return STATUS_OK;
}

static enum status open_whole_or_bare(struct local *local, const struct project *project,
                                      enum command_access access, struct error *err)
{
    enum status status = project->folder == NULL ? STATUS_NOT_FOUND
                                                 : open_parts(local, project, access, err);

    if (status == STATUS_OK || access != ACCESS_DOCTOR)
        return status;
    return open_for_doctor(local, project, err, err);
}

enum status local_open(const struct project *project, enum command_access access,
                       struct router **router, void **out, struct error *err)
{
    struct arena *arena = arena_new();
    struct local *local = ARENA_NEW(arena, struct local);
    enum status status;

    local->arena = arena;
    status = open_whole_or_bare(local, project, access, err);
    if (status != STATUS_OK) {
        local_close(local);
        return status;
    }
    *router = local->wiring == NULL ? local->router : wiring_router(local->wiring);
    *out = local;
    return STATUS_OK;
}

void local_close(void *context)
{
    struct local *local = context;

    wiring_close(&local->wiring);
    router_free(&local->router);
    arena_free(local->arena);
}

bool local_has_users(void *context)
{
    struct local *local = context;

    return local->wiring != NULL && users_exist(wiring_users(local->wiring));
}
