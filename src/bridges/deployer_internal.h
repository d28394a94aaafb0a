/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of the deployer share. */
#include "bridges/deployer.h"

#include <pthread.h>
#include <stdatomic.h>

struct deployer {
    struct registry *registry;
    struct serving *serving;
    struct proxy *proxy;
    bool has_started;      /* what is deployed was loaded, as far as it can be */
    atomic_size_t missing; /* deployments that should be served, and are not */
    pthread_mutex_t
        one_at_a_time; /* the order on disk is the order in which endpoints change */
};

/* The current one of each endpoint. What cannot be read is told in the log, and is nothing. */
size_t deployer_deployments(struct deployer *deployer, struct arena *arena,
                            struct deployment **out);
/* model empty: becomes the endpoint's own; else INVALID if that is another. NOT_FOUND names the nearest endpoint. */
MUST_USE enum status deployer_model_of_endpoint(struct deployer *deployer, struct arena *arena,
                                                struct str endpoint, struct str *model,
                                                struct error *err);
/*
 * The model of a deployment, to be given back. In a process that serves nothing it is loaded for
 * this; elsewhere one that is not loaded serves nowhere, and is NOT_FOUND.
 */
MUST_USE enum status deployer_borrow_model(struct deployer *deployer, struct arena *arena,
                                           const struct deployment *deployment,
                                           struct model **out, struct error *err);
void deployer_return_model(struct deployer *deployer, struct arena *arena,
                           struct model **model);
