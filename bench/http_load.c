/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Load over HTTP, and what it costs the server. Closed loop: each connection
 * sends the next request when it has its reply. Open loop (--rate): requests
 * fall due at fixed times whatever the server does, and latency counts from
 * then, so that a server that stalls is not asked less and excused. Prints one
 * line of JSON.
 *
 * p99_us is of the whole run. A shared machine takes the processor away for
 * milliseconds a few times a second, and p99_us is then the host's, doubled by
 * the backlog that the server works off. calm_p99_us is the median over slices
 * of 50 ms of each slice's p99: what comes with every slice stays in it, what
 * comes less often than every other slice does not.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1024
/* Latencies in buckets of one part in 64. */
#define PARTS 64
#define BUCKETS (PARTS * 40)
#define FILE_MAX ((size_t)16 << 20)
#define HEAD_MAX 4096
#define SLICE_NS 50000000
#define SLICES_MAX 65536 /* most of an hour */

struct options {
    unsigned port;
    unsigned connections;
    double seconds;
    double warm_up;
    double rate; /* requests a second of all connections; 0: closed loop */
    long pid;    /* of the server; 0: do not measure */
    const char *method;
    const char *path;
    const char *body_file;
    bool is_lines; /* each line of the file is a body */
    const char *content_type;
};

struct client {
    int fd;
    bool is_waiting;
    uint64_t due_ns; /* of the request under way */
    char data[16384];
    size_t len;
};

static struct client clients[CONNECTIONS_MAX];
/* Sent in turn, so that a server cannot answer out of its caches. */
static struct request {
    char *text;
    size_t len;
} *requests;
static size_t request_count;
struct histogram {
    uint64_t buckets[BUCKETS];
    uint64_t count;
};
static struct histogram all, slice;
static uint64_t slice_end_ns;
static double slice_p99s[SLICES_MAX];
static size_t slice_count;
static uint64_t bad;

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static size_t bucket_of(uint64_t ns)
{
    unsigned power;

    if (ns < PARTS)
        return (size_t)ns;
    power = 63 - (unsigned)__builtin_clzll(ns);
    return (size_t)(power - 5) * PARTS + ((ns >> (power - 6)) & (PARTS - 1));
}

static double bucket_us(size_t bucket)
{
    size_t power = bucket / PARTS + 5;

    if (bucket < PARTS)
        return (double)bucket / 1e3;
    return (double)((PARTS + bucket % PARTS) * (UINT64_C(1) << (power - 6))) / 1e3;
}

static double quantile_us(const struct histogram *histogram, double quantile)
{
    uint64_t seen = 0;

    for (size_t i = 0; i < BUCKETS; i++)
        if ((seen += histogram->buckets[i]) > 0 &&
            (double)seen >= quantile * (double)histogram->count)
            return bucket_us(i);
    return 0;
}

static void count_latency(uint64_t now, uint64_t ns)
{
    size_t bucket = bucket_of(ns);

    if (now >= slice_end_ns) {
        if (slice.count > 0 && slice_count < SLICES_MAX)
            slice_p99s[slice_count++] = quantile_us(&slice, 0.99);
        memset(&slice, 0, sizeof(slice));
        slice_end_ns = now + SLICE_NS;
    }
    slice.buckets[bucket]++;
    slice.count++;
    all.buckets[bucket]++;
    all.count++;
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static double calm_p99_us(void)
{
    if (slice_count == 0)
        return quantile_us(&all, 0.99);
    qsort(slice_p99s, slice_count, sizeof(*slice_p99s), compare_doubles);
    return slice_p99s[slice_count / 2];
}

/* User and system time of the process, microseconds, to the resolution of its accounting. */
static double cpu_us(long pid)
{
    unsigned long user, system;
    char path[64];
    FILE *file;

    if (pid == 0)
        return 0;
    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    file = fopen(path, "r");
    if (file == NULL ||
        fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
               &system) != 2)
        die(path);
    fclose(file);
    return (double)(user + system) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

static char *read_file(const char *path, size_t *len)
{
    char *text = calloc(1, FILE_MAX);
    FILE *file = path == NULL ? NULL : fopen(path, "r");

    /* NOLINTNEXTLINE(-Wanalyzer-file-leak): the process ends */
    if (text == NULL || (path != NULL && file == NULL))
        die(path == NULL ? "memory" : path);
    *len = file == NULL ? 0 : fread(text, 1, FILE_MAX, file);
    if (file != NULL)
        fclose(file);
    return text;
}

static void add_request(const struct options *options, const char *body, size_t body_len)
{
    struct request *request;
    char length[64] = "";

    requests = realloc(requests, (request_count + 1) * sizeof(*requests));
    if (requests == NULL)
        die("memory");
    request = &requests[request_count++];
    if (body_len > 0)
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n", body_len);
    request->text = calloc(1, HEAD_MAX + body_len);
    if (request->text == NULL)
        die("memory");
    request->len = (size_t)snprintf(request->text, HEAD_MAX,
                                    "%s %s HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n"
                                    "User-Agent: bench\r\nContent-Type: %s\r\n%s\r\n",
                                    options->method, options->path, options->content_type,
                                    length);
    memcpy(request->text + request->len, body, body_len);
    request->len += body_len;
}

static void make_requests(const struct options *options)
{
    size_t len;
    char *text = read_file(options->body_file, &len), *rest = NULL;

    if (!options->is_lines) {
        add_request(options, text, len);
    } else {
        for (char *line = strtok_r(text, "\n", &rest); line != NULL;
             line = strtok_r(NULL, "\n", &rest))
            add_request(options, line, strlen(line));
    }
    free(text);
    if (request_count == 0)
        die(options->body_file);
}

static int connect_to(unsigned port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        die("fcntl");
    return fd;
}

static void send_request(struct client *client, uint64_t due_ns)
{
    static size_t turn;
    const struct request *request = &requests[turn++ % request_count];

    if (write(client->fd, request->text, request->len) != (ssize_t)request->len)
        die("write");
    client->is_waiting = true;
    client->due_ns = due_ns;
    client->len = 0;
}

/* The length of the whole reply once its head is here, else 0. */
static size_t reply_len(const struct client *client)
{
    const char *end = memmem(client->data, client->len, "\r\n\r\n", 4);
    const char *length;

    if (end == NULL)
        return 0;
    length = memmem(client->data, (size_t)(end - client->data), "\r\nContent-Length: ", 18);
    if (length == NULL)
        die("a reply has no length");
    return (size_t)(end + 4 - client->data) + strtoul(length + 18, NULL, 10);
}

/* True when the reply is whole. */
static bool receive(struct client *client, bool counts)
{
    ssize_t got = read(client->fd, client->data + client->len,
                       sizeof(client->data) - client->len);
    size_t wanted;

    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0)
        die("the server closed");
    client->len += (size_t)got;
    wanted = reply_len(client);
    if (wanted == 0 || client->len < wanted)
        return false;
    client->is_waiting = false;
    if (counts) {
        uint64_t now = now_ns();

        count_latency(now, now - client->due_ns);
        bad += memcmp(client->data, "HTTP/1.1 200", 12) != 0;
    }
    return true;
}

