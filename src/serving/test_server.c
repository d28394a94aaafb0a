/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server with the doors of serving and one to load models through. Writes
 * the models that tests ask for into the folder given, prints the port and
 * serves until SIGTERM.
 */
#include "serving/serving.h"

#include "base/file.h"
#include "net/server.h"
#include "serving/serving_http.h"

#include "support/onnx_writer.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define LOOPS 2
#define WORKERS 2

/* POST /test/load?name=m&version=1&path=FILE */
static enum status on_load(struct request *req, struct response *res, struct error *err)
{
    struct model_source source = { .path = arena_cstr(req->arena, request_query(req, "path")),
                                   .signature = STR("{}") };
    struct model *model;

    if (!str_to_int64(request_query(req, "version"), &source.version))
        return error_set(err, STATUS_INVALID, "version?");
    source.name = request_query(req, "name");
    TRY(model_load(req->context, &source, &model, err));
    serving_publish(req->context, model);
    if (source.version > 1)
        serving_withdraw(req->context, source.name, source.version - 1);
    return response_empty(res, 204);
}

static const struct route routes[] = {
    { "POST", "/test/load", on_load, DEFERRED, PERMIT_EDIT, .body_max = BODY_NONE,
      .timeout_ms = UINT_MAX },
    ROUTES_END,
};
static const struct door door = { .name = "test", .routes = routes };

static enum status write_models(const char *folder, struct error *err)
{
    static const int64_t widths[] = { 30, 64, 32, 1 };
    struct arena *arena = arena_new();
    const struct {
        const char *name;
        struct str bytes;
    } models[] = {
        { "trees", onnx_trees(arena, 3, 100, 6, "[\"a\",\"b\",\"c\"]") },
        { "network", onnx_network(arena, widths, ARRAY_LEN(widths), NULL) },
        { "endless", onnx_endless(arena, 1000) },
        { "hopeless", onnx_endless(arena, -1) },
        { "nonsense", STR("GIF89a") },
    };
    enum status status = STATUS_OK;

    for (size_t i = 0; i < ARRAY_LEN(models) && status == STATUS_OK; i++) {
        const char *path = arena_printf(arena, "%s/%s.onnx", folder, models[i].name).data;

        status = file_write(path, models[i].bytes, err);
    }
    arena_free(arena);
    return status;
}

static enum status serve(struct router *router, struct error *err)
{
    struct server_config config = server_config_default();
    struct server *server;
    int listeners[LOOPS], signal_number;
    unsigned port;
    sigset_t wanted;

    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigprocmask(SIG_BLOCK, &wanted, NULL);
    TRY(server_listen("127.0.0.1:0", listeners, LOOPS, &port, err));
    config.listeners = listeners;
    config.listener_count = LOOPS;
    config.workers = WORKERS;
    config.deadlines.handler_ms = 5000;
    TRY(server_start(router, &config, &server, err));
    printf("%u\n", port);
    fflush(stdout);
    sigwait(&wanted, &signal_number);
    for (unsigned i = 0; i < LOOPS; i++)
        close(listeners[i]);
    server_drain(server);
    server_stop(&server);
    return STATUS_OK;
}

static enum status run(const char *folder, struct error *err)
{
    const struct serving_config config = { .threads = LOOPS + WORKERS,
                                           .probe_timeout_ms = 5000 };
    struct serving *serving;
    struct router *router;
    enum status status;

    TRY(write_models(folder, err));
    TRY(serving_open(&config, &serving, err));
    router = router_new();
    router_mount(router, &serving_door, serving);
    router_mount(router, &door, serving);
    status = serve(router, err);
    router_free(&router);
    serving_close(&serving);
    return status;
}

int main(int argc, char **argv)
{
    struct error err;

    /* It is its own child: probes start /proc/self/exe. */
    if (argc > 2 && strcmp(argv[2], "probe-model") == 0)
        return serving_probe_main(argc, argv);
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    if (run(argv[1], &err) == STATUS_OK)
        return 0;
    fprintf(stderr, "%s\n", err.message);
    return 1;
}
