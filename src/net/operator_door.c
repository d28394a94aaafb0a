/* SPDX-License-Identifier: Apache-2.0 */
#include "net/operator_door.h"

#include "net/metrics.h"

#include <stdio.h>
#include <unistd.h>

static enum status on_health(struct request *req, struct response *res, struct error *err)
{
    (void)req;
    (void)err;
    return response_json(res, 200, STR("{\"status\":\"alive\"}"));
}

bool server_is_ready(const struct server *server, struct error *why)
{
    if (atomic_load(&server->draining)) {
        error_set(why, STATUS_UNAVAILABLE, "the server is going away");
        return false;
    }
    return server->config.readiness == NULL ||
           server->config.readiness(server->config.readiness_context, why);
}

static enum status on_ready(struct request *req, struct response *res, struct error *err)
{
    if (!server_is_ready(req->context, err)) {
        err->status = STATUS_UNAVAILABLE;
        return STATUS_UNAVAILABLE;
    }
    return response_json(res, 200, STR("{\"status\":\"ready\"}"));
}

static enum status on_metrics(struct request *req, struct response *res, struct error *err)
{
    struct buffer text = { 0 };

    (void)req;
    (void)err;
    metrics_write(&text);
    response_bytes(res, 200, "text/plain; version=0.0.4; charset=utf-8", buffer_str(&text));
    buffer_free(&text);
    return STATUS_OK;
}

static enum status on_openapi(struct request *req, struct response *res, struct error *err)
{
    const struct server *server = req->context;

    (void)err;
    return response_json(res, 200, router_openapi(server->router, req->arena));
}

static const struct route routes[] = {
    { "GET", "/healthz", on_health, INLINE, PERMIT_ANYONE,
      .summary = "Whether the process answers at all" },
    { "GET", "/readyz", on_ready, INLINE, PERMIT_ANYONE,
      .summary = "Whether requests should be sent here; 503 says what is missing" },
    /* When all workers are busy it is wanted most. */
    { "GET", "/metrics", on_metrics, INLINE, PERMIT_VIEW,
      .summary = "Numbers in Prometheus' text format" },
    { "GET", "/openapi.json", on_openapi, DEFERRED, PERMIT_VIEW,
      .summary = "This description" },
    ROUTES_END,
};

const struct door operator_door = { .name = "operator", .routes = routes };

#define QUEUE "onggi_http_worker_queue", "Requests that wait for a worker."

static double connections(void *context)
{
    return (double)server_connections(context);
}

static double control_waiting(void *context)
{
    const struct server *server = context;

    return (double)workers_waiting(server->workers, LANE_CONTROL);
}

static double decisions_waiting(void *context)
{
    const struct server *server = context;

    return (double)workers_waiting(server->workers, LANE_DECISION);
}

/* Of /proc/self/statm: pages, of which the second number is resident. */
static double resident_bytes(void *context)
{
    unsigned long total, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    (void)context;
    if (file == NULL)
        return 0;
    if (fscanf(file, "%lu %lu", &total, &resident) != 2)
        resident = 0;
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

void operator_metrics(struct server *server)
{
    metric_observed("onggi_http_connections", "Open connections.", "", connections, server);
    metric_observed(QUEUE, "lane=\"control\"", control_waiting, server);
    metric_observed(QUEUE, "lane=\"decision\"", decisions_waiting, server);
    metric_observed("process_resident_memory_bytes", "Memory in use.", "", resident_bytes,
                    NULL);
    server->loop_lag = metric_histogram("onggi_http_loop_lag_seconds",
                                        "How late the loops' timers come: what blocks them.",
                                        "");
}

void operator_metrics_end(void)
{
    metric_observed("onggi_http_connections", "Open connections.", "", NULL, NULL);
    metric_observed(QUEUE, "lane=\"control\"", NULL, NULL);
    metric_observed(QUEUE, "lane=\"decision\"", NULL, NULL);
}
