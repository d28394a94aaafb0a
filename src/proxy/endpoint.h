/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What endpoints/NAME.yaml says, and the same worked out against a service's
 * plan and a loaded model: which feature feeds which input, which rule reads
 * what. Both are immutable.
 */
#include "features/definition_load.h"
#include "features/feature_store.h"
#include "net/metrics.h"
#include "proxy/trouble.h"
#include "serving/serving.h"

#include <stdatomic.h>

#define ENDPOINT_TIMEOUT_DEFAULT_US (100 * INT64_C(1000))
#define ENDPOINT_TIMEOUT_MAX_US (60 * INT64_C(1000000))

struct endpoint_rule {
    struct str decision;
    struct str text; /* empty: always (`pass: true`) */
    struct place place;
};

/* A model output that rules name, beside `score`. */
struct endpoint_output {
    struct str name;
    enum value_type type;
};

struct endpoint_spec {
    struct str name;
    struct str service;
    struct str model;
    struct str score; /* which output is the score; empty: the model's own choice */
    struct endpoint_output *outputs;
    size_t output_count;
    struct endpoint_rule *rules; /* the first that holds decides */
    size_t rule_count;
    bool has_fallback;
    double fallback_score;        /* NaN if only a decision is given */
    struct str fallback_decision; /* empty: the rules decide on the score */
    int64_t timeout_us;
};

/* Messages carry file:line:column. */
MUST_USE enum status endpoint_spec_read(struct arena *arena, const struct yaml_node *document,
                                        struct endpoint_spec *out, struct error *err);

/* For validate and apply: endpoints/NAME.yaml, checked against the services. */
extern const struct definition_kind endpoint_definition_kind;

/* --- ready to answer -------------------------------------------------------- */

/* Where a rule finds one of its inputs; an output without a model is null. */
enum rule_source { RULE_SCORE, RULE_OUTPUT, RULE_FEATURE, RULE_REQUEST };
struct rule_input {
    enum rule_source source;
    size_t index;
};

struct endpoint_program {
    struct str decision;
    const struct expression *expression; /* NULL: always */
    struct rule_input *inputs;
    size_t input_count;
};

/* What the definitions say of an endpoint since it was made, where that does not fit its model. */
struct endpoint_update {
    struct endpoint_spec spec;
    struct str why;
};

/* One endpoint as it answers now. */
struct endpoint {
    struct arena *arena; /* everything here lives in it */
    atomic_uint references;
    struct endpoint_spec spec;
    struct feature_plan *plan; /* NULL where features are brought along */
    const struct feature_field *request_fields;
    size_t request_count;
    const struct feature_output *outputs;
    size_t output_count;
    struct model *model; /* NULL until something is deployed */
    size_t *feeds;       /* for each of the model's features, the output that feeds it */
    size_t feed_count;
    const struct tensor_spec *model_outputs;
    size_t model_output_count;
    struct str reply_head;   /* how a reply begins, as JSON: all up to the request's id */
    struct str *output_keys; /* the model outputs' names, as JSON, with the colon */
    int score_output;        /* index, or -1 */
    struct endpoint_program *programs;
    size_t program_count;
    bool is_inline;                           /* fast enough for a loop thread */
    _Atomic(struct endpoint_update *) update; /* NULL: it is as it is defined; set by proxy.c */
    struct metric *lookup_time, *model_time, *rules_time;
    struct metric *fallbacks[FALLBACK_REASONS]; /* none for FALLBACK_NONE */
    struct trouble trouble;
};

/*
 * Takes a plan of the store and a reference to the model, which may be NULL. INVALID when the model
 * is another than the spec names, wants a feature that the service does not have, or a rule does
 * not fit its outputs.
 */
MUST_USE enum status endpoint_new(const struct endpoint_spec *spec, struct feature_store *store,
                                  struct model *model, struct endpoint **out,
                                  struct error *err);
/* What of a service an endpoint needs to know when its features come from elsewhere. */
struct endpoint_shape {
    const struct feature_output *outputs;
    size_t output_count;
    const struct feature_field *request_fields;
    size_t request_count;
};
/* The same without a store, for predict_features(); the shape's arrays must live as long. */
MUST_USE enum status endpoint_new_shaped(const struct endpoint_spec *spec,
                                         const struct endpoint_shape *shape,
                                         struct model *model, struct endpoint **out,
                                         struct error *err);
/* Of a service as it is defined; its strings are the definitions'. */
struct endpoint_shape endpoint_shape_of(struct arena *arena, const struct service *service);
/* Into the arena. */
struct endpoint_spec endpoint_spec_copy(struct arena *arena, const struct endpoint_spec *spec);
/* The type of an output with one value a row, as rules see it; false for the others. */
bool endpoint_output_type(const struct tensor_spec *output, enum value_type *out);
/* When the last reference is gone: see proxy.c. */
void endpoint_free(struct endpoint *endpoint);
