/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Why an endpoint fell back: the last time, for who looks, and the log, which
 * hears of each reason once a minute and how often it was since. Any thread.
 */
#include "base/arena.h"
#include "base/status.h"

#include <pthread.h>

enum fallback_reason {
    FALLBACK_NONE,
    FALLBACK_TIMEOUT,
    FALLBACK_NO_MODEL,
    FALLBACK_NO_FEATURES, /* the online store did not answer */
    FALLBACK_NULL_INPUT,  /* a null for an input that cannot be NaN */
    FALLBACK_MODEL_ERROR,
    FALLBACK_NAN_SCORE,
    FALLBACK_RULE_ERROR, /* a rule could not be worked out */
    FALLBACK_REASONS,
};
const char *fallback_reason_name(enum fallback_reason reason);

struct trouble {
    pthread_mutex_t lock;
    enum fallback_reason reason; /* of the last time; FALLBACK_NONE: never */
    int64_t time_us;
    struct error why;
    uint64_t told_ns[FALLBACK_REASONS]; /* when the log last heard of it; 0: never */
    uint64_t untold[FALLBACK_REASONS];  /* rows since */
};

void trouble_init(struct trouble *trouble);
void trouble_fini(struct trouble *trouble);
void trouble_note(struct trouble *trouble, struct str endpoint, enum fallback_reason reason,
                  size_t rows, const struct error *why);
/* False if there never was any. The error is copied. */
bool trouble_last(struct trouble *trouble, enum fallback_reason *reason, int64_t *time_us,
                  struct error *why);
