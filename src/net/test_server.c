/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server with routes that tests can make slow, large or wrong. It prints
 * the port and serves until SIGTERM, which drains; SIGHUP reloads.
 */
#include "net/server.h"

#include "base/file.h"
#include "base/log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t number(const struct request *req, const char *name)
{
    int64_t value = 0;

    return str_to_int64(request_query(req, name), &value) ? value : 0;
}

static void sleep_ms(int64_t ms)
{
    const struct timespec pause = { ms / 1000, ms % 1000 * 1000000 };

    nanosleep(&pause, NULL);
}

static enum status on_echo(struct request *req, struct response *res, struct error *err)
{
    (void)err;
    response_header(res, "X-Method", req->method);
    response_header(res, "X-Path", req->path);
    response_header(res, "X-Trace", req->traceparent);
    return response_bytes(res, 200, "text/plain", req->body);
}

static enum status on_json(struct request *req, struct response *res, struct error *err)
{
    char *room = response_reserve(res, 366);

    (void)req;
    (void)err;
    memset(room, ' ', 366);
    room[0] = '{';
    room[365] = '}';
    return response_commit(res, 200, "application/json", 366);
}

static enum status on_slow(struct request *req, struct response *res, struct error *err)
{
    int64_t left = number(req, "ms");

    (void)err;
    /* A deaf one does not notice that nobody waits any more. */
    for (; left > 0 && (request_has_query(req, "deaf") || !request_is_abandoned(req));
         left -= 5)
        sleep_ms(left < 5 ? left : 5);
    return response_bytes(res, 200, "text/plain", left > 0 ? STR("abandoned") : STR("slept"));
}

static enum status on_hand_over(struct request *req, struct response *res, struct error *err)
{
    return request_hand_over(req, res, on_slow, err);
}

static enum status on_large(struct request *req, struct response *res, struct error *err)
{
    size_t len = (size_t)number(req, "bytes");

    (void)err;
    memset(response_reserve(res, len), 'x', len);
    return response_commit(res, 200, "text/plain", len);
}

static enum status on_events(struct request *req, struct response *res, struct error *err)
{
    int64_t count = number(req, "count");

    for (int64_t i = 0; i < count; i++) {
        TRY(response_event(res, "tick", arena_printf(req->arena, "{\"i\":%d}", (int)i), err));
        sleep_ms(number(req, "ms"));
    }
    return request_has_query(req, "fail") ? error_set(err, STATUS_CONFLICT, "no more")
                                          : STATUS_OK;
}

static enum status on_stream(struct request *req, struct response *res, struct error *err)
{
    int64_t left = number(req, "bytes");
    char piece[10000];

    memset(piece, 's', sizeof(piece));
    TRY(response_stream(res, 200, "text/plain", err));
    for (; left > 0; left -= (int64_t)sizeof(piece)) {
        size_t len = left < (int64_t)sizeof(piece) ? (size_t)left : sizeof(piece);

        TRY(response_stream_write(res, (struct str){ piece, len }, err));
    }
    return request_has_query(req, "fail") ? error_set(err, STATUS_CONFLICT, "no more")
                                          : STATUS_OK;
}

static char files[] = "/tmp/onggi-test-files-XXXXXX";

static enum status on_file(struct request *req, struct response *res, struct error *err)
{
    static atomic_uint made;
    const char *path = arena_printf(req->arena, "%s/made-%u", files, made++).data;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool sized = fd >= 0 && ftruncate(fd, number(req, "bytes")) == 0;

    if (fd >= 0)
        close(fd);
    if (!sized)
        return error_set(err, STATUS_INTERNAL, "cannot make %s", path);
    return response_file(res, 200, "application/octet-stream", path, true, err);
}

/* One file of that name, fetched once. */
static enum status on_result(struct request *req, struct response *res, struct error *err)
{
    struct str name = request_path_param(req, "name");
    const char *path = arena_printf(req->arena, "%s/" STR_FMT, files, STR_ARG(name)).data;

    if (str_equal(req->method, STR("POST"))) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        if (fd < 0 || !file_write_all(fd, req->body) || close(fd) != 0)
            return error_set(err, STATUS_INTERNAL, "cannot write %s", path);
        return response_empty(res, 204);
    }
    return response_file(res, 200, "application/octet-stream", path, true, err);
}

