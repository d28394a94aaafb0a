/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ONNX Runtime as a runtime. A runner has a session of its own, since two
 * threads in one session slow each other down; runners that share have one
 * together, so that its memory is there once. Everything runs on the
 * calling thread, without an arena, and with tensors that were made before.
 */
#include "serving/runtime/onnx_value.h"
#include "serving/runtime/runtime.h"

#include <stdlib.h>

#define ORT(api_, call) TRY(onnx_status((api_), (api_)->call, err))

struct onnx_runtime {
    struct runtime base;
    OrtEnv *env;
    OrtSessionOptions *options;
    struct onnx_memory memory;
};

struct onnx_runner {
    struct runtime_runner base;
    OrtSession *session;
    bool owns_session;
    OrtRunOptions *options;
    OrtValue **inputs;     /* over base.inputs */
    OrtValue **outputs;    /* NULL where the shape is not known before a run */
    struct tensor *shapes; /* of outputs, without data */
};

struct onnx_model {
    struct runtime_model base;
    struct arena *arena;
    const OrtApi *api;
    const struct onnx_memory *memory;
    const char **input_names;
    const char **output_names;
};

static struct onnx_model *onnx_model_of(struct runtime_model *model)
{
    return container_of(model, struct onnx_model, base);
}

static struct onnx_runner *onnx_runner_of(struct runtime_runner *runner)
{
    return container_of(runner, struct onnx_runner, base);
}

/* --- the runtime ---------------------------------------------------------- */

static enum status set_options(const OrtApi *api, OrtSessionOptions *options, struct error *err)
{
    ORT(api, SetSessionExecutionMode(options, ORT_SEQUENTIAL));
    ORT(api, SetIntraOpNumThreads(options, 1));
    ORT(api, SetInterOpNumThreads(options, 1));
    ORT(api, AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0"));
    ORT(api, AddSessionConfigEntry(options, "session.inter_op.allow_spinning", "0"));
    ORT(api, DisableCpuMemArena(options));
    /* Patterns are kept for each shape ever seen: batches of all sizes would pile them up. */
    ORT(api, DisableMemPattern(options));
    ORT(api, SetSessionGraphOptimizationLevel(options, ORT_ENABLE_ALL));
    return STATUS_OK;
}

static enum status fill_runtime(struct onnx_runtime *runtime, struct error *err)
{
    const OrtApi *api;

    TRY(onnx_library_get(&api, &runtime->env, err));
    runtime->memory.api = api;
    runtime->base.version = onnx_library_version();
    ORT(api, CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &runtime->memory.cpu));
    ORT(api, GetAllocatorWithDefaultOptions(&runtime->memory.allocator));
    ORT(api, CreateSessionOptions(&runtime->options));
    return set_options(api, runtime->options, err);
}

static void onnx_close(struct runtime *base)
{
    struct onnx_runtime *runtime = container_of(base, struct onnx_runtime, base);
    const OrtApi *api = runtime->memory.api;

    if (runtime->options != NULL)
        api->ReleaseSessionOptions(runtime->options);
    if (runtime->memory.cpu != NULL)
        api->ReleaseMemoryInfo(runtime->memory.cpu);
    free(runtime);
}

static enum status onnx_open(struct runtime **out, struct error *err)
{
    struct onnx_runtime *runtime = calloc(1, sizeof(*runtime));

    if (runtime == NULL)
        return error_set(err, STATUS_LIMIT, "out of memory");
    runtime->base.driver = &runtime_onnx;
    if (fill_runtime(runtime, err) != STATUS_OK) {
        onnx_close(&runtime->base);
        return err->status;
    }
    *out = &runtime->base;
    return STATUS_OK;
}

/* --- what a model takes and gives ----------------------------------------- */

static enum status refuse_kind(ONNXType kind, const char *what, struct str name,
                               struct error *err)
{
    if (kind == ONNX_TYPE_SEQUENCE || kind == ONNX_TYPE_MAP)
        return error_set(err, STATUS_INVALID,
                         "%s '" STR_FMT
                         "' is a list of maps (a ZipMap), not a tensor; export the "
                         "model without it: options={'zipmap': False}",
                         what, STR_ARG(name));
    return error_set(err, STATUS_INVALID, "%s '" STR_FMT "' is no tensor", what, STR_ARG(name));
}

static enum status read_spec(const OrtApi *api, const OrtTypeInfo *info, const char *what,
                             struct tensor_spec *spec, struct error *err)
{
    const OrtTensorTypeAndShapeInfo *tensor;
    ONNXTensorElementDataType type;
    ONNXType kind;

