/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/model.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "serving/model_file.h"
#include "serving/probe.h"

#include <math.h>
#include <stdlib.h>

#define WARM_UP_RUNS 1000
#define WARM_UP_NS UINT64_C(50000000)
/* What a loop thread may spend on one request without the others noticing. */
#define FAST_NS UINT64_C(200000)

/* --- life ----------------------------------------------------------------- */

static void model_free(struct model *model)
{
    runner_pool_close(&model->pool);
    loaded_close(&model->loaded);
    arena_free(model->arena);
}

static void on_farewell(struct keeper_task *task)
{
    model_free(container_of(task, struct model, farewell));
}

struct model *model_ref(struct model *model)
{
    atomic_fetch_add_explicit(&model->references, 1, memory_order_relaxed);
    return model;
}

void model_unref(struct model **at)
{
    struct model *model = *at;

    *at = NULL;
    if (model == NULL || atomic_fetch_sub(&model->references, 1) != 1)
        return;
    model->farewell.run = on_farewell;
    keeper_later(serving_keeper(model->serving), &model->farewell);
}

static enum status try_bytes(struct serving *serving, struct str bytes, struct str signature,
                             struct error *err)
{
    const struct serving_config *config = serving_config(serving);
    const struct probe_limits limits = { config->probe_memory_bytes, config->probe_timeout_ms };
    struct model_file file;

    if (config->is_expendable)
        return STATUS_OK; /* loading checks the file by itself */
    TRY(model_file_check(bytes, &file, err));
    return probe_model(bytes, signature, &limits, err);
}

static enum status open_model(struct model *model, struct str bytes, struct str signature,
                              struct error *err)
{
    struct serving *serving = model->serving;
    struct runtime *runtime;

    TRY(serving_runtime(serving, &runtime, err));
    TRY(try_bytes(serving, bytes, signature, err));
    TRY(loaded_open(model->arena, runtime, bytes, signature, serving_config(serving)->threads,
                    &model->loaded, err));
    runner_pool_open(&model->pool, serving_keeper(serving), model->loaded.model);
    return model_warm_up(model, err);
}

static enum status read_and_open(struct model *model, const char *path, struct str signature,
                                 struct error *err)
{
    struct arena *scratch = arena_new(); /* the bytes are of no use once it is loaded */
    enum status status;
    struct str bytes;

    status = file_read(scratch, path, MODEL_FILE_MAX, &bytes, err);
    if (status == STATUS_OK)
        status = open_model(model, bytes, signature, err);
    arena_free(scratch);
    return status;
}

static void make_metrics(struct model *model)
{
    struct str labels = arena_printf(model->arena, "model=\"" STR_FMT "\"",
                                     STR_ARG(model->name));

    model->rows = metric_counter("onggi_model_rows_total", "Rows that models answered.",
                                 labels.data);
    model->failures = metric_counter("onggi_model_failures_total",
                                     "Runs of models that failed.", labels.data);
}

enum status model_load(struct serving *serving, struct str name, int64_t version,
                       const char *path, struct str signature, struct model **out,
                       struct error *err)
{
    struct arena *arena = arena_new();
    struct model *model = ARENA_NEW(arena, struct model);

    model->serving = serving;
    model->arena = arena;
    model->name = arena_str(arena, name);
    model->version = version;
    atomic_init(&model->references, 1);
    if (!str_is_name(name)) {
        arena_free(arena);
        return error_set(err, STATUS_INVALID, "'" STR_FMT "' is no name for a model",
                         STR_ARG(str_slice(name, 0, 80)));
    }
    make_metrics(model);
    if (read_and_open(model, path, signature, err) != STATUS_OK) {
        error_wrap(err, "model " STR_FMT " version %lld", STR_ARG(model->name),
                   (long long)version);
        model_free(model);
        return err->status;
    }
    *out = model;
    return STATUS_OK;
}

/* --- warm-up -------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* The same row again would look faster than it is: the processor learns a tree's branches. */
static void randomize(struct tensor *inputs, size_t count, uint64_t *state)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < inputs[i].count; k++) {
            double number = (double)(next_random(state) >> 11) * 0x1p-51 - 2;

            if (inputs[i].type == TENSOR_FLOAT32)
                inputs[i].floats[k] = (float)number;
            else if (inputs[i].type == TENSOR_FLOAT64)
                inputs[i].doubles[k] = number;
        }
    }
}

static int compare_ns(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

static enum status time_runs(struct runtime_model *model, struct runtime_runner *runner,
                             struct arena *arena, uint64_t *times, size_t *count,
                             struct error *err)
{
    struct tensor *outputs = ARENA_ARRAY(arena, struct tensor, model->output_count);
    uint64_t begin = clock_monotonic_ns(), random = UINT64_C(0x9E3779B97F4A7C15),
             before = begin;
    struct arena_mark mark = arena_mark(arena);

    for (*count = 0; *count < WARM_UP_RUNS && before - begin < WARM_UP_NS;
         arena_rewind(arena, mark)) {
        uint64_t after;

        randomize(runner->inputs, model->input_count, &random);
        before = clock_monotonic_ns();
        TRY(model->runtime->driver->run_bound(model, runner, arena, outputs, err));
        after = clock_monotonic_ns();
        times[(*count)++] = after - before;
        before = after;
    }
    return STATUS_OK;
}

enum status model_warm_up(struct model *model, struct error *err)
{
    struct runtime_model *base = model->loaded.model;
    struct arena *arena = arena_new();
    uint64_t *times = ARENA_ARRAY(arena, uint64_t, WARM_UP_RUNS);
    enum status status = STATUS_OK;
    size_t count = 0;

    if (model->loaded.is_bound)
        status = time_runs(base, base->runners[0], arena, times, &count, err);
    if (count > 0) {
        qsort(times, count, sizeof(*times), compare_ns);
        model->speed.p50_ns = times[count / 2];
        model->speed.p99_ns = times[(count - 1) * 99 / 100];
        model->speed.is_fast = model->speed.p99_ns < FAST_NS;
    }
    arena_free(arena);
    return status;
}

/* --- what it is ----------------------------------------------------------- */

struct str model_name(const struct model *model)
{
    return model->name;
}

int64_t model_version_number(const struct model *model)
{
    return model->version;
}

struct model_speed model_speed(const struct model *model)
{
    return model->speed;
}

const struct model_feature *model_features(const struct model *model, size_t *count)
{
    *count = model->loaded.signature.feature_count;
    return model->loaded.signature.features;
}

const struct tensor_spec *model_inputs(const struct model *model, size_t *count)
{
    *count = model->loaded.model->input_count;
    return model->loaded.model->inputs;
}

const struct tensor_spec *model_outputs(const struct model *model, size_t *count)
{
    *count = model->loaded.model->output_count;
    return model->loaded.model->outputs;
}

int model_score_output(const struct model *model)
{
    return model->loaded.signature.score;
}

bool model_takes_matrix(const struct model *model)
{
    return model->loaded.signature.is_matrix;
}

double model_score_of(const struct model *model, const struct tensor *outputs, size_t row)
{
    const struct tensor *score;
    size_t width, index;

    if (model->loaded.signature.score < 0)
        return (double)NAN;
    score = &outputs[model->loaded.signature.score];
    width = tensor_width(score);
    index = row * width + (width - 1);
    return width > 0 && index < score->count ? tensor_number(score, index) : (double)NAN;
}
