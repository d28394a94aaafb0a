/* SPDX-License-Identifier: Apache-2.0 */
/* The doors of the proxy: who asks for decisions comes in here. */
#include "base/clock.h"
#include "base/json.h"
#include "proxy/predict.h"
#include "proxy/proxy.h"
#include "proxy/reply.h"

#include <math.h>

/* What is larger holds a loop thread too long, however fast the model is. */
#define INLINE_ROWS_MAX 8
#define INLINE_BODY_MAX ((size_t)64 << 10)
#define INLINE_RUN_NS UINT64_C(10000000)
/* FEATURE_ROWS_MAX rows and room to spare. */
#define PREDICT_BODY_MAX ((size_t)8 << 20)

/* More than most replies need; a longer one moves once or twice. */
#define REPLY_EXPECTED 384
#define REPLY_ROW_EXPECTED 128

struct ask {
    struct endpoint *endpoint;
    struct feature_query query;
    struct reply_form form;
};

static enum status read_rows(struct arena *arena, const struct feature_plan *plan,
                             yyjson_val *rows, struct feature_query *out, struct error *err)
{
    static const struct str known[] = { STR_INIT("entities"), STR_INIT("request") };
    size_t count = yyjson_arr_size(rows), index, max, keys, fields, cells;
    struct value *all_keys, *all_fields;
    yyjson_val *row;

    feature_plan_keys(plan, &keys);
    feature_plan_request(plan, &fields);
    if (count == 0)
        return error_set(err, STATUS_INVALID, "'rows' is empty");
    if (count > FEATURE_ROWS_MAX)
        return error_set(err, STATUS_LIMIT,
                         "'rows' has %zu rows, the limit is %d; ask for more in"
                         " a batch (onggi predict ENDPOINT --entities FILE --out FILE)",
                         count, FEATURE_ROWS_MAX);
    TRY(feature_plan_cells(plan, count, &cells, err));
    all_keys = ARENA_ARRAY(arena, struct value, count * keys);
    all_fields = ARENA_ARRAY(arena, struct value, count * fields);
    *out = (struct feature_query){ .rows = count, .keys = all_keys, .request = all_fields };
    yyjson_arr_foreach(rows, index, max, row)
    {
        yyjson_val *entities = NULL, *request = NULL;
        struct feature_query one;
        enum status status;

        if (!yyjson_is_obj(row))
            return error_set(err, STATUS_INVALID, "rows[%zu]: expected an object, found %s",
                             index, yyjson_get_type_desc(row));
        status = json_only_keys(row, known, ARRAY_LEN(known), err);
        if (status == STATUS_OK)
            status = json_want_object(row, "entities", &entities, err);
        if (status == STATUS_OK)
            status = json_want_object(row, "request", &request, err);
        if (status == STATUS_OK)
            status = feature_plan_query(plan, arena, entities, request, false, &one, err);
        if (status != STATUS_OK)
            return error_wrap(err, "rows[%zu]", index);
        memcpy(all_keys + index * keys, one.keys, keys * sizeof(*all_keys));
        memcpy(all_fields + index * fields, one.request, fields * sizeof(*all_fields));
        out->now_us = one.now_us;
    }
    return STATUS_OK;
}

static enum status read_ask(struct request *req, struct ask *ask, struct error *err)
{
    static const struct str known[] = { STR_INIT("entities"), STR_INIT("request"),
                                        STR_INIT("rows") };
    const struct feature_plan *plan = ask->endpoint->plan;
    yyjson_val *body, *entities = NULL, *request = NULL, *rows = NULL;
    struct str explain = request_query(req, "explain");

