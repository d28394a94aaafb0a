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
                             uint64_t deadline_ns, struct prediction *prediction,
                             struct error *err)
{
    struct tensor *outputs = ARENA_ARRAY(arena, struct tensor, endpoint->model_output_count);
    const struct value *fed = feed_model(endpoint, arena, prediction);
    enum status status;

    if (prediction->rows == 1)
        status = model_run_row(endpoint->model, arena, fed, deadline_ns, outputs, err);
    else
        status = model_run_rows(endpoint->model, arena, prediction->rows, fed, deadline_ns,
                                outputs, err);
    prediction->model_ns = end_stage(prediction, endpoint->model_time);
    if (status == STATUS_OK)
        prediction->outputs = outputs;
    return status;
}

struct value prediction_output(const struct prediction *prediction, size_t index, size_t row)
{
    const struct tensor *output = &prediction->outputs[index];
    size_t width = output->count / prediction->rows;
    size_t at = row * width + width - 1;

    if (width == 0)
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
        if (prediction->outputs == NULL)
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

static enum status decide_all(struct endpoint *endpoint, struct arena *arena,
                              const struct feature_query *query, struct prediction *prediction,
                              struct error *err)
{
    for (size_t row = 0; row < prediction->rows; row++)
        TRY(decide(endpoint, arena, query, prediction, row, err));
    prediction->rules_ns = end_stage(prediction, endpoint->rules_time);
    return STATUS_OK;
}

/* What the endpoint says when nobody could be asked. The caller's own mistakes are not among these. */
static enum status fall_back(struct endpoint *endpoint, struct arena *arena,
                             const struct feature_query *query, enum fallback_reason reason,
                             struct prediction *prediction, struct error *err)
{
    const struct endpoint_spec *spec = &endpoint->spec;

    if (!spec->has_fallback)
        return error_wrap(err, "endpoint '" STR_FMT "' has no fallback", STR_ARG(spec->name));
    prediction->fallback = reason;
    prediction->why = *err;
    prediction->outputs = NULL;
    for (size_t row = 0; row < prediction->rows; row++) {
        prediction->scores[row] = spec->fallback_score;
        if (spec->fallback_decision.len > 0)
            prediction->decisions[row] = &spec->fallback_decision;
    }
    return spec->fallback_decision.len > 0
               ? STATUS_OK
               : decide_all(endpoint, arena, query, prediction, err);
}

static bool takes_null(enum value_type type)
{
    return type == TYPE_FLOAT32 || type == TYPE_FLOAT64;
}

static bool has_unfit_null(const struct endpoint *endpoint, const struct prediction *prediction)
{
    size_t count;
    const struct model_feature *wanted = model_features(endpoint->model, &count);

    for (size_t row = 0; row < prediction->rows; row++) {
        const struct value *features = prediction->features + row * endpoint->output_count;

        for (size_t i = 0; i < count; i++)
            if (features[endpoint->feeds[i]].is_null && !takes_null(wanted[i].type))
                return true;
    }
    return false;
}

static enum fallback_reason reason_of(const struct endpoint *endpoint,
                                      const struct prediction *prediction, enum status status)
{
    if (status == STATUS_TIMEOUT)
        return FALLBACK_TIMEOUT;
    return has_unfit_null(endpoint, prediction) ? FALLBACK_NULL_INPUT : FALLBACK_MODEL_ERROR;
}

static void prediction_init(struct prediction *prediction, struct arena *arena, size_t rows)
{
    uint64_t now_ns = clock_monotonic_ns();

    *prediction = (struct prediction){
        .rows = rows,
        .start_ns = now_ns,
        .stage_ns = now_ns,
        .scores = ARENA_ARRAY(arena, double, rows),
        .decisions = ARENA_ARRAY(arena, const struct str *, rows),
    };
}

/* From the features on. */
static enum status answer(struct endpoint *endpoint, struct arena *arena,
                          const struct feature_query *query, uint64_t deadline_ns,
                          struct prediction *out, struct error *err)
{
    enum status status;

    if (endpoint->model == NULL) {
        error_set(err, STATUS_UNAVAILABLE,
                  "no model is deployed (onggi models deploy MODEL VERSION"
                  " --endpoint " STR_FMT ")",
                  STR_ARG(endpoint->spec.name));
        return fall_back(endpoint, arena, query, FALLBACK_NO_MODEL, out, err);
    }
    if (deadline_ns != 0 && out->stage_ns >= deadline_ns) {
        error_set(err, STATUS_TIMEOUT, "the time-out passed before the model was run");
        return fall_back(endpoint, arena, query, FALLBACK_TIMEOUT, out, err);
    }
    status = run_model(endpoint, arena, deadline_ns, out, err);
    if (status != STATUS_OK)
        return fall_back(endpoint, arena, query, reason_of(endpoint, out, status), out, err);
    for (size_t row = 0; row < out->rows; row++)
        out->scores[row] = score_of(endpoint, out, row);
    return decide_all(endpoint, arena, query, out, err);
}

enum status predict(struct endpoint *endpoint, struct arena *arena,
                    const struct feature_query *query, uint64_t deadline_ns,
                    struct prediction *out, struct error *err)
{
    enum status status;

    prediction_init(out, arena, query->rows);
    status = look_up(endpoint, arena, query, out, err);
    if (status == STATUS_INVALID)
        return status;
    if (status != STATUS_OK)
        return fall_back(endpoint, arena, query,
                         status == STATUS_TIMEOUT ? FALLBACK_TIMEOUT : FALLBACK_NO_FEATURES,
                         out, err);
    return answer(endpoint, arena, query, deadline_ns, out, err);
}

enum status predict_features(struct endpoint *endpoint, struct arena *arena,
                             const struct feature_query *query, struct value *features,
                             uint64_t deadline_ns, struct prediction *out, struct error *err)
{
    prediction_init(out, arena, query->rows);
    out->features = features;
    return answer(endpoint, arena, query, deadline_ns, out, err);
}
