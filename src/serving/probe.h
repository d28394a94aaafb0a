/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A model is tried in a child process before it comes near this one: it may
 * crash its runtime, eat all memory or never come to an end.
 */
#include "base/status.h"

struct probe_limits {
    size_t memory_bytes;
    unsigned timeout_ms;
};

/* Not in a sanitizer's build: its shadow memory is larger than any limit that means something. */
extern const bool probe_limits_memory;

/*
 * The child loads these very bytes and runs a few rows. INVALID tells what went wrong there.
 * *memory_bytes is what the model took of its memory, and kept.
 */
MUST_USE enum status probe_model(struct str bytes, struct str features,
                                 const struct probe_limits *limits, size_t *memory_bytes,
                                 struct error *err);
