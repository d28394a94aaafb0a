/* SPDX-License-Identifier: Apache-2.0 */
#include "bridges/deployer_internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>

struct deployer *deployer_new(struct registry *registry, struct serving *serving,
                              struct proxy *proxy)
{
    struct deployer *deployer = calloc(1, sizeof(*deployer));

    deployer->registry = registry;
    deployer->serving = serving;
    deployer->proxy = proxy;
    pthread_mutex_init(&deployer->one_at_a_time, NULL);
    return deployer;
}

void deployer_free(struct deployer **deployer)
{
    if (*deployer == NULL)
        return;
    pthread_mutex_destroy(&(*deployer)->one_at_a_time);
    free(*deployer);
    *deployer = NULL;
}

/* Loaded already (another endpoint serves it), or from its blob. */
static enum status load_model(struct deployer *deployer, struct arena *arena,
                              const struct model_version *version,
                              const struct deploy_order *order, struct model **out,
                              struct error *err)
{
    struct model_source source = { .name = version->model,
                                   .version = version->version,
                                   .hash = version->hash,
                                   .signature = version->signature };
    struct error unknown;
    struct model *model;
    char *path;

    if (model_acquire(deployer->serving, version->model, version->version, out, &unknown) ==
        STATUS_OK)
        return STATUS_OK;
    TRY(blob_path(registry_blobs(deployer->registry), arena, version->hash, &path, err));
    source.path = path;
    if (order != NULL) {
        source.on_phase = order->on_phase;
        source.context = order->context;
    }
    TRY(model_load(deployer->serving, &source, &model, err));
    *out = model_ref(model);
    serving_publish(deployer->serving, model);
    return STATUS_OK;
}

struct record {
    struct deployer *deployer;
    struct arena *arena;
    struct str endpoint;
    const struct model_version *version;
    const struct deploy_order *order; /* NULL for what is on record already */
    const struct deployment *back_to; /* of a rollback; else NULL */
};

static enum status check_wanted(const struct deploy_order *order, struct error *err)
{
    if (order->is_cancelled == NULL || !order->is_cancelled(order->context))
        return STATUS_OK;
    return error_set(err, STATUS_UNAVAILABLE, "nobody waits for it any more; nothing changed");
}

static enum status record_deployment(void *context, struct error *err)
{
    const struct record *record = context;
    const struct deploy_order *order = record->order;

    if (order->on_phase != NULL)
        order->on_phase(order->context, "switch");
    TRY(check_wanted(order, err));
    if (record->back_to != NULL)
        return deployment_record_rollback(record->deployer->registry, record->back_to,
                                          order->by, err);
    return deployment_record(record->deployer->registry, record->endpoint,
                             record->version->model, record->version->version, order->by, err);
}

/* For what is on record already: it may have been rejected, or replaced, since we looked. */
static enum status confirm_deployment(void *context, struct error *err)
{
    const struct record *record = context;
    struct deployment now;

    TRY(deployment_get(record->deployer->registry, record->arena, record->endpoint, &now, err));
    if (now.version != record->version->version ||
        !str_equal(now.model, record->version->model))
        return error_set(err, STATUS_CONFLICT, "another version was deployed meanwhile");
    return version_check_approved(now.model, now.version, now.status, err);
}

static bool is_served(struct deployer *deployer, struct arena *arena, struct str model,
                      int64_t version)
{
    struct endpoint **endpoints;
    size_t count = proxy_list(deployer->proxy, arena, &endpoints);
    bool found = false;

    for (size_t i = 0; i < count; i++) {
        const struct model *served = endpoints[i]->model;

        if (served != NULL && str_equal(model_name(served), model) &&
            model_version_number(served) == version)
            found = true;
        proxy_release(deployer->proxy, endpoints[i]);
    }
    return found;
}

/* What no endpoint serves any more leaves memory as soon as its last request is answered. */
static void withdraw_if_idle(struct deployer *deployer, struct arena *arena, struct str model,
                             int64_t version)
{
    if (version > 0 && !is_served(deployer, arena, model, version))
        serving_withdraw(deployer->serving, model, version);
}

/* A deployment that is under way has loaded what nobody serves yet: then the next change does this. */
static void withdraw_idle(struct deployer *deployer, struct arena *arena)
{
    struct model_entry *entries;
    size_t count;

    if (pthread_mutex_trylock(&deployer->one_at_a_time) != 0)
        return;
    serving_list(deployer->serving, arena, &entries, &count);
    for (size_t i = 0; i < count; i++)
        withdraw_if_idle(deployer, arena, entries[i].name, entries[i].version);
    pthread_mutex_unlock(&deployer->one_at_a_time);
}

