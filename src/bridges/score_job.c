/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child's side of a batch of predictions: the features of a training set
 * through predict_features(), the same function that answers online.
 */
#include "bridges/score.h"
#include "features/offline/parallel.h"
#include "features/offline/training_set_stage.h"
#include "proxy/predict.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

/* Rows at a time: what they need of memory stays in the processor's cache. */
#define BATCH 512

/* --- what is asked ---------------------------------------------------------- */

struct asked {
    struct endpoint_spec endpoint;
    struct endpoint_shape shape;
    struct str model, path, hash, signature;
    int64_t version, memory_bytes;
    bool keeps_features;
};

static enum status need_field(const yyjson_val *object, struct str *name, enum value_type *type,
                              struct error *err)
{
    struct str text;

    TRY(json_need_str(object, "name", name, err));
    TRY(json_need_str(object, "type", &text, err));
    if (!value_type_parse(text, type))
        return error_set(err, STATUS_INVALID, "'" STR_FMT "' is no type", STR_ARG(text));
    return STATUS_OK;
}

static enum status read_shape(struct arena *arena, const yyjson_val *json,
                              struct endpoint_shape *out, struct error *err)
{
    yyjson_val *features = NULL, *fields = NULL, *item;
    struct feature_output *outputs;
    struct feature_field *request;
    size_t i, max;

    TRY(json_want_array(json, "features", &features, err));
    TRY(json_want_array(json, "request", &fields, err));
    outputs = ARENA_ARRAY(arena, struct feature_output, yyjson_arr_size(features));
    request = ARENA_ARRAY(arena, struct feature_field, yyjson_arr_size(fields));
    yyjson_arr_foreach(features, i, max, item)
    {
        TRY(need_field(item, &outputs[i].name, &outputs[i].type, err));
        TRY(json_need_str(item, "view", &outputs[i].view, err));
    }
    yyjson_arr_foreach(fields, i, max, item)
    {
        TRY(need_field(item, &request[i].name, &request[i].type, err));
    }
    *out = (struct endpoint_shape){ outputs, yyjson_arr_size(features), request,
                                    yyjson_arr_size(fields) };
    return STATUS_OK;
}

static enum status read_endpoint(struct arena *arena, const yyjson_val *json,
                                 struct endpoint_spec *out, struct error *err)
{
    struct str file, text;
    struct yaml_node *document;
    int64_t line = 1;

    TRY(json_need_str(json, "file", &file, err));
    TRY(json_want_int64(json, "line", &line, err));
    TRY(json_need_str(json, "endpoint", &text, err));
    TRY(yaml_from_json(arena, file, (int)line, text, &document, err));
    return endpoint_spec_read(arena, document, out, err);
}

static enum status read_asked(struct arena *arena, const yyjson_val *spec, struct asked *out,
                              struct error *err)
{
    yyjson_val *json, *model;

    TRY(json_need_object(spec, "stage", &json, err));
    TRY(read_endpoint(arena, json, &out->endpoint, err));
    TRY(read_shape(arena, json, &out->shape, err));
    TRY(json_want_bool(json, "keeps_features", &out->keeps_features, err));
    TRY(json_need_object(json, "model", &model, err));
    TRY(json_need_str(model, "name", &out->model, err));
    TRY(json_need_str(model, "path", &out->path, err));
    TRY(json_need_str(model, "hash", &out->hash, err));
    TRY(json_need_str(model, "signature", &out->signature, err));
    TRY(json_want_int64(model, "memory_bytes", &out->memory_bytes, err));
    return json_want_int64(model, "version", &out->version, err);
}

/* --- what is written -------------------------------------------------------- */

/* Where a column of the result comes from. */
enum origin { FROM_SCORE, FROM_OUTPUT, FROM_DECISION, FROM_FALLBACK };

struct scoring {
    struct arena *arena;
    struct endpoint *endpoint;
    struct job *job;
    const struct table *features, *request;
    struct table out;
    enum origin *origins;   /* of out's columns */
    size_t *indices;        /* of model outputs */
    struct arena **scratch; /* one a thread */
    atomic_size_t done;
    atomic_size_t fallbacks; /* rows that the endpoint's fallback answered */
    pthread_mutex_t texts;   /* around column_keep_text: threads share columns */
};

static enum status add_column(struct scoring *scoring, struct str name, enum value_type type,
                              enum origin origin, size_t index, struct error *err)
{
    size_t at = scoring->out.column_count++;

    scoring->out.names[at] = name;
    scoring->origins[at] = origin;
    scoring->indices[at] = index;
    return column_make(&scoring->out.columns[at], type, scoring->out.rows, err);
}

