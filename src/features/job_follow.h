/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The progress of a job as events of the request that asked for it, and its end when nobody reads them. */
#include "features/job.h"
#include "net/http.h"

struct job_following {
    struct request *req;
    struct response *res;
    bool is_gone; /* nobody reads the events any more */
};

/* Both take a struct job_following, in the thread that runs the job; as job.h wants them. */
void job_follow_progress(void *following, struct str phase, uint64_t done, uint64_t total);
bool job_follow_is_cancelled(void *following);