static void served_now(struct deployer *deployer, struct arena *arena, struct str endpoint,
                       struct str *model, int64_t *version)
{
    struct endpoint *now;
    struct error err;

    *version = 0;
    *model = STR_EMPTY;
    if (proxy_acquire(deployer->proxy, endpoint, &now, &err) != STATUS_OK)
        return;
    if (now->model != NULL) {
        *model = arena_str(arena, model_name(now->model));
        *version = model_version_number(now->model);
    }
    proxy_release(deployer->proxy, now);
}

static enum status put_behind(struct deployer *deployer, struct arena *arena,
                              struct str endpoint, const struct model_version *version,
                              proxy_before_deploy before, struct record *record,
                              struct model_speed *speed, struct error *err)
{
    struct model *model;
    struct str old_model;
    int64_t old_version;
    enum status status;

    TRY(load_model(deployer, arena, version, record->order, &model, err));
    served_now(deployer, arena, endpoint, &old_model, &old_version);
    status = proxy_deploy(deployer->proxy, endpoint, model, before, record, err);
    *speed = model_speed(model);
    model_unref(&model);
    if (status == STATUS_OK)
        withdraw_if_idle(deployer, arena, old_model, old_version);
    else
        withdraw_if_idle(deployer, arena, version->model, version->version);
    return status;
}

enum status deployer_model_of_endpoint(struct deployer *deployer, struct arena *arena,
                                       struct str endpoint, struct str *model,
                                       struct error *err)
{
    struct endpoint *found;

    TRY(proxy_acquire(deployer->proxy, endpoint, &found, err));
    if (model->len > 0 && !str_equal(*model, found->spec.model)) {
        error_set(err, STATUS_INVALID,
                  "endpoint '" STR_FMT "' serves model '" STR_FMT "', not '" STR_FMT "'",
                  STR_ARG(endpoint), STR_ARG(found->spec.model), STR_ARG(*model));
        proxy_release(deployer->proxy, found);
        return STATUS_INVALID;
    }
    *model = arena_str(arena, found->spec.model);
    proxy_release(deployer->proxy, found);
    return STATUS_OK;
}

static bool is_defined(struct deployer *deployer, struct str name)
{
    struct endpoint *endpoint;
    struct error unknown;

    if (proxy_acquire(deployer->proxy, name, &endpoint, &unknown) != STATUS_OK)
        return false;
    proxy_release(deployer->proxy, endpoint);
    return true;
}

/* One that wants another model by now is not missing its old one. */
static bool is_missing(struct deployer *deployer, struct arena *arena,
                       const struct deployment *deployment)
{
    struct str served, model = deployment->model;
    struct error unlike;
    int64_t number;

    if (deployment->status != VERSION_APPROVED ||
        deployer_model_of_endpoint(deployer, arena, deployment->endpoint, &model, &unlike) !=
            STATUS_OK)
        return false;
    served_now(deployer, arena, deployment->endpoint, &served, &number);
    return number != deployment->version || !str_equal(served, deployment->model);
}

/* After anything that may have changed it. */
static void count_missing(struct deployer *deployer, struct arena *arena)
{
    struct deployment *list;
    size_t count = deployer_deployments(deployer, arena, &list), missing = 0;

    for (size_t i = 0; i < count; i++)
        missing += is_missing(deployer, arena, &list[i]);
    atomic_store(&deployer->missing, missing);
}

bool deploy_is_complete(struct deployer *deployer, struct error *why)
{
    size_t missing = atomic_load(&deployer->missing);

    if (missing == 0)
        return true;
    error_set(why, STATUS_UNAVAILABLE,
              "%zu deployed model%s not served; the log says why, GET /api/v1/endpoints where",
              missing, missing == 1 ? " is" : "s are");
    return false;
}

static enum status deploy_locked(struct deployer *deployer, struct arena *arena,
                                 const struct deploy_order *order, struct str model,
                                 int64_t number, const struct deployment *back_to,
                                 struct deployed *out, struct error *err)
{
    uint64_t start = clock_monotonic_ns();
    struct str endpoint = order->endpoint;
    struct model_version version;
    struct record record = { deployer, arena, endpoint, &version, order, back_to };
    struct model_speed speed;

