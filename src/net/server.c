/* SPDX-License-Identifier: Apache-2.0 */
#include "net/connection.h"
#include "net/metrics.h"
#include "net/operator_door.h"
#include "net/settings.h"
#include "net/spool.h"
#include "net/tls.h"

#include "base/clock.h"
#include "base/crash_stack.h"
#include "base/log.h"

#include <stdio.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SWEEP_MS 100

struct server_config server_config_default(void)
{
    return (struct server_config){
        .limits = { .head_max = 16 << 10,
                    .header_count_max = 100,
                    .target_max = 8 << 10,
                    .chunks_max = 65536,
                    .connections_max = 10000,
                    .streams_max = 64,
                    .bodies_max = (size_t)1 << 30,
                    .queue_max = 1024 },
        .deadlines = { .head_ms = 10000,
                       .body_ms = 30000,
                       .idle_ms = 75000,
                       .handler_ms = 60000,
                       .drain_ms = 30000 },
    };
}

static void on_deaf(uv_handle_t *handle)
{
    struct loop *loop = container_of((uv_tcp_t *)handle, struct loop, listener);

    loop->is_deaf = true;
}

/*
 * When the system has nothing left for another connection, to ask again at once would be all that the loop
 * does. Clients wait in the socket's queue until the next sweep.
 */
static void pause_listening(struct loop *loop, int problem)
{
    log_warn("net: no connection can be taken: %s; trying again", uv_strerror(problem));
    uv_close((uv_handle_t *)&loop->listener, on_deaf);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct loop *loop = container_of((uv_tcp_t *)listener, struct loop, listener);

    if (status == 0)
        connection_accept(loop);
    else if (!uv_is_closing((uv_handle_t *)listener))
        pause_listening(loop, status);
}

/* After a failure there is no handle, or soon not any more. */
static int start_listening(struct loop *loop)
{
    int fd = fcntl(loop->listener_fd, F_DUPFD_CLOEXEC, 0), problem;

    loop->is_deaf = fd < 0;
    if (fd < 0)
        return -errno;
    uv_tcp_init(&loop->uv, &loop->listener);
    if ((problem = uv_tcp_open(&loop->listener, fd)) != 0)
        close(fd);
    else
        problem = uv_listen((uv_stream_t *)&loop->listener, 1024, on_connection);
    if (problem != 0)
        uv_close((uv_handle_t *)&loop->listener, on_deaf);
    return problem;
}

static void on_sweep(uv_timer_t *timer)
{
    struct loop *loop = container_of(timer, struct loop, sweep);
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t due_ns = loop->swept_ns + SWEEP_MS * UINT64_C(1000000);
    struct connection *next;

    metric_record_ns(loop->server->loop_lag, now_ns > due_ns ? now_ns - due_ns : 0);
    loop->swept_ns = now_ns;
    if (loop->is_deaf && !loop->draining)
        (void)start_listening(loop); /* else with the next sweep */
    for (struct connection *connection = loop->connections; connection != NULL;
         connection = next) {
        next = connection->next;
        connection_sweep(connection, now_ns);
    }
}

static void close_listener(struct loop *loop)
{
    if (!loop->is_deaf && !uv_is_closing((uv_handle_t *)&loop->listener))
        uv_close((uv_handle_t *)&loop->listener, NULL);
    close(loop->listener_fd);
    loop->listener_fd = -1;
}

static void begin_drain(struct loop *loop)
{
    struct connection *next;

    loop->draining = true;
    close_listener(loop);
    for (struct connection *connection = loop->connections; connection != NULL;
         connection = next) {
        next = connection->next;
        connection_drain(connection);
    }
    atomic_fetch_add(&loop->server->deaf_loops, 1);
}

static void begin_stop(struct loop *loop)
{
    loop->stopping = true;
    while (loop->connections != NULL)
        connection_close(loop->connections);
}

