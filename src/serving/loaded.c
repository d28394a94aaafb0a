/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/loaded.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "serving/model_file.h"

#include <stdlib.h>

static enum status feature_names(struct arena *arena, const struct model_file *file,
                                 struct str features, struct str **names, size_t *count,
                                 struct error *err)
{
    TRY(signature_names(arena, features, names, count, err));
    if (*count > 0)
        return STATUS_OK;
    if (signature_names(arena, file->features, names, count, err) != STATUS_OK)
        return error_wrap(err, "the model's metadata");
    return STATUS_OK;
}

static enum status sign(struct arena *arena, const struct model_file *file, struct str features,
                        struct loaded *loaded, struct error *err)
{
    struct runtime_model *model = loaded->model;
    struct signature *signature = &loaded->signature;
    struct str *names;
    size_t count;

    TRY(feature_names(arena, file, features, &names, &count, err));
    TRY(signature_make(arena, model->inputs, model->input_count, model->outputs,
                       model->output_count, names, count, signature, err));
    for (size_t i = 0; signature->row != NULL && i < model->input_count; i++)
        if (model->inputs[i].rank == 2)
            model->inputs[i].dims[1] = (int64_t)signature->widths[i];
    return STATUS_OK;
}

/* Where it fails at zeros it serves all the same; where it wants more memory than there is, it does not. */
static enum status bind(struct loaded *loaded, struct error *err)
{
    const struct runtime_driver *driver = loaded->model->runtime->driver;

    for (size_t i = 0; i < loaded->model->runner_count; i++) {
        enum status status = driver->bind(loaded->model, loaded->model->runners[i],
                                          loaded->signature.row, err);

        if (status == STATUS_LIMIT)
            return error_wrap(err, "the first run");
        if (status != STATUS_OK)
            return STATUS_OK;
    }
    loaded->is_bound = true;
    return STATUS_OK;
}

/* A model without features gets any row: it may not suit it, but a crash shows. */
static enum status run_once(const struct loaded *loaded, struct error *err)
{
    struct runtime_model *model = loaded->model;
    struct arena *arena = arena_new();
    struct tensor *inputs = ARENA_ARRAY(arena, struct tensor, model->input_count);
    struct tensor *outputs = ARENA_ARRAY(arena, struct tensor, model->output_count);
    enum status status;

    for (size_t i = 0; i < model->input_count; i++) {
        struct tensor_spec spec = model->inputs[i];

        for (size_t k = 0; k < spec.rank; k++)
            if (spec.dims[k] == TENSOR_ANY)
                spec.dims[k] = 1;
        inputs[i] = tensor_new(arena, spec.name, spec.type, spec.dims, spec.rank);
    }
    status = model->runtime->driver->run(model, model->runners[0], arena, inputs, outputs, err);
    arena_free(arena);
    return status == STATUS_LIMIT ? error_wrap(err, "the first run") : STATUS_OK;
}

static struct str wanted_trees(void)
{
    const char *wanted = getenv("ONGGI_TREES");

    return wanted == NULL ? STR_EMPTY : str_from(wanted);
}

enum status loaded_check_environment(struct error *err)
{
    struct str wanted = wanted_trees();

    if (wanted.len == 0 || str_equal(wanted, STR("runtime")))
        return STATUS_OK;
    return error_set(err, STATUS_INVALID,
                     "ONGGI_TREES is '" STR_FMT "': expected runtime, or nothing at all",
                     STR_ARG(wanted));
}

const struct trees *loaded_read_trees(struct arena *arena, struct str bytes)
{
    return wanted_trees().len > 0 ? NULL : trees_read(arena, bytes);
}

/* Nobody has to mend anything where they do not agree, but somebody may wonder why it is slow. */
static const struct trees *agreed_trees(const struct trees *trees, struct runtime_model *model)
{
    if (trees == NULL || trees_agree(trees, model))
        return trees;
    log_warn(
        "serving: the trees of a model answer otherwise than the runtime, which runs it now");
    return NULL;
}

enum status loaded_open(struct arena *arena, struct runtime *runtime,
                        const struct loading *loading, struct loaded *out, struct error *err)
{
    struct loaded loaded = { 0 };
    struct model_file file;
    enum status status;

    TRY(model_file_check(loading->bytes, &file, err));
    TRY(runtime->driver->load(runtime, loading->bytes, loading->runner_count, loading->shares,
                              &loaded.model, err));
    status = sign(arena, &file, loading->features, &loaded, err);
    if (status == STATUS_OK && loaded.signature.row != NULL)
        status = bind(&loaded, err);
    else if (status == STATUS_OK)
        status = run_once(&loaded, err);
    if (status != STATUS_OK) {
        loaded_close(&loaded);
        return status;
    }
    loaded.trees = agreed_trees(loading->trees, loaded.model);
    *out = loaded;
    return STATUS_OK;
}

void loaded_close(struct loaded *loaded)
{
    if (loaded->model != NULL)
        loaded->model->runtime->driver->unload(loaded->model);
    loaded->model = NULL;
}

/* --- warm-up -------------------------------------------------------------- */

#define WARM_UP_NS UINT64_C(50000000)

/* The same row again would look faster than it is: the processor learns a tree's branches. */
static void randomize(struct tensor *inputs, size_t count, uint64_t *state)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < inputs[i].count; k++) {
            double number = (double)(random_next(state) >> 11) * 0x1p-51 - 2;

            if (inputs[i].type == TENSOR_FLOAT32)
                inputs[i].floats[k] = (float)number;
            else if (inputs[i].type == TENSOR_FLOAT64)
                inputs[i].doubles[k] = number;
        }
    }
}

static enum status run_row(struct loaded *loaded, struct arena *arena, struct tensor *outputs,
                           struct error *err)
{
    struct runtime_model *model = loaded->model;
    struct runtime_runner *runner = model->runners[0];
    float sum;

    if (loaded->trees == NULL)
        return model->runtime->driver->run_bound(model, runner, arena, outputs, err);
    trees_sum(loaded->trees, runner->inputs[0].floats, 1, runner->inputs[0].count, &sum);
    trees_answer(loaded->trees, arena, &sum, 1, model->outputs, outputs);
    return STATUS_OK;
}

size_t loaded_warm_up(struct loaded *loaded, size_t most, uint64_t *times_ns)
{
    struct runtime_model *model = loaded->model;
    struct runtime_runner *runner = model->runners[0];
    uint64_t begin = clock_monotonic_ns(), random = UINT64_C(0x9E3779B97F4A7C15),
             before = begin;
    struct arena *arena = arena_new();
    struct tensor *outputs = ARENA_ARRAY(arena, struct tensor, model->output_count);
    struct arena_mark mark = arena_mark(arena);
    struct error ignored;
    size_t count = 0;

    while (loaded->is_bound && count < most && before - begin < WARM_UP_NS) {
        uint64_t after;

        randomize(runner->inputs, model->input_count, &random);
        before = clock_monotonic_ns();
        if (run_row(loaded, arena, outputs, &ignored) != STATUS_OK) {
            count = 0;
            break;
        }
        after = clock_monotonic_ns();
        times_ns[count++] = after - before;
        before = after;
        arena_rewind(arena, mark);
    }
    arena_free(arena);
    return count;
}