static enum value_type score_type(const struct endpoint *endpoint)
{
    bool is_float32 = endpoint->score_output >= 0 &&
                      endpoint->model_outputs[endpoint->score_output].type == TENSOR_FLOAT32;

    return is_float32 ? TYPE_FLOAT32 : TYPE_FLOAT64;
}

/* The score, outputs of one value a row, the decision; names of the first and the last are taken. */
static enum status add_columns(struct scoring *scoring, struct error *err)
{
    static const struct str taken[] = { STR_INIT("score"), STR_INIT("decision"),
                                        STR_INIT("fallback") };
    const struct endpoint *endpoint = scoring->endpoint;

    TRY(add_column(scoring, taken[0], score_type(endpoint), FROM_SCORE, 0, err));
    for (size_t i = 0; i < endpoint->model_output_count; i++) {
        struct str name = endpoint->model_outputs[i].name;
        enum value_type type;

        if (endpoint_output_type(&endpoint->model_outputs[i], &type) &&
            !str_equal_nocase(name, taken[0]) && !str_equal_nocase(name, taken[1]) &&
            !str_equal_nocase(name, taken[2]))
            TRY(add_column(scoring, name, type, FROM_OUTPUT, i, err));
    }
    if (endpoint->program_count > 0)
        TRY(add_column(scoring, taken[1], TYPE_STRING, FROM_DECISION, 0, err));
    if (endpoint->spec.has_fallback)
        TRY(add_column(scoring, taken[2], TYPE_STRING, FROM_FALLBACK, 0, err));
    return STATUS_OK;
}

static struct value text_or_null(const struct str *text)
{
    return text == NULL ? value_null(TYPE_STRING)
                        : (struct value){ .type = TYPE_STRING, .text = *text };
}

static struct value score_value(const struct prediction *prediction, size_t row)
{
    double score = prediction->scores[row];

    /* A fallback that only decides has no score; a model's NaN is one. */
    if (prediction_fallback(prediction, row) != FALLBACK_NONE && isnan(score))
        return value_null(TYPE_FLOAT64);
    return (struct value){ .type = TYPE_FLOAT64, .number = score };
}

static struct value result_value(const struct scoring *scoring,
                                 const struct prediction *prediction, size_t at, size_t row)
{
    enum fallback_reason fallback = prediction_fallback(prediction, row);
    struct str reason;

    switch (scoring->origins[at]) {
    case FROM_SCORE:
        return scoring->endpoint->score_output < 0 && fallback == FALLBACK_NONE
                   ? value_null(TYPE_FLOAT64)
                   : score_value(prediction, row);
    case FROM_OUTPUT:
        return fallback != FALLBACK_NONE
                   ? value_null(scoring->out.columns[at].type)
                   : prediction_output(prediction, scoring->indices[at], row);
    case FROM_DECISION:
        return text_or_null(prediction->decisions[row]);
    case FROM_FALLBACK:
        reason = str_from(fallback_reason_name(fallback));
        return text_or_null(fallback == FALLBACK_NONE ? NULL : &reason);
    }
    return value_null(TYPE_STRING);
}

static void keep(struct scoring *scoring, const struct prediction *prediction, size_t from)
{
    size_t fallbacks = 0;

    for (size_t row = 0; row < prediction->rows; row++)
        fallbacks += prediction_fallback(prediction, row) != FALLBACK_NONE;
    atomic_fetch_add(&scoring->fallbacks, fallbacks);
    for (size_t at = 0; at < scoring->out.column_count; at++) {
        struct column *column = &scoring->out.columns[at];
        /* Decisions and reasons live as long as the endpoint and the program. */
        bool is_copied = scoring->origins[at] == FROM_OUTPUT && column->type == TYPE_STRING;

        for (size_t row = 0; row < prediction->rows; row++) {
            struct value value = result_value(scoring, prediction, at, row);

            value.type = column->type;
            if (is_copied && !value.is_null) {
                pthread_mutex_lock(&scoring->texts);
                value.text = column_keep_text(column, value.text);
                pthread_mutex_unlock(&scoring->texts);
            }
            column_set(column, from + row, value);
        }
    }
}

/* --- rows through the endpoint ---------------------------------------------- */

/* Row after row, as the endpoint reads them. */
static struct value *by_rows(struct arena *arena, const struct table *table, size_t from,
                             size_t n)
{
    size_t width = table->column_count;
    struct value *values = ARENA_ARRAY(arena, struct value, n * width);

    for (size_t i = 0; i < width; i++) {
        for (size_t row = 0; row < n; row++)
            values[row * width + i] = column_get(&table->columns[i], from + row);
    }
    return values;
}

