/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "features/feature_store.h"
#include "features/job_follow.h"
#include "net/http.h"

/* Beyond these a request takes longer than a loop thread should be away: to read, and to answer. */
#define INLINE_BODY_MAX ((size_t)16 << 10)
#define INLINE_CELLS_MAX 512
#define GET_BODY_MAX ((size_t)8 << 20)

/* --- get ------------------------------------------------------------------ */

struct get_request {
    struct str service;
    yyjson_val *entities;
    yyjson_val *request;
};

static enum status parse_get(struct request *req, struct get_request *out, struct error *err)
{
    static const struct str known[] = { STR_INIT("service"), STR_INIT("entities"),
                                        STR_INIT("request") };
    yyjson_val *body;

    TRY(json_parse(req->arena, req->body, &body, err));
    TRY(json_only_keys(body, known, ARRAY_LEN(known), err));
    TRY(json_need_str(body, "service", &out->service, err));
    out->entities = json_find(body, STR("entities"));
    out->request = json_find(body, STR("request"));
    return STATUS_OK;
}

static void put_names(struct buffer *out, const struct feature_plan *plan)
{
    size_t count;
    const struct feature_output *outputs = feature_plan_outputs(plan, &count);

    buffer_append(out, STR("{\"features\":["));
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_append_byte(out, ',');
        json_write_str(out, outputs[i].name);
    }
    buffer_append_byte(out, ']');
}

struct answer_cells {
    const struct feature_answer *answer;
    size_t rows, width;
};

static void put_value(struct buffer *out, const struct answer_cells *cells, size_t at)
{
    json_write_value(out, cells->answer->values[at]);
}

static void put_status(struct buffer *out, const struct answer_cells *cells, size_t at)
{
    buffer_append_byte(out, '"');
    buffer_append(out, str_from(feature_status_name(cells->answer->statuses[at])));
    buffer_append_byte(out, '"');
}

static void put_time(struct buffer *out, const struct answer_cells *cells, size_t at)
{
    struct value time = { .type = TYPE_TIMESTAMP,
                          .integer = cells->answer->event_times_us[at],
                          .is_null = cells->answer->event_times_us[at] == FEATURE_TIME_NONE };

    json_write_value(out, time);
}

static void put_cells(struct buffer *out, const char *name, const struct answer_cells *cells,
                      void (*put)(struct buffer *out, const struct answer_cells *cells,
                                  size_t at))
{
    buffer_printf(out, ",\"%s\":[", name);
    for (size_t row = 0; row < cells->rows; row++) {
        buffer_append(out, row > 0 ? STR(",[") : STR("["));
        for (size_t i = 0; i < cells->width; i++) {
            if (i > 0)
                buffer_append_byte(out, ',');
            put(out, cells, row * cells->width + i);
        }
        buffer_append_byte(out, ']');
    }
    buffer_append_byte(out, ']');
}

static enum status read_and_answer(struct request *req, struct response *res,
                                   struct feature_plan *plan, const struct feature_query *query,
                                   struct error *err)
{
    struct answer_cells cells = { .rows = query->rows };
    struct feature_answer answer;
    struct buffer out = { 0 };
    enum status status;

    (void)feature_plan_outputs(plan, &cells.width);
    answer.values = ARENA_ARRAY(req->arena, struct value, cells.rows * cells.width);
    answer.statuses = ARENA_ARRAY(req->arena, enum feature_status, cells.rows * cells.width);
    answer.event_times_us = ARENA_ARRAY(req->arena, int64_t, cells.rows *cells.width);
    cells.answer = &answer;
    TRY(feature_plan_read(plan, req->arena, query, &answer, err));
    put_names(&out, plan);
    put_cells(&out, "rows", &cells, put_value);
    put_cells(&out, "statuses", &cells, put_status);
    put_cells(&out, "event_times", &cells, put_time);
    buffer_append_byte(&out, '}');
    status = response_json(res, 200, buffer_str(&out));
    buffer_free(&out);
    return status;
}

static enum status answer_get(struct request *req, struct response *res, struct error *err);

/* Only when the body is read is it known what it asks for; a worker reads it once more. */
static enum status answer_query(struct request *req, struct response *res, bool on_loop,
                                struct feature_plan *plan, struct feature_query *query,
                                struct error *err)
{
    size_t cells = 0;

    TRY(feature_plan_cells(plan, query->rows, &cells, err));
    if (on_loop && cells > INLINE_CELLS_MAX)
        return request_hand_over(req, res, answer_get, err);
    query->now_us = clock_now_us();
    return read_and_answer(req, res, plan, query, err);
}

