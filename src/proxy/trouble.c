/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/trouble.h"

#include "base/clock.h"
#include "base/log.h"

#define TELL_EVERY_NS (60 * UINT64_C(1000000000))

static const char *const names[FALLBACK_REASONS] = {
    [FALLBACK_NONE] = "none",
    [FALLBACK_TIMEOUT] = "timeout",
    [FALLBACK_NO_MODEL] = "no_model",
    [FALLBACK_NO_FEATURES] = "features_unavailable",
    [FALLBACK_NULL_INPUT] = "null_input",
    [FALLBACK_MODEL_ERROR] = "model_error",
    [FALLBACK_NAN_SCORE] = "nan_score",
    [FALLBACK_RULE_ERROR] = "rule_error",
};

const char *fallback_reason_name(enum fallback_reason reason)
{
    return names[reason];
}

void trouble_init(struct trouble *trouble)
{
    pthread_mutex_init(&trouble->lock, NULL);
}

void trouble_fini(struct trouble *trouble)
{
    pthread_mutex_destroy(&trouble->lock);
}

/* The rows that the log is to hear of now; 0: not yet. */
static uint64_t rows_to_tell(struct trouble *trouble, enum fallback_reason reason, size_t rows)
{
    uint64_t now_ns = clock_monotonic_ns(), told;

    trouble->untold[reason] += rows;
    if (trouble->told_ns[reason] != 0 && now_ns - trouble->told_ns[reason] < TELL_EVERY_NS)
        return 0;
    told = trouble->untold[reason];
    trouble->untold[reason] = 0;
    trouble->told_ns[reason] = now_ns;
    return told;
}

void trouble_note(struct trouble *trouble, struct str endpoint, enum fallback_reason reason,
                  size_t rows, const struct error *why)
{
    uint64_t told;

    pthread_mutex_lock(&trouble->lock);
    trouble->reason = reason;
    trouble->time_us = clock_now_us();
    trouble->why = *why;
    told = rows_to_tell(trouble, reason, rows);
    pthread_mutex_unlock(&trouble->lock);
    if (told > 0)
        log_warn("proxy: endpoint '" STR_FMT "' answered %llu row%s with its fallback (%s): %s",
                 STR_ARG(endpoint), (unsigned long long)told, told == 1 ? "" : "s",
                 names[reason], why->message);
}

bool trouble_last(struct trouble *trouble, enum fallback_reason *reason, int64_t *time_us,
                  struct error *why)
{
    pthread_mutex_lock(&trouble->lock);
    *reason = trouble->reason;
    *time_us = trouble->time_us;
    *why = trouble->why;
    pthread_mutex_unlock(&trouble->lock);
    return *reason != FALLBACK_NONE;
}