/* Posts in the order in which they were made. */
static void run_posts(struct loop *loop)
{
    struct post *last_first = atomic_exchange_explicit(&loop->posts, NULL,
                                                       memory_order_acquire);
    struct post *first = NULL;

    while (last_first != NULL) {
        struct post *next = last_first->next;

        last_first->next = first;
        first = last_first;
        last_first = next;
    }
    while (first != NULL) {
        struct post *next = first->next;

        first->run(first);
        first = next;
    }
}

static void on_wake(uv_async_t *wake)
{
    struct loop *loop = container_of(wake, struct loop, wake);

    run_posts(loop);
    if (atomic_load(&loop->server->draining) && !loop->draining)
        begin_drain(loop);
    if (atomic_load(&loop->server->stopping) && !loop->stopping)
        begin_stop(loop);
    loop_leave(loop);
}

static void close_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void *loop_main(void *argument)
{
    struct loop *loop = argument;

    crash_stack_ready();
    loop->swept_ns = clock_monotonic_ns();
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    /* No connection is left, and no worker holds a turn. */
    uv_walk(&loop->uv, close_handle, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    turns_free(loop);
    return NULL;
}

static enum status uv_failed(struct error *err, int problem, const char *what)
{
    return error_errno(err, -problem, "%s", what);
}

static enum status loop_open(struct loop *loop, struct server *server, int listener,
                             struct error *err)
{
    int problem;

    loop->listener_fd = fcntl(listener, F_DUPFD_CLOEXEC, 0);
    if (loop->listener_fd < 0)
        return error_errno(err, errno, "take over the listening socket");
    loop->server = server;
    loop->settings = server->settings;
    if ((problem = uv_loop_init(&loop->uv)) != 0) {
        close(loop->listener_fd);
        return uv_failed(err, problem, "start a loop");
    }
    /* Needs nothing of the system but what the loop has made for itself already. */
    (void)uv_async_init(&loop->uv, &loop->wake, on_wake);
    uv_timer_init(&loop->uv, &loop->sweep);
    uv_timer_start(&loop->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    problem = start_listening(loop);
    if (problem == 0)
        return STATUS_OK;
    close(loop->listener_fd);
    uv_walk(&loop->uv, close_handle, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    uv_loop_close(&loop->uv);
    return uv_failed(err, problem, "listen");
}

static const char *copy_text(struct arena *arena, const char *text)
{
    return text == NULL ? NULL : arena_cstr(arena, str_from(text));
}

static void copy_config(struct server *server, const struct server_config *config)
{
    server->config = *config;
    server->config.listeners = NULL; /* each loop has its own copy of one */
    server->config.hosts = NULL;     /* these are among the settings */
    server->config.access_log = NULL;
    server->config.tls = (struct server_tls){ 0 };
    server->config.spool_folder = copy_text(server->arena, config->spool_folder);
    server->message_limits = (struct message_limits){
        .head_max = config->limits.head_max,
        .header_count_max = config->limits.header_count_max,
        .target_max = config->limits.target_max,
        .chunks_max = config->limits.chunks_max,
    };
    atomic_store(&server->check_host, config->check_host);
}

static struct workers_config workers_of(const struct server_config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned count = config->workers > 0 ? config->workers
                     : cores > 2         ? (unsigned)cores * 2
                                         : 4;

    return (struct workers_config){ .count = count,
                                    .reserved = (count + 1) / 2,
                                    .queue_max = config->limits.queue_max,
                                    .long_max = config->limits.streams_max };
}

unsigned server_threads(const struct server_config *config)
{
    const struct workers_config workers = workers_of(config);

    return (unsigned)config->listener_count + workers.count + workers.reserved;
}

static void server_free(struct server *server)
{
    workers_free(&server->workers);
    settings_free(&server->settings);
    tls_context_free(&server->tls);
    pthread_mutex_destroy(&server->tls_lock);
    free(server->loops);
    arena_free(server->arena);
    free(server);
}

static struct server *server_new(struct router *router, const struct server_config *config)
{
    struct server *server = calloc(1, sizeof(*server));

    if (server == NULL)
        abort();
    server->arena = arena_new();
    server->router = router;
    server->memory.max = config->limits.bodies_max;
    copy_config(server, config);
    server->settings = settings_new(config);
    pthread_mutex_init(&server->tls_lock, NULL);
    server->other_stats = route_stats_new(server->arena, "any", "none");
    return server;
}

static enum status open_parts(struct server *server, const struct server_config *config,
                              struct error *err)
{
    struct workers_config workers;

    if (config->tls.certificate != NULL)
        TRY(tls_context_new(&config->tls, &server->tls, err));
    TRY(settings_open_log(server->settings, err));
    if (config->spool_folder != NULL)
        spool_sweep(config->spool_folder);
    workers = workers_of(config);
    server->workers = workers_new(&workers);
    return STATUS_OK;
}

static enum status open_loops(struct server *server, const struct server_config *config,
                              struct error *err)
{
    server->loops = calloc(config->listener_count, sizeof(*server->loops));
    if (server->loops == NULL)
        abort();
    while (server->loop_count < config->listener_count) {
        TRY(loop_open(&server->loops[server->loop_count], server,
                      config->listeners[server->loop_count], err));
        server->loop_count++;
    }
    return STATUS_OK;
}

static void close_loops(struct server *server)
{
    for (size_t i = 0; i < server->loop_count; i++) {
        close(server->loops[i].listener_fd);
        uv_walk(&server->loops[i].uv, close_handle, NULL);
        uv_run(&server->loops[i].uv, UV_RUN_DEFAULT);
        uv_loop_close(&server->loops[i].uv);
    }
}

static void start_threads(struct server *server)
{
    for (size_t i = 0; i < server->loop_count; i++) {
        if (pthread_create(&server->loops[i].thread, NULL, loop_main, &server->loops[i]) != 0) {
            fprintf(stderr, "onggi: cannot start a loop thread\n");
            abort();
        }
    }
}

enum status server_start(struct router *router, const struct server_config *config,
                         struct server **out, struct error *err)
{
    struct server *server = server_new(router, config);

    if (open_parts(server, config, err) != STATUS_OK ||
        open_loops(server, config, err) != STATUS_OK) {
        close_loops(server);
        server_free(server);
        return err->status;
    }
    signal(SIGPIPE, SIG_IGN); /* a client that leaves is an error of write, not the end of us */
    operator_metrics(server);
    router_mount(router, &operator_door, server);
    *out = server; /* before there are threads: readiness may look at it */
    start_threads(server);
    return STATUS_OK;
}

static void wake_all(struct server *server)
{
    for (size_t i = 0; i < server->loop_count; i++)
        uv_async_send(&server->loops[i].wake);
}

bool server_drain(struct server *server)
{
    const struct timespec pause = { .tv_nsec = 5000000 };
    uint64_t end_ns = clock_monotonic_ns() +
                      server->settings->deadlines.drain_ms * UINT64_C(1000000);

    atomic_store(&server->draining, true);
    wake_all(server);
    /* A loop that has not heard of it yet may be about to accept somebody. */
    while ((atomic_load(&server->deaf_loops) < server->loop_count ||
            server_connections(server) > 0) &&
           clock_monotonic_ns() < end_ns)
        nanosleep(&pause, NULL);
    return server_connections(server) == 0;
}

void server_stop(struct server **pointer)
{
    struct server *server = *pointer;

    if (server == NULL)
        return;
    atomic_store(&server->stopping, true);
    wake_all(server);
    for (size_t i = 0; i < server->loop_count; i++)
        pthread_join(server->loops[i].thread, NULL);
    /* Whose last turn is over may still be about to wake its loop. */
    workers_free(&server->workers);
    for (size_t i = 0; i < server->loop_count; i++) {
        if (server->loops[i].listener_fd >= 0)
            close(server->loops[i].listener_fd);
        uv_loop_close(&server->loops[i].uv);
    }
    /* Whoever asks for /metrics now asks another server. */
    operator_metrics_end();
    server_free(server);
    *pointer = NULL;
}

size_t server_connections(const struct server *server)
{
    return atomic_load(&server->connection_count);
}
