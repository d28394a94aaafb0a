/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/predict.h"

#include "base/clock.h"

#include <math.h>

/* One reading of the clock a stage: the next one begins where it ends. */
static uint64_t end_stage(struct prediction *prediction, struct metric *metric)
{
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t took_ns = now_ns - prediction->stage_ns;

    prediction->stage_ns = now_ns;
    metric_record_ns(metric, took_ns);
    return took_ns;
}

static const struct value *feed_model(const struct endpoint *endpoint, struct arena *arena,
                                      const struct prediction *prediction)
{
    struct value *fed = ARENA_ARRAY(arena, struct value,
                                    prediction->rows * endpoint->feed_count);
    struct value *at = fed;

    for (size_t row = 0; row < prediction->rows; row++) {
        const struct value *features = prediction->features + row * endpoint->output_count;

        for (size_t i = 0; i < endpoint->feed_count; i++)
            *at++ = features[endpoint->feeds[i]];
    }
    return fed;
}

static enum status look_up(struct endpoint *endpoint, struct arena *arena,
                           const struct feature_query *query, struct prediction *prediction,
                           struct error *err)
{
    struct feature_answer answer = {
        .values = ARENA_ARRAY(arena, struct value, query->rows * endpoint->output_count),
    };
    enum status status = feature_plan_read(endpoint->plan, arena, query, &answer, err);

    prediction->lookup_ns = end_stage(prediction, endpoint->lookup_time);
    if (status == STATUS_OK)
        prediction->features = answer.values;
    return status;
}

static enum status run_model(struct endpoint *endpoint, struct arena *arena,
                             const struct value *fed, uint64_t deadline_ns,
                             struct prediction *prediction, struct error *err)
{
    struct tensor *outputs = ARENA_ARRAY(arena, struct tensor, endpoint->model_output_count);
    enum status status;

    if (prediction->rows == 1)
        status = model_run_row(endpoint->model, arena, fed, deadline_ns, outputs, err);
    else
        status = model_run_rows(endpoint->model, arena, prediction->rows, fed, deadline_ns,
                                outputs, err);
    if (status == STATUS_OK)
        prediction->outputs = outputs;
    return status;
}

struct prediction_part prediction_part(const struct prediction *prediction, size_t index,
                                       size_t row)
{
    size_t first = prediction->is_by_row ? row * prediction->output_count : 0;
    const struct tensor *tensor = &prediction->outputs[first + index];
    size_t width = tensor->count / (prediction->is_by_row ? 1 : prediction->rows);

    return (struct prediction_part){ tensor, prediction->is_by_row ? 0 : row * width, width };
}

struct value prediction_output(const struct prediction *prediction, size_t index, size_t row)
{
    struct prediction_part part = prediction_part(prediction, index, row);
    const struct tensor *output = part.tensor;
    size_t at = part.from + part.count - 1;

    if (part.count == 0)
        return value_null(TYPE_FLOAT64);
    switch (output->type) {
    case TENSOR_FLOAT32:
        return (struct value){ .type = TYPE_FLOAT32, .number = (double)output->floats[at] };
    case TENSOR_FLOAT64:
        return (struct value){ .type = TYPE_FLOAT64, .number = output->doubles[at] };
    case TENSOR_INT32:
        return (struct value){ .type = TYPE_INT32, .integer = output->int32s[at] };
    case TENSOR_INT64:
        return (struct value){ .type = TYPE_INT64, .integer = output->int64s[at] };
    case TENSOR_BOOL:
        return (struct value){ .type = TYPE_BOOL, .boolean = output->booleans[at] };
    case TENSOR_STRING:
        return (struct value){ .type = TYPE_STRING, .text = output->strings[at] };
    }
    return value_null(TYPE_FLOAT64);
}

static double score_of(const struct endpoint *endpoint, const struct prediction *prediction,
                       size_t row)
{
    struct value value;

    if (endpoint->score_output < 0)
        return (double)NAN;
    value = prediction_output(prediction, (size_t)endpoint->score_output, row);
    if (value.is_null)
        return (double)NAN;
    if (value.type == TYPE_BOOL)
        return value.boolean ? 1.0 : 0.0;
    return value.type == TYPE_INT32 || value.type == TYPE_INT64 ? (double)value.integer
                                                                : value.number;
}