static enum status predict_rows(struct scoring *scoring, struct arena *arena, size_t from,
                                size_t n, struct prediction *out, struct error *err)
{
    const struct feature_query query = { .rows = n,
                                         .request = by_rows(arena, scoring->request, from, n) };

    return predict_features(scoring->endpoint, arena, &query,
                            by_rows(arena, scoring->features, from, n), 0, out, err);
}

static enum status predict_batch(void *context, size_t task, unsigned thread, struct error *err)
{
    struct scoring *scoring = context;
    struct arena *arena = scoring->scratch[thread];
    size_t from = task * BATCH, left = scoring->out.rows - from,
           n = left < BATCH ? left : BATCH;
    struct prediction prediction;
    enum status status = predict_rows(scoring, arena, from, n, &prediction, err);
    size_t done = atomic_fetch_add(&scoring->done, n) + n;

    if (status == STATUS_OK)
        keep(scoring, &prediction, from);
    else if (prediction.bad_row != SIZE_MAX)
        error_wrap(err, "row %zu", from + prediction.bad_row + 1);
    arena_reset(arena);
    if (thread == 0) /* the job's own: only it may report */
        job_progress(scoring->job, "predict", done, scoring->out.rows);
    return status;
}

static enum status predict_all(struct scoring *scoring, struct error *err)
{
    size_t tasks = (scoring->out.rows + BATCH - 1) / BATCH;
    unsigned threads = job_limits(scoring->job)->threads;
    enum status status;

    scoring->scratch = ARENA_ARRAY(scoring->arena, struct arena *, threads);
    for (unsigned i = 0; i < threads; i++)
        scoring->scratch[i] = arena_new();
    pthread_mutex_init(&scoring->texts, NULL);
    status = parallel_run(threads, tasks, predict_batch, scoring, err);
    pthread_mutex_destroy(&scoring->texts);
    for (unsigned i = 0; i < threads; i++)
        arena_free(scoring->scratch[i]);
    return status;
}

static enum status run_stage(void *context, struct job *job, const struct table *features,
                             const struct table *request, struct table *out, struct error *err)
{
    struct scoring *scoring = context;
    size_t most = 3 + scoring->endpoint->model_output_count;
    enum status status;

    scoring->job = job;
    scoring->features = features;
    scoring->request = request;
    scoring->origins = ARENA_ARRAY(scoring->arena, enum origin, most);
    scoring->indices = ARENA_ARRAY(scoring->arena, size_t, most);
    table_init(&scoring->out, scoring->arena, most);
    scoring->out.column_count = 0;
    scoring->out.rows = features->rows;
    job_progress(job, "predict", 0, features->rows);
    status = add_columns(scoring, err);
    if (status == STATUS_OK)
        status = predict_all(scoring, err);
    if (status == STATUS_OK)
        *out = scoring->out;
    else
        table_free(&scoring->out);
    return status;
}

/* --- the job ------------------------------------------------------------------ */

static enum status run_endpoint(struct job *job, struct arena *arena, const yyjson_val *spec,
                                const struct asked *asked, struct model *model,
                                struct str *result, struct error *err)
{
    struct scoring scoring = { .arena = arena };
    const struct training_set_stage stage = { .run = run_stage,
                                              .context = &scoring,
                                              .keeps_features = asked->keeps_features,
                                              .fallbacks = &scoring.fallbacks };
    enum status status;

    TRY(endpoint_new_shaped(&asked->endpoint, &asked->shape, model, &scoring.endpoint, err));
    status = training_set_run(job, arena, spec, &stage, result, err);
    endpoint_free(scoring.endpoint);
    return status;
}

static enum status run(struct job *job, struct arena *arena, const yyjson_val *spec,
                       struct str *result, struct error *err)
{
    /* Deploying tried the model, and a crash here takes nobody with it. */
    const struct serving_config config = { .threads = job_limits(job)->threads,
                                           .is_expendable = true };
    struct asked asked = { 0 };
    struct model_source source;
    struct serving *serving;
    struct model *model = NULL;
    enum status status;

    TRY(read_asked(arena, spec, &asked, err));
    TRY(serving_open(&config, &serving, err));
    source = (struct model_source){ .name = asked.model,
                                    .version = asked.version,
                                    .path = arena_cstr(arena, asked.path),
                                    .hash = asked.hash,
                                    .signature = asked.signature,
                                    .memory_bytes = (size_t)asked.memory_bytes };
    status = model_load(serving, &source, &model, err);
    if (status == STATUS_OK)
        status = run_endpoint(job, arena, spec, &asked, model, result, err);
    model_unref(&model);
    serving_close(&serving);
    return status;
}

const struct job_kind score_job = { "score", run };
