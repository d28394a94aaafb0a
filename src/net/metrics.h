/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Numbers for Prometheus. Counting is lock-free and costs nanoseconds: each
 * thread adds in a shard of its own, reading sums them up. Metrics are made
 * at start and live as long as the process; the same name and labels give
 * the same metric again.
 */
#include "base/arena.h"
#include "base/buffer.h"

struct metric;

/* labels: "stage=\"lookup\"" or ""; text from strangers has no place there, or series never end. */
struct metric *metric_counter(const char *name, const char *help, const char *labels);
struct metric *metric_gauge(const char *name, const char *help, const char *labels);
/* Durations, in buckets of half powers of two from a microsecond to a minute. */
struct metric *metric_histogram(const char *name, const char *help, const char *labels);
/* Read when somebody asks; the function may be called from any thread. */
typedef double (*metric_source)(void *context);
void metric_observed(const char *name, const char *help, const char *labels,
                     metric_source source, void *context);

void metric_add(struct metric *metric, uint64_t count);    /* counters */
void metric_change(struct metric *metric, int64_t by);     /* gauges */
void metric_record_ns(struct metric *metric, uint64_t ns); /* histograms */

uint64_t metric_total(const struct metric *metric); /* counter, gauge, or samples */
uint64_t metric_quantile_ns(const struct metric *metric,
                            double quantile); /* bucket's upper end */

/* All of them as Prometheus text; metrics that never moved are left out. */
void metrics_write(struct buffer *out);
