/* SPDX-License-Identifier: Apache-2.0 */
#include "server/wiring.h"

#include "base/file.h"
#include "base/log.h"
#include "blob/blob.h"
#include "bridges/deployer.h"
#include "bridges/pipeline_kind.h"
#include "bridges/pipeline_tasks.h"
#include "bridges/score.h"
#include "features/apply.h"
#include "features/definition_describe.h"
#include "features/feature_store.h"
#include "features/training_set_http.h"
#include "proxy/proxy.h"
#include "registry/registry.h"
#include "registry/registry_http.h"
#include "server/machine_http.h"
#include "server/users.h"
#include "serving/serving.h"
#include "serving/serving_http.h"
#include "sql/sql.h"
#include "workflow/workflow_http.h"

struct wiring {
    struct arena *arena;
    struct wiring_config given;
    struct router *router;
    struct job_limits job_limits;
    struct users *users;
    struct serving *serving;
    struct sql *metadata;
    struct definition_store *definitions;
    struct feature_store *features;
    struct training_set_context training_sets;
    struct blob_store *blobs;
    struct registry *registry;
    struct proxy *proxy;
    struct deployer *deployer;
    struct score_context score;
    struct workflow *workflow;
    struct pipeline_tasks *tasks;
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

static enum status wire_definitions(struct wiring *wiring, struct error *err)
{
    static const struct definition_kind *const kinds[] = { &pipeline_definition_kind,
                                                           &endpoint_definition_kind, NULL };
    const struct definition_store_config config = { .project = wiring->given.project->folder,
                                                    .db = wiring->metadata,
                                                    .kinds = kinds,
                                                    .describe = definition_describe_by_job,
                                                    .describe_context = &wiring->job_limits };

    TRY(definition_store_open(&config, &wiring->definitions, err));
    router_mount(wiring->router, &definition_door, wiring->definitions);
    return STATUS_OK;
}

static void unwire_definitions(struct wiring *wiring)
{
    definition_store_close(&wiring->definitions);
}

static enum status wire_features(struct wiring *wiring, struct error *err)
{
    const struct feature_store_config config = {
        .definitions = wiring->definitions,
        .project = wiring->given.project->folder,
        .online = wiring->given.config->online,
        .job_memory_bytes = wiring->job_limits.memory_bytes,
        .job_threads = wiring->job_limits.threads,
    };

