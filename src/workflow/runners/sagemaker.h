/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A script's surroundings as SageMaker's training toolkit makes them: folders
 * and files below the try's folder in the place of /opt/ml, SM_ variables,
 * and hyperparameters as arguments.
 */
#include "workflow/task.h"

struct script {
    struct str name;  /* the file, relative to the code folder */
    yyjson_val *args; /* an object or NULL */
    yyjson_val *in;   /* channel to path, an object or NULL */
    yyjson_val *out;  /* names, a list or NULL */
    uint64_t memory_bytes;
};

struct surroundings {
    struct str model, data; /* folders for output */
    char **argv, **envp;
    const char *program;
};

/* Where a named output goes: "model" is SM_MODEL_DIR, others a folder in SM_OUTPUT_DATA_DIR. */
struct str sagemaker_output(struct arena *arena, const struct surroundings *around,
                            struct str name);
/* Makes the folders and files. python is a path or a command. */
MUST_USE enum status sagemaker_prepare(struct task *task, const struct script *script,
                                       struct str python, struct surroundings *out,
                                       struct error *err);
