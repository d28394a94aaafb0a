/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What serving knows of a model; its callers see it through serving.h. */
#include "net/metrics.h"
#include "serving/loaded.h"
#include "serving/runner.h"
#include "serving/serving.h"

struct model {
    struct serving *serving;
    struct arena *arena;
    struct str name;
    int64_t version;
    atomic_size_t references;
    struct loaded loaded;
    struct runner_pool pool;
    struct model_speed speed;
    size_t memory_bytes;  /* of one session; 0: not known */
    size_t charged_bytes; /* of all; counted in the serving's until it is freed */
    struct metric *rows;
    struct metric *failures;
    struct keeper_task farewell; /* frees it */
};

struct keeper *serving_keeper(struct serving *serving);
/* Opens it when the first model is loaded. */
MUST_USE enum status serving_runtime(struct serving *serving, struct runtime **out,
                                     struct error *err);
/* As serving_set_readiness() has it; true where nothing was set. */
bool serving_is_ready(struct serving *serving, struct error *why);
const struct serving_config *serving_config(const struct serving *serving);
/* LIMIT, and nothing is counted, where so much more is too much. */
MUST_USE enum status serving_charge(struct serving *serving, size_t bytes, struct error *err);
void serving_discharge(struct serving *serving, size_t bytes);
