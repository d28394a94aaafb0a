/* SPDX-License-Identifier: Apache-2.0 */
#include "net/route_stats.h"

#include <stdatomic.h>
#include <stdio.h>

/* Those we send, and 499 for a client that left; any other counts as its class' first. */
static const int codes[] = { 200, 201, 202, 204, 206, 300, 304, 400, 401, 403,
                             404, 405, 408, 409, 411, 413, 414, 415, 417, 422,
                             429, 431, 499, 500, 501, 502, 503, 504, 505 };
#define CODES ARRAY_LEN(codes)

struct route_stats {
    const char *method;
    const char *path;
    struct metric *latency;
    _Atomic(struct metric *) by_code[CODES]; /* made when first wanted */
};

struct route_stats *route_stats_new(struct arena *arena, const char *method, const char *path)
{
    struct route_stats *stats = ARENA_NEW(arena, struct route_stats);
    struct str labels = arena_printf(arena, "method=\"%s\",route=\"%s\"", method, path);

    stats->method = method;
    stats->path = path;
    stats->latency = metric_histogram(
        "onggi_http_request_seconds",
        "From the whole head to the reply's last byte handed over.", labels.data);
    return stats;
}

static size_t index_of(int code)
{
    size_t i = 0;

    while (i < CODES && codes[i] != code)
        i++;
    return i < CODES ? i : index_of(code < 200 || code > 599 ? 500 : code / 100 * 100);
}

static struct metric *counter_of(struct route_stats *stats, size_t index)
{
    struct metric *counter = atomic_load_explicit(&stats->by_code[index], memory_order_acquire);
    char labels[256];

    if (counter != NULL)
        return counter;
    snprintf(labels, sizeof(labels), "method=\"%s\",route=\"%s\",status=\"%d\"", stats->method,
             stats->path, codes[index]);
    counter = metric_counter("onggi_http_requests_total", "Requests answered.", labels);
    atomic_store_explicit(&stats->by_code[index], counter, memory_order_release);
    return counter;
}

void route_stats_record(struct route_stats *stats, int code, uint64_t ns)
{
    metric_add(counter_of(stats, index_of(code)), 1);
    metric_record_ns(stats->latency, ns);
}