    if (explain.len > 0 && !str_equal(explain, STR("features")))
        return error_set(err, STATUS_INVALID, "query parameter 'explain': expected 'features'");
    ask->form.explain = explain.len > 0;
    TRY(json_parse(req->arena, req->body, &body, err));
    if (!yyjson_is_obj(body))
        return error_set(err, STATUS_INVALID, "expected a JSON object, found %s",
                         yyjson_get_type_desc(body));
    TRY(json_only_keys(body, known, ARRAY_LEN(known), err));
    TRY(json_want_object(body, "entities", &entities, err));
    TRY(json_want_object(body, "request", &request, err));
    TRY(json_want_array(body, "rows", &rows, err));
    ask->form.many = rows != NULL;
    if (rows == NULL)
        return feature_plan_query(plan, req->arena, entities, request, false, &ask->query, err);
    if (entities != NULL || request != NULL)
        return error_set(err, STATUS_INVALID,
                         "'rows' stands in the place of 'entities' and 'request'");
    return read_rows(req->arena, plan, rows, &ask->query, err);
}

static void count_fallbacks(struct endpoint *endpoint, const struct prediction *prediction)
{
    size_t counts[FALLBACK_REASONS] = { 0 };

    for (size_t row = 0; row < prediction->rows; row++)
        counts[prediction->fallbacks[row]]++;
    for (unsigned i = FALLBACK_NONE + 1; i < FALLBACK_REASONS; i++)
        if (counts[i] > 0)
            metric_add(endpoint->fallbacks[i], counts[i]);
}

/* What was said of the first row is said of all that fell back for its reason. */
static void note_fallbacks(struct endpoint *endpoint, const struct prediction *prediction)
{
    size_t first = 0, same = 0;

    count_fallbacks(endpoint, prediction);
    while (prediction->fallbacks[first] == FALLBACK_NONE)
        first++;
    for (size_t row = first; row < prediction->rows; row++)
        same += prediction->fallbacks[row] == prediction->fallbacks[first];
    trouble_note(&endpoint->trouble, endpoint->spec.name, prediction->fallbacks[first], same,
                 &prediction->why);
}

/* Of one row it is clear which. */
static enum status fail(const struct ask *ask, const struct prediction *prediction,
                        struct error *err)
{
    if (ask->form.many && prediction->bad_row != SIZE_MAX)
        return error_wrap(err, "rows[%zu]", prediction->bad_row);
    return err->status;
}

/* The handler's own deadline is the later one; the endpoint's counts from the head's arrival. */
static uint64_t deadline_of(const struct request *req, const struct endpoint *endpoint)
{
    return req->start_ns + (uint64_t)endpoint->spec.timeout_us * 1000;
}

/* Where it is worked on: a loop thread must not be held, a worker may be, and there may be no worker free. */
enum run_place {
    ON_LOOP,
    ON_WORKER,
    NO_WORKER_FREE,
};

static enum status hand_over(struct request *req, struct response *res, struct error *err);

/* A model that is fast as a rule may be slow for a row: a loop thread gives up early, a worker begins anew. */
static enum status answer(struct request *req, struct response *res, struct ask *ask,
                          enum run_place where, struct error *err)
{
    uint64_t deadline_ns = where == NO_WORKER_FREE ? req->start_ns
                                                   : deadline_of(req, ask->endpoint);
    uint64_t give_up_ns = where == ON_LOOP ? ask->form.start_ns + INLINE_RUN_NS : deadline_ns;
    struct prediction prediction = { .fallbacks = NULL };
    struct buffer out;
    enum status status;

    if (give_up_ns > deadline_ns)
        give_up_ns = deadline_ns;
    status = predict(ask->endpoint, req->arena, &ask->query, give_up_ns, &prediction, err);
    if (give_up_ns < deadline_ns && (status == STATUS_TIMEOUT || prediction.is_late))
        return hand_over(req, res, err);
    if (status != STATUS_OK)
        return fail(ask, &prediction, err);
    if (prediction.fallbacks != NULL)
        note_fallbacks(ask->endpoint, &prediction);
    out = response_buffer(res, REPLY_EXPECTED + prediction.rows * REPLY_ROW_EXPECTED);
    reply_write(&out, req, ask->endpoint, &ask->form, &prediction);
    return response_json_buffer(res, 200, &out);
}

static enum status predict_with(struct endpoint *endpoint, struct request *req,
                                struct response *res, enum run_place where, struct error *err)
{
    struct ask ask = { .endpoint = endpoint, .form.start_ns = clock_monotonic_ns() };

