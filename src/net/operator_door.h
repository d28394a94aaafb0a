/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* /healthz, /readyz, /metrics and /openapi.json: what every server has. */
#include "net/loop.h"

extern const struct door operator_door; /* its context is the server */
/* Gauges that are read when /metrics is. */
void operator_metrics(struct server *server);
void operator_metrics_end(void);
