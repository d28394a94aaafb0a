/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Predictions in batch: entity rows go the road of a training set, so that
 * features are as of each row's time, and then the endpoint's, through the
 * model and the rules that answer online now. docs/endpoints.md says what comes out.
 */
#include "features/training_set_http.h"
#include "proxy/proxy.h"
#include "registry/registry.h"

struct score_context {
    struct training_set_context shared; /* definitions, project, limits of the job */
    struct proxy *proxy;                /* says which version is deployed */
    struct registry *registry;          /* has its file */
};

struct score_request {
    struct str endpoint;
    bool keeps_features;
    struct training_set_request set; /* without service, kind and stage */
};

struct score_result {
    struct training_set_result set; /* of the file */
    struct str model;
    int64_t version;
};

/* NOT_FOUND for an unknown endpoint, UNAVAILABLE where no model is deployed; else as training_set_build. */
MUST_USE enum status score_build(const struct score_context *context, struct arena *arena,
                                 const struct score_request *request, struct score_result *out,
                                 struct error *err);

/* POST /api/v1/endpoints/{endpoint}/score; the context is a struct score_context. */
extern const struct door score_door;
/* The job kind "score". */
extern const struct job_kind score_job;
