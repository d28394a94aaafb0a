/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* POST /api/v1/features/training-set and GET /api/v1/results/{id}. */
#include "features/apply.h"
#include "features/job.h"
#include "features/training_set.h"
#include "net/http.h"

/* What the door is mounted with. */
struct training_set_context {
    struct definition_store *definitions;
    const char *project; /* absolute */
    struct job_limits limits;
};
extern const struct door training_set_door;

/*
 * A door of another that asks and answers in the same way: the entity rows come as the body or as
 * SQL in it, the result is a file to be fetched.
 */
struct training_set_visit {
    struct request *req;
    struct training_set_request asked;
    bool names_service;  /* the caller says which, in the query or the body */
    bool keeps_features; /* "features", asked for only where no service is named */
    yyjson_mut_doc *doc;
    yyjson_mut_val *answer; /* more may be added to it */
};
/* Makes what is asked, with training_set_build; the context is the caller's. */
typedef enum status (*training_set_make)(void *context, struct training_set_visit *visit,
                                         struct training_set_result *out, struct error *err);
MUST_USE enum status training_set_serve(struct request *req, struct response *res,
                                        const struct training_set_context *shared,
                                        bool names_service, training_set_make make,
                                        void *context, struct error *err);
