/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Ensembles of decision trees by our own walk: several trees at once and no branch at a node, where
 * the processor would guess wrong every other time. The arithmetic is that of ONNX
 * Runtime (float32, summed in the order of the trees), so that the answers are its answers bit for
 * bit; trees_agree() makes sure before a model is served this way. What is no such ensemble is left
 * to the runtime.
 */
#include "serving/runtime/runtime.h"

#define TREES_AT_ONCE 8

/* A leaf is its own child, so that a walk may take more steps than its tree is deep. */
struct tree_node {
    float value;    /* of a leaf; else what a feature is compared with */
    uint32_t child; /* where the feature is less; the other one stands behind it */
    uint16_t feature;
    uint8_t span; /* between the children: 1, and 0 at a leaf */
    uint8_t nan_is_less;
};

enum trees_output_kind { TREES_LABEL, TREES_SCORES };

struct trees {
    const struct tree_node *nodes;
    size_t node_count;
    const uint32_t *roots;  /* the last group is filled up with leaves of 0 */
    const uint32_t *depths; /* of each group: the steps that its deepest tree needs */
    size_t groups;
    size_t width;    /* features that a row must have at least */
    bool classifies; /* between two classes; else it estimates a number */
    bool is_logistic;
    bool is_positive; /* no weight is negative: the sum is a probability */
    float base;
    int64_t label_numbers[2];
    struct str label_texts[2];         /* empty: the labels are numbers */
    enum trees_output_kind outputs[2]; /* in the order of the graph's */
    size_t output_count;
};

/*
 * NULL where the file is anything else than one ensemble (ai.onnx.ml TreeEnsembleClassifier of two
 * classes or TreeEnsembleRegressor of one target) whose outputs are the graph's. The file was checked
 * (model_file.h). Nothing points into its bytes.
 */
struct trees *trees_read(struct arena *arena, struct str file);

/* count rows of so many floats each, at least trees->width. */
void trees_sum(const struct trees *trees, const float *rows, size_t count, size_t stride,
               float *sums);
/* The outputs that these sums make; their names are those of the specs. */
void trees_answer(const struct trees *trees, struct arena *arena, const float *sums,
                  size_t count, const struct tensor_spec *specs, struct tensor *outputs);

/*
 * Whether the model takes one matrix of such rows in the runtime, and the runtime says the same of rows
 * that lie at and around the trees' limits, to the bit.
 */
bool trees_agree(const struct trees *trees, struct runtime_model *model);
