/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What /metrics says of one route: requests by status, and how long they took. */
#include "net/metrics.h"

struct route_stats;

/* path is the pattern of the route, never what a stranger asked for. */
struct route_stats *route_stats_new(struct arena *arena, const char *method, const char *path);
void route_stats_record(struct route_stats *stats, int code, uint64_t ns);