    TRY(feature_store_open(&config, &wiring->features, err));
    wiring->training_sets = (struct training_set_context){ wiring->definitions, config.project,
                                                           wiring->job_limits };
    router_mount(wiring->router, &feature_store_door, wiring->features);
    router_mount(wiring->router, &training_set_door, &wiring->training_sets);
    return STATUS_OK;
}

static void unwire_features(struct wiring *wiring)
{
    feature_store_close(&wiring->features);
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

/* Sets what ONNX Runtime reads from the environment, so it comes before anything that makes threads. */
static enum status wire_serving(struct wiring *wiring, struct error *err)
{
    const struct serving_config config = {
        .threads = wiring->given.threads,
        .tried_folder = project_path(wiring->arena, wiring->given.project, "tried"),
    };

    TRY(serving_open(&config, &wiring->serving, err));
    router_mount(wiring->router, &serving_door, wiring->serving);
    router_set_home(wiring->router, "/v2", &serving_door);
    return STATUS_OK;
}

static void unwire_serving(struct wiring *wiring)
{
    if (wiring->serving != NULL)
        serving_close(&wiring->serving);
}

static void on_definitions_changed(void *context, const struct definitions *now)
{
    struct wiring *wiring = context;

    proxy_sync(wiring->proxy, now);
    deploy_missing(wiring->deployer);
}

static void review_definitions(void *context, const struct definitions *before,
                               const struct definitions *next, struct definition_errors *errors,
                               struct definition_errors *warnings)
{
    struct wiring *wiring = context;

    deploy_review(wiring->deployer, before, next, errors, warnings);
}

static enum status wire_proxy(struct wiring *wiring, struct error *err)
{
    const struct definitions *definitions = definition_store_current(wiring->definitions);

    (void)err;
    wiring->proxy = proxy_new(wiring->features);
    proxy_sync(wiring->proxy, definitions);
    definitions_unref(&definitions);
    wiring->deployer = deployer_new(wiring->registry, wiring->serving, wiring->proxy);
    definition_store_on_change(wiring->definitions, on_definitions_changed, wiring);
    definition_store_on_review(wiring->definitions, review_definitions, wiring);
    router_mount(wiring->router, &proxy_door, wiring->proxy);
    router_mount(wiring->router, &deployer_door, wiring->deployer);
    wiring->score = (struct score_context){ wiring->training_sets, wiring->proxy,
                                            wiring->registry };
    router_mount(wiring->router, &score_door, &wiring->score);
    return STATUS_OK;
}

static void unwire_proxy(struct wiring *wiring)
{
    if (wiring->deployer != NULL)
        deployer_free(&wiring->deployer);
    if (wiring->proxy != NULL)
        proxy_free(&wiring->proxy);
}

static enum status wire_workflow(struct wiring *wiring, struct error *err)
{
    const char *folder = wiring->given.project->folder;
    const struct workflow_config config = { .db = wiring->metadata,
                                            .project = str_from(folder),
                                            .python = config_python(
                                                wiring->arena, wiring->given.config, folder),
                                            .keep_runs = wiring->given.config->keep_runs,
                                            .keep_logs = wiring->given.config->keep_logs };
    struct pipeline_tasks_config tasks = { .project = folder,
                                           .metadata = wiring->metadata,
                                           .definitions = wiring->definitions,
                                           .features = wiring->features,
                                           .registry = wiring->registry,
                                           .deployer = wiring->deployer,
                                           .proxy = wiring->proxy,
                                           .limits = wiring->job_limits };

    TRY(workflow_open(&config, &wiring->workflow, err));
    tasks.workflow = wiring->workflow;
    TRY(pipeline_tasks_open(&tasks, &wiring->tasks, err));
    router_mount(wiring->router, &workflow_door, wiring->workflow);
    return STATUS_OK;
}

/* The engine's threads run tasks, so it ends before the tasks do. */
static void unwire_workflow(struct wiring *wiring)
{
    if (wiring->workflow != NULL)
        workflow_close(&wiring->workflow);
    if (wiring->tasks != NULL)
        pipeline_tasks_close(&wiring->tasks);
}

static enum status wire_machine(struct wiring *wiring, struct error *err)
{
    (void)err;
    wiring->machine = (struct machine){ .router = wiring->router,
                                        .project = wiring->given.project,
                                        .config = wiring->given.config,
                                        .users = wiring->users,
                                        .url = wiring->given.url };
    router_mount(wiring->router, &machine_door, &wiring->machine);
    return STATUS_OK;
}

/* In this order; closed in the other. */
static const struct part {
    const char *name;
    enum status (*wire)(struct wiring *wiring, struct error *err);
    void (*unwire)(struct wiring *wiring); /* also if it never was wired; NULL: nothing to do */
} parts[] = {
    { "models", wire_serving, unwire_serving },
    { "users", wire_users, unwire_users },
    { "metadata", wire_metadata, unwire_metadata },
    { "definitions", wire_definitions, unwire_definitions },
    { "features", wire_features, unwire_features },
    { "registry", wire_registry, unwire_registry },
    { "endpoints", wire_proxy, unwire_proxy },
    { "pipelines", wire_workflow, unwire_workflow },
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
    wiring->job_limits = (struct job_limits){ .memory_bytes = config->config->job_memory,
                                              .threads = config->config->job_threads };
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

void wiring_load_models(struct wiring *wiring)
{
    deploy_all(wiring->deployer);
}

bool wiring_serves_all(struct wiring *wiring, struct error *why)
{
    return deploy_is_complete(wiring->deployer, why);
}

void wiring_set_readiness(struct wiring *wiring,
                          bool (*callback)(void *context, struct error *why), void *context)
{
    serving_set_readiness(wiring->serving, callback, context);
}

enum status wiring_resume(struct wiring *wiring, struct error *err)
{
    TRY(workflow_resume(wiring->workflow, err));
    pipeline_tasks_settle(wiring->tasks);
    return STATUS_OK;
}
