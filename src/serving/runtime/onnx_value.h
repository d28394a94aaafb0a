/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Our tensors as ONNX Runtime's values, and back. */
#include "serving/runtime/onnx_library.h"
#include "serving/tensor.h"

struct onnx_memory {
    const OrtApi *api;
    OrtMemoryInfo *cpu;      /* of memory that is ours */
    OrtAllocator *allocator; /* of memory that is theirs */
};

/* INVALID for an element type that is not served; what says whose. */
MUST_USE enum status onnx_type(ONNXTensorElementDataType type, const char *what,
                               struct str name, enum tensor_type *out, struct error *err);
/* A value over the tensor's own data; strings are copied into it. */
MUST_USE enum status onnx_value_over(const struct onnx_memory *memory,
                                     const struct tensor *tensor, OrtValue **out,
                                     struct error *err);
/* Strings that changed go into the value again; of other types it sees the data itself. */
MUST_USE enum status onnx_value_refresh(const struct onnx_memory *memory,
                                        const struct tensor *tensor, OrtValue *value,
                                        struct error *err);
/* Type and shape of a value; no data yet. */
MUST_USE enum status onnx_value_describe(const struct onnx_memory *memory,
                                         const OrtValue *value, struct str name,
                                         struct tensor *out, struct error *err);
/* A tensor in the arena with the value's elements. */
MUST_USE enum status onnx_value_copy(const struct onnx_memory *memory, struct arena *arena,
                                     OrtValue *value, struct str name, struct tensor *out,
                                     struct error *err);
/* Elements of a described tensor from the value. */
MUST_USE enum status onnx_value_read(const struct onnx_memory *memory, struct arena *arena,
                                     OrtValue *value, struct tensor *tensor, struct error *err);
