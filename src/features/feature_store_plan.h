/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* For the files of the feature store. Callers include feature_store.h. */
#include "features/apply.h"
#include "features/feature_store_view.h"
#include "features/job.h"

#include <pthread.h>
#include <stdatomic.h>

struct feature_store {
    struct arena *arena; /* it lives in it */
    struct definition_store *definitions;
    const char *project;
    struct online_store *online;
    struct str online_location; /* absolute: jobs open it too */
    struct job_limits limits;
    pthread_mutex_t lock;       /* of the list of plans */
    struct feature_plan *plans; /* of the definitions that plans_revision names */
    int64_t plans_revision;
};

struct plan_source {
    struct stored_view stored;
    const struct plan_view *view;
};

struct feature_plan {
    struct arena *arena; /* it lives in it */
    atomic_uint references;
    struct feature_plan *next; /* in the store's list, which holds a reference */
    struct feature_store *store;
    const struct definitions *definitions;
    int64_t revision;
    const struct service *service;
    const struct plan *plan;
    struct plan_source *sources; /* plan->view_count of them, as of the next */
    struct online_view **views;
    struct feature_field *keys;
    struct feature_field *request;
    struct feature_output *outputs;
};

/* Under the store's lock. */
void feature_store_drop_plans(struct feature_store *store);
/* The rows of views that are no more; what fails is logged, since nobody waits for it. */
void feature_store_forget_views(struct feature_store *store,
                                const struct definitions *definitions);
