/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the makers of a script's surroundings share; callers include sagemaker.h. */
#include "workflow/runners/sagemaker.h"

/* What SageMaker calls the first, and here the only, machine, its kind, and its only group. */
#define SAGEMAKER_HOST "algo-1"
#define SAGEMAKER_INSTANCE "local"
#define SAGEMAKER_GROUP "homogeneousCluster"

struct maker {
    struct task *task;
    struct arena *arena;
    const struct script *script;
    struct surroundings *around;
    yyjson_mut_doc *doc;
    yyjson_mut_val *channels; /* name to folder */
    char **vars;              /* NAME=value */
    size_t var_count, var_capacity;
};

/* A path in the try's folder. */
struct str sagemaker_below(const struct maker *maker, const char *relative);
/* An environment variable; of JSON as the toolkit writes it. */
void sagemaker_set(struct maker *maker, const char *name, struct str value);
void sagemaker_set_json(struct maker *maker, const char *name, const yyjson_mut_val *value);

/* input/config/…json, after the channels are known. */
MUST_USE enum status sagemaker_write_configs(struct maker *maker, struct error *err);
/* The variables that tell of the machine, the hyperparameters and everything at once. */
void sagemaker_set_machine(struct maker *maker);
