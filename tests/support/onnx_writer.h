/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Small ONNX models, written field by field as onnx/onnx.proto numbers them:
 * tests and benches make what they need and want no Python for it. Everything
 * lives in the arena given.
 */
#include "base/arena.h"

/* TensorProto.DataType */
enum onnx_element {
    ONNX_FLOAT = 1,
    ONNX_UINT8 = 2,
    ONNX_INT32 = 6,
    ONNX_INT64 = 7,
    ONNX_STRING = 8,
    ONNX_BOOL = 9,
    ONNX_DOUBLE = 11
};
#define ONNX_ANY (-1) /* a dimension that the caller chooses */

/* Parts of a message, to be joined. */
struct str onnx_join(struct arena *arena, const struct str *parts, size_t count);
#define ONNX_JOIN(arena, ...) \
    onnx_join((arena), (const struct str[]){ __VA_ARGS__ }, \
              sizeof((const struct str[]){ __VA_ARGS__ }) / sizeof(struct str))

/* Attributes of a node. */
struct str onnx_attr_int(struct arena *arena, const char *name, int64_t value);
struct str onnx_attr_text(struct arena *arena, const char *name, const char *text);
struct str onnx_attr_ints(struct arena *arena, const char *name, const int64_t *values,
                          size_t count);
struct str onnx_attr_floats(struct arena *arena, const char *name, const float *values,
                            size_t count);
/* The same text so many times. */
struct str onnx_attr_texts(struct arena *arena, const char *name, const char *const *texts,
                           size_t count);
struct str onnx_attr_graph(struct arena *arena, const char *name, struct str graph);

/* Parts of a graph. Inputs and outputs of a node are names with spaces between them. */
struct str onnx_node(struct arena *arena, const char *op, const char *domain,
                     const char *inputs, const char *outputs, struct str attributes);
struct str onnx_input(struct arena *arena, const char *name, enum onnx_element type,
                      const int64_t *dims, size_t rank);
struct str onnx_output(struct arena *arena, const char *name, enum onnx_element type,
                       const int64_t *dims, size_t rank);
/* A list of maps from int64 to float. */
struct str onnx_output_maps(struct arena *arena, const char *name);
struct str onnx_floats(struct arena *arena, const char *name, const int64_t *dims, size_t rank,
                       const float *values);
struct str onnx_int64s(struct arena *arena, const char *name, const int64_t *dims, size_t rank,
                       const int64_t *values);
/* A tensor whose data is in another file. */
struct str onnx_external(struct arena *arena, const char *name, const char *location);

/* A whole file; features is the JSON for the metadata key of that name, or NULL. */
struct str onnx_model(struct arena *arena, struct str graph, const char *features);

/* "x" float [N, features] -> "label" int64 [N], "probabilities" float [N, 2]. Full trees, random splits in -1..1. */
struct str onnx_trees(struct arena *arena, int64_t features, int64_t trees, int64_t depth,
                      const char *feature_names);
/* "x" float [N, widths[0]] -> "y" float [N, widths[count - 1]]: Gemm and Relu, a Sigmoid at the end. */
struct str onnx_network(struct arena *arena, const int64_t *widths, size_t count,
                        const char *feature_names);
/* "x" float [N, 1] -> "y" float; never comes to an end when the sum of x is above the limit. */
struct str onnx_endless(struct arena *arena, float limit);