static struct value rule_value(const struct endpoint *endpoint,
                               const struct feature_query *query,
                               const struct prediction *prediction, size_t row,
                               struct rule_input input)
{
    switch (input.source) {
    case RULE_SCORE:
        if (isnan(prediction->scores[row]))
            return value_null(TYPE_FLOAT64);
        return (struct value){ .type = TYPE_FLOAT64, .number = prediction->scores[row] };
    case RULE_OUTPUT:
        if (prediction_fallback(prediction, row) != FALLBACK_NONE)
            break;
        return prediction_output(prediction, input.index, row);
    case RULE_FEATURE:
        if (prediction->features == NULL)
            break;
        return prediction->features[row * endpoint->output_count + input.index];
    case RULE_REQUEST:
        return query->request[row * endpoint->request_count + input.index];
    }
    return value_null(TYPE_FLOAT64);
}

static enum status decide(struct endpoint *endpoint, struct arena *arena,
                          const struct feature_query *query, struct prediction *prediction,
                          size_t row, struct error *err)
{
    for (size_t i = 0; i < endpoint->program_count; i++) {
        const struct endpoint_program *program = &endpoint->programs[i];
        struct arena_mark mark = arena_mark(arena);
        bool holds = program->expression == NULL;

        if (!holds) {
            struct value *inputs = ARENA_ARRAY(arena, struct value, program->input_count);

            for (size_t k = 0; k < program->input_count; k++)
                inputs[k] = rule_value(endpoint, query, prediction, row, program->inputs[k]);
            if (expression_test(program->expression, arena, inputs, &holds, err) != STATUS_OK)
                return error_wrap(err, "decision '" STR_FMT "'", STR_ARG(program->decision));
        }
        arena_rewind(arena, mark);
        if (holds) {
            prediction->decisions[row] = &program->decision;
            return STATUS_OK;
        }
    }
    return STATUS_OK;
}

/* --- the fallback: what the endpoint says of a row for which nobody else can ---- */

static enum status no_fallback(const struct endpoint *endpoint, struct error *err)
{
    return error_wrap(err, "endpoint '" STR_FMT "' has no fallback",
                      STR_ARG(endpoint->spec.name));
}

/* The error says why. The caller's own mistakes do not come here. */
static enum status fall_back(const struct endpoint *endpoint, struct arena *arena,
                             struct prediction *prediction, size_t row,
                             enum fallback_reason reason, struct error *err)
{
    if (!endpoint->spec.has_fallback) {
        prediction->bad_row = row;
        return no_fallback(endpoint, err);
    }
    if (prediction->fallbacks == NULL) {
        prediction->fallbacks = ARENA_ARRAY(arena, enum fallback_reason, prediction->rows);
        prediction->why = *err;
    }
    prediction->fallbacks[row] = reason;
    prediction->is_late |= reason == FALLBACK_TIMEOUT;
    return STATUS_OK;
}

static enum status fall_back_from(const struct endpoint *endpoint, struct arena *arena,
                                  struct prediction *prediction, size_t from,
                                  enum fallback_reason reason, struct error *err)
{
    if (!endpoint->spec.has_fallback)
        return no_fallback(endpoint, err);
    for (size_t row = from; row < prediction->rows; row++)
        TRY(fall_back(endpoint, arena, prediction, row, reason, err));
    return STATUS_OK;
}

/* Rules that fail here, too, decide nothing. */
static void settle_fallback(struct endpoint *endpoint, struct arena *arena,
                            const struct feature_query *query, struct prediction *prediction,
                            size_t row)
{
    const struct endpoint_spec *spec = &endpoint->spec;
    struct error ignored;

    prediction->scores[row] = spec->fallback_score;
    prediction->decisions[row] = NULL;
    if (spec->fallback_decision.len > 0)
        prediction->decisions[row] = &spec->fallback_decision;
    else if (decide(endpoint, arena, query, prediction, row, &ignored) != STATUS_OK)
        prediction->decisions[row] = NULL;
}