    TRY(check_wanted(order, err)); /* it may have waited for another one */
    TRY(model_version_get(deployer->registry, arena, model, number, &version, err));
    TRY(version_check_approved(version.model, version.version, version.status, err));
    if (put_behind(deployer, arena, endpoint, &version, record_deployment, &record, &speed,
                   err) != STATUS_OK)
        return error_wrap(err, "deploy version %lld of '" STR_FMT "' to '" STR_FMT "'",
                          (long long)number, STR_ARG(model), STR_ARG(endpoint));
    *out = (struct deployed){ .endpoint = arena_str(arena, endpoint),
                              .model = arena_str(arena, model),
                              .version = number,
                              .speed = speed,
                              .seconds = (double)(clock_monotonic_ns() - start) / 1e9 };
    log_info("deploy: endpoint '" STR_FMT "' answers with '" STR_FMT
             "' version %lld, %s" STR_FMT,
             STR_ARG(endpoint), STR_ARG(model), (long long)number,
             back_to == NULL ? "by " : "rolled back by ", STR_ARG(order->by));
    count_missing(deployer, arena);
    return STATUS_OK;
}

enum status deploy_version(struct deployer *deployer, struct arena *arena,
                           const struct deploy_order *order, struct deployed *out,
                           struct error *err)
{
    struct str model = order->model;
    enum status status;

    TRY(deployer_model_of_endpoint(deployer, arena, order->endpoint, &model, err));
    pthread_mutex_lock(&deployer->one_at_a_time);
    status = deploy_locked(deployer, arena, order, model, order->version, NULL, out, err);
    pthread_mutex_unlock(&deployer->one_at_a_time);
    return status;
}

static enum status rollback_locked(struct deployer *deployer, struct arena *arena,
                                   const struct deploy_order *order, struct rollback *rollback,
                                   struct deployed *out, struct error *err)
{
    TRY(deployment_rollback_find(deployer->registry, arena, order->endpoint, rollback, err));
    TRY(deployer_model_of_endpoint(deployer, arena, order->endpoint, &rollback->to.model, err));
    return deploy_locked(deployer, arena, order, rollback->to.model, rollback->to.version,
                         &rollback->to, out, err);
}

/* Where it leads is found under the lock: two at a time go back two deployments. */
enum status deploy_rollback(struct deployer *deployer, struct arena *arena,
                            const struct deploy_order *order, struct rollback *rollback,
                            struct deployed *out, struct error *err)
{
    struct str model = STR_EMPTY;
    enum status status;

    /* Or the nearest name. */
    TRY(deployer_model_of_endpoint(deployer, arena, order->endpoint, &model, err));
    pthread_mutex_lock(&deployer->one_at_a_time);
    status = rollback_locked(deployer, arena, order, rollback, out, err);
    pthread_mutex_unlock(&deployer->one_at_a_time);
    return status;
}

static enum status deploy_one(struct deployer *deployer, struct arena *arena,
                              const struct deployment *deployment, struct error *err)
{
    struct model_version version;
    struct record record = { deployer, arena, deployment->endpoint, &version, NULL, NULL };
    struct str model = deployment->model;
    struct model_speed speed;

    /* Its file may want another model by now. */
    TRY(deployer_model_of_endpoint(deployer, arena, deployment->endpoint, &model, err));
    TRY(model_version_get(deployer->registry, arena, deployment->model, deployment->version,
                          &version, err));
    /* It may have been rejected since: a model can be stopped by that alone. */
    TRY(version_check_approved(version.model, version.version, version.status, err));
    return put_behind(deployer, arena, deployment->endpoint, &version, confirm_deployment,
                      &record, &speed, err);
}

/* ---- a decision about what is deployed */

/* The opposite of confirm_deployment: goes on only if the endpoint must not serve what it serves. */
static enum status confirm_stop(void *context, struct error *err)
{
    struct error reason;

    if (confirm_deployment(context, &reason) == STATUS_OK)
        return error_set(err, STATUS_CONFLICT, "it has been approved again");
    return STATUS_OK;
}

/*
 * Without the lock: a stop does not wait for a slow deployment. One that is under way checks the
 * status in the same moment in which it changes the endpoint, so it is seen by one of the two.
 */
