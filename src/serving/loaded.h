/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A model in its runtime, bound to its features: what the child that tries it
 * does and what the server does, in the same words.
 */
#include "serving/runtime/runtime.h"
#include "serving/signature.h"
#include "serving/trees/trees.h"

struct loaded {
    struct runtime_model
        *model; /* the columns of its inputs are as many as the features fill */
    struct signature signature;
    bool is_bound;             /* its runners have the tensors of one row */
    const struct trees *trees; /* that answer in the runtime's place; NULL: none */
};

/* INVALID for an ONGGI_TREES that is neither empty nor "runtime". */
MUST_USE enum status loaded_check_environment(struct error *err);
/* What trees_read() makes of a file; NULL too where ONGGI_TREES=runtime leaves everything to the runtime. */
const struct trees *loaded_read_trees(struct arena *arena, struct str bytes);

struct loading {
    struct str bytes;
    struct str features; /* the JSON of a signature; without names in it the file's own count */
    const struct trees *trees; /* of the file, or NULL; they answer if the runtime agrees */
    size_t runner_count;
    bool shares; /* the runners have one session, and its memory, together */
};

/*
 * Checks the file, loads it, binds every runner to one row and so runs it once. A model that fails
 * at that row of zeros is loaded, but not bound: zeros may be none of its categories. The
 * signature lives in the arena.
 */
MUST_USE enum status loaded_open(struct arena *arena, struct runtime *runtime,
                                 const struct loading *loading, struct loaded *out,
                                 struct error *err);
void loaded_close(struct loaded *loaded);

#define WARM_UP_RUNS 1000
/*
 * Runs at most so many rows of random numbers on the first runner and takes their times. Returns
 * how many; 0 where the model is not bound, or fails at one of them.
 */
size_t loaded_warm_up(struct loaded *loaded, size_t most, uint64_t *times_ns);