    ORT(api, GetOnnxTypeFromTypeInfo(info, &kind));
    if (kind != ONNX_TYPE_TENSOR)
        return refuse_kind(kind, what, spec->name, err);
    ORT(api, CastTypeInfoToTensorInfo(info, &tensor));
    ORT(api, GetTensorElementType(tensor, &type));
    TRY(onnx_type(type, what, spec->name, &spec->type, err));
    ORT(api, GetDimensionsCount(tensor, &spec->rank));
    if (spec->rank > TENSOR_RANK_MAX)
        return error_set(err, STATUS_LIMIT, "%s '" STR_FMT "' has more than %d dimensions",
                         what, STR_ARG(spec->name), TENSOR_RANK_MAX);
    ORT(api, GetDimensions(tensor, spec->dims, spec->rank));
    for (size_t i = 0; i < spec->rank; i++)
        if (spec->dims[i] < 0)
            spec->dims[i] = TENSOR_ANY;
    return STATUS_OK;
}

typedef OrtStatus *(*name_getter)(const OrtSession *session, size_t index,
                                  OrtAllocator *allocator, char **out);
typedef OrtStatus *(*type_getter)(const OrtSession *session, size_t index, OrtTypeInfo **out);

struct side {
    const char *what;
    name_getter name;
    type_getter type;
};

static enum status read_side(struct onnx_model *model, const OrtSession *session,
                             const struct side *side, size_t count, const char **names,
                             struct tensor_spec *specs, struct error *err)
{
    const OrtApi *api = model->api;

    for (size_t i = 0; i < count; i++) {
        OrtAllocator *allocator = model->memory->allocator;
        enum status status;
        OrtTypeInfo *info;
        char *name;

        TRY(onnx_status(api, side->name(session, i, allocator, &name), err));
        specs[i].name = arena_str(model->arena, str_from(name));
        names[i] = specs[i].name.data;
        allocator->Free(allocator, name);
        TRY(onnx_status(api, side->type(session, i, &info), err));
        status = read_spec(api, info, side->what, &specs[i], err);
        api->ReleaseTypeInfo(info);
        TRY(status);
    }
    return STATUS_OK;
}

static enum status read_specs(struct onnx_model *model, const OrtSession *session,
                              struct error *err)
{
    const OrtApi *api = model->api;
    const struct side input = { "input", api->SessionGetInputName,
                                api->SessionGetInputTypeInfo };
    const struct side output = { "output", api->SessionGetOutputName,
                                 api->SessionGetOutputTypeInfo };
    struct runtime_model *base = &model->base;

    ORT(api, SessionGetInputCount(session, &base->input_count));
    ORT(api, SessionGetOutputCount(session, &base->output_count));
    if (base->output_count == 0)
        return error_set(err, STATUS_INVALID, "the model has no outputs");
    base->inputs = ARENA_ARRAY(model->arena, struct tensor_spec, base->input_count);
    base->outputs = ARENA_ARRAY(model->arena, struct tensor_spec, base->output_count);
    model->input_names = ARENA_ARRAY(model->arena, const char *, base->input_count);
    model->output_names = ARENA_ARRAY(model->arena, const char *, base->output_count);
    TRY(read_side(model, session, &input, base->input_count, model->input_names, base->inputs,
                  err));
    return read_side(model, session, &output, base->output_count, model->output_names,
                     base->outputs, err);
}

/* --- load and unload ------------------------------------------------------ */

static enum status make_runners(struct onnx_model *model, const struct onnx_runtime *runtime,
                                struct str bytes, bool shares, struct error *err)
{
    const OrtApi *api = model->api;
    OrtSession *shared = NULL;

    for (size_t i = 0; i < model->base.runner_count; i++) {
        struct onnx_runner *runner = ARENA_NEW(model->arena, struct onnx_runner);

        model->base.runners[i] = &runner->base;
        ORT(api, CreateRunOptions(&runner->options));
        runner->session = shared;
        if (shared == NULL) {
            ORT(api, CreateSessionFromArray(runtime->env, bytes.data, bytes.len,
                                            runtime->options, &runner->session));
            runner->owns_session = true;
        }
        if (shares)
            shared = runner->session;
    }
    return STATUS_OK;
}

static void free_values(const OrtApi *api, OrtValue **values, size_t count)
{
    for (size_t i = 0; values != NULL && i < count; i++)
        if (values[i] != NULL)
            api->ReleaseValue(values[i]);
}

