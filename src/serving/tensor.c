/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/tensor.h"

#include <assert.h>
#include <math.h>

static const struct {
    struct str name;
    size_t size;
    enum value_type value;
} types[TENSOR_TYPE_COUNT] = {
    [TENSOR_FLOAT32] = { STR_INIT("FP32"), sizeof(float), TYPE_FLOAT32 },
    [TENSOR_FLOAT64] = { STR_INIT("FP64"), sizeof(double), TYPE_FLOAT64 },
    [TENSOR_INT32] = { STR_INIT("INT32"), sizeof(int32_t), TYPE_INT32 },
    [TENSOR_INT64] = { STR_INIT("INT64"), sizeof(int64_t), TYPE_INT64 },
    [TENSOR_BOOL] = { STR_INIT("BOOL"), sizeof(bool), TYPE_BOOL },
    [TENSOR_STRING] = { STR_INIT("BYTES"), sizeof(struct str), TYPE_STRING },
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

enum value_type tensor_value_type(enum tensor_type type)
{
    return types[type].value;
}

size_t tensor_width(const struct tensor *tensor)
{
    return tensor->rank == 0 || tensor->dims[0] == 0 ? tensor->count
                                                     : tensor->count / (size_t)tensor->dims[0];
}

struct value tensor_value(const struct tensor *tensor, size_t index)
{
    struct value value = { .type = types[tensor->type].value };

    switch (tensor->type) {
    case TENSOR_FLOAT32:
        value.number = (double)tensor->floats[index];
        break;
    case TENSOR_FLOAT64:
        value.number = tensor->doubles[index];
        break;
    case TENSOR_INT32:
        value.integer = tensor->int32s[index];
        break;
    case TENSOR_INT64:
        value.integer = tensor->int64s[index];
        break;
    case TENSOR_BOOL:
        value.boolean = tensor->booleans[index];
        break;
    case TENSOR_STRING:
        value.text = tensor->strings[index];
        break;
    }
    return value;
}

double tensor_number(const struct tensor *tensor, size_t index)
{
    switch (tensor->type) {
    case TENSOR_FLOAT32:
        return (double)tensor->floats[index];
    case TENSOR_FLOAT64:
        return tensor->doubles[index];
    case TENSOR_INT32:
        return (double)tensor->int32s[index];
    case TENSOR_INT64:
        return (double)tensor->int64s[index];
    case TENSOR_BOOL:
        return tensor->booleans[index] ? 1 : 0;
    case TENSOR_STRING:
        break;
    }
    return (double)NAN;
}

static enum status unfit(const struct tensor *tensor, const struct value *value,
                         struct error *err)
{
    const char *wanted;

    assert(tensor->type < TENSOR_TYPE_COUNT); /* gcc does not see it */
    wanted = value_type_name(types[tensor->type].value);
    if (value->is_null)
        return error_set(err, STATUS_INVALID, "expected %s, found null", wanted);
    return error_set(err, STATUS_INVALID, "expected %s, found %s", wanted,
                     value_type_name(value->type));
}

static bool is_float(enum value_type type)
{
    return type == TYPE_FLOAT32 || type == TYPE_FLOAT64;
}

static bool is_integer(enum value_type type)
{
    return type == TYPE_INT32 || type == TYPE_INT64;
}

static enum status put_float32(struct tensor *tensor, size_t index, const struct value *value,
                               struct error *err)
{
    if (value->is_null)
        tensor->floats[index] = NAN;
    else if (is_float(value->type))
        tensor->floats[index] = (float)value->number;
    else if (is_integer(value->type))
        tensor->floats[index] = (float)value->integer; /* rounded once, as numpy does it */
    else if (value->type == TYPE_BOOL)
        tensor->floats[index] = value->boolean ? 1 : 0;
    else
        return unfit(tensor, value, err);
    return STATUS_OK;
}

static enum status put_float64(struct tensor *tensor, size_t index, const struct value *value,
                               struct error *err)
{
    if (value->is_null)
        tensor->doubles[index] = (double)NAN;
    else if (is_float(value->type))
        tensor->doubles[index] = value->number;
    else if (is_integer(value->type))
        tensor->doubles[index] = (double)value->integer;
    else if (value->type == TYPE_BOOL)
        tensor->doubles[index] = value->boolean ? 1 : 0;
    else
        return unfit(tensor, value, err);
    return STATUS_OK;
}

static enum status put_integer(struct tensor *tensor, size_t index, const struct value *value,
                               struct error *err)
{
    struct value whole = { .type = TYPE_INT64 };

    if (value->is_null)
        return unfit(tensor, value, err);
    if (value->type == TYPE_BOOL)
        whole.integer = value->boolean ? 1 : 0;
    else
        TRY(value_convert(*value, types[tensor->type].value, &whole, err));
    if (tensor->type == TENSOR_INT32)
        tensor->int32s[index] = (int32_t)whole.integer;
    else
        tensor->int64s[index] = whole.integer;
    return STATUS_OK;
}

enum status tensor_put(struct tensor *tensor, size_t index, const struct value *value,
                       struct error *err)
{
    switch (tensor->type) {
    case TENSOR_FLOAT32:
        return put_float32(tensor, index, value, err);
    case TENSOR_FLOAT64:
        return put_float64(tensor, index, value, err);
    case TENSOR_INT32:
    case TENSOR_INT64:
        return put_integer(tensor, index, value, err);
    case TENSOR_BOOL:
        if (value->is_null || value->type != TYPE_BOOL)
            return unfit(tensor, value, err);
        tensor->booleans[index] = value->boolean;
        return STATUS_OK;
    case TENSOR_STRING:
        if (value->is_null || (value->type != TYPE_STRING && value->type != TYPE_BYTES))
            return unfit(tensor, value, err);
        tensor->strings[index] = value->text;
        return STATUS_OK;
    }
    return unfit(tensor, value, err);
}

struct tensor tensor_new(struct arena *arena, struct str name, enum tensor_type type,
                         const int64_t *dims, size_t rank)
{
    struct tensor tensor = { .name = name, .type = type, .rank = rank, .count = 1 };

    for (size_t i = 0; i < rank; i++) {
        tensor.dims[i] = dims[i];
        tensor.count *= (size_t)dims[i];
    }
    tensor.data = arena_array(arena, tensor.count, types[type].size);
    return tensor;
}

struct str tensor_shape_text(struct arena *arena, const int64_t *dims, size_t rank)
{
    struct str text = STR("[");

    for (size_t i = 0; i < rank; i++)
        text = arena_printf(arena, STR_FMT "%s%lld", STR_ARG(text), i == 0 ? "" : ",",
                            (long long)dims[i]);
    return arena_printf(arena, STR_FMT "]", STR_ARG(text));
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
