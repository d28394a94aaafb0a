/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Threads for what may block. A fixed number works off one queue; a piece of
 * work that turns out to stream for long leaves the count, and another thread
 * takes its place, so that watchers of logs do not starve the rest.
 */
#include <stdbool.h>
#include <stddef.h>

struct workers;

struct work {
    void (*run)(struct work *work);
    struct work *next;
};

struct workers *workers_new(unsigned count, size_t queue_max, size_t long_max);
/* Waits for what is queued and running. */
void workers_free(struct workers **workers);
/* False when the queue is full. The memory is the caller's until run() has it. */
bool workers_submit(struct workers *workers, struct work *work);
/* From inside run(), once: this piece takes long. False when too many do. */
bool workers_begin_long(struct workers *workers);
size_t workers_waiting(struct workers *workers);
