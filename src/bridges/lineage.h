/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Where a model comes from, read off the history of the execution that made
 * it: which training sets of which data, which scripts with which arguments,
 * which code.
 */
#include "registry/registry.h"
#include "workflow/workflow.h"

struct lineage {
    struct str
        json; /* {"execution", "pipeline", "code_sha256", "definition_sha256", "input", "training_sets": […], "scripts": […]} */
    struct str params; /* arguments of all scripts, {"train.max_depth": 6} */
};

/*
 * Nothing in it is what the starter of the execution may claim, but its `input`. A training set
 * has the hash of the definitions as they were when it was made; they are a blob.
 */
MUST_USE enum status lineage_of_execution(struct workflow *workflow, struct arena *arena,
                                          struct str execution, struct lineage *out,
                                          struct error *err);
/* What the scripts left in their output folders (reports, curves, not their data channels) becomes artifacts of the run. */
MUST_USE enum status lineage_log_outputs(struct workflow *workflow, struct arena *arena,
                                         struct str execution, struct str project,
                                         struct registry *registry, struct error *err);
