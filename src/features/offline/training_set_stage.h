/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A training set that goes on: between the features and the file stands a
 * stage that makes other columns of them, as a batch of predictions does. For
 * kinds of jobs whose specification is that of a training set, with the key
 * "stage" of their own in it.
 */
#include "features/column.h"
#include "features/job.h"

#include <stdatomic.h>

struct training_set_stage {
    /*
     * Called once, with the features by the names of the outputs and, where the specification
     * says "reads_request", the request's fields. *out is made by table_init and freed by the
     * caller of the stage; texts in it may belong to the context.
     */
    enum status (*run)(void *context, struct job *job, const struct table *features,
                       const struct table *request, struct table *out, struct error *err);
    void *context;
    bool keeps_features; /* writes the features too, in front of what the stage made */
    /* After run(): how many rows a fallback answered. NULL: the stage has no such thing. */
    const atomic_size_t *fallbacks;
};

/* What the job does; stage may be NULL. *result as training_set_build reads it. */
MUST_USE enum status training_set_run(struct job *job, struct arena *arena,
                                      const yyjson_val *json,
                                      const struct training_set_stage *stage,
                                      struct str *result, struct error *err);