static void free_runner(const struct onnx_model *model, struct onnx_runner *runner)
{
    const OrtApi *api = model->api;

    free_values(api, runner->inputs, model->base.input_count);
    free_values(api, runner->outputs, model->base.output_count);
    if (runner->options != NULL)
        api->ReleaseRunOptions(runner->options);
    if (runner->owns_session)
        api->ReleaseSession(runner->session);
}

static void onnx_unload(struct runtime_model *base)
{
    struct onnx_model *model = onnx_model_of(base);

    for (size_t i = 0; i < base->runner_count; i++)
        if (base->runners[i] != NULL)
            free_runner(model, onnx_runner_of(base->runners[i]));
    arena_free(model->arena);
}

static enum status onnx_load(struct runtime *base, struct str bytes, size_t runner_count,
                             bool shares, struct runtime_model **out, struct error *err)
{
    struct onnx_runtime *runtime = container_of(base, struct onnx_runtime, base);
    struct arena *arena = arena_new();
    struct onnx_model *model = ARENA_NEW(arena, struct onnx_model);

    *model = (struct onnx_model){ .arena = arena,
                                  .api = runtime->memory.api,
                                  .memory = &runtime->memory };
    model->base.runtime = base;
    model->base.runner_count = runner_count;
    model->base.runners = ARENA_ARRAY(arena, struct runtime_runner *, runner_count);
    if (make_runners(model, runtime, bytes, shares, err) != STATUS_OK ||
        read_specs(model, onnx_runner_of(model->base.runners[0])->session, err) != STATUS_OK) {
        onnx_unload(&model->base);
        return err->status;
    }
    *out = &model->base;
    return STATUS_OK;
}

/* --- run ------------------------------------------------------------------ */

static enum status run_session(const struct onnx_model *model, const struct onnx_runner *runner,
                               OrtValue **inputs, OrtValue **outputs, struct error *err)
{
    ORT(model->api, Run(runner->session, runner->options, model->input_names,
                        (const OrtValue *const *)inputs, model->base.input_count,
                        model->output_names, model->base.output_count, outputs));
    return STATUS_OK;
}

static enum status copy_outputs(const struct onnx_model *model, struct arena *arena,
                                OrtValue **values, struct tensor *outputs, struct error *err)
{
    for (size_t i = 0; i < model->base.output_count; i++)
        TRY(onnx_value_copy(model->memory, arena, values[i], model->base.outputs[i].name,
                            &outputs[i], err));
    return STATUS_OK;
}

static enum status onnx_run(struct runtime_model *base, struct runtime_runner *runner,
                            struct arena *arena, struct tensor *inputs, struct tensor *outputs,
                            struct error *err)
{
    struct onnx_model *model = onnx_model_of(base);
    OrtValue **in = ARENA_ARRAY(arena, OrtValue *, base->input_count);
    OrtValue **out = ARENA_ARRAY(arena, OrtValue *, base->output_count);
    enum status status = STATUS_OK;

    for (size_t i = 0; i < base->input_count && status == STATUS_OK; i++)
        status = onnx_value_over(model->memory, &inputs[i], &in[i], err);
    if (status == STATUS_OK)
        status = run_session(model, onnx_runner_of(runner), in, out, err);
    if (status == STATUS_OK)
        status = copy_outputs(model, arena, out, outputs, err);
    free_values(model->api, in, base->input_count);
    free_values(model->api, out, base->output_count);
    return status;
}

static bool is_fixed_but_for_rows(const struct tensor_spec *spec)
{
    for (size_t i = 1; i < spec->rank; i++)
        if (spec->dims[i] == TENSOR_ANY)
            return false;
    return spec->rank > 0;
}

/* The place for output i of later runs, if its shape is sure to be the same again. */
static enum status bind_output(struct onnx_model *model, struct onnx_runner *runner, size_t i,
                               const OrtValue *first, struct error *err)
{
    const OrtApi *api = model->api;
    const struct tensor_spec *spec = &model->base.outputs[i];
    OrtTensorTypeAndShapeInfo *info;
    ONNXTensorElementDataType type;
    enum status status;

    TRY(onnx_value_describe(model->memory, first, spec->name, &runner->shapes[i], err));
    if (!is_fixed_but_for_rows(spec))
        return STATUS_OK;
    ORT(api, GetTensorTypeAndShape(first, &info));
    status = onnx_status(api, api->GetTensorElementType(info, &type), err);
    api->ReleaseTensorTypeAndShapeInfo(info);
    TRY(status);
    ORT(api, CreateTensorAsOrtValue(model->memory->allocator, runner->shapes[i].dims,
                                    runner->shapes[i].rank, type, &runner->outputs[i]));
    return STATUS_OK;
}