static enum status on_upload(struct request *req, struct response *res, struct error *err)
{
    struct str content = STR_EMPTY;
    uint64_t sum = 0;

    if (req->body_file != NULL)
        TRY(file_read(req->arena, req->body_file, (size_t)1 << 30, &content, err));
    for (size_t i = 0; i < content.len; i++)
        sum = sum * 31 + (unsigned char)content.data[i];
    return response_json(res, 200,
                         arena_printf(req->arena, "{\"bytes\":%zu,\"sum\":%llu}", content.len,
                                      (unsigned long long)sum));
}

static enum status on_failure(struct request *req, struct response *res, struct error *err)
{
    (void)res;
    return error_set(err, (enum status)number(req, "status"), "it failed as you asked");
}

static enum status on_refused(struct request *req, struct response *res, struct error *err)
{
    (void)req;
    (void)err;
    return response_bytes(res, 200, "text/plain", STR("in its place"));
}

static enum status on_decide(struct request *req, struct response *res, struct error *err)
{
    return request_hand_over_or(req, res, on_slow, on_refused, err);
}

static const struct route routes[] = {
    { "GET", "/echo", on_echo, INLINE, PERMIT_ANYONE, .body_max = BODY_NONE },
    { "POST", "/echo", on_echo, INLINE, PERMIT_ANYONE, .body_max = BODY_SMALL },
    { "POST", "/small", on_echo, INLINE, PERMIT_ANYONE, .body_max = 1000 },
    { "POST", "/worker", on_echo, DEFERRED, PERMIT_ANYONE, .body_max = BODY_BATCH },
    { "GET", "/json", on_json, INLINE, PERMIT_ANYONE, .body_max = BODY_NONE },
    { "POST", "/json", on_json, INLINE, PERMIT_ANYONE, .body_max = BODY_SMALL },
    { "GET", "/slow", on_slow, DEFERRED, PERMIT_ANYONE, .body_max = BODY_NONE },
    { "POST", "/slow", on_slow, DEFERRED, PERMIT_ANYONE, .body_max = BODY_SMALL },
    { "GET", "/hand-over", on_hand_over, INLINE, PERMIT_ANYONE, .body_max = BODY_NONE },
    { "GET", "/large", on_large, INLINE, PERMIT_ANYONE, .body_max = BODY_NONE },
    { "GET", "/events", on_events, DEFERRED, PERMIT_ANYONE, .body_max = BODY_NONE },
    { "GET", "/stream", on_stream, DEFERRED, PERMIT_ANYONE, .body_max = BODY_NONE },
    { "GET", "/decide", on_slow, DEFERRED_DECISION, PERMIT_ANYONE, .body_max = BODY_NONE },
    { "GET", "/decide-or-not", on_decide, INLINE_DECISION, PERMIT_ANYONE,
      .body_max = BODY_NONE },
    { "GET", "/results/{name}", on_result, DEFERRED, PERMIT_ANYONE, .body_max = BODY_NONE },
    { "POST", "/results/{name}", on_result, DEFERRED, PERMIT_ANYONE, .body_max = BODY_SMALL },
    { "GET", "/file", on_file, DEFERRED, PERMIT_ANYONE, .body_max = BODY_NONE },
    { "POST", "/upload", on_upload, DEFERRED, PERMIT_ANYONE, .body_max = BODY_FILE },
    { "GET", "/failure", on_failure, INLINE, PERMIT_ANYONE, .body_max = BODY_NONE },
    { "GET", "/things/{name}", on_echo, INLINE, PERMIT_ANYONE, .body_max = BODY_NONE },
    { "GET", "/private/slow", on_slow, DEFERRED, PERMIT_ADMIN, .body_max = BODY_NONE },
    { "GET", "/private", on_echo, INLINE, PERMIT_ADMIN, .body_max = BODY_NONE },
    ROUTES_END,
};
static const struct door door = { .name = "test", .routes = routes };

/* Of clients that want other words. */
static void dialect(struct request *req, struct response *res, const struct error *err)
{
    response_json(res, 500, arena_printf(req->arena, "{\"alas\":\"%s\"}", err->message));
}

