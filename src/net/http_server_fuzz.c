/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole server under the bytes of a stranger: connection, body, workers,
 * streams and files. Whatever it answers must be HTTP, and it must come to an
 * end.
 */
#include "net/server.h"

#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A reply takes longer only when the server has lost the connection. */
#define PATIENCE_MS 10000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum status on_echo(struct request *req, struct response *res, struct error *err)
{
    (void)err;
    response_header(res, "X-Path", req->path);
    return response_bytes(res, 200, "text/plain", req->body);
}

static enum status on_events(struct request *req, struct response *res, struct error *err)
{
    TRY(response_event(res, "tick", STR("1"), err));
    return response_event(res, "tick", request_query(req, "q"), err);
}

static enum status on_upload(struct request *req, struct response *res, struct error *err)
{
    if (req->body_file == NULL)
        return error_set(err, STATUS_INVALID, "no body came");
    return response_file(res, 200, "text/plain", req->body_file, false, err);
}

static const struct route routes[] = {
    { "GET", "/", on_echo, INLINE, PERMIT_ANYONE, .body_max = BODY_NONE },
    { "POST", "/e", on_echo, INLINE, PERMIT_ANYONE, .body_max = 1000 },
    { "POST", "/w", on_echo, DEFERRED, PERMIT_ANYONE, .body_max = BODY_SMALL },
    { "GET", "/s", on_events, DEFERRED, PERMIT_ANYONE, .body_max = BODY_NONE },
    { "POST", "/f", on_upload, DEFERRED, PERMIT_ANYONE, .body_max = BODY_FILE },
    ROUTES_END,
};
static const struct door door = { .name = "fuzz", .routes = routes };
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static socklen_t address_len;

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    perror(what);
    abort();
}

/* A socket without a name in the file system: no ports to run out of. */
static void start(void)
{
    struct server_config config = server_config_default();
    struct router *router = router_new();
    struct server *server;
    struct error err;
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int len = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "onggi-fuzz-%d",
                       (int)getpid());

    address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    must(listener >= 0, "socket");
    must(bind(listener, (struct sockaddr *)&address, address_len) == 0, "bind");
    must(listen(listener, 100) == 0, "listen");
    config.listeners = &listener;
    config.listener_count = 1;
    config.workers = 2;
    log_set_level(LOG_ERROR);
    router_mount(router, &door, NULL);
    must(server_start(router, &config, &server, &err) == STATUS_OK, "server_start");
}

/* The fuzzer's own alarm interrupts; that is no answer. */
static void check_reply(int fd)
{
    static char reply[65536];
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    size_t len = 0;

    for (;;) {
        ssize_t got;

        must(TEMP_FAILURE_RETRY(poll(&ready, 1, PATIENCE_MS)) == 1,
             "the server neither answers nor closes");
        got = TEMP_FAILURE_RETRY(read(fd, reply + len, sizeof(reply) - len));
        if (got <= 0)
            break;
        len += len < sizeof(reply) / 2 ? (size_t)got : 0;
    }
    must(len == 0 || (len > 9 && memcmp(reply, "HTTP/1.1 ", 9) == 0), "the reply is no HTTP");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t half = size == 0 ? 0 : data[size - 1] % size;
    int fd;

    if (address_len == 0)
        start();
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0, "socket");
    must(TEMP_FAILURE_RETRY(connect(fd, (struct sockaddr *)&address, address_len)) == 0,
         "connect");
    /* The server may have closed already: then there is nothing to write to. */
    (void)!send(fd, data, half, MSG_NOSIGNAL);
    (void)!send(fd, data + half, size - half, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    check_reply(fd);
    close(fd);
    return 0;
}
