/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/runtime/onnx_value.h"

#define ORT(call) TRY(onnx_status(memory->api, memory->api->call, err))
/* A model may say how much it gives out; this much is served. */
#define OUTPUT_BYTES_MAX ((size_t)1 << 30)

static const ONNXTensorElementDataType onnx_types[TENSOR_TYPE_COUNT] = {
    [TENSOR_FLOAT32] = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
    [TENSOR_FLOAT64] = ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
    [TENSOR_INT32] = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
    [TENSOR_INT64] = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
    [TENSOR_BOOL] = ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
    [TENSOR_STRING] = ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING,
};

enum status onnx_type(ONNXTensorElementDataType type, const char *what, struct str name,
                      enum tensor_type *out, struct error *err)
{
    for (unsigned i = 0; i < TENSOR_TYPE_COUNT; i++) {
        if (onnx_types[i] == type) {
            *out = (enum tensor_type)i;
            return STATUS_OK;
        }
    }
    return error_set(
        err, STATUS_INVALID,
        "%s '" STR_FMT "' has an element type (%d of TensorProto.DataType) that is not "
        "served; a Cast inside the model to float32, float64, int32, int64, bool or "
        "string mends it",
        what, STR_ARG(name), (int)type);
}

enum status onnx_value_refresh(const struct onnx_memory *memory, const struct tensor *tensor,
                               OrtValue *value, struct error *err)
{
    if (tensor->type != TENSOR_STRING)
        return STATUS_OK;
    for (size_t i = 0; i < tensor->count; i++) {
        char *room;

        ORT(GetResizedStringTensorElementBuffer(value, i, tensor->strings[i].len, &room));
        if (tensor->strings[i].len > 0)
            memcpy(room, tensor->strings[i].data, tensor->strings[i].len);
    }
    return STATUS_OK;
}

static enum status string_value(const struct onnx_memory *memory, const struct tensor *tensor,
                                OrtValue **out, struct error *err)
{
    OrtValue *value;

    ORT(CreateTensorAsOrtValue(memory->allocator, tensor->dims, tensor->rank,
                               ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, &value));
    if (onnx_value_refresh(memory, tensor, value, err) != STATUS_OK) {
        memory->api->ReleaseValue(value);
        return err->status;
    }
    *out = value;
    return STATUS_OK;
}

enum status onnx_value_over(const struct onnx_memory *memory, const struct tensor *tensor,
                            OrtValue **out, struct error *err)
{
    if (tensor->type == TENSOR_STRING)
        return string_value(memory, tensor, out, err);
    ORT(CreateTensorWithDataAsOrtValue(
        memory->cpu, tensor->data, tensor->count * tensor_type_size(tensor->type), tensor->dims,
        tensor->rank, onnx_types[tensor->type], out));
    return STATUS_OK;
}

static enum status describe(const struct onnx_memory *memory,
                            const OrtTensorTypeAndShapeInfo *info, struct tensor *out,
                            struct error *err)
{
    ONNXTensorElementDataType type;

    ORT(GetTensorElementType(info, &type));
    TRY(onnx_type(type, "output", out->name, &out->type, err));
    ORT(GetDimensionsCount(info, &out->rank));
    if (out->rank > TENSOR_RANK_MAX)
        return error_set(err, STATUS_LIMIT, "output '" STR_FMT "' has more than %d dimensions",
                         STR_ARG(out->name), TENSOR_RANK_MAX);
    ORT(GetDimensions(info, out->dims, out->rank));
    return tensor_count(out->dims, out->rank, OUTPUT_BYTES_MAX / tensor_type_size(out->type),
                        &out->count, err);
}

enum status onnx_value_describe(const struct onnx_memory *memory, const OrtValue *value,
                                struct str name, struct tensor *out, struct error *err)
{
    OrtTensorTypeAndShapeInfo *info;
    enum status status;
    int is_tensor;

    *out = (struct tensor){ .name = name };
    ORT(IsTensor(value, &is_tensor));
    if (!is_tensor)
        return error_set(err, STATUS_INVALID, "output '" STR_FMT "' is no tensor",
                         STR_ARG(name));
    ORT(GetTensorTypeAndShape(value, &info));
    status = describe(memory, info, out, err);
    memory->api->ReleaseTensorTypeAndShapeInfo(info);
    return status;
}

static enum status read_strings(const struct onnx_memory *memory, struct arena *arena,
                                const OrtValue *value, struct tensor *tensor, struct error *err)
{
    tensor->strings = ARENA_ARRAY(arena, struct str, tensor->count);
    for (size_t i = 0; i < tensor->count; i++) {
        size_t len;
        char *text;

        ORT(GetStringTensorElementLength(value, i, &len));
        text = arena_alloc(arena, len);
        ORT(GetStringTensorElement(value, len, i, text));
        tensor->strings[i] = (struct str){ text, len };
    }
    return STATUS_OK;
}

enum status onnx_value_read(const struct onnx_memory *memory, struct arena *arena,
                            OrtValue *value, struct tensor *tensor, struct error *err)
{
    size_t bytes = tensor->count * tensor_type_size(tensor->type);
    void *data;

    if (tensor->type == TENSOR_STRING)
        return read_strings(memory, arena, value, tensor, err);
    ORT(GetTensorMutableData(value, &data));
    tensor->data = arena_alloc(arena, bytes);
    memcpy(tensor->data, data, bytes);
    return STATUS_OK;
}

enum status onnx_value_copy(const struct onnx_memory *memory, struct arena *arena,
                            OrtValue *value, struct str name, struct tensor *out,
                            struct error *err)
{
    TRY(onnx_value_describe(memory, value, name, out, err));
    return onnx_value_read(memory, arena, value, out, err);
}
