/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One prediction, without HTTP: features, model, rules. */
#include "proxy/endpoint.h"

struct prediction {
    size_t rows;
    struct value *features; /* rows × the plan's outputs; NULL if the look-up failed */
    struct tensor *outputs; /* output_count; for each row, if is_by_row; NULL: none was run */
    size_t output_count;
    bool is_by_row;
    double *scores;                  /* rows; NaN where there is none */
    const struct str **decisions;    /* rows; NULL where no rule held */
    enum fallback_reason *fallbacks; /* rows; NULL where all were answered by the model */
    bool is_late;                    /* a row fell back because the deadline had passed */
    struct error why;                /* of the first row that fell back */
    size_t bad_row; /* on failure: the row that cannot be answered; SIZE_MAX: it is about all */
    uint64_t start_ns; /* as clock_monotonic_ns */
    uint64_t stage_ns; /* when the stage under way began */
    uint64_t lookup_ns, model_ns, rules_ns;
};

/*
 * Each row is answered by the model, or by the fallback where the model, its score or a rule is
 * of no use for it. Fails for what the caller did wrong, and where there is no fallback to take.
 * deadline_ns as clock_monotonic_ns. Everything lives in the arena.
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
/* FALLBACK_NONE: the model answered it. */
static inline enum fallback_reason prediction_fallback(const struct prediction *prediction,
                                                       size_t row)
{
    return prediction->fallbacks == NULL ? FALLBACK_NONE : prediction->fallbacks[row];
}

/* Where an output has what it says of a row, which the model answered: a part of `count` elements. */
struct prediction_part {
    const struct tensor *tensor;
    size_t from, count;
};
struct prediction_part prediction_part(const struct prediction *prediction, size_t output,
                                       size_t row);
/* The same as one value: of several, the last. */
struct value prediction_output(const struct prediction *prediction, size_t output, size_t row);
