/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Tensors as models take and give them: row-major, the first dimension counts rows. */
#include "base/arena.h"
#include "base/status.h"
#include "base/value.h"

enum tensor_type {
    TENSOR_FLOAT32,
    TENSOR_FLOAT64,
    TENSOR_INT32,
    TENSOR_INT64,
    TENSOR_BOOL,
    TENSOR_STRING,
};
#define TENSOR_TYPE_COUNT 6
#define TENSOR_RANK_MAX 8
#define TENSOR_ANY (-1) /* a dimension that the caller chooses */

/* In the words of the Open Inference Protocol: "FP32", "INT64", "BYTES", … */
const char *tensor_type_name(enum tensor_type type);
bool tensor_type_parse(struct str name, enum tensor_type *out);
/* Bytes of one element in memory; a string is a struct str. */
size_t tensor_type_size(enum tensor_type type);

/* What a model says about one of its inputs or outputs. */
struct tensor_spec {
    struct str name;
    enum tensor_type type;
    size_t rank;
    int64_t dims[TENSOR_RANK_MAX]; /* TENSOR_ANY where the caller chooses */
};

struct tensor {
    struct str name;
    enum tensor_type type;
    size_t rank;
    int64_t dims[TENSOR_RANK_MAX];
    size_t count; /* elements: the product of the dims */
    union {
        void *data;
        float *floats;
        double *doubles;
        int32_t *int32s;
        int64_t *int64s;
        bool *booleans;
        struct str *strings;
    };
};

/* Elements of one row. */
size_t tensor_width(const struct tensor *tensor);
/* One element; strings are views into the tensor. */
struct value tensor_value(const struct tensor *tensor, size_t index);
/* One element as a number; NaN for a string. */
double tensor_number(const struct tensor *tensor, size_t index);
/* Puts a value into one element: a null becomes NaN; INVALID says what was expected, without context. */
MUST_USE enum status tensor_put(struct tensor *tensor, size_t index, const struct value *value,
                                struct error *err);
/* The value type that goes into elements of this type without loss. */
enum value_type tensor_value_type(enum tensor_type type);
/* A new tensor of this shape in the arena, its elements zero. */
struct tensor tensor_new(struct arena *arena, struct str name, enum tensor_type type,
                         const int64_t *dims, size_t rank);
/* "[-1,4]" */
struct str tensor_shape_text(struct arena *arena, const int64_t *dims, size_t rank);

/* INVALID if a dimension is negative, LIMIT if the product is too large; the usual attack is 2^60 + 2. */
MUST_USE enum status tensor_count(const int64_t *dims, size_t rank, size_t limit, size_t *out,
                                  struct error *err);
