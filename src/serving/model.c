/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/model.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "serving/model_file.h"
#include "serving/probe.h"
#include "serving/tried.h"

#include <math.h>
#include <stdlib.h>

/* For a row of the warm-up that has no end. */
#define WARM_UP_MAX_NS UINT64_C(2000000000)
/* What a loop thread may spend on one request without the others noticing. */
#define FAST_NS UINT64_C(200000)
/* Runners have one session together where one each would take more than this, or the file is larger than that. */
#define APART_MAX_BYTES ((size_t)256 << 20)
#define SHARED_FROM_BYTES ((size_t)16 << 20)

/* --- life ----------------------------------------------------------------- */

static void model_free(struct model *model)
{
    runner_pool_close(&model->pool);
    loaded_close(&model->loaded);
    serving_discharge(model->serving, model->charged_bytes);
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

static int compare_ns(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

static void say(const struct model_source *source, const char *phase)
{
    if (source->on_phase != NULL)
        source->on_phase(source->context, phase);
}

/* Where the file says something else than what was registered, nobody has approved it. */
static enum status check_hash(const struct model_source *source, struct str found,
                              struct error *err)
{
    if (source->hash.len == 0 || str_equal(source->hash, found))
        return STATUS_OK;
    return error_set(err, STATUS_INTERNAL,
                     "its file %s has changed since it was registered: its SHA-256 is %.12s…,"
                     " not %.12s…; bring the file back from a copy, or register the model anew",
                     source->path, found.data, source->hash.data);
}

static enum status try_bytes(struct model *model, const struct model_source *source,
                             struct str bytes, struct str hash, const struct runtime *runtime,
                             struct error *err)
{
    const struct serving_config *config = serving_config(model->serving);
    const struct probe_limits limits = { config->probe_memory_bytes, config->probe_timeout_ms };
    const struct tried tried = { config->tried_folder, hash, source->signature,
                                 runtime->version, limits.memory_bytes };
    struct model_file file;

    model->memory_bytes = source->memory_bytes;
    if (config->is_expendable)
        return STATUS_OK; /* loading checks the file by itself */
    if (tried_find(&tried, &model->memory_bytes))
        return STATUS_OK;
    say(source, "try");
    TRY(model_file_check(bytes, &file, err));
    TRY(probe_model(bytes, source->signature, &limits, &model->memory_bytes, err));
    tried_add(&tried, model->memory_bytes);
    return STATUS_OK;
}

static enum status charge(struct model *model, const struct loading *loading, struct error *err)
{
    size_t bytes = model->memory_bytes * (loading->shares ? 1 : loading->runner_count);

    TRY(serving_charge(model->serving, bytes, err));
    model->charged_bytes = bytes;
    return STATUS_OK;
}

/* Each run has a watchdog later; here one is for all together. */
static void warm_up(struct model *model, struct arena *scratch)
{
    uint64_t *times = ARENA_ARRAY(scratch, uint64_t, WARM_UP_RUNS),
             end_ns = clock_monotonic_ns() + WARM_UP_MAX_NS;
    struct runner *runner = &model->pool.runners[0];
    struct error ignored;
    size_t count;

    runner_arm(&model->pool, runner, end_ns);
    count = loaded_warm_up(&model->loaded, WARM_UP_RUNS, times);
    if (runner_disarm(&model->pool, runner, end_ns, STATUS_OK, &ignored) != STATUS_OK ||
        count == 0)
        return;
    qsort(times, count, sizeof(*times), compare_ns);
    model->speed.p50_ns = times[count / 2];
    model->speed.p99_ns = times[(count - 1) * 99 / 100];
    model->speed.is_fast = model->speed.p99_ns < FAST_NS;
}

static enum status open_model(struct model *model, const struct model_source *source,
                              struct arena *scratch, struct str bytes, struct error *err)
{
    struct str hash = sha256_hex(scratch, bytes);
    struct loading loading = { .bytes = bytes,
                               .features = source->signature,
                               .runner_count = serving_config(model->serving)->threads };
    struct runtime *runtime;

    TRY(check_hash(source, hash, err));
    TRY(serving_runtime(model->serving, &runtime, err));
    TRY(try_bytes(model, source, bytes, hash, runtime, err));
    loading.trees = loaded_read_trees(model->arena, bytes);
    /* Where trees answer, the runtime is only asked whether they do so rightly. */
    loading.shares = loading.trees != NULL || bytes.len >= SHARED_FROM_BYTES ||
                     model->memory_bytes > APART_MAX_BYTES / loading.runner_count;
    TRY(charge(model, &loading, err));
    say(source, "load");
    TRY(loaded_open(model->arena, runtime, &loading, &model->loaded, err));
    runner_pool_open(&model->pool, serving_keeper(model->serving), model->loaded.model);
    say(source, "warm up");
    warm_up(model, scratch);
    return STATUS_OK;
}

static enum status read_and_open(struct model *model, const struct model_source *source,
                                 struct error *err)
{
    struct arena *scratch = arena_new(); /* the bytes are of no use once it is loaded */
    enum status status;
    struct str bytes;

    status = file_read(scratch, source->path, MODEL_FILE_MAX, &bytes, err);
    if (status == STATUS_OK)
        status = open_model(model, source, scratch, bytes, err);
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

enum status model_load(struct serving *serving, const struct model_source *source,
                       struct model **out, struct error *err)
{
    struct arena *arena = arena_new();
    struct model *model = ARENA_NEW(arena, struct model);

    model->serving = serving;
    model->arena = arena;
    model->name = arena_str(arena, source->name);
    model->version = source->version;
    atomic_init(&model->references, 1);
    if (!str_is_name(source->name)) {
        arena_free(arena);
        return error_set(err, STATUS_INVALID, "'" STR_FMT "' is no name for a model",
                         STR_ARG(str_slice(source->name, 0, 80)));
    }
    make_metrics(model);
    if (read_and_open(model, source, err) != STATUS_OK) {
        error_wrap(err, "model " STR_FMT " version %lld", STR_ARG(model->name),
                   (long long)source->version);
        model_free(model);
        return err->status;
    }
    *out = model;
    return STATUS_OK;
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

bool model_is_walked(const struct model *model)
{
    return model->loaded.trees != NULL;
}

size_t model_memory(const struct model *model)
{
    return model->memory_bytes;
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
