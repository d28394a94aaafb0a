/* SPDX-License-Identifier: Apache-2.0 */
#include "net/metrics.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define SHARDS 8
/* A quarter of a microsecond, then two buckets to each doubling, up to 64 s; the last has no end. */
#define STEP_NS 250
#define BUCKETS 58

enum metric_kind {
    METRIC_COUNTER,
    METRIC_GAUGE,
    METRIC_HISTOGRAM,
    METRIC_OBSERVED,
};

struct shard {
    _Alignas(64) atomic_uint_fast64_t sum; /* the count, or nanoseconds */
    atomic_uint_fast64_t *buckets;         /* NULL unless a histogram */
};

struct metric {
    char *labels;
    enum metric_kind kind;
    struct shard shards[SHARDS];
    metric_source source;
    void *context;
    struct metric *next; /* of the family */
};

struct family {
    char *name;
    char *help;
    struct metric *first;
    struct family *next;
};

static pthread_mutex_t families_lock = PTHREAD_MUTEX_INITIALIZER;
static struct family *families;

static struct shard *own_shard(struct metric *metric)
{
    static atomic_uint threads;
    static _Thread_local unsigned mine; /* counts from 1 */

    if (mine == 0)
        mine = 1 + atomic_fetch_add(&threads, 1) % SHARDS;
    return &metric->shards[mine - 1];
}

static void *must(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "onggi: out of memory for metrics\n");
        abort();
    }
    return memory;
}

static struct metric *metric_new(enum metric_kind kind, const char *labels)
{
    size_t size = (sizeof(struct metric) + 63) & ~(size_t)63;
    struct metric *metric = must(aligned_alloc(64, size));

    memset(metric, 0, size);
    metric->kind = kind;
    metric->labels = must(strdup(labels));
    for (size_t i = 0; kind == METRIC_HISTOGRAM && i < SHARDS; i++)
        metric->shards[i].buckets = must(calloc(BUCKETS, sizeof(*metric->shards[i].buckets)));
    return metric;
}

static struct family *family_put(const char *name, const char *help)
{
    struct family **at = &families;

    while (*at != NULL && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    if (*at == NULL) {
        *at = must(calloc(1, sizeof(**at)));
        (*at)->name = must(strdup(name));
        (*at)->help = must(strdup(help));
    }
    return *at;
}

static struct metric *metric_put(enum metric_kind kind, const char *name, const char *help,
                                 const char *labels)
{
    struct metric **at;

    pthread_mutex_lock(&families_lock);
    at = &family_put(name, help)->first;
    while (*at != NULL && strcmp((*at)->labels, labels) != 0)
        at = &(*at)->next;
    if (*at == NULL)
        *at = metric_new(kind, labels);
    assert((*at)->kind == kind);
    pthread_mutex_unlock(&families_lock);
    return *at;
}

struct metric *metric_counter(const char *name, const char *help, const char *labels)
{
    return metric_put(METRIC_COUNTER, name, help, labels);
}

struct metric *metric_gauge(const char *name, const char *help, const char *labels)
{
    return metric_put(METRIC_GAUGE, name, help, labels);
}

struct metric *metric_histogram(const char *name, const char *help, const char *labels)
{
    return metric_put(METRIC_HISTOGRAM, name, help, labels);
}

void metric_observed(const char *name, const char *help, const char *labels,
                     metric_source source, void *context)
{
    struct metric *metric = metric_put(METRIC_OBSERVED, name, help, labels);

    pthread_mutex_lock(&families_lock);
    metric->source = source;
    metric->context = context;
    pthread_mutex_unlock(&families_lock);
}

void metric_add(struct metric *metric, uint64_t count)
{
    atomic_fetch_add_explicit(&own_shard(metric)->sum, count, memory_order_relaxed);
}

void metric_change(struct metric *metric, int64_t by)
{
    metric_add(metric, (uint64_t)by); /* the shards wrap, their sum does not */
}

static size_t bucket_of(uint64_t ns)
{
    uint64_t steps = ns / STEP_NS;
    size_t power, bucket;

    if (steps < 2)
        return (size_t)steps;
    power = 63 - (size_t)__builtin_clzll(steps);
    bucket = 2 * power + ((steps >> (power - 1)) & 1);
    return bucket < BUCKETS - 1 ? bucket : BUCKETS - 1;
}

/* The first duration that is in the next bucket. */
static uint64_t bucket_end_ns(size_t bucket)
{
    if (bucket < 2)
        return STEP_NS * (bucket + 1);
    return bucket % 2 == 0 ? (STEP_NS * UINT64_C(3)) << (bucket / 2 - 1)
                           : (STEP_NS * UINT64_C(2)) << (bucket / 2);
}

void metric_record_ns(struct metric *metric, uint64_t ns)
{
    struct shard *shard = own_shard(metric);

    atomic_fetch_add_explicit(&shard->sum, ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&shard->buckets[bucket_of(ns)], 1, memory_order_relaxed);
}

static uint64_t sum_of(const struct metric *metric)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < SHARDS; i++)
        sum += atomic_load_explicit(&metric->shards[i].sum, memory_order_relaxed);
    return sum;
}

