/* SPDX-License-Identifier: Apache-2.0 */
#include "net/answer_reader.h"
#include "net/request_head.h"

#include "base/clock.h"

#include <stdlib.h>

#define CONNECTIONS_MAX 32
#define IDLE_MS 30000
#define CONNECT_MS 5000
#define ANSWER_MAX ((size_t)64 << 20)
/* How exact deadlines are. */
#define TICK_MS 10
#define READ_BUFFER ((size_t)64 << 10)

/* One call: waits in its host's line, or is on a connection. */
struct outgoing_call {
    struct outgoing_call *next;
    struct arena *arena;
    struct str request;   /* head and body */
    uint64_t deadline_ns; /* 0: none */
    unsigned connect_ms;
    size_t answer_max;
    bool is_head;
    bool is_safe;   /* may be sent twice */
    bool was_tried; /* on a kept connection, in vain */
    http_done done;
    void *context;
    struct error err; /* of one that failed before it began */
};

enum outbound_state {
    OUTBOUND_CONNECTING,
    OUTBOUND_BUSY,
    OUTBOUND_IDLE,
    OUTBOUND_CLOSING,
};

struct outbound {
    struct outbound *next;
    struct host *host;
    enum outbound_state state;
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_getaddrinfo_t lookup;
    uv_write_t write;
    struct answer_reader reader;
    struct outgoing_call *call;
    bool is_fresh; /* has not answered yet */
    bool is_looking_up;
    bool has_answered; /* a byte of this answer has come */
    uint64_t until_ns; /* connected by then, or idle until then */
};

struct host {
    struct host *next;
    struct http_client *client;
    struct url url; /* its views are not used */
    struct outbound *connections;
    size_t count;
    struct outgoing_call *first;
    struct outgoing_call **last;
};

struct http_client {
    uv_loop_t *loop;
    struct http_client_config config;
    uv_timer_t tick;
    struct host *hosts;
    struct outgoing_call *failed; /* told at the next tick, never inside http_client_call */
    size_t handles;               /* that are not closed yet */
    bool is_ending;
    char read_buffer[READ_BUFFER];
};

static void dispatch(struct host *host);

static void *must_calloc(size_t size)
{
    void *memory = calloc(1, size);

    if (memory == NULL)
        abort();
    return memory;
}

/* Tells the caller and forgets the call. */
static void call_end(struct outgoing_call *call, const struct http_answer *answer,
                     const struct error *err)
{
    call->done(call->context, answer, err);
    arena_free(call->arena);
}

static void client_release(struct http_client *client)
{
    if (--client->handles > 0)
        return;
    while (client->hosts != NULL) {
        struct host *host = client->hosts;

        client->hosts = host->next;
        free(host);
    }
    free(client);
}

static void outbound_release(struct outbound *outbound)
{
    struct host *host = outbound->host;
    struct outbound **at = &host->connections;

    while (*at != outbound)
        at = &(*at)->next;
    *at = outbound->next;
    host->count--;
    answer_reader_fini(&outbound->reader);
    free(outbound);
    if (!host->client->is_ending)
        dispatch(host);
    client_release(host->client);
}

static void on_closed(uv_handle_t *handle)
{
    outbound_release(container_of((uv_tcp_t *)handle, struct outbound, tcp));
}

static void outbound_close(struct outbound *outbound)
{
    if (outbound->state == OUTBOUND_CLOSING)
        return;
    outbound->state = OUTBOUND_CLOSING;
    /* A lookup under way refers to us: its callback closes the rest. */
    if (outbound->is_looking_up)
        uv_cancel((uv_req_t *)&outbound->lookup);
    else
        uv_close((uv_handle_t *)&outbound->tcp, on_closed);
}

/* The call goes back to the head of the line, once, if asking twice does no harm. */
static bool try_again(struct outbound *outbound, struct outgoing_call *call)
{
    struct host *host = outbound->host;

    if (outbound->is_fresh || outbound->has_answered || !call->is_safe || call->was_tried ||
        host->client->is_ending)
        return false;
    call->was_tried = true;
    call->next = host->first;
    host->first = call;
    if (call->next == NULL)
        host->last = &call->next;
    return true;
}

