/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Before definitions are recorded: what they would do to the endpoints that serve. A model that
 * loses a feature would answer until the next start, and nobody would know why not after it.
 */
#include "base/json.h"
#include "bridges/deployer_internal.h"

struct review {
    struct deployer *deployer;
    struct arena *arena;
    const struct definitions *before, *next;
    struct definition_errors *errors, *warnings;
};

/* Of an endpoint's definition as it is kept; checked before, so it is there. */
static struct str model_of(struct arena *arena, const struct definition_item *item)
{
    struct error unlikely;
    yyjson_val *json;

    if (json_parse(arena, item->json, &json, &unlikely) != STATUS_OK)
        return STR_EMPTY;
    return json_str(json_find(json, STR("model")));
}

static bool has_fallback(struct arena *arena, const struct definition_item *item)
{
    struct error unlikely;
    yyjson_val *json;

    return json_parse(arena, item->json, &json, &unlikely) == STATUS_OK &&
           json_find(json, STR("fallback")) != NULL;
}

static void warn_of_other_model(struct review *review, const struct deployment *deployment,
                                const struct definition_item *item, struct str model)
{
    definition_error_add(review->warnings, item->place,
                         "'" STR_FMT "' now wants '" STR_FMT "'; nothing of it is deployed, so"
                         " it %s ('" STR_FMT "' version %lld was deployed)",
                         STR_ARG(item->name), STR_ARG(model),
                         has_fallback(review->arena, item) ? "answers with its fallback"
                                                           : "answers 503, having no fallback",
                         STR_ARG(deployment->model), (long long)deployment->version);
}

/* What was broken before is no news, and no reason to refuse what mends something else. */
static void tell_misfit(struct review *review, const struct deployment *deployment,
                        const struct definition_item *item, struct model *model,
                        const struct error *why)
{
    struct error ignored;
    bool did_fit = proxy_check(review->before, item->name, model, &ignored) == STATUS_OK;

    definition_error_add(did_fit ? review->errors : review->warnings, item->place,
                         "%.300s; version %lld of '" STR_FMT
                         "' serves there, until the next start or materialisation. Deploy one"
                         " that fits both first, or apply with --force and deploy one after it",
                         why->message, (long long)deployment->version,
                         STR_ARG(deployment->model));
}

static void review_one(struct review *review, const struct deployment *deployment)
{
    const struct definition_item *item = definitions_item_find(review->next, STR("endpoint"),
                                                               deployment->endpoint);
    struct model *model;
    struct error err;
    struct str wanted;

    if (item == NULL || deployment->status != VERSION_APPROVED)
        return;
    wanted = model_of(review->arena, item);
    if (!str_equal(wanted, deployment->model)) {
        warn_of_other_model(review, deployment, item, wanted);
        return;
    }
    /* One that serves nowhere cannot break. */
    if (deployer_borrow_model(review->deployer, review->arena, deployment, &model, &err) !=
        STATUS_OK)
        return;
    if (proxy_check(review->next, item->name, model, &err) != STATUS_OK)
        tell_misfit(review, deployment, item, model, &err);
    deployer_return_model(review->deployer, review->arena, &model);
}

void deploy_review(struct deployer *deployer, const struct definitions *before,
                   const struct definitions *next, struct definition_errors *errors,
                   struct definition_errors *warnings)
{
    struct review review = { deployer, arena_new(), before, next, errors, warnings };
    struct deployment *list;
    size_t count = deployer_deployments(deployer, review.arena, &list);

    for (size_t i = 0; i < count; i++)
        review_one(&review, &list[i]);
    arena_free(review.arena);
}
