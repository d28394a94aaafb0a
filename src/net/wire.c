/* SPDX-License-Identifier: Apache-2.0 */
#include "net/wire.h"

#include "net/client_tls.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LOOK_EVERY_MS 100

struct wire {
    int fd;
    SSL_CTX *context; /* NULL: plain */
    SSL *ssl;
    uint64_t deadline_ns;
    bool (*is_cancelled)(void); /* may be NULL */
    bool is_masked;             /* TLS only: OpenSSL writes without MSG_NOSIGNAL */
    sigset_t old_mask;
};

void wire_set_deadline(struct wire *wire, uint64_t deadline_ns)
{
    wire->deadline_ns = deadline_ns;
}

/* Milliseconds left for poll(); -1 for ever, 0 when it is over. */
static int left_ms(const struct wire *wire)
{
    uint64_t now_ns = clock_monotonic_ns(), ms;

    if (wire->deadline_ns == 0)
        return -1;
    if (now_ns >= wire->deadline_ns)
        return 0;
    ms = (wire->deadline_ns - now_ns) / 1000000 + 1;
    return ms > 60000 ? 60000 : (int)ms;
}

static enum status wait_for(struct wire *wire, short events, const char *what,
                            struct error *err)
{
    struct pollfd ready = { .fd = wire->fd, .events = events };

    for (;;) {
        int ms = left_ms(wire), count;

        if (wire->is_cancelled != NULL && wire->is_cancelled())
            return error_set(err, STATUS_UNAVAILABLE, "%s: interrupted", what);
        /* A signal just before poll() would not end it, so its time is short. */
        if (wire->is_cancelled != NULL && (ms < 0 || ms > LOOK_EVERY_MS))
            count = poll(&ready, 1, LOOK_EVERY_MS);
        else
            count = ms == 0 ? 0 : poll(&ready, 1, ms);
        if (count > 0)
            return STATUS_OK;
        if (ms == 0)
            return error_set(err, STATUS_TIMEOUT, "%s: no answer in time", what);
        if (count < 0 && errno != EINTR)
            return error_errno(err, errno, "%s", what);
    }
}

static enum status connect_one(struct wire *wire, const struct addrinfo *info,
                               struct error *err)
{
    int on = 1, problem = 0;
    socklen_t len = sizeof(problem);

    wire->fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (wire->fd < 0)
        return error_errno(err, errno, "make a socket");
    setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(wire->fd, info->ai_addr, info->ai_addrlen) == 0)
        return STATUS_OK;
    if (errno != EINPROGRESS)
        return error_errno(err, errno, "connect");
    TRY(wait_for(wire, POLLOUT, "connect", err));
    getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &problem, &len);
    return problem == 0 ? STATUS_OK : error_errno(err, problem, "connect");
}

static enum status connect_any(struct wire *wire, const struct url *url, struct error *err)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    struct addrinfo *list;
    int problem = getaddrinfo(url->host, url->port, &hints, &list);
    enum status status = STATUS_UNAVAILABLE;

    if (problem != 0)
        return error_set(err, STATUS_UNAVAILABLE, "find %s: %s", url->host,
                         gai_strerror(problem));
    for (struct addrinfo *info = list; info != NULL; info = info->ai_next) {
        status = connect_one(wire, info, err);
        if (status == STATUS_OK)
            break;
        if (wire->fd >= 0)
            close(wire->fd);
        wire->fd = -1;
    }
    freeaddrinfo(list);
    if (status != STATUS_OK && status != STATUS_TIMEOUT)
        err->status = STATUS_UNAVAILABLE;
    return status == STATUS_OK ? STATUS_OK : err->status;
}

/* What the engine waits for; its other failures are the end. */
static enum status tls_wait(struct wire *wire, int result, const char *what, struct error *err)
{
    switch (SSL_get_error(wire->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return wait_for(wire, POLLIN, what, err);
    case SSL_ERROR_WANT_WRITE:
        return wait_for(wire, POLLOUT, what, err);
    default:
        return client_tls_failed(wire->ssl, what, err);
    }
}

static void block_sigpipe(struct wire *wire)
{
    sigset_t pipe_only;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &wire->old_mask);
    wire->is_masked = true;
}

static void restore_sigpipe(struct wire *wire)
{
    const struct timespec at_once = { 0 };
    sigset_t pipe_only;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    if (!sigismember(&wire->old_mask, SIGPIPE))
        while (sigtimedwait(&pipe_only, NULL, &at_once) > 0)
            continue;
    pthread_sigmask(SIG_SETMASK, &wire->old_mask, NULL);
}

