/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which feature goes where: a model has inputs (tensors), an endpoint has
 * features with names. Either one input takes all features as its columns, or
 * several inputs take some each, in order or by their own names.
 */
#include "serving/serving.h"

struct feature_place {
    size_t input;
    size_t column; /* within a row of the input */
};

struct signature {
    struct model_feature *features;
    struct feature_place *places;
    size_t feature_count;
    size_t *widths; /* of each input: features of a row */
    struct tensor_spec
        *row;        /* the inputs for one row, without TENSOR_ANY; NULL: not by features */
    bool is_matrix;  /* all of them go into one float32 input */
    bool is_one_row; /* inputs or outputs are made for one row at a time */
    int score;       /* the output, or -1 */
};

/*
 * Names are the features in order, or none: then the inputs' own names count. INVALID says how
 * names and inputs disagree. Everything lives in the arena.
 */
MUST_USE enum status signature_make(struct arena *arena, const struct tensor_spec *inputs,
                                    size_t input_count, const struct tensor_spec *outputs,
                                    size_t output_count, const struct str *names,
                                    size_t name_count, struct signature *out,
                                    struct error *err);
/* ["a", "b"] or {"features": ["a", "b"]}; count 0 for {} and empty text. */
MUST_USE enum status signature_names(struct arena *arena, struct str json, struct str **out,
                                     size_t *count, struct error *err);
/* A row of values into the tensors, at that row. The message names the feature. */
MUST_USE enum status signature_fill(const struct signature *signature,
                                    const struct value *features, size_t row,
                                    struct tensor *inputs, struct error *err);
