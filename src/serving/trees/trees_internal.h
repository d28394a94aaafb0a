/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * From an ONNX file to trees: what of the graph is an ensemble (graph.c), its lists (attributes.c), and the
 * trees that they spell (forest.c). Field numbers are those of onnx/onnx.proto, attributes those of ai.onnx.ml's
 * TreeEnsembleClassifier and TreeEnsembleRegressor (onnx/docs/Operators-ml.md). A model is a stranger's file;
 * what is not exactly what the walk wants is no error, but false: the runtime takes it.
 */
#include "serving/trees/trees.h"

/* Sets classifies and the outputs; the body is that of the ensemble's NodeProto. */
bool trees_find_ensemble(struct arena *scratch, struct str file, struct trees *out,
                         struct str *body);

struct list {
    union {
        void *data; /* NULL as long as the elements are only counted */
        int64_t *ints;
        float *floats;
        struct str *texts;
    };
    size_t count;
};

/* One list for all nodes of all trees, and one for all their weights. */
struct attributes {
    struct list tree, node, feature, less, other, nan_is_less; /* ints */
    struct list limit;                                         /* floats */
    struct list mode;                                          /* texts */
    struct list weight_tree, weight_node, weight_class;        /* ints */
    struct list weight, base;                                  /* floats */
    struct list label_numbers, target_count;                   /* ints */
    struct list label_texts, transform, aggregate;             /* texts */
};

/* False too for an attribute that is not known. Texts are views into the body. */
bool trees_read_attributes(struct arena *scratch, struct str body, struct attributes *out);
