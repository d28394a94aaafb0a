/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/model.h"

#include "base/clock.h"

/* Rows that trees answer between two looks at the clock. */
#define TREE_ROWS 256

static enum status count_run(struct model *model, size_t rows, enum status status)
{
    if (status == STATUS_OK)
        metric_add(model->rows, rows);
    else
        metric_add(model->failures, 1);
    return status;
}

static enum status need_features(const struct model *model, struct error *err)
{
    if (model->loaded.signature.row != NULL)
        return STATUS_OK;
    return error_set(err, STATUS_INVALID,
                     "model " STR_FMT
                     " does not say which features its inputs take; add them to "
                     "its metadata: the key 'features' with a JSON list of names",
                     STR_ARG(model->name));
}

/* --- trees: no runner is needed, since nothing is written but what is the caller's -- */

static enum status run_trees(const struct model *model, struct arena *arena, const float *rows,
                             size_t count, size_t stride, uint64_t deadline_ns,
                             struct tensor *outputs, struct error *err)
{
    const struct trees *trees = model->loaded.trees;
    float *sums = ARENA_ARRAY(arena, float, count);

    for (size_t from = 0; from < count; from += TREE_ROWS) {
        size_t some = count - from < TREE_ROWS ? count - from : TREE_ROWS;

        if (from > 0 && deadline_ns != 0 && clock_monotonic_ns() >= deadline_ns)
            return error_set(err, STATUS_TIMEOUT, "the model did not answer in time");
        trees_sum(trees, rows + from * stride, some, stride, sums + from);
    }
    trees_answer(trees, arena, sums, count, model->loaded.model->outputs, outputs);
    return STATUS_OK;
}

/* Whether the trees answer this input; what is unusual about it the runtime finds out. */
static bool takes_trees(const struct model *model, const struct tensor *input)
{
    const struct trees *trees = model->loaded.trees;

    return trees != NULL && input->rank == 2 && input->dims[0] > 0 &&
           input->dims[1] >= (int64_t)trees->width;
}

static enum status run_row_by_trees(const struct model *model, struct arena *arena,
                                    const struct value *features, uint64_t deadline_ns,
                                    struct tensor *outputs, struct error *err)
{
    const struct signature *signature = &model->loaded.signature;
    size_t width = signature->feature_count;
    struct tensor input = { .type = TENSOR_FLOAT32,
                            .count = width,
                            .floats = ARENA_ARRAY(arena, float, width) };

    TRY(signature_fill(signature, features, 0, &input, err));
    return run_trees(model, arena, input.floats, 1, width, deadline_ns, outputs, err);
}

/* --- one row -------------------------------------------------------------- */

static enum status run_bound(struct model *model, struct runner *runner, struct arena *arena,
                             const struct value *features, uint64_t deadline_ns,
                             struct tensor *outputs, struct error *err)
{
    struct runtime_model *base = model->loaded.model;
    enum status status;

    TRY(signature_fill(&model->loaded.signature, features, 0, runner->base->inputs, err));
    runner_arm(&model->pool, runner, deadline_ns);
    status = base->runtime->driver->run_bound(base, runner->base, arena, outputs, err);
    return runner_disarm(&model->pool, runner, deadline_ns, status, err);
}

enum status model_run_row(struct model *model, struct arena *arena,
                          const struct value *features, uint64_t deadline_ns,
                          struct tensor *outputs, struct error *err)
{
    struct runner *runner;
    enum status status;

    if (model->loaded.trees != NULL && model->loaded.signature.is_matrix)
        return count_run(model, 1,
                         run_row_by_trees(model, arena, features, deadline_ns, outputs, err));
    if (!model->loaded.is_bound)
        return model_run_rows(model, arena, 1, features, deadline_ns, outputs, err);
    TRY(runner_take(&model->pool, deadline_ns, &runner, err));
    status = run_bound(model, runner, arena, features, deadline_ns, outputs, err);
    runner_give(runner);
    return count_run(model, 1, status);
}

/* --- tensors of any shape ------------------------------------------------- */

static enum status run_tensors(struct model *model, struct arena *arena, struct tensor *inputs,
                               uint64_t deadline_ns, struct tensor *outputs, struct error *err)
{
    struct runtime_model *base = model->loaded.model;
    struct runner *runner;
    enum status status;

    if (takes_trees(model, &inputs[0]))
        return run_trees(model, arena, inputs[0].floats, (size_t)inputs[0].dims[0],
                         (size_t)inputs[0].dims[1], deadline_ns, outputs, err);
    TRY(runner_take(&model->pool, deadline_ns, &runner, err));
    runner_arm(&model->pool, runner, deadline_ns);
    status = base->runtime->driver->run(base, runner->base, arena, inputs, outputs, err);
    status = runner_disarm(&model->pool, runner, deadline_ns, status, err);
    runner_give(runner);
    return status;
}