static enum status bind_outputs(struct onnx_model *model, struct onnx_runner *runner,
                                struct error *err)
{
    struct arena *scratch = arena_new();
    OrtValue **first = ARENA_ARRAY(scratch, OrtValue *, model->base.output_count);
    enum status status = run_session(model, runner, runner->inputs, first, err);

    for (size_t i = 0; i < model->base.output_count && status == STATUS_OK; i++)
        status = bind_output(model, runner, i, first[i], err);
    free_values(model->api, first, model->base.output_count);
    arena_free(scratch);
    return status;
}

static enum status onnx_bind(struct runtime_model *base, struct runtime_runner *base_runner,
                             const struct tensor_spec *specs, struct error *err)
{
    struct onnx_model *model = onnx_model_of(base);
    struct onnx_runner *runner = onnx_runner_of(base_runner);

    base_runner->inputs = ARENA_ARRAY(model->arena, struct tensor, base->input_count);
    runner->inputs = ARENA_ARRAY(model->arena, OrtValue *, base->input_count);
    runner->outputs = ARENA_ARRAY(model->arena, OrtValue *, base->output_count);
    runner->shapes = ARENA_ARRAY(model->arena, struct tensor, base->output_count);
    for (size_t i = 0; i < base->input_count; i++) {
        base_runner->inputs[i] = tensor_new(model->arena, specs[i].name, specs[i].type,
                                            specs[i].dims, specs[i].rank);
        TRY(onnx_value_over(model->memory, &base_runner->inputs[i], &runner->inputs[i], err));
    }
    return bind_outputs(model, runner, err);
}

static enum status read_bound(const struct onnx_model *model, struct onnx_runner *runner,
                              struct arena *arena, OrtValue **values, struct tensor *outputs,
                              struct error *err)
{
    for (size_t i = 0; i < model->base.output_count; i++) {
        outputs[i] = runner->shapes[i];
        if (runner->outputs[i] == NULL)
            TRY(onnx_value_copy(model->memory, arena, values[i], model->base.outputs[i].name,
                                &outputs[i], err));
        else
            TRY(onnx_value_read(model->memory, arena, values[i], &outputs[i], err));
    }
    return STATUS_OK;
}

static enum status onnx_run_bound(struct runtime_model *base,
                                  struct runtime_runner *base_runner, struct arena *arena,
                                  struct tensor *outputs, struct error *err)
{
    struct onnx_model *model = onnx_model_of(base);
    struct onnx_runner *runner = onnx_runner_of(base_runner);
    OrtValue **values = ARENA_ARRAY(arena, OrtValue *, base->output_count);
    enum status status = STATUS_OK;

    for (size_t i = 0; i < base->input_count; i++)
        TRY(onnx_value_refresh(model->memory, &base_runner->inputs[i], runner->inputs[i], err));
    for (size_t i = 0; i < base->output_count; i++)
        values[i] = runner->outputs[i];
    status = run_session(model, runner, runner->inputs, values, err);
    if (status == STATUS_OK)
        status = read_bound(model, runner, arena, values, outputs, err);
    for (size_t i = 0; i < base->output_count; i++)
        if (runner->outputs[i] == NULL && values[i] != NULL)
            model->api->ReleaseValue(values[i]);
    return status;
}

static void onnx_stop(struct runtime_model *base, struct runtime_runner *base_runner, bool stop)
{
    const OrtApi *api = onnx_model_of(base)->api;
    OrtRunOptions *options = onnx_runner_of(base_runner)->options;
    OrtStatus *status = stop ? api->RunOptionsSetTerminate(options)
                             : api->RunOptionsUnsetTerminate(options);

    if (status != NULL)
        api->ReleaseStatus(status);
}

const struct runtime_driver runtime_onnx = {
    .name = "onnx",
    .prepare = onnx_library_forbid_telemetry,
    .open = onnx_open,
    .close = onnx_close,
    .load = onnx_load,
    .unload = onnx_unload,
    .bind = onnx_bind,
    .run_bound = onnx_run_bound,
    .run = onnx_run,
    .stop = onnx_stop,
};
