/* SPDX-License-Identifier: Apache-2.0 */
#include "net/outbound.h"
#include "net/request_head.h"

#include "base/clock.h"

#include <stdlib.h>

#define CONNECTIONS_MAX 32
#define IDLE_MS 30000
#define CONNECT_MS 5000
#define ANSWER_MAX ((size_t)64 << 20)
/* How exact deadlines are. */
#define TICK_MS 10

static void *must_calloc(size_t size)
{
    void *memory = calloc(1, size);

    if (memory == NULL)
        abort();
    return memory;
}

void call_end(struct outgoing_call *call, const struct http_answer *answer,
              const struct error *err)
{
    call->done(call->context, answer, err);
    arena_free(call->arena);
}

static void host_free(struct host *host)
{
    SSL_SESSION_free(host->session);
    SSL_CTX_free(host->context);
    free(host->ca_file);
    free(host);
}

void client_release(struct http_client *client)
{
    if (--client->handles > 0)
        return;
    while (client->hosts != NULL) {
        struct host *host = client->hosts;

        client->hosts = host->next;
        host_free(host);
    }
    free(client);
}

static struct outgoing_call *take_first(struct host *host)
{
    struct outgoing_call *call = host->first;

    host->first = call->next;
    if (host->first == NULL)
        host->last = &host->first;
    call->next = NULL;
    return call;
}

static void fail_later(struct http_client *client, struct outgoing_call *call)
{
    call->next = client->failed;
    client->failed = call;
}

static struct outbound *find_idle(const struct host *host)
{
    struct outbound *outbound = host->connections;

    while (outbound != NULL && outbound->state != OUTBOUND_IDLE)
        outbound = outbound->next;
    return outbound;
}

static void begin_call(struct host *host, struct outgoing_call *call)
{
    if (outbound_open(host, call, &call->err) != STATUS_OK)
        fail_later(host->client, call);
}

/* Gives those in line a kept connection, or a new one while there may be more. */
void host_dispatch(struct host *host)
{
    while (host->first != NULL) {
        struct outbound *idle = find_idle(host);

        if (idle == NULL && host->count >= host->client->config.connections_max)
            return;
        if (idle == NULL)
            begin_call(host, take_first(host));
        else
            outbound_send(idle, take_first(host));
    }
}

static void end_failed(struct http_client *client)
{
    while (client->failed != NULL) {
        struct outgoing_call *call = client->failed;

        client->failed = call->next;
        call_end(call, NULL, &call->err);
    }
}

/* Those whose time is over leave the line. */
static void sweep_line(struct host *host, uint64_t now_ns)
{
    struct outgoing_call **at = &host->first;

    while (*at != NULL) {
        struct outgoing_call *call = *at;

        if (call->deadline_ns == 0 || now_ns < call->deadline_ns) {
            at = &call->next;
            continue;
        }
        *at = call->next;
        error_set(&call->err, STATUS_TIMEOUT, "%s:%s: no connection was free in time",
                  host->url.host, host->url.port);
        fail_later(host->client, call);
    }
    host->last = at;
}