static const struct route dialect_routes[] = {
    { "GET", "/dialect/slow", on_slow, DEFERRED, PERMIT_ANYONE, .body_max = BODY_NONE },
    ROUTES_END,
};
static const struct door dialect_door = { "dialect", dialect_routes, dialect };

static enum status only_secret(void *context, const struct request *req, struct identity *out,
                               struct error *err)
{
    (void)context;
    if (!str_equal(request_header(req, "Authorization"), STR("Bearer secret")))
        return error_set(err, STATUS_INVALID, "a bearer token is missing or unknown");
    *out = (struct identity){ STR("ada"), PERMIT_ADMIN };
    return STATUS_OK;
}

/* Everything a test may want smaller than it is: --name VALUE pairs. */
static void read_options(char **argv, struct server_config *config, unsigned *loops)
{
    const struct {
        const char *name;
        unsigned *number;
        size_t *size;
        const char **text;
    } options[] = {
        { "--loops", loops, NULL, NULL },
        { "--workers", &config->workers, NULL, NULL },
        { "--head-ms", &config->deadlines.head_ms, NULL, NULL },
        { "--body-ms", &config->deadlines.body_ms, NULL, NULL },
        { "--idle-ms", &config->deadlines.idle_ms, NULL, NULL },
        { "--handler-ms", &config->deadlines.handler_ms, NULL, NULL },
        { "--drain-ms", &config->deadlines.drain_ms, NULL, NULL },
        { "--connections", NULL, &config->limits.connections_max, NULL },
        { "--queue", NULL, &config->limits.queue_max, NULL },
        { "--bodies", NULL, &config->limits.bodies_max, NULL },
        { "--streams", NULL, &config->limits.streams_max, NULL },
        { "--cert", NULL, NULL, &config->tls.certificate },
        { "--key", NULL, NULL, &config->tls.key },
        { "--log", NULL, NULL, &config->access_log },
        { "--spool", NULL, NULL, &config->spool_folder },
    };

    static struct str host;

    for (; argv[0] != NULL && argv[1] != NULL; argv += 2) {
        if (strcmp(argv[0], "--check-host") == 0)
            config->check_host = strcmp(argv[1], "yes") == 0;
        if (strcmp(argv[0], "--host") == 0) {
            host = str_from(argv[1]);
            config->hosts = &host;
            config->host_count = 1;
        }
        for (size_t i = 0; i < ARRAY_LEN(options); i++) {
            if (strcmp(argv[0], options[i].name) != 0)
                continue;
            if (options[i].text != NULL)
                *options[i].text = argv[1];
            else if (options[i].size != NULL)
                *options[i].size = strtoul(argv[1], NULL, 10);
            else
                *options[i].number = (unsigned)strtoul(argv[1], NULL, 10);
        }
    }
}

static int serve(struct router *router, struct server_config *config, unsigned loops)
{
    int listeners[64];
    struct server *server;
    struct error err;
    unsigned port;
    sigset_t wanted;
    int signal_number;

    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGHUP);
    sigprocmask(SIG_BLOCK, &wanted, NULL);
    if (server_listen("127.0.0.1:0", listeners, loops, &port, &err) != STATUS_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    config->listeners = listeners;
    config->listener_count = loops;
    if (server_start(router, config, &server, &err) != STATUS_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    printf("%u\n", port);
    fflush(stdout);
    while (sigwait(&wanted, &signal_number) == 0 && signal_number == SIGHUP)
        if (server_reload(server, config, &err) != STATUS_OK)
            log_warn("net: reload: %s", err.message);
    for (unsigned i = 0; i < loops; i++)
        close(listeners[i]);
    server_drain(server);
    server_stop(&server);
    return 0;
}

int main(int argc, char **argv)
{
    struct server_config config = server_config_default();
    struct router *router = router_new();
    unsigned loops = 2;
    struct error err;
    int code;

    (void)argc;
    read_options(argv + 1, &config, &loops);
    router_mount(router, &door, NULL);
    router_mount(router, &dialect_door, NULL);
    router_set_authenticate(router, only_secret, NULL);
    if (mkdtemp(files) == NULL)
        return 1;
    code = serve(router, &config, loops);
    router_free(&router);
    if (folder_remove(files, &err) != STATUS_OK)
        fprintf(stderr, "%s\n", err.message);
    return code;
}
