/* SPDX-License-Identifier: Apache-2.0 */
/* The doors of deployments. */
#include "base/clock.h"
#include "base/json.h"
#include "bridges/deployer_internal.h"

#include <limits.h>

/* Who asked, for as long as the deployment takes. */
struct following {
    struct request *req;
    struct response *res;
    bool is_gone;   /* nobody reads the events any more */
    unsigned steps; /* that were begun */
};
/* Try, load, warm up, switch; fewer where the model was tried or is loaded already. */
#define STEPS 4

static void on_phase(void *context, const char *phase)
{
    struct following *following = context;
    struct buffer data = { 0 };
    struct error ignored;

    following->steps++;
    if (following->is_gone || !request_wants_events(following->req))
        return;
    buffer_printf(&data, "{\"phase\":\"%s\",\"done\":%u,\"total\":%d,\"unit\":\"steps\"}",
                  phase, following->steps, STEPS);
    following->is_gone = response_event(following->res, "progress", buffer_str(&data),
                                        &ignored) != STATUS_OK;
    buffer_free(&data);
}

static bool is_abandoned(void *context)
{
    const struct following *following = context;

    return following->is_gone || request_is_abandoned(following->req);
}

static struct deploy_order order_of(struct following *following)
{
    struct request *req = following->req;

    return (struct deploy_order){ .endpoint = request_path_param(req, "endpoint"),
                                  .by = req->identity.user,
                                  .on_phase = on_phase,
                                  .is_cancelled = is_abandoned,
                                  .context = following };
}

static enum status answer(struct request *req, struct response *res, yyjson_mut_doc *doc,
                          yyjson_mut_val *root, const struct deployed *deployed,
                          struct error *err)
{
    json_add_str(doc, root, "endpoint", deployed->endpoint);
    json_add_str(doc, root, "model", deployed->model);
    yyjson_mut_obj_add_int(doc, root, "version", deployed->version);
    yyjson_mut_obj_add_real(doc, root, "seconds", deployed->seconds);
    yyjson_mut_obj_add_real(doc, root, "p50_us", (double)deployed->speed.p50_ns / 1000);
    yyjson_mut_obj_add_real(doc, root, "p99_us", (double)deployed->speed.p99_ns / 1000);
    if (request_wants_events(req))
        return response_event(res, "result", json_mut_write(req->arena, root), err);
    return response_json(res, 200, json_mut_write(req->arena, root));
}

static enum status on_deploy(struct request *req, struct response *res, struct error *err)
{
    static const struct str known[] = { STR_INIT("model"), STR_INIT("version") };
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    struct following following = { .req = req, .res = res };
    struct deploy_order order = order_of(&following);
    struct deployed deployed;
    yyjson_val *body;

    TRY(json_parse(req->arena, req->body, &body, err));
    TRY(json_only_keys(body, known, ARRAY_LEN(known), err));
    TRY(json_want_str(body, "model", &order.model, err));
    TRY(json_want_int64(body, "version", &order.version, err));
    if (order.version < 1)
        return error_set(err, STATUS_INVALID, "field 'version': expected a number from 1");
    TRY(deploy_version(req->context, req->arena, &order, &deployed, err));
    return answer(req, res, doc, yyjson_mut_obj(doc), &deployed, err);
}

static void add_version(yyjson_mut_doc *doc, yyjson_mut_val *object,
                        const struct deployment *deployment)
{
    json_add_str(doc, object, "model", deployment->model);
    yyjson_mut_obj_add_int(doc, object, "version", deployment->version);
}

static enum status on_rollback(struct request *req, struct response *res, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc), *skipped;
    struct following following = { .req = req, .res = res };
    const struct deploy_order order = order_of(&following);
    struct rollback rollback;
    struct deployed deployed;

    TRY(deploy_rollback(req->context, req->arena, &order, &rollback, &deployed, err));
    add_version(doc, yyjson_mut_obj_add_obj(doc, root, "from"), &rollback.from);
    skipped = yyjson_mut_obj_add_arr(doc, root, "skipped");
    for (size_t i = 0; i < rollback.skipped_count; i++)
        add_version(doc, yyjson_mut_arr_add_obj(doc, skipped), &rollback.skipped[i]);
    if (rollback.next > 0)
        yyjson_mut_obj_add_int(doc, root, "next", rollback.next);
    else
        yyjson_mut_obj_add_null(doc, root, "next");
    return answer(req, res, doc, root, &deployed, err);
}

#define HISTORY_MAX 1000

static enum status on_history(struct request *req, struct response *res, struct error *err)
{
    struct deployer *deployer = req->context;
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "deployments");
    struct str endpoint = request_path_param(req, "endpoint"), model = STR_EMPTY;
    struct deployment *deployments;
    size_t count;

    TRY(deployment_history(deployer->registry, req->arena, endpoint, HISTORY_MAX, &deployments,
                           &count, err));
    if (count == 0) /* a name that never was, or one that never served */
        TRY(deployer_model_of_endpoint(deployer, req->arena, endpoint, &model, err));
    for (size_t i = 0; i < count; i++) {
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, list);
        char time[TIME_TEXT_MAX];
        size_t len = time_format_us(deployments[i].time_us, time);

        add_version(doc, item, &deployments[i]);
        yyjson_mut_obj_add_strncpy(doc, item, "time", time, len);
        json_add_str(doc, item, "by", deployments[i].by);
        yyjson_mut_obj_add_bool(doc, item, "rollback", deployments[i].back_to != 0);
        yyjson_mut_obj_add_str(doc, item, "status", version_status_name(deployments[i].status));
    }
    return response_json(res, 200, json_mut_write(req->arena, root));
}

#define DEPLOY_SCHEMA \
    "{\"type\":\"object\",\"required\":[\"version\"],\"properties\":{" \
    "\"model\":{\"type\":\"string\"},\"version\":{\"type\":\"integer\",\"minimum\":1}}}"

static const struct route routes[] = {
    { "POST", "/api/v1/endpoints/{endpoint}/deploy", on_deploy, DEFERRED, PERMIT_EDIT,
      BODY_SMALL, "Serve an approved version", DEPLOY_SCHEMA, NULL, UINT_MAX },
    { "POST", "/api/v1/endpoints/{endpoint}/rollback", on_rollback, DEFERRED, PERMIT_EDIT,
      BODY_SMALL, "Go one deployment back, over versions that are no longer approved", NULL,
      NULL, UINT_MAX },
    { "GET", "/api/v1/endpoints/{endpoint}/deployments", on_history, DEFERRED, PERMIT_VIEW,
      BODY_NONE, "What the endpoint served, newest first, and who deployed it", NULL, NULL, 0 },
    ROUTES_END,
};

const struct door deployer_door = { .name = "deploy", .routes = routes };
