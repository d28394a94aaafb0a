/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A model in its runtime, bound to its features: what the child that tries it
 * does and what the server does, in the same words.
 */
#include "serving/runtime/runtime.h"
#include "serving/signature.h"

struct loaded {
    struct runtime_model
        *model; /* the columns of its inputs are as many as the features fill */
    struct signature signature;
    bool is_bound; /* its runners have the tensors of one row */
};

/*
 * Checks the file, loads it, binds every runner to one row and so runs it once. features is the
 * JSON of a signature; without names in it the file's own count. The signature lives in the arena.
 */
MUST_USE enum status loaded_open(struct arena *arena, struct runtime *runtime, struct str bytes,
                                 struct str features, size_t runner_count, struct loaded *out,
                                 struct error *err);
void loaded_close(struct loaded *loaded);
