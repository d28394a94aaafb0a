/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/load.h"

#include "base/clock.h"
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define REPLY_MAX 65536
#define EVENTS_MAX 64
#define NS_PER_SECOND 1000000000.0

struct connection {
    int fd;
    size_t next;   /* which request it sends */
    size_t filled; /* bytes of the answer */
    uint64_t start_ns;
    char reply[REPLY_MAX];
};

struct load {
    const struct load_options *options;
    struct str *requests; /* heads and bodies */
    struct addrinfo *address;
    struct connection *connections;
    int epoll;
    uint32_t *times_ns; /* one a request; 4 s is the most it can hold */
    size_t time_count, time_capacity;
    struct load_result result;
};

/* "http://host:port": TLS would measure OpenSSL as much as us. */
static enum status split_url(struct arena *arena, struct str url, char **host, char **port,
                             struct error *err)
{
    struct str rest;
    size_t colon;

    if (!str_starts(url, STR("http://")))
        return error_set(err, STATUS_INVALID, "'" STR_FMT "': a plain http:// URL is expected",
                         STR_ARG(url));
    rest = str_slice(url, 7, url.len);
    rest = str_slice(rest, 0, str_index(rest, '/'));
    for (colon = rest.len;
         colon > 0 && rest.data[colon - 1] != ':' && rest.data[colon - 1] != ']';)
        colon--;
    if (colon == 0 || rest.data[colon - 1] == ']') {
        *port = arena_cstr(arena, STR("80"));
        colon = rest.len + 1;
    } else {
        *port = arena_cstr(arena, str_slice(rest, colon, rest.len));
    }
    rest = str_slice(rest, 0, colon - 1);
    if (rest.len > 2 && rest.data[0] == '[')
        rest = str_slice(rest, 1, rest.len - 1);
    *host = arena_cstr(arena, rest);
    return STATUS_OK;
}

static enum status resolve(struct arena *arena, struct load *load, struct error *err)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    char *host, *port;
    int reason;

    TRY(split_url(arena, load->options->url, &host, &port, err));
    reason = getaddrinfo(host, port, &hints, &load->address);
    if (reason != 0)
        return error_set(err, STATUS_UNAVAILABLE, "find '%s': %s", host, gai_strerror(reason));
    return STATUS_OK;
}

static void write_requests(struct arena *arena, struct load *load)
{
    const struct load_options *options = load->options;
    struct str host = str_slice(options->url, 7, options->url.len), token = STR_EMPTY;

    if (options->token.len > 0)
        token = arena_printf(arena, "Authorization: Bearer " STR_FMT "\r\n",
                             STR_ARG(options->token));
    load->requests = ARENA_ARRAY(arena, struct str, options->body_count);
    for (size_t i = 0; i < options->body_count; i++)
        load->requests[i] = arena_printf(
            arena,
            "POST " STR_FMT " HTTP/1.1\r\nHost: " STR_FMT "\r\n" STR_FMT
            "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n" STR_FMT,
            STR_ARG(options->path), STR_ARG(host), STR_ARG(token), options->bodies[i].len,
            STR_ARG(options->bodies[i]));
}

static enum status connect_one(struct load *load, struct connection *connection,
                               struct error *err)
{
    const struct addrinfo *address = load->address;
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };
    int yes = 1;

    connection->fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 ||
        connect(connection->fd, address->ai_addr, address->ai_addrlen) != 0)
        return error_errno(err, errno, "connect to '" STR_FMT "'", STR_ARG(load->options->url));
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
        return error_errno(err, errno, "watch a connection");
    return STATUS_OK;
}

/* Requests are a few hundred bytes: a socket that waits for its answer takes them at once. */
static bool send_next(struct load *load, struct connection *connection)
{
    struct str request = load->requests[connection->next];

    connection->next = (connection->next + 1) % load->options->body_count;
    connection->filled = 0;
    connection->start_ns = clock_monotonic_ns();
    return send(connection->fd, request.data, request.len, MSG_NOSIGNAL) ==
           (ssize_t)request.len;
}

/* Length of the whole answer once its head is there; 0: not yet. */
static size_t reply_length(const struct connection *connection)
{
    const char *end = memmem(connection->reply, connection->filled, "\r\n\r\n", 4);
    const char *field;

    if (end == NULL)
        return 0;
    field = memmem(connection->reply, (size_t)(end - connection->reply), "ontent-Length: ", 15);
    if (field == NULL)
        field = memmem(connection->reply, (size_t)(end - connection->reply),
                       "ontent-length: ", 15);
    return (size_t)(end + 4 - connection->reply) +
           (field == NULL ? 0 : (size_t)strtoull(field + 15, NULL, 10));
}

