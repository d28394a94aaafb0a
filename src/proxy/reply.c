/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/reply.h"

#include "base/clock.h"
#include "base/json.h"

#include <math.h>

static void write_element(struct buffer *out, const struct tensor *tensor, size_t at)
{
    switch (tensor->type) {
    case TENSOR_FLOAT32:
        json_write_float(out, tensor->floats[at]);
        break;
    case TENSOR_FLOAT64:
        json_write_double(out, tensor->doubles[at]);
        break;
    case TENSOR_INT32:
        json_write_int64(out, tensor->int32s[at]);
        break;
    case TENSOR_INT64:
        json_write_int64(out, tensor->int64s[at]);
        break;
    case TENSOR_BOOL:
        buffer_append(out, tensor->booleans[at] ? STR("true") : STR("false"));
        break;
    case TENSOR_STRING:
        json_write_str(out, tensor->strings[at]);
        break;
    }
}

/* A row of an output: one value, or a list where a row has several. */
static void write_output(struct buffer *out, const struct prediction_part part)
{
    if (part.count == 1) {
        write_element(out, part.tensor, part.from);
        return;
    }
    buffer_append_byte(out, '[');
    for (size_t i = 0; i < part.count; i++) {
        if (i > 0)
            buffer_append_byte(out, ',');
        write_element(out, part.tensor, part.from + i);
    }
    buffer_append_byte(out, ']');
}

static void write_name(struct buffer *out, struct str name)
{
    json_write_str(out, name);
    buffer_append_byte(out, ':');
}

/* The score of a float32 model as a float32: 0.1, not 0.10000000149011612. */
static void write_score(struct buffer *out, const struct endpoint *endpoint,
                        const struct prediction *prediction, size_t row)
{
    bool is_models = prediction_fallback(prediction, row) == FALLBACK_NONE;

    if (is_models && endpoint->model_outputs[endpoint->score_output].type == TENSOR_FLOAT32)
        json_write_float(out, (float)prediction->scores[row]);
    else
        json_write_double(out, prediction->scores[row]);
}

static void write_prediction(struct buffer *out, const struct endpoint *endpoint,
                             const struct prediction *prediction, size_t row)
{
    bool is_models = prediction_fallback(prediction, row) == FALLBACK_NONE;
    bool first = true;

    buffer_append(out, STR("\"prediction\":{"));
    if (is_models ? endpoint->score_output >= 0 : !isnan(prediction->scores[row])) {
        buffer_append(out, STR("\"score\":"));
        write_score(out, endpoint, prediction, row);
        first = false;
    }
    for (size_t i = 0; is_models && i < endpoint->model_output_count; i++) {
        if (str_equal(endpoint->model_outputs[i].name, STR("score")) && !first)
            continue;
        if (!first)
            buffer_append_byte(out, ',');
        first = false;
        buffer_append(out, endpoint->output_keys[i]);
        write_output(out, prediction_part(prediction, i, row));
    }
    buffer_append_byte(out, '}');
    if (endpoint->program_count == 0)
        return;
    buffer_append(out, STR(",\"decision\":"));
    if (prediction->decisions[row] == NULL)
        buffer_append(out, STR("null"));
    else
        json_write_str(out, *prediction->decisions[row]);
}

static void write_features(struct buffer *out, const struct endpoint *endpoint,
                           const struct prediction *prediction, size_t row)
{
    buffer_append(out, STR(",\"features\":{"));
    for (size_t i = 0; prediction->features != NULL && i < endpoint->output_count; i++) {
        if (i > 0)
            buffer_append_byte(out, ',');
        write_name(out, endpoint->outputs[i].name);
        json_write_value(out, prediction->features[row * endpoint->output_count + i]);
    }
    buffer_append_byte(out, '}');
}

static void write_head(struct buffer *out, const struct endpoint *endpoint,
                       const struct request *req)
{
    buffer_append(out, endpoint->reply_head);
    json_write_str(out, req->request_id);
    buffer_append_byte(out, ',');
}

static void write_us(struct buffer *out, const char *name, uint64_t ns)
{
    buffer_append_byte(out, '"');
    buffer_append(out, str_from(name));
    buffer_append(out, STR("\":"));
    json_write_int64(out, (int64_t)(ns / 1000));
    buffer_append_byte(out, '.');
    buffer_append_byte(out, (char)('0' + ns / 100 % 10));
}

static void write_fallback(struct buffer *out, const struct prediction *prediction, size_t row)
{
    enum fallback_reason reason = prediction_fallback(prediction, row);

    if (reason == FALLBACK_NONE)
        return;
    buffer_append(out, STR(",\"fallback\":"));
    json_write_str(out, str_from(fallback_reason_name(reason)));
}

static void write_tail(struct buffer *out, const struct request *req,
                       const struct reply_form *form, const struct prediction *prediction)
{
    buffer_append(out, STR(",\"timing_us\":{"));
    write_us(out, "parse", prediction->start_ns - form->start_ns);
    buffer_append_byte(out, ',');
    write_us(out, "features", prediction->lookup_ns);
    buffer_append_byte(out, ',');
    write_us(out, "model", prediction->model_ns);
    buffer_append_byte(out, ',');
    write_us(out, "rules", prediction->rules_ns);
    buffer_append_byte(out, ',');
    write_us(out, "total", clock_monotonic_ns() - req->start_ns);
    buffer_append(out, STR("}}"));
}

void reply_write(struct buffer *out, const struct request *req, const struct endpoint *endpoint,
                 const struct reply_form *form, const struct prediction *prediction)
{
    write_head(out, endpoint, req);
    if (form->many)
        buffer_append(out, STR("\"rows\":["));
    for (size_t row = 0; row < prediction->rows; row++) {
        if (form->many)
            buffer_append(out, row == 0 ? STR("{") : STR(",{"));
        write_prediction(out, endpoint, prediction, row);
        if (form->explain)
            write_features(out, endpoint, prediction, row);
        write_fallback(out, prediction, row);
        if (form->many)
            buffer_append_byte(out, '}');
    }
    if (form->many)
        buffer_append_byte(out, ']');
    write_tail(out, req, form, prediction);
}