    if (where == ON_LOOP &&
        (req->body.len > INLINE_BODY_MAX || (endpoint->model != NULL && !endpoint->is_inline)))
        return hand_over(req, res, err);
    if (where == NO_WORKER_FREE && req->body.len > INLINE_BODY_MAX)
        return error_set(
            err, STATUS_UNAVAILABLE,
            "too many requests wait already, and this one is large; try again later");
    TRY(read_ask(req, &ask, err));
    if (where == ON_LOOP && ask.query.rows > INLINE_ROWS_MAX)
        return hand_over(req, res, err);
    return answer(req, res, &ask, where, err);
}

static enum status predict_on(struct request *req, struct response *res, enum run_place where,
                              struct error *err)
{
    struct proxy *proxy = req->context;
    struct endpoint *endpoint;
    enum status status;

    TRY(proxy_acquire(proxy, request_path_param(req, "endpoint"), &endpoint, err));
    status = predict_with(endpoint, req, res, where, err);
    proxy_release(proxy, endpoint);
    return status;
}

static enum status on_predict(struct request *req, struct response *res, struct error *err)
{
    return predict_on(req, res, ON_LOOP, err);
}

static enum status on_predict_worker(struct request *req, struct response *res,
                                     struct error *err)
{
    return predict_on(req, res, ON_WORKER, err);
}

/* Too many wait for a worker: it would be late, and the fallback needs none. */
static enum status on_predict_refused(struct request *req, struct response *res,
                                      struct error *err)
{
    return predict_on(req, res, NO_WORKER_FREE, err);
}

static enum status hand_over(struct request *req, struct response *res, struct error *err)
{
    return request_hand_over_or(req, res, on_predict_worker, on_predict_refused, err);
}

static void add_endpoint(yyjson_mut_doc *doc, yyjson_mut_val *object,
                         const struct endpoint *endpoint)
{
    const struct endpoint_update *update = atomic_load(&endpoint->update);

    json_add_str(doc, object, "name", endpoint->spec.name);
    json_add_str(doc, object, "service", endpoint->spec.service);
    json_add_str(doc, object, "model", endpoint->spec.model);
    if (endpoint->model != NULL) {
        struct model_speed speed = model_speed(endpoint->model);

        yyjson_mut_obj_add_int(doc, object, "version", model_version_number(endpoint->model));
        yyjson_mut_obj_add_str(doc, object, "model_runs",
                               model_is_walked(endpoint->model) ? "as trees"
                                                                : "in ONNX Runtime");
        yyjson_mut_obj_add_real(doc, object, "model_p50_us", (double)speed.p50_ns / 1000);
        yyjson_mut_obj_add_real(doc, object, "model_p99_us", (double)speed.p99_ns / 1000);
    }
    yyjson_mut_obj_add_str(doc, object, "status",
                           endpoint->model != NULL       ? "serving"
                           : endpoint->spec.has_fallback ? "fallback only"
                                                         : "no model");
    if (update != NULL)
        json_add_str(doc, object, "out_of_date", update->why);
}

static enum status on_list(struct request *req, struct response *res, struct error *err)
{
    struct proxy *proxy = req->context;
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "endpoints");
    struct endpoint **endpoints;
    size_t count = proxy_list(proxy, req->arena, &endpoints);

    (void)err;
    for (size_t i = 0; i < count; i++) {
        add_endpoint(doc, yyjson_mut_arr_add_obj(doc, list), endpoints[i]);
        proxy_release(proxy, endpoints[i]);
    }
    return response_json(res, 200, json_mut_write(req->arena, root));
}

