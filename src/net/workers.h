/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Threads for what may block. Most of them take whatever came first; some take
 * decisions only, so that slow work of another kind cannot keep those waiting.
 * A piece of work that turns out to stream for long leaves the count, and
 * another thread takes its place, so that watchers of logs do not starve the rest.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct workers;

enum work_lane {
    LANE_CONTROL,
    LANE_DECISION,
};

struct work {
    void (*run)(struct work *work);
    struct work *next;
    uint64_t order; /* among those of both lanes */
};

struct workers_config {
    unsigned count;    /* threads for both lanes */
    unsigned reserved; /* threads for decisions only */
    size_t queue_max;  /* of each lane */
    size_t long_max;
};

struct workers *workers_new(const struct workers_config *config);
/* Waits for what is queued and running. */
void workers_free(struct workers **workers);
/* False when the lane's queue is full. The memory is the caller's until run() has it. */
bool workers_submit(struct workers *workers, enum work_lane lane, struct work *work);
/* From inside run(), once: this piece takes long. False when too many do. */
bool workers_begin_long(struct workers *workers);
size_t workers_waiting(struct workers *workers, enum work_lane lane);