static uint64_t bucket_count(const struct metric *metric, size_t bucket)
{
    uint64_t count = 0;

    for (size_t i = 0; i < SHARDS; i++)
        count += atomic_load_explicit(&metric->shards[i].buckets[bucket], memory_order_relaxed);
    return count;
}

uint64_t metric_total(const struct metric *metric)
{
    uint64_t total = 0;

    if (metric->kind != METRIC_HISTOGRAM)
        return sum_of(metric);
    for (size_t i = 0; i < BUCKETS; i++)
        total += bucket_count(metric, i);
    return total;
}

uint64_t metric_quantile_ns(const struct metric *metric, double quantile)
{
    double wanted = quantile * (double)metric_total(metric);
    uint64_t seen = 0;

    for (size_t i = 0; i < BUCKETS; i++) {
        seen += bucket_count(metric, i);
        if (seen > 0 && (double)seen >= wanted)
            return bucket_end_ns(i);
    }
    return 0;
}

static void write_histogram(struct buffer *out, const char *name, const struct metric *metric)
{
    const char *comma = metric->labels[0] == '\0' ? "" : ",";
    const char *open = metric->labels[0] == '\0' ? "" : "{";
    const char *close = metric->labels[0] == '\0' ? "" : "}";
    uint64_t seen = 0;

    for (size_t i = 0; i + 1 < BUCKETS; i++) {
        seen += bucket_count(metric, i);
        buffer_printf(out, "%s_bucket{%s%sle=\"%.9g\"} %llu\n", name, metric->labels, comma,
                      (double)bucket_end_ns(i) / 1e9, (unsigned long long)seen);
    }
    seen += bucket_count(metric, BUCKETS - 1);
    buffer_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, metric->labels, comma,
                  (unsigned long long)seen);
    buffer_printf(out, "%s_sum%s%s%s %.9g\n", name, open, metric->labels, close,
                  (double)sum_of(metric) / 1e9);
    buffer_printf(out, "%s_count%s%s%s %llu\n", name, open, metric->labels, close,
                  (unsigned long long)seen);
}

static void write_number(struct buffer *out, const char *name, const struct metric *metric)
{
    const char *open = metric->labels[0] == '\0' ? "" : "{";
    const char *close = metric->labels[0] == '\0' ? "" : "}";

    buffer_printf(out, "%s%s%s%s ", name, open, metric->labels, close);
    if (metric->kind == METRIC_COUNTER)
        buffer_printf(out, "%llu\n", (unsigned long long)sum_of(metric));
    else if (metric->kind == METRIC_GAUGE)
        buffer_printf(out, "%lld\n", (long long)sum_of(metric));
    else
        buffer_printf(out, "%.15g\n", metric->source(metric->context));
}

static bool has_moved(const struct metric *metric)
{
    if (metric->kind == METRIC_OBSERVED)
        return metric->source != NULL;
    return metric->kind == METRIC_GAUGE || metric_total(metric) > 0;
}

static void write_family(struct buffer *out, const struct family *family)
{
    static const char *const types[] = { "counter", "gauge", "histogram", "gauge" };
    bool introduced = false;

    for (const struct metric *metric = family->first; metric != NULL; metric = metric->next) {
        if (!has_moved(metric))
            continue;
        if (!introduced)
            buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help,
                          family->name, types[metric->kind]);
        introduced = true;
        if (metric->kind == METRIC_HISTOGRAM)
            write_histogram(out, family->name, metric);
        else
            write_number(out, family->name, metric);
    }
}

void metrics_write(struct buffer *out)
{
    pthread_mutex_lock(&families_lock);
    for (const struct family *family = families; family != NULL; family = family->next)
        write_family(out, family);
    pthread_mutex_unlock(&families_lock);
}