static enum status shake_hands(struct wire *wire, struct error *err)
{
    int result;

    while ((result = SSL_connect(wire->ssl)) != 1)
        TRY(tls_wait(wire, result, "TLS handshake", err));
    return STATUS_OK;
}

static enum status begin_tls(struct wire *wire, const struct url *url,
                             const struct http_options *options, struct error *err)
{
    block_sigpipe(wire);
    TRY(client_tls_context(options->ca_file, &wire->context, err));
    wire->ssl = SSL_new(wire->context);
    if (wire->ssl == NULL)
        return client_tls_failed(NULL, "start OpenSSL", err);
    SSL_set_fd(wire->ssl, wire->fd);
    if (options->certificate == NULL) {
        TRY(client_tls_expect(wire->ssl, url->host, err));
        return shake_hands(wire, err);
    }
    SSL_set_verify(wire->ssl, SSL_VERIFY_NONE, NULL);
    TRY(shake_hands(wire, err));
    return client_tls_same(wire->ssl, options->certificate, err);
}

enum status wire_open(const struct url *url, const struct http_options *options,
                      unsigned connect_ms, struct wire **out, struct error *err)
{
    struct wire *wire = calloc(1, sizeof(*wire));

    if (wire == NULL)
        abort();
    wire->fd = -1;
    wire->is_cancelled = options->is_cancelled;
    wire->deadline_ns = clock_monotonic_ns() + connect_ms * UINT64_C(1000000);
    if (connect_any(wire, url, err) != STATUS_OK ||
        (url->is_tls && begin_tls(wire, url, options, err) != STATUS_OK)) {
        wire_close(&wire);
        return error_wrap(err, STR_FMT, STR_ARG(url->authority));
    }
    wire->deadline_ns = 0;
    *out = wire;
    return STATUS_OK;
}

void wire_close(struct wire **pointer)
{
    struct wire *wire = *pointer;

    if (wire == NULL)
        return;
    if (wire->ssl != NULL) {
        SSL_shutdown(wire->ssl);
        ERR_clear_error();
        SSL_free(wire->ssl);
    }
    SSL_CTX_free(wire->context);
    if (wire->is_masked)
        restore_sigpipe(wire);
    if (wire->fd >= 0)
        close(wire->fd);
    free(wire);
    *pointer = NULL;
}

static enum status write_some(struct wire *wire, struct str bytes, size_t *done,
                              struct error *err)
{
    ssize_t sent;
    int result;

    *done = 0;
    if (wire->ssl != NULL) {
        result = SSL_write_ex(wire->ssl, bytes.data, bytes.len, done);
        return result == 1 ? STATUS_OK : tls_wait(wire, result, "send", err);
    }
    sent = send(wire->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
    if (sent >= 0) {
        *done = (size_t)sent;
        return STATUS_OK;
    }
    if (errno == EAGAIN)
        return wait_for(wire, POLLOUT, "send", err);
    return errno == EINTR ? STATUS_OK : error_errno(err, errno, "send");
}

enum status wire_write(struct wire *wire, struct str bytes, struct error *err)
{
    while (bytes.len > 0) {
        size_t done;

        TRY(write_some(wire, bytes, &done, err));
        bytes = str_slice(bytes, done, bytes.len);
    }
    return STATUS_OK;
}

static enum status read_tls(struct wire *wire, char *room, size_t max, size_t *out,
                            struct error *err)
{
    int result;

    while ((result = SSL_read_ex(wire->ssl, room, max, out)) != 1) {
        if (SSL_get_error(wire->ssl, result) == SSL_ERROR_ZERO_RETURN) {
            *out = 0;
            return STATUS_OK;
        }
        TRY(tls_wait(wire, result, "receive", err));
    }
    return STATUS_OK;
}

enum status wire_read(struct wire *wire, char *room, size_t max, size_t *out, struct error *err)
{
    if (wire->ssl != NULL)
        return read_tls(wire, room, max, out, err);
    for (;;) {
        ssize_t got = recv(wire->fd, room, max, 0);

        if (got >= 0) {
            *out = (size_t)got;
            return STATUS_OK;
        }
        if (errno == EAGAIN)
            TRY(wait_for(wire, POLLIN, "receive", err));
        else if (errno != EINTR)
            return error_errno(err, errno, "receive");
    }
}