/* Open loop: what has fallen due goes to connections that are free. */
static void send_due(const struct options *options, uint64_t now, uint64_t *next_ns)
{
    uint64_t step_ns = (uint64_t)(1e9 / options->rate);

    for (unsigned i = 0; i < options->connections && *next_ns <= now; i++) {
        if (clients[i].is_waiting)
            continue;
        send_request(&clients[i], *next_ns);
        *next_ns += step_ns;
    }
}

static void run(const struct options *options, int epoll, double seconds, bool counts)
{
    uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9), next_ns = start;
    struct epoll_event events[256];

    for (unsigned i = 0; options->rate == 0 && i < options->connections; i++)
        if (!clients[i].is_waiting)
            send_request(&clients[i], start);
    while (now_ns() < end) {
        int count = epoll_wait(epoll, events, 256, options->rate > 0 ? 0 : 100);

        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;

            if (receive(client, counts) && options->rate == 0)
                send_request(client, now_ns());
        }
        if (options->rate > 0)
            send_due(options, now_ns(), &next_ns);
    }
}

static void open_clients(const struct options *options, int epoll)
{
    for (unsigned i = 0; i < options->connections; i++) {
        struct epoll_event wanted = { .events = EPOLLIN, .data.ptr = &clients[i] };

        clients[i].fd = connect_to(options->port);
        epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].fd, &wanted);
    }
}

static void report(double seconds, double cpu)
{
    printf("{\"requests\":%llu,\"not_200\":%llu,\"per_second\":%.0f,\"cpu_us\":%.3f,"
           "\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,"
           "\"calm_p99_us\":%.1f}\n",
           (unsigned long long)all.count, (unsigned long long)bad, (double)all.count / seconds,
           all.count == 0 ? 0 : cpu / (double)all.count, quantile_us(&all, 0.5),
           quantile_us(&all, 0.9), quantile_us(&all, 0.99), quantile_us(&all, 0.999),
           calm_p99_us());
}

static void read_options(int argc, char **argv, struct options *options)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];

        if (strcmp(name, "--port") == 0)
            options->port = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(name, "--connections") == 0)
            options->connections = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(name, "--seconds") == 0)
            options->seconds = strtod(value, NULL);
        else if (strcmp(name, "--warm-up") == 0)
            options->warm_up = strtod(value, NULL);
        else if (strcmp(name, "--rate") == 0)
            options->rate = strtod(value, NULL);
        else if (strcmp(name, "--pid") == 0)
            options->pid = strtol(value, NULL, 10);
        else if (strcmp(name, "--method") == 0)
            options->method = value;
        else if (strcmp(name, "--path") == 0)
            options->path = value;
        else if (strcmp(name, "--body") == 0)
            options->body_file = value;
        else if (strcmp(name, "--lines") == 0)
            options->body_file = value, options->is_lines = true;
        else
            options->port = 0;
    }
}

int main(int argc, char **argv)
{
    struct options options = { .connections = 32,
                               .seconds = 4,
                               .warm_up = 1,
                               .method = "GET",
                               .path = "/",
                               .content_type = "application/json" };
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    double before;

    read_options(argc, argv, &options);
    if (options.port == 0 || options.connections == 0 ||
        options.connections > CONNECTIONS_MAX) {
        fprintf(
            stderr,
            "usage: http_load --port N [--path P] [--method M] [--body FILE | --lines FILE] "
            "[--connections N] [--seconds S] [--warm-up S] [--rate N] [--pid SERVER]\n");
        return 2;
    }
    make_requests(&options);
    open_clients(&options, epoll);
    run(&options, epoll, options.warm_up, false);
    before = cpu_us(options.pid);
    run(&options, epoll, options.seconds, true);
    report(options.seconds, cpu_us(options.pid) - before);
    return bad > 0;
}