static void add_details(yyjson_mut_doc *doc, yyjson_mut_val *object,
                        const struct endpoint_spec *spec)
{
    yyjson_mut_val *rules = yyjson_mut_obj_add_arr(doc, object, "rules");
    char timeout[TIME_TEXT_MAX];

    for (size_t i = 0; i < spec->rule_count; i++) {
        yyjson_mut_val *rule = yyjson_mut_arr_add_obj(doc, rules);

        json_add_str(doc, rule, "decision", spec->rules[i].decision);
        json_add_str(doc, rule, "when",
                     spec->rules[i].text.len == 0 ? STR("true") : spec->rules[i].text);
    }
    if (spec->has_fallback) {
        yyjson_mut_val *fallback = yyjson_mut_obj_add_obj(doc, object, "fallback");

        if (!isnan(spec->fallback_score))
            yyjson_mut_obj_add_real(doc, fallback, "score", spec->fallback_score);
        if (spec->fallback_decision.len > 0)
            json_add_str(doc, fallback, "decision", spec->fallback_decision);
    }
    duration_format_us(spec->timeout_us, timeout);
    yyjson_mut_obj_add_strcpy(doc, object, "timeout", timeout);
}

static void add_last_fallback(yyjson_mut_doc *doc, yyjson_mut_val *object,
                              struct endpoint *endpoint)
{
    enum fallback_reason reason;
    char time[TIME_TEXT_MAX];
    yyjson_mut_val *last;
    struct error why;
    int64_t time_us;
    size_t len;

    if (!trouble_last(&endpoint->trouble, &reason, &time_us, &why))
        return;
    last = yyjson_mut_obj_add_obj(doc, object, "last_fallback");
    len = time_format_us(time_us, time);
    yyjson_mut_obj_add_strncpy(doc, last, "time", time, len);
    yyjson_mut_obj_add_str(doc, last, "reason", fallback_reason_name(reason));
    yyjson_mut_obj_add_strcpy(doc, last, "why", why.message);
}

static enum status on_show(struct request *req, struct response *res, struct error *err)
{
    struct proxy *proxy = req->context;
    yyjson_mut_doc *doc = json_mut_doc(req->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    struct endpoint *endpoint;
    struct str json;

    TRY(proxy_acquire(proxy, request_path_param(req, "endpoint"), &endpoint, err));
    add_endpoint(doc, root, endpoint);
    add_details(doc, root, &endpoint->spec);
    add_last_fallback(doc, root, endpoint);
    json = json_mut_write(req->arena, root); /* while what it points into is held */
    proxy_release(proxy, endpoint);
    return response_json(res, 200, json);
}

#define PREDICT_SCHEMA \
    "{\"type\":\"object\",\"properties\":{\"entities\":{\"type\":\"object\"}," \
    "\"request\":{\"type\":\"object\"},\"rows\":{\"type\":\"array\",\"items\":{" \
    "\"type\":\"object\",\"properties\":{\"entities\":{\"type\":\"object\"}," \
    "\"request\":{\"type\":\"object\"}}}}}}"
#define PREDICTION_SCHEMA \
    "{\"type\":\"object\",\"properties\":{\"endpoint\":{\"type\":\"string\"}," \
    "\"model\":{\"type\":\"string\"},\"version\":{\"type\":[\"integer\",\"null\"]}," \
    "\"request_id\":{\"type\":\"string\"},\"prediction\":{\"type\":\"object\"}," \
    "\"decision\":{\"type\":[\"string\",\"null\"]},\"fallback\":{\"type\":\"string\"}," \
    "\"timing_us\":{\"type\":\"object\"}}}"

static const struct route routes[] = {
    { "GET", "/api/v1/endpoints", on_list, INLINE, PERMIT_VIEW, BODY_NONE,
      "List endpoints and what they serve", NULL, NULL, 0 },
    { "GET", "/api/v1/endpoints/{endpoint}", on_show, INLINE, PERMIT_VIEW, BODY_NONE,
      "One endpoint: rules, fallback, time-out", NULL, NULL, 0 },
    { "POST", "/api/v1/endpoints/{endpoint}/predict", on_predict, INLINE_DECISION, PERMIT_VIEW,
      PREDICT_BODY_MAX, "Ask for a prediction and a decision", PREDICT_SCHEMA,
      PREDICTION_SCHEMA, 0 },
    ROUTES_END,
};

const struct door proxy_door = { .name = "proxy", .routes = routes };
