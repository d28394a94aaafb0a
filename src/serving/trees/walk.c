/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/trees/trees.h"

#include <math.h>

/* Steps between two looks at whether all are at their leaves. */
#define STRIDE 8
/* Rows that go through one group after the other: a group stays in the nearest cache meanwhile. */
#define BLOCK 64

/* --- the walk ------------------------------------------------------------- */

static inline uint32_t step(const struct tree_node *nodes, uint32_t at, const float *row,
                            bool has_nan)
{
    const struct tree_node *node = &nodes[at];
    float value = row[node->feature];
    unsigned is_not_less = !(value < node->value);

    /* All in numbers: a && would be a branch. */
    if (has_nan)
        is_not_less &= ~((unsigned)(isnan(value) != 0) & node->nan_is_less);
    return node->child + (is_not_less & node->span);
}

static inline bool is_settled(const struct tree_node *nodes, const uint32_t *at)
{
    unsigned spans = 0;

    for (unsigned i = 0; i < TREES_AT_ONCE; i++)
        spans |= nodes[at[i]].span;
    return spans == 0;
}

/* The trees of one group for one row; has_nan is a constant where this is called. */
static inline float walk(const struct tree_node *nodes, const uint32_t *roots, uint32_t depth,
                         const float *row, bool has_nan, float sum)
{
    uint32_t at[TREES_AT_ONCE];

    memcpy(at, roots, sizeof(at));
    for (uint32_t left = depth; left > 0;) {
        uint32_t steps = left < STRIDE ? left : STRIDE;

        left -= steps;
        for (; steps > 0; steps--) {
#pragma GCC unroll 8
            for (unsigned i = 0; i < TREES_AT_ONCE; i++)
                at[i] = step(nodes, at[i], row, has_nan);
        }
        if (left > 0 && is_settled(nodes, at))
            break;
    }
    for (unsigned i = 0; i < TREES_AT_ONCE; i++)
        sum += nodes[at[i]].value;
    return sum;
}

static bool has_nan(const float *row, size_t width)
{
    bool found = false;

    for (size_t i = 0; i < width; i++)
        found |= isnan(row[i]) != 0;
    return found;
}

static void sum_block(const struct trees *trees, const float *rows, size_t count, size_t stride,
                      float *sums)
{
    bool with_nan[BLOCK];

    for (size_t i = 0; i < count; i++) {
        with_nan[i] = has_nan(rows + i * stride, trees->width);
        sums[i] = 0;
    }
    for (size_t g = 0; g < trees->groups; g++) {
        const uint32_t *roots = trees->roots + g * TREES_AT_ONCE, depth = trees->depths[g];

        for (size_t i = 0; i < count; i++) {
            const float *row = rows + i * stride;

            sums[i] = with_nan[i] ? walk(trees->nodes, roots, depth, row, true, sums[i])
                                  : walk(trees->nodes, roots, depth, row, false, sums[i]);
        }
    }
}

void trees_sum(const struct trees *trees, const float *rows, size_t count, size_t stride,
               float *sums)
{
    for (size_t from = 0; from < count; from += BLOCK)
        sum_block(trees, rows + from * stride, count - from < BLOCK ? count - from : BLOCK,
                  stride, sums + from);
}

/* --- what the sums say ---------------------------------------------------- */

/* As ONNX Runtime computes it: for the absolute value, then mirrored. */
static float logistic(float value)
{
    float upper = 1 / (1 + expf(-fabsf(value)));

    return value < 0 ? 1 - upper : upper;
}

/* The two columns of a classifier: ONNX's ai.onnx.ml leaves them open, ONNX Runtime fills them so. */
static void write_scores(const struct trees *trees, float sum, float *out)
{
    if (trees->is_logistic) {
        out[0] = logistic(-sum);
        out[1] = logistic(sum);
    } else if (trees->is_positive) {
        out[0] = 1 - sum;
        out[1] = sum;
    } else {
        out[0] = -sum;
        out[1] = sum;
    }
}

static void answer_scores(const struct trees *trees, struct arena *arena, const float *sums,
                          size_t count, struct str name, struct tensor *out)
{
    const int64_t dims[] = { (int64_t)count, trees->classifies ? 2 : 1 };

    *out = tensor_new(arena, name, TENSOR_FLOAT32, dims, 2);
    for (size_t i = 0; i < count; i++) {
        if (trees->classifies)
            write_scores(trees, sums[i] + trees->base, out->floats + 2 * i);
        else
            out->floats[i] = sums[i] + trees->base;
    }
}

static void answer_label(const struct trees *trees, struct arena *arena, const float *sums,
                         size_t count, struct str name, struct tensor *out)
{
    const int64_t dims[] = { (int64_t)count };
    bool is_text = trees->label_texts[0].len + trees->label_texts[1].len > 0;
    float limit = trees->is_positive ? 0.5F : 0;

    *out = tensor_new(arena, name, is_text ? TENSOR_STRING : TENSOR_INT64, dims, 1);
    for (size_t i = 0; i < count; i++) {
        unsigned winner = sums[i] + trees->base > limit;

        if (is_text)
            out->strings[i] = trees->label_texts[winner];
        else
            out->int64s[i] = trees->label_numbers[winner];
    }
}

void trees_answer(const struct trees *trees, struct arena *arena, const float *sums,
                  size_t count, const struct tensor_spec *specs, struct tensor *outputs)
{
    for (size_t i = 0; i < trees->output_count; i++) {
        if (trees->outputs[i] == TREES_LABEL)
            answer_label(trees, arena, sums, count, specs[i].name, &outputs[i]);
        else
            answer_scores(trees, arena, sums, count, specs[i].name, &outputs[i]);
    }
}