/* The inputs for so many rows; without data where there is data already. */
static struct tensor *row_tensors(const struct model *model, struct arena *arena, size_t rows)
{
    const struct signature *signature = &model->loaded.signature;
    size_t count = model->loaded.model->input_count;
    struct tensor *inputs = ARENA_ARRAY(arena, struct tensor, count);

    for (size_t i = 0; i < count; i++) {
        struct tensor_spec spec = signature->row[i];

        spec.dims[0] = (int64_t)rows;
        inputs[i] = tensor_new(arena, spec.name, spec.type, spec.dims, spec.rank);
    }
    return inputs;
}

static enum status check_rows(const struct model *model, size_t rows, struct error *err)
{
    if (rows == 0)
        return error_set(err, STATUS_INVALID, "no rows to run");
    return need_features(model, err);
}

/* Adds the rows of one answer to those before. */
static enum status append_outputs(const struct model *model, struct arena *arena, size_t row,
                                  size_t rows, const struct tensor *one, struct tensor *all,
                                  struct error *err)
{
    for (size_t i = 0; i < model->loaded.model->output_count; i++) {
        size_t bytes = one[i].count * tensor_type_size(one[i].type);

        if (row == 0) {
            all[i] = one[i];
            all[i].count = one[i].count * rows;
            all[i].data = arena_array(arena, rows, bytes);
            all[i].rank = one[i].rank == 0 ? 1 : one[i].rank;
            all[i].dims[0] = (one[i].rank == 0 ? 1 : one[i].dims[0]) * (int64_t)rows;
        }
        if (one[i].count * rows != all[i].count)
            return error_set(err, STATUS_INVALID, "output '" STR_FMT "' differs in size by row",
                             STR_ARG(one[i].name));
        memcpy((char *)all[i].data + row * bytes, one[i].data, bytes);
    }
    return STATUS_OK;
}

/* For a model that was exported for one row at a time. */
static enum status run_one_by_one(struct model *model, struct arena *arena, size_t rows,
                                  const struct value *features, uint64_t deadline_ns,
                                  struct tensor *outputs, struct error *err)
{
    struct tensor *one = ARENA_ARRAY(arena, struct tensor, model->loaded.model->output_count);
    size_t width = model->loaded.signature.feature_count;

    for (size_t row = 0; row < rows; row++) {
        TRY(model_run_row(model, arena, features + row * width, deadline_ns, one, err));
        TRY(append_outputs(model, arena, row, rows, one, outputs, err));
    }
    return STATUS_OK;
}

/* Some models make one answer of all rows, whatever they declare. */
static bool answers_by_row(const struct model *model, const struct tensor *outputs, size_t rows)
{
    for (size_t i = 0; i < model->loaded.model->output_count; i++)
        if (outputs[i].rank == 0 || outputs[i].dims[0] != (int64_t)rows)
            return false;
    return true;
}

enum status model_run_rows(struct model *model, struct arena *arena, size_t rows,
                           const struct value *features, uint64_t deadline_ns,
                           struct tensor *outputs, struct error *err)
{
    const struct signature *signature = &model->loaded.signature;
    struct tensor *inputs;
    enum status status;

    TRY(check_rows(model, rows, err));
    if (rows > 1 && signature->is_one_row)
        return run_one_by_one(model, arena, rows, features, deadline_ns, outputs, err);
    inputs = row_tensors(model, arena, rows);
    for (size_t row = 0; row < rows; row++) {
        if (signature_fill(signature, features + row * signature->feature_count, row, inputs,
                           err) == STATUS_OK)
            continue;
        return rows == 1 ? err->status : error_wrap(err, "row %zu", row);
    }
    status = run_tensors(model, arena, inputs, deadline_ns, outputs, err);
    if (status == STATUS_OK && rows > 1 && !answers_by_row(model, outputs, rows))
        return run_one_by_one(model, arena, rows, features, deadline_ns, outputs, err);
    return count_run(model, rows, status);
}

enum status model_run_matrix(struct model *model, struct arena *arena, size_t rows,
                             float *features, uint64_t deadline_ns, struct tensor *outputs,
                             struct error *err)
{
    const struct signature *signature = &model->loaded.signature;
    struct tensor input;

