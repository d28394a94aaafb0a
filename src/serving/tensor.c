/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/tensor.h"

static const struct {
    struct str name;
    size_t size;
} types[TENSOR_TYPE_COUNT] = {
    [TENSOR_FLOAT32] = { STR_INIT("FP32"), sizeof(float) },
    [TENSOR_FLOAT64] = { STR_INIT("FP64"), sizeof(double) },
    [TENSOR_INT32] = { STR_INIT("INT32"), sizeof(int32_t) },
    [TENSOR_INT64] = { STR_INIT("INT64"), sizeof(int64_t) },
    [TENSOR_BOOL] = { STR_INIT("BOOL"), sizeof(bool) },
    [TENSOR_STRING] = { STR_INIT("BYTES"), sizeof(struct str) },
};

const char *tensor_type_name(enum tensor_type type)
{
    return types[type].name.data;
}

bool tensor_type_parse(struct str name, enum tensor_type *out)
{
    for (unsigned i = 0; i < TENSOR_TYPE_COUNT; i++) {
        if (str_equal(name, types[i].name)) {
            *out = (enum tensor_type)i;
            return true;
        }
    }
    return false;
}

size_t tensor_type_size(enum tensor_type type)
{
    return types[type].size;
}

enum status tensor_count(const int64_t *dims, size_t rank, size_t limit, size_t *out,
                         struct error *err)
{
    size_t count = 1;

    for (size_t i = 0; i < rank; i++) {
        if (dims[i] < 0)
            return error_set(err, STATUS_INVALID, "shape: dimension %zu is negative", i);
        if (__builtin_mul_overflow(count, (size_t)dims[i], &count) || count > limit)
            return error_set(err, STATUS_LIMIT, "shape: more than %zu elements", limit);
    }
    *out = count;
    return STATUS_OK;
}