static void count_reply(struct load *load, const struct connection *connection)
{
    uint64_t took = clock_monotonic_ns() - connection->start_ns;
    int code = atoi(connection->reply + sizeof("HTTP/1.1 ") - 1);

    if (code != 200) {
        load->result.errors++;
        load->result.error_code = code;
        return;
    }
    load->result.requests++;
    if (load->time_count == load->time_capacity) {
        load->time_capacity = load->time_capacity == 0 ? 65536 : load->time_capacity * 2;
        load->times_ns = realloc(load->times_ns, load->time_capacity * sizeof(uint32_t));
        if (load->times_ns == NULL)
            abort();
    }
    load->times_ns[load->time_count++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
}

/* False when the connection is of no more use. */
static bool on_readable(struct load *load, struct connection *connection)
{
    ssize_t n = recv(connection->fd, connection->reply + connection->filled,
                     REPLY_MAX - connection->filled, 0);
    size_t length;

    if (n <= 0)
        return false;
    connection->filled += (size_t)n;
    length = reply_length(connection);
    if (length > REPLY_MAX)
        return false;
    if (length == 0 || connection->filled < length)
        return true;
    count_reply(load, connection);
    return send_next(load, connection);
}

/* A broken connection counts once and is made anew. */
static enum status mend(struct load *load, struct connection *connection, struct error *err)
{
    load->result.errors++;
    close(connection->fd);
    TRY(connect_one(load, connection, err));
    if (!send_next(load, connection))
        return error_set(err, STATUS_UNAVAILABLE, "the server closes connections at once");
    return STATUS_OK;
}

static enum status turn(struct load *load, struct error *err)
{
    uint64_t start = clock_monotonic_ns();
    uint64_t length = (uint64_t)(load->options->seconds * NS_PER_SECOND);
    struct epoll_event events[EVENTS_MAX];

    while (clock_monotonic_ns() - start < length && !cli_interrupted()) {
        int count = epoll_wait(load->epoll, events, EVENTS_MAX, 100);

        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;

            if (!on_readable(load, connection))
                TRY(mend(load, connection, err));
        }
    }
    load->result.seconds = (double)(clock_monotonic_ns() - start) / NS_PER_SECOND;
    return STATUS_OK;
}

static int by_size(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return left < right ? -1 : left > right;
}

static uint32_t quantile(const struct load *load, double q)
{
    size_t index = (size_t)(q * (double)load->time_count);

    if (load->time_count == 0)
        return 0;
    return load->times_ns[index < load->time_count ? index : load->time_count - 1];
}

static void summarise(struct load *load)
{
    qsort(load->times_ns, load->time_count, sizeof(uint32_t), by_size);
    load->result.p50_ns = quantile(load, 0.5);
    load->result.p99_ns = quantile(load, 0.99);
    load->result.p999_ns = quantile(load, 0.999);
    load->result.max_ns = quantile(load, 1);
}

static enum status run(struct arena *arena, struct load *load, struct error *err)
{
    TRY(resolve(arena, load, err));
    write_requests(arena, load);
    load->connections = ARENA_ARRAY(arena, struct connection, load->options->connections);
    for (unsigned i = 0; i < load->options->connections; i++)
        load->connections[i].fd = -1;
    for (unsigned i = 0; i < load->options->connections; i++) {
        load->connections[i].next = i % load->options->body_count;
        TRY(connect_one(load, &load->connections[i], err));
        if (!send_next(load, &load->connections[i]))
            return error_set(err, STATUS_UNAVAILABLE, "the server closes connections at once");
    }
    TRY(turn(load, err));
    if (load->time_count > 0)
        summarise(load);
    return STATUS_OK;
}

enum status load_run(struct arena *arena, const struct load_options *options,
                     struct load_result *out, struct error *err)
{
    struct load load = { .options = options, .epoll = epoll_create1(EPOLL_CLOEXEC) };
    enum status status = load.epoll < 0 ? error_errno(err, errno, "epoll")
                                        : run(arena, &load, err);

    for (unsigned i = 0; load.connections != NULL && i < options->connections; i++) {
        if (load.connections[i].fd >= 0)
            close(load.connections[i].fd);
    }
    if (load.address != NULL)
        freeaddrinfo(load.address);
    if (load.epoll >= 0)
        close(load.epoll);
    free(load.times_ns);
    if (status == STATUS_OK)
        *out = load.result;
    return status;
}