static void stop_one(struct deployer *deployer, struct arena *arena,
                     const struct deployment *deployment)
{
    struct model_version version = { .model = deployment->model,
                                     .version = deployment->version };
    struct record record = { deployer, arena, deployment->endpoint, &version, NULL, NULL };
    struct error err;
    enum status status = proxy_deploy(deployer->proxy, deployment->endpoint, NULL, confirm_stop,
                                      &record, &err);

    /* NOT_FOUND: the endpoint is defined no more; CONFLICT: there is nothing to stop. */
    if (status == STATUS_OK)
        log_warn("deploy: endpoint '" STR_FMT "' answers without a model: '" STR_FMT
                 "' version %lld is not approved any more",
                 STR_ARG(deployment->endpoint), STR_ARG(deployment->model),
                 (long long)deployment->version);
    else if (status != STATUS_NOT_FOUND && status != STATUS_CONFLICT)
        log_error("deploy: stop endpoint '" STR_FMT "': %s", STR_ARG(deployment->endpoint),
                  err.message);
    withdraw_if_idle(deployer, arena, deployment->model, deployment->version);
}

/* False, and told in the log, where the endpoint stays without its model. */
static bool start_one(struct deployer *deployer, struct arena *arena,
                      const struct deployment *deployment)
{
    struct error err;
    enum status status;

    pthread_mutex_lock(&deployer->one_at_a_time);
    status = deploy_one(deployer, arena, deployment, &err);
    pthread_mutex_unlock(&deployer->one_at_a_time);
    if (status != STATUS_OK)
        log_warn("deploy: endpoint '" STR_FMT "' answers without its model: %s",
                 STR_ARG(deployment->endpoint), err.message);
    return status == STATUS_OK;
}

size_t deployer_deployments(struct deployer *deployer, struct arena *arena,
                            struct deployment **out)
{
    size_t count = 0;
    struct error err;

    *out = NULL;
    if (deployment_list(deployer->registry, arena, out, &count, &err) != STATUS_OK)
        log_error("deploy: read deployments: %s", err.message);
    return count;
}

enum status deployer_borrow_model(struct deployer *deployer, struct arena *arena,
                                  const struct deployment *deployment, struct model **out,
                                  struct error *err)
{
    struct model_version version;

    if (deployer->has_started)
        return model_acquire(deployer->serving, deployment->model, deployment->version, out,
                             err);
    TRY(model_version_get(deployer->registry, arena, deployment->model, deployment->version,
                          &version, err));
    return load_model(deployer, arena, &version, NULL, out, err);
}

void deployer_return_model(struct deployer *deployer, struct arena *arena, struct model **model)
{
    if (!deployer->has_started)
        withdraw_idle(deployer, arena);
    model_unref(model);
}

void deploy_on_decision(struct deployer *deployer, struct str model, int64_t version,
                        enum version_status decided)
{
    struct arena *arena = arena_new();
    struct deployment *list;
    size_t count = deployer_deployments(deployer, arena, &list);

    for (size_t i = 0; i < count; i++) {
        struct str served;
        int64_t number;

        if (list[i].version != version || !str_equal(list[i].model, model))
            continue;
        served_now(deployer, arena, list[i].endpoint, &served, &number);
        if (decided != VERSION_APPROVED)
            stop_one(deployer, arena, &list[i]);
        else if (number != version || !str_equal(served, model))
            start_one(deployer, arena, &list[i]);
    }
    count_missing(deployer, arena);
    arena_free(arena);
}

void deploy_missing(struct deployer *deployer)
{
    struct arena *arena = arena_new();
    struct deployment *list;
    size_t count = deployer_deployments(deployer, arena, &list);

    for (size_t i = 0; i < count; i++) {
        struct str served;
        int64_t number;

        served_now(deployer, arena, list[i].endpoint, &served, &number);
        if (number == 0 && list[i].status == VERSION_APPROVED &&
            is_defined(deployer, list[i].endpoint))
            start_one(deployer, arena, &list[i]);
    }
    withdraw_idle(deployer, arena);
    count_missing(deployer, arena);
    arena_free(arena);
}

size_t deploy_all(struct deployer *deployer)
{
    struct arena *arena = arena_new();
    struct deployment *deployments;
    size_t count = deployer_deployments(deployer, arena, &deployments), served = 0;

    deployer->has_started = true;
    for (size_t i = 0; i < count; i++) {
        /* An endpoint that is no longer defined has nothing to answer with. */
        if (is_defined(deployer, deployments[i].endpoint))
            served += start_one(deployer, arena, &deployments[i]);
    }
    count_missing(deployer, arena);
    arena_free(arena);
    return served;
}
