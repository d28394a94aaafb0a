/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/loaded.h"

#include "serving/model_file.h"

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

/* Zeros are something that every model of numbers takes; an empty string or code 0 may be none of its words. */
static bool takes_zeros(const struct runtime_model *model)
{
    for (size_t i = 0; i < model->input_count; i++)
        if (model->inputs[i].type != TENSOR_FLOAT32 && model->inputs[i].type != TENSOR_FLOAT64)
            return false;
    return true;
}

static enum status bind(struct loaded *loaded, struct error *err)
{
    const struct runtime_driver *driver = loaded->model->runtime->driver;

    for (size_t i = 0; i < loaded->model->runner_count; i++) {
        if (driver->bind(loaded->model, loaded->model->runners[i], loaded->signature.row,
                         err) == STATUS_OK)
            continue;
        if (takes_zeros(loaded->model))
            return error_wrap(err, "the first run");
        return STATUS_OK;
    }
    loaded->is_bound = true;
    return STATUS_OK;
}

/* A model without features gets any row: it may not suit it, but a crash shows. */
static void run_once(const struct loaded *loaded)
{
    struct runtime_model *model = loaded->model;
    struct arena *arena = arena_new();
    struct tensor *inputs = ARENA_ARRAY(arena, struct tensor, model->input_count);
    struct tensor *outputs = ARENA_ARRAY(arena, struct tensor, model->output_count);
    struct error ignored;

    for (size_t i = 0; i < model->input_count; i++) {
        struct tensor_spec spec = model->inputs[i];

        for (size_t k = 0; k < spec.rank; k++)
            if (spec.dims[k] == TENSOR_ANY)
                spec.dims[k] = 1;
        inputs[i] = tensor_new(arena, spec.name, spec.type, spec.dims, spec.rank);
    }
    (void)!model->runtime->driver->run(model, model->runners[0], arena, inputs, outputs,
                                       &ignored);
    arena_free(arena);
}

enum status loaded_open(struct arena *arena, struct runtime *runtime, struct str bytes,
                        struct str features, size_t runner_count, struct loaded *out,
                        struct error *err)
{
    struct loaded loaded = { 0 };
    struct model_file file;
    enum status status;

    TRY(model_file_check(bytes, &file, err));
    TRY(runtime->driver->load(runtime, bytes, runner_count, &loaded.model, err));
    status = sign(arena, &file, features, &loaded, err);
    if (status == STATUS_OK && loaded.signature.row != NULL)
        status = bind(&loaded, err);
    else if (status == STATUS_OK)
        run_once(&loaded);
    if (status != STATUS_OK) {
        loaded_close(&loaded);
        return status;
    }
    *out = loaded;
    return STATUS_OK;
}

void loaded_close(struct loaded *loaded)
{
    if (loaded->model != NULL)
        loaded->model->runtime->driver->unload(loaded->model);
    loaded->model = NULL;
}
