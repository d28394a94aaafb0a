/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One prediction, without HTTP: features, model, rules. */
#include "proxy/endpoint.h"

struct prediction {
    size_t rows;
    struct value *features;       /* rows × the plan's outputs; NULL if the look-up failed */
    struct tensor *outputs;       /* one per model output; NULL with a fallback */
    double *scores;               /* rows; NaN where there is none */
    const struct str **decisions; /* rows; NULL where no rule held */
    enum fallback_reason fallback;
    struct error why;  /* with a fallback: for the log */
    uint64_t start_ns; /* as clock_monotonic_ns */
    uint64_t stage_ns; /* when the stage under way began */
    uint64_t lookup_ns, model_ns, rules_ns;
};

/*
 * Fails for what the caller did wrong, and where there is no fallback to take. deadline_ns as
 * clock_monotonic_ns. Everything lives in the arena.
 */
MUST_USE enum status predict(struct endpoint *endpoint, struct arena *arena,
                             const struct feature_query *query, uint64_t deadline_ns,
                             struct prediction *out, struct error *err);
/*
 * The same for who brings the features along (rows × endpoint->outputs) instead of having them
 * looked up; deadline 0: none. Only query's rows and request are read. UNAVAILABLE without a model.
 */
MUST_USE enum status predict_features(struct endpoint *endpoint, struct arena *arena,
                                      const struct feature_query *query, struct value *features,
                                      uint64_t deadline_ns, struct prediction *out,
                                      struct error *err);
/* What an output says of a row; of a matrix, its last column. Not with a fallback. */
struct value prediction_output(const struct prediction *prediction, size_t output, size_t row);