    TRY(check_rows(model, rows, err));
    if (!signature->is_matrix || (rows > 1 && signature->is_one_row))
        return error_set(err, STATUS_INVALID,
                         "model " STR_FMT " does not take a matrix of rows",
                         STR_ARG(model->name));
    input = (struct tensor){ .name = signature->row[0].name,
                             .type = TENSOR_FLOAT32,
                             .rank = signature->row[0].rank,
                             .dims = { (int64_t)rows, (int64_t)signature->feature_count },
                             .count = rows * signature->feature_count,
                             .floats = features };
    TRY(count_run(model, rows, run_tensors(model, arena, &input, deadline_ns, outputs, err)));
    if (rows > 1 && !answers_by_row(model, outputs, rows))
        return error_set(err, STATUS_INVALID,
                         "model " STR_FMT " makes one answer of all rows of a matrix",
                         STR_ARG(model->name));
    return STATUS_OK;
}

/* --- tensors as a caller brings them -------------------------------------- */

static bool fits(const struct tensor_spec *spec, const struct tensor *tensor)
{
    if (spec->rank != tensor->rank)
        return false;
    for (size_t i = 0; i < spec->rank; i++)
        if (spec->dims[i] != TENSOR_ANY && spec->dims[i] != tensor->dims[i])
            return false;
    return true;
}

static enum status check_input(struct arena *arena, const struct tensor_spec *spec,
                               const struct tensor *tensor, struct error *err)
{
    if (spec->type != tensor->type)
        return error_set(err, STATUS_INVALID, "input '" STR_FMT "': expected %s, found %s",
                         STR_ARG(spec->name), tensor_type_name(spec->type),
                         tensor_type_name(tensor->type));
    if (!fits(spec, tensor))
        return error_set(err, STATUS_INVALID,
                         "input '" STR_FMT "': expected shape " STR_FMT ", found " STR_FMT,
                         STR_ARG(spec->name),
                         STR_ARG(tensor_shape_text(arena, spec->dims, spec->rank)),
                         STR_ARG(tensor_shape_text(arena, tensor->dims, tensor->rank)));
    /* Not every operator expects to have nothing to do. */
    if (tensor->count == 0)
        return error_set(err, STATUS_INVALID, "input '" STR_FMT "' has no elements",
                         STR_ARG(spec->name));
    return STATUS_OK;
}

static enum status unknown_input(const struct model *model, struct arena *arena,
                                 struct str name, struct error *err)
{
    const struct runtime_model *base = model->loaded.model;
    struct str *names = ARENA_ARRAY(arena, struct str, base->input_count);
    struct str near;

    for (size_t i = 0; i < base->input_count; i++)
        names[i] = base->inputs[i].name;
    near = str_nearest(name, names, base->input_count);
    if (base->input_count == 0)
        return error_set(err, STATUS_INVALID, "unknown input '" STR_FMT "'; there are none",
                         STR_ARG(str_slice(name, 0, 80)));
    if (near.len == 0)
        near = names[0];
    return error_set(err, STATUS_INVALID, "unknown input '" STR_FMT "'; there is '" STR_FMT "'",
                     STR_ARG(str_slice(name, 0, 80)), STR_ARG(near));
}

/* Into the model's order, each one once. */
static enum status order_inputs(const struct model *model, struct arena *arena,
                                const struct tensor *inputs, size_t count,
                                struct tensor *ordered, struct error *err)
{
    const struct runtime_model *base = model->loaded.model;

    for (size_t i = 0; i < count; i++) {
        size_t at = 0;

        while (at < base->input_count && !str_equal(base->inputs[at].name, inputs[i].name))
            at++;
        if (at == base->input_count)
            return unknown_input(model, arena, inputs[i].name, err);
        if (ordered[at].data != NULL)
            return error_set(err, STATUS_INVALID, "input '" STR_FMT "' is given twice",
                             STR_ARG(inputs[i].name));
        TRY(check_input(arena, &base->inputs[at], &inputs[i], err));
        ordered[at] = inputs[i];
    }
    for (size_t i = 0; i < base->input_count; i++)
        if (ordered[i].data == NULL)
            return error_set(err, STATUS_INVALID, "input '" STR_FMT "' is missing",
                             STR_ARG(base->inputs[i].name));
    return STATUS_OK;
}

enum status model_infer(struct model *model, struct arena *arena, const struct tensor *inputs,
                        size_t count, uint64_t deadline_ns, struct tensor *outputs,
                        struct error *err)
{
    struct tensor *ordered = ARENA_ARRAY(arena, struct tensor,
                                         model->loaded.model->input_count);
    size_t rows;

    TRY(order_inputs(model, arena, inputs, count, ordered, err));
    rows = model->loaded.model->input_count == 0 || ordered[0].rank == 0
               ? 1
               : (size_t)ordered[0].dims[0];
    return count_run(model, rows,
                     run_tensors(model, arena, ordered, deadline_ns, outputs, err));
}