static void sweep_connection(struct outbound *outbound, uint64_t now_ns)
{
    const struct outgoing_call *call = outbound->call;
    struct error err;

    if (outbound->state == OUTBOUND_IDLE && now_ns > outbound->until_ns) {
        outbound_close(outbound);
    } else if (outbound->state == OUTBOUND_CONNECTING && now_ns > outbound->until_ns) {
        error_set(&err, STATUS_TIMEOUT, "%s",
                  outbound->ssl == NULL ? "no connection in time"
                                        : "TLS handshake: no answer in time");
        outbound_fail(outbound, &err);
    } else if (call != NULL && call->deadline_ns != 0 && now_ns > call->deadline_ns) {
        error_set(&err, STATUS_TIMEOUT, "no answer in time");
        outbound_fail(outbound, &err);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct http_client *client = container_of(timer, struct http_client, tick);
    uint64_t now_ns = clock_monotonic_ns();
    bool is_quiet = true;

    for (struct host *host = client->hosts; host != NULL; host = host->next) {
        struct outbound *next;

        sweep_line(host, now_ns);
        for (struct outbound *outbound = host->connections; outbound != NULL; outbound = next) {
            next = outbound->next;
            sweep_connection(outbound, now_ns);
        }
        is_quiet = is_quiet && host->first == NULL && host->count == 0;
    }
    end_failed(client);
    if (is_quiet && client->failed == NULL && !client->is_ending)
        uv_timer_stop(&client->tick);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool is_for(const struct host *host, const struct url *url, const char *ca_file)
{
    return host->url.is_tls == url->is_tls && strcmp(host->url.host, url->host) == 0 &&
           strcmp(host->url.port, url->port) == 0 && same_text(host->ca_file, ca_file);
}

static struct host *host_put(struct http_client *client, const struct url *url,
                             const char *ca_file)
{
    struct host **at = &client->hosts;

    while (*at != NULL && !is_for(*at, url, ca_file))
        at = &(*at)->next;
    if (*at == NULL) {
        *at = must_calloc(sizeof(**at));
        (*at)->client = client;
        (*at)->url = *url;
        (*at)->ca_file = ca_file == NULL ? NULL : strdup(ca_file);
        (*at)->last = &(*at)->first;
    }
    return *at;
}

static struct outgoing_call *call_new(const struct http_options *options, http_done done,
                                      void *context)
{
    struct arena *arena = arena_new();
    struct outgoing_call *call = ARENA_NEW(arena, struct outgoing_call);
    const char *method = request_method(options);

    call->arena = arena;
    call->done = done;
    call->context = context;
    call->is_head = strcmp(method, "HEAD") == 0;
    call->is_safe = call->is_head || strcmp(method, "GET") == 0 || strcmp(method, "PUT") == 0 ||
                    strcmp(method, "DELETE") == 0;
    call->answer_max = options->answer_max == 0 ? ANSWER_MAX : options->answer_max;
    call->connect_ms = options->connect_ms == 0 ? CONNECT_MS : options->connect_ms;
    if (options->timeout_ms != 0)
        call->deadline_ns = clock_monotonic_ns() + options->timeout_ms * UINT64_C(1000000);
    return call;
}

/* Head and body in one piece, so that they leave in one write. */
static struct str request_write(struct arena *arena, const struct url *url,
                                const struct http_options *options)
{
    struct str head = request_head_write(arena, url, options, options->body.len, true);
    char *whole = arena_alloc(arena, head.len + options->body.len);

    memcpy(whole, head.data, head.len);
    if (options->body.len > 0)
        memcpy(whole + head.len, options->body.data, options->body.len);
    return (struct str){ whole, head.len + options->body.len };
}

void http_client_call(struct http_client *client, const char *text,
                      const struct http_options *options, http_done done, void *context)
{
    struct outgoing_call *call = call_new(options, done, context);
    struct url url;
    struct host *host;

    if (!uv_is_active((uv_handle_t *)&client->tick))
        uv_timer_start(&client->tick, on_tick, TICK_MS, TICK_MS);
    if (url_parse(str_from(text), &url, &call->err) != STATUS_OK) {
        fail_later(client, call);
        return;
    }
    call->request = request_write(call->arena, &url, options);
    host = host_put(client, &url, url.is_tls ? options->ca_file : NULL);
    *host->last = call;
    host->last = &call->next;
    host_dispatch(host);
}

struct http_client *http_client_new(uv_loop_t *loop, const struct http_client_config *config)
{
    struct http_client *client = must_calloc(sizeof(*client));

    client->loop = loop;
    client->config = *config;
    if (client->config.connections_max == 0)
        client->config.connections_max = CONNECTIONS_MAX;
    if (client->config.idle_ms == 0)
        client->config.idle_ms = IDLE_MS;
    uv_timer_init(loop, &client->tick);
    client->handles = 1;
    return client;
}

static void on_tick_closed(uv_handle_t *handle)
{
    client_release(container_of((uv_timer_t *)handle, struct http_client, tick));
}

static void end_line(struct host *host)
{
    while (host->first != NULL) {
        struct outgoing_call *call = take_first(host);

        error_set(&call->err, STATUS_UNAVAILABLE, "the client ends");
        fail_later(host->client, call);
    }
}

void http_client_free(struct http_client **pointer)
{
    struct http_client *client = *pointer;
    struct error err;

    if (client == NULL)
        return;
    *pointer = NULL;
    client->is_ending = true;
    for (struct host *host = client->hosts; host != NULL; host = host->next) {
        end_line(host);
        for (struct outbound *at = host->connections; at != NULL; at = at->next) {
            error_set(&err, STATUS_UNAVAILABLE, "the client ends");
            outbound_fail(at, &err);
        }
    }
    end_failed(client);
    uv_close((uv_handle_t *)&client->tick, on_tick_closed);
}
