/* SPDX-License-Identifier: Apache-2.0 */
#include "features/feature_store_plan.h"

static struct feature_field *copy_fields(struct arena *arena, const struct field *fields,
                                         size_t count)
{
    struct feature_field *copy = ARENA_ARRAY(arena, struct feature_field, count);

    for (size_t i = 0; i < count; i++)
        copy[i] = (struct feature_field){ fields[i].name, fields[i].type };
    return copy;
}

/* Where two features of a service have one name, all are named with their views. */
static struct feature_output *copy_outputs(struct arena *arena, const struct plan *plan)
{
    struct feature_output *copy = ARENA_ARRAY(arena, struct feature_output, plan->output_count);

    for (size_t i = 0; i < plan->output_count; i++) {
        const struct plan_output *output = &plan->outputs[i];

        copy[i] = (struct feature_output){
            plan->clash == NULL ? output->name : output->full_name,
            output->feature->view->name,
            output->type,
        };
    }
    return copy;
}

static enum status open_sources(struct feature_plan *plan, struct error *err)
{
    plan->sources = ARENA_ARRAY(plan->arena, struct plan_source, plan->plan->view_count);
    plan->views = arena_array(plan->arena, plan->plan->view_count, sizeof(*plan->views));
    for (size_t i = 0; i < plan->plan->view_count; i++) {
        struct plan_source *source = &plan->sources[i];

        source->view = &plan->plan->views[i];
        stored_view_init(&source->stored, plan->arena, source->view->view);
        TRY(online_store_view(plan->store->online, source->view->view->name, &plan->views[i],
                              err));
    }
    return STATUS_OK;
}

static void plan_free(struct feature_plan *plan)
{
    definitions_unref(&plan->definitions);
    arena_free(plan->arena);
}

/* Takes over the reference to the definitions. */
static enum status plan_new(struct feature_store *store, const struct definitions *definitions,
                            int64_t revision, struct str service, struct feature_plan **out,
                            struct error *err)
{
    struct arena *arena = arena_new();
    struct feature_plan *plan = ARENA_NEW(arena, struct feature_plan);

    plan->arena = arena;
    plan->store = store;
    plan->definitions = definitions;
    plan->revision = revision;
    atomic_init(&plan->references, 1);
    if (definitions_service_get(definitions, service, &plan->service, err) != STATUS_OK) {
        plan_free(plan);
        return status_of_failure(err->status);
    }
    plan->plan = &plan->service->plan;
    plan->keys = copy_fields(arena, plan->plan->keys, plan->plan->key_count);
    plan->request = copy_fields(arena, plan->plan->request_fields,
                                plan->plan->request_field_count);
    plan->outputs = copy_outputs(arena, plan->plan);
    if (open_sources(plan, err) != STATUS_OK) {
        plan_free(plan);
        return status_of_failure(err->status);
    }
    *out = plan;
    return STATUS_OK;
}

void feature_store_drop_plans(struct feature_store *store)
{
    while (store->plans != NULL) {
        struct feature_plan *plan = store->plans;

        store->plans = plan->next;
        feature_plan_unref(&plan);
    }
}

static struct feature_plan *plan_find(const struct feature_store *store, struct str service)
{
    struct feature_plan *plan = store->plans;

    while (plan != NULL && !str_equal(plan->service->name, service))
        plan = plan->next;
    return plan;
}

static enum status plan_get_locked(struct feature_store *store, struct str service,
                                   struct feature_plan **out, struct error *err)
{
    int64_t revision = definition_store_revision(store->definitions);
    struct feature_plan *plan;

    if (revision != store->plans_revision) {
        feature_store_drop_plans(store);
        store->plans_revision = revision;
    }
    plan = plan_find(store, service);
    if (plan == NULL) {
        TRY(plan_new(store, definition_store_current(store->definitions), revision, service,
                     &plan, err));
        plan->next = store->plans;
        store->plans = plan;
    }
    *out = feature_plan_ref(plan);
    return STATUS_OK;
}

enum status feature_store_plan_get(struct feature_store *store, struct str service,
                                   struct feature_plan **out, struct error *err)
{
    enum status status;

    pthread_mutex_lock(&store->lock);
    status = plan_get_locked(store, service, out, err);
    pthread_mutex_unlock(&store->lock);
    return status;
}

struct feature_plan *feature_plan_ref(struct feature_plan *plan)
{
    atomic_fetch_add_explicit(&plan->references, 1, memory_order_relaxed);
    return plan;
}

void feature_plan_unref(struct feature_plan **plan)
{
    struct feature_plan *given = *plan;

    *plan = NULL;
    if (given != NULL && atomic_fetch_sub(&given->references, 1) == 1)
        plan_free(given);
}

bool feature_plan_is_current(const struct feature_plan *plan)
{
    return plan->revision == definition_store_revision(plan->store->definitions);
}

struct str feature_plan_service(const struct feature_plan *plan)
{
    return plan->service->name;
}

const struct feature_field *feature_plan_keys(const struct feature_plan *plan, size_t *count)
{
    *count = plan->plan->key_count;
    return plan->keys;
}

const struct feature_field *feature_plan_request(const struct feature_plan *plan, size_t *count)
{
    *count = plan->plan->request_field_count;
    return plan->request;
}

const struct feature_output *feature_plan_outputs(const struct feature_plan *plan,
                                                  size_t *count)
{
    *count = plan->plan->output_count;
    return plan->outputs;
}
