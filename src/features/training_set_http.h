/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* POST /api/v1/features/training-set and GET /api/v1/results/{id}. */
#include "features/apply.h"
#include "features/job.h"
#include "net/http.h"

/* What the door is mounted with. */
struct training_set_context {
    struct definition_store *definitions;
    const char *project; /* absolute */
    struct job_limits limits;
};
extern const struct door training_set_door;