static void outbound_fail(struct outbound *outbound, struct error *err)
{
    struct outgoing_call *call = outbound->call;

    outbound->call = NULL;
    outbound_close(outbound);
    if (call == NULL)
        return;
    if (err->status == STATUS_UNAVAILABLE && try_again(outbound, call)) {
        dispatch(outbound->host);
        return;
    }
    error_wrap(err, "%s:%s", outbound->host->url.host, outbound->host->url.port);
    call_end(call, NULL, err);
}

static void outbound_fail_uv(struct outbound *outbound, int problem, const char *what)
{
    struct error err;

    error_set(&err, STATUS_UNAVAILABLE, "%s: %s", what, uv_strerror(problem));
    outbound_fail(outbound, &err);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct outbound *outbound = container_of((uv_tcp_t *)handle, struct outbound, tcp);

    (void)suggested;
    *out = uv_buf_init(outbound->host->client->read_buffer, READ_BUFFER);
}

/* The answer is whole: the connection is free before the caller hears, who may call again. */
static void outbound_done(struct outbound *outbound)
{
    struct outgoing_call *call = outbound->call;
    struct host *host = outbound->host;
    struct answer_reader reader = outbound->reader;

    outbound->reader = (struct answer_reader){ 0 };
    outbound->call = NULL;
    outbound->is_fresh = false;
    if (reader.keep_alive) {
        unsigned idle_ms = host->client->config.idle_ms;

        outbound->state = OUTBOUND_IDLE;
        outbound->until_ns = clock_monotonic_ns() + idle_ms * UINT64_C(1000000);
    } else {
        outbound_close(outbound);
    }
    call_end(call, &reader.answer, NULL);
    answer_reader_fini(&reader);
    dispatch(host);
}

static enum status take_bytes(struct outbound *outbound, ssize_t count, const uv_buf_t *room,
                              struct error *err)
{
    if (count == UV_EOF)
        return answer_reader_end(&outbound->reader, err);
    if (count < 0)
        return error_set(err, STATUS_UNAVAILABLE, "%s", uv_strerror((int)count));
    outbound->has_answered = true;
    return answer_reader_feed(&outbound->reader, (struct str){ room->base, (size_t)count },
                              err);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *room)
{
    struct outbound *outbound = container_of((uv_tcp_t *)stream, struct outbound, tcp);
    struct error err;

    if (count == 0 || outbound->state == OUTBOUND_CLOSING)
        return;
    /* Nothing was asked: it closes, or says what nobody wants to hear. */
    if (outbound->state == OUTBOUND_IDLE)
        outbound_close(outbound);
    else if (take_bytes(outbound, count, room, &err) != STATUS_OK)
        outbound_fail(outbound, &err);
    else if (outbound->reader.done)
        outbound_done(outbound);
}

static void on_written(uv_write_t *write, int status)
{
    struct outbound *outbound = container_of(write, struct outbound, write);

    if (status < 0 && outbound->state == OUTBOUND_BUSY)
        outbound_fail_uv(outbound, status, "send");
}

static void outbound_send(struct outbound *outbound)
{
    struct outgoing_call *call = outbound->call;
    uv_buf_t piece = uv_buf_init((char *)(uintptr_t)call->request.data,
                                 (unsigned)call->request.len);

    answer_reader_init(&outbound->reader, call->answer_max, call->is_head);
    outbound->state = OUTBOUND_BUSY;
    outbound->has_answered = false;
    uv_write(&outbound->write, (uv_stream_t *)&outbound->tcp, &piece, 1, on_written);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct outbound *outbound = container_of(connect, struct outbound, connect);

    if (outbound->state == OUTBOUND_CLOSING)
        return;
    if (status < 0) {
        outbound_fail_uv(outbound, status, "connect");
        return;
    }
    uv_tcp_nodelay(&outbound->tcp, 1);
    uv_read_start((uv_stream_t *)&outbound->tcp, on_allocate, on_read);
    outbound_send(outbound);
}