static enum status get_features(struct request *req, struct response *res, bool on_loop,
                                struct error *err)
{
    struct feature_query query;
    struct feature_plan *plan;
    struct get_request get;
    enum status status;

    TRY(parse_get(req, &get, err));
    status = feature_store_plan_get(req->context, get.service, &plan, err);
    /* The path exists; what the body names does not. */
    if (status == STATUS_NOT_FOUND)
        err->status = status = STATUS_INVALID;
    TRY(status);
    status = feature_plan_query(plan, req->arena, get.entities, get.request, true, &query, err);
    if (status == STATUS_OK)
        status = answer_query(req, res, on_loop, plan, &query, err);
    feature_plan_unref(&plan);
    return status;
}

static enum status answer_get(struct request *req, struct response *res, struct error *err)
{
    return get_features(req, res, false, err);
}

static enum status on_get(struct request *req, struct response *res, struct error *err)
{
    if (req->body.len > INLINE_BODY_MAX)
        return request_hand_over(req, res, answer_get, err);
    return get_features(req, res, true, err);
}

/* --- materialize ---------------------------------------------------------- */

static enum status parse_materialize(struct request *req, struct materialize_request *out,
                                     struct error *err)
{
    yyjson_val *body;

    *out = (struct materialize_request){ .from_us = INT64_MIN, .to_us = INT64_MAX };
    if (str_trim(req->body).len == 0)
        return STATUS_OK;
    TRY(json_parse(req->arena, req->body, &body, err));
    return materialize_request_read(req->arena, body, out, err);
}

static enum status on_materialize(struct request *req, struct response *res, struct error *err)
{
    struct job_following following = { req, res, false };
    struct materialize_request request;
    struct materialize_result result;
    struct str json;

    TRY(parse_materialize(req, &request, err));
    request.on_progress = job_follow_progress;
    request.is_cancelled = job_follow_is_cancelled;
    request.context = &following;
    TRY(feature_store_materialize(req->context, req->arena, &request, &result, err));
    json = materialize_result_json(req->arena, &result);
    if (request_wants_events(req))
        return response_event(res, "result", json, err);
    return response_json(res, 200, json);
}

/* --- the door ------------------------------------------------------------- */

static const struct route routes[] = {
    { "POST", "/api/v1/features/get", on_get, INLINE, PERMIT_VIEW, GET_BODY_MAX,
      "The features of a service for some entities, as of now or of the request's time",
      "{\"type\":\"object\",\"required\":[\"service\"],\"properties\":{"
      "\"service\":{\"type\":\"string\"},"
      "\"entities\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"array\"}},"
      "\"request\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"array\"}}}}",
      "{\"type\":\"object\",\"properties\":{"
      "\"features\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
      "\"rows\":{\"type\":\"array\",\"items\":{\"type\":\"array\"}},"
      "\"statuses\":{\"type\":\"array\",\"items\":{\"type\":\"array\",\"items\":{\"enum\":"
      "[\"PRESENT\",\"NULL_VALUE\",\"NOT_FOUND\",\"OUTSIDE_MAX_AGE\",\"TOO_EARLY\"]}}},"
      "\"event_times\":{\"type\":\"array\",\"items\":{\"type\":\"array\",\"items\":"
      "{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"}}}}}",
      0 },
    { "POST", "/api/v1/features/materialize", on_materialize, DEFERRED, PERMIT_EDIT, BODY_SMALL,
      "Builds views of the online store anew from their sources",
      "{\"type\":\"object\",\"properties\":{"
      "\"views\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
      "\"from\":{\"type\":\"string\",\"format\":\"date-time\"},"
      "\"to\":{\"type\":\"string\",\"format\":\"date-time\"}}}",
      "{\"type\":\"object\",\"properties\":{\"views\":{\"type\":\"array\",\"items\":"
      "{\"type\":\"object\",\"properties\":{\"view\":{\"type\":\"string\"},"
      "\"rows\":{\"type\":\"integer\"},\"entities\":{\"type\":\"integer\"},"
      "\"seconds\":{\"type\":\"number\"}}}},\"rows\":{\"type\":\"integer\"},"
      "\"entities\":{\"type\":\"integer\"},\"seconds\":{\"type\":\"number\"}}}",
      UINT32_MAX },
    ROUTES_END,
};

const struct door feature_store_door = { .name = "features", .routes = routes };