/* --- the rules --------------------------------------------------------------- */

/* A NaN is no score to decide by, as long as there is something to say instead. */
static bool is_nan_score(const struct endpoint *endpoint, double score)
{
    return isnan(score) && endpoint->score_output >= 0 && endpoint->spec.has_fallback;
}

static enum status settle_answered(struct endpoint *endpoint, struct arena *arena,
                                   const struct feature_query *query,
                                   struct prediction *prediction, size_t row, struct error *err)
{
    double score = score_of(endpoint, prediction, row);

    prediction->scores[row] = score;
    if (is_nan_score(endpoint, score)) {
        error_set(err, STATUS_INVALID, "the score is NaN");
        return fall_back(endpoint, arena, prediction, row, FALLBACK_NAN_SCORE, err);
    }
    if (decide(endpoint, arena, query, prediction, row, err) == STATUS_OK)
        return STATUS_OK;
    return fall_back(endpoint, arena, prediction, row, FALLBACK_RULE_ERROR, err);
}

static enum status settle(struct endpoint *endpoint, struct arena *arena,
                          const struct feature_query *query, struct prediction *prediction,
                          struct error *err)
{
    for (size_t row = 0; row < prediction->rows; row++) {
        if (prediction_fallback(prediction, row) == FALLBACK_NONE)
            TRY(settle_answered(endpoint, arena, query, prediction, row, err));
        if (prediction_fallback(prediction, row) != FALLBACK_NONE)
            settle_fallback(endpoint, arena, query, prediction, row);
    }
    prediction->rules_ns = end_stage(prediction, endpoint->rules_time);
    return STATUS_OK;
}

/* --- rows that the model cannot take ------------------------------------------ */

static bool takes_null(enum value_type type)
{
    return type == TYPE_FLOAT32 || type == TYPE_FLOAT64;
}

static enum fallback_reason reason_of(const struct endpoint *endpoint, const struct value *fed)
{
    size_t count;
    const struct model_feature *wanted = model_features(endpoint->model, &count);

    for (size_t i = 0; i < count; i++)
        if (fed[i].is_null && !takes_null(wanted[i].type))
            return FALLBACK_NULL_INPUT;
    return FALLBACK_MODEL_ERROR;
}

static enum status run_in_time(struct endpoint *endpoint, struct arena *arena,
                               const struct value *fed, uint64_t deadline_ns,
                               struct tensor *outputs, struct error *err)
{
    if (deadline_ns != 0 && clock_monotonic_ns() >= deadline_ns)
        return error_set(err, STATUS_TIMEOUT, "the time-out passed before all rows were run");
    return model_run_row(endpoint->model, arena, fed, deadline_ns, outputs, err);
}

/* One row that the model cannot take spoils a run of many, but not what it says of the others. */
static enum status run_each(struct endpoint *endpoint, struct arena *arena,
                            const struct value *fed, uint64_t deadline_ns,
                            struct prediction *prediction, struct error *err)
{
    size_t width = endpoint->model_output_count;
    struct tensor *outputs = ARENA_ARRAY(arena, struct tensor, prediction->rows * width);

    prediction->outputs = outputs;
    prediction->is_by_row = true;
    for (size_t row = 0; row < prediction->rows; row++, fed += endpoint->feed_count) {
        enum status status = run_in_time(endpoint, arena, fed, deadline_ns,
                                         outputs + row * width, err);

        if (status == STATUS_TIMEOUT)
            return fall_back_from(endpoint, arena, prediction, row, FALLBACK_TIMEOUT, err);
        if (status != STATUS_OK)
            TRY(fall_back(endpoint, arena, prediction, row, reason_of(endpoint, fed), err));
    }
    return STATUS_OK;
}

static enum status run_rows(struct endpoint *endpoint, struct arena *arena,
                            uint64_t deadline_ns, struct prediction *prediction,
                            struct error *err)
{
    const struct value *fed = feed_model(endpoint, arena, prediction);
    enum status status = run_model(endpoint, arena, fed, deadline_ns, prediction, err);