static int outbound_connect(struct outbound *outbound, const struct sockaddr *address)
{
    return uv_tcp_connect(&outbound->connect, &outbound->tcp, address, on_connected);
}

static void on_looked_up(uv_getaddrinfo_t *lookup, int status, struct addrinfo *list)
{
    struct outbound *outbound = container_of(lookup, struct outbound, lookup);

    outbound->is_looking_up = false;
    if (outbound->state == OUTBOUND_CLOSING) {
        uv_close((uv_handle_t *)&outbound->tcp, on_closed);
    } else {
        if (status == 0)
            status = outbound_connect(outbound, list->ai_addr);
        if (status < 0)
            outbound_fail_uv(outbound, status, "find or connect");
    }
    uv_freeaddrinfo(list);
}

/* Addresses are used as they are, names are looked up beside the loop. */
static int outbound_begin(struct outbound *outbound)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    const struct url *url = &outbound->host->url;
    int port = (int)strtol(url->port, NULL, 10);
    struct sockaddr_in6 address6;
    struct sockaddr_in address;
    int problem;

    if (uv_ip4_addr(url->host, port, &address) == 0)
        return outbound_connect(outbound, (struct sockaddr *)&address);
    if (uv_ip6_addr(url->host, port, &address6) == 0)
        return outbound_connect(outbound, (struct sockaddr *)&address6);
    problem = uv_getaddrinfo(outbound->host->client->loop, &outbound->lookup, on_looked_up,
                             url->host, url->port, &hints);
    outbound->is_looking_up = problem == 0;
    return problem;
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

static void outbound_open(struct host *host, struct outgoing_call *call)
{
    struct outbound *outbound = must_calloc(sizeof(*outbound));
    int problem;

    outbound->host = host;
    outbound->next = host->connections;
    host->connections = outbound;
    host->count++;
    host->client->handles++;
    outbound->call = call;
    outbound->is_fresh = true;
    outbound->until_ns = clock_monotonic_ns() + call->connect_ms * UINT64_C(1000000);
    uv_tcp_init(host->client->loop, &outbound->tcp);
    problem = outbound_begin(outbound);
    if (problem == 0)
        return;
    error_set(&call->err, STATUS_UNAVAILABLE, "%s:%s: %s", host->url.host, host->url.port,
              uv_strerror(problem));
    fail_later(host->client, call);
    outbound->call = NULL;
    outbound_close(outbound);
}

static struct outbound *find_idle(const struct host *host)
{
    struct outbound *outbound = host->connections;

    while (outbound != NULL && outbound->state != OUTBOUND_IDLE)
        outbound = outbound->next;
    return outbound;
}

/* Gives those in line a kept connection, or a new one while there may be more. */
static void dispatch(struct host *host)
{
    while (host->first != NULL) {
        struct outbound *idle = find_idle(host);

        if (idle == NULL && host->count >= host->client->config.connections_max)
            return;
        if (idle == NULL) {
            outbound_open(host, take_first(host));
        } else {
            idle->call = take_first(host);
            outbound_send(idle);
        }
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
        error_set(&err, STATUS_TIMEOUT, "no connection in time");
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

static struct host *host_put(struct http_client *client, const struct url *url)
{
    struct host **at = &client->hosts;

    while (*at != NULL &&
           (strcmp((*at)->url.host, url->host) != 0 || strcmp((*at)->url.port, url->port) != 0))
        at = &(*at)->next;
    if (*at == NULL) {
        *at = must_calloc(sizeof(**at));
        (*at)->client = client;
        (*at)->url = *url;
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
    if (url.is_tls) {
        error_set(&call->err, STATUS_INVALID, "%s: only http:// goes from inside the server",
                  text);
        fail_later(client, call);
        return;
    }
    call->request = request_write(call->arena, &url, options);
    host = host_put(client, &url);
    *host->last = call;
    host->last = &call->next;
    dispatch(host);
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