    if (status != STATUS_OK && status != STATUS_TIMEOUT && prediction->rows > 1)
        status = run_each(endpoint, arena, fed, deadline_ns, prediction, err);
    else if (status == STATUS_TIMEOUT)
        status = fall_back_from(endpoint, arena, prediction, 0, FALLBACK_TIMEOUT, err);
    else if (status != STATUS_OK)
        status = fall_back(endpoint, arena, prediction, 0, reason_of(endpoint, fed), err);
    prediction->model_ns = end_stage(prediction, endpoint->model_time);
    return status;
}

static void prediction_init(struct prediction *prediction, const struct endpoint *endpoint,
                            struct arena *arena, size_t rows)
{
    uint64_t now_ns = clock_monotonic_ns();

    *prediction = (struct prediction){
        .rows = rows,
        .output_count = endpoint->model_output_count,
        .bad_row = SIZE_MAX,
        .start_ns = now_ns,
        .stage_ns = now_ns,
        .scores = ARENA_ARRAY(arena, double, rows),
        .decisions = ARENA_ARRAY(arena, const struct str *, rows),
    };
}

static bool is_late(const struct prediction *prediction, uint64_t deadline_ns)
{
    return deadline_ns != 0 && prediction->stage_ns >= deadline_ns;
}

/* None of the rows can be answered. */
static enum status answer_none(struct endpoint *endpoint, struct arena *arena,
                               const struct feature_query *query, enum fallback_reason reason,
                               struct prediction *out, struct error *err)
{
    TRY(fall_back_from(endpoint, arena, out, 0, reason, err));
    return settle(endpoint, arena, query, out, err);
}

/* From the features on. */
static enum status answer(struct endpoint *endpoint, struct arena *arena,
                          const struct feature_query *query, uint64_t deadline_ns,
                          struct prediction *out, struct error *err)
{
    if (endpoint->model == NULL) {
        error_set(err, STATUS_UNAVAILABLE,
                  "no model is deployed (onggi models deploy MODEL VERSION"
                  " --endpoint " STR_FMT ")",
                  STR_ARG(endpoint->spec.name));
        return answer_none(endpoint, arena, query, FALLBACK_NO_MODEL, out, err);
    }
    if (is_late(out, deadline_ns)) {
        error_set(err, STATUS_TIMEOUT, "the time-out passed before the model was run");
        return answer_none(endpoint, arena, query, FALLBACK_TIMEOUT, out, err);
    }
    TRY(run_rows(endpoint, arena, deadline_ns, out, err));
    return settle(endpoint, arena, query, out, err);
}

enum status predict(struct endpoint *endpoint, struct arena *arena,
                    const struct feature_query *query, uint64_t deadline_ns,
                    struct prediction *out, struct error *err)
{
    enum status status;

    prediction_init(out, endpoint, arena, query->rows);
    /* It may have waited for a worker until then: nobody is to wait any longer. */
    if (is_late(out, deadline_ns)) {
        error_set(err, STATUS_TIMEOUT, "the time-out passed before it was its turn");
        return answer_none(endpoint, arena, query, FALLBACK_TIMEOUT, out, err);
    }
    status = look_up(endpoint, arena, query, out, err);
    if (status == STATUS_INVALID)
        return status;
    if (status != STATUS_OK)
        return answer_none(endpoint, arena, query,
                           status == STATUS_TIMEOUT ? FALLBACK_TIMEOUT : FALLBACK_NO_FEATURES,
                           out, err);
    return answer(endpoint, arena, query, deadline_ns, out, err);
}

enum status predict_features(struct endpoint *endpoint, struct arena *arena,
                             const struct feature_query *query, struct value *features,
                             uint64_t deadline_ns, struct prediction *out, struct error *err)
{
    prediction_init(out, endpoint, arena, query->rows);
    out->features = features;
    return answer(endpoint, arena, query, deadline_ns, out, err);
}
