/* SPDX-License-Identifier: Apache-2.0 */
#include "net/outbound.h"

#include "net/client_tls.h"

#include "base/clock.h"

#include <openssl/err.h>
#include <stdlib.h>

static void outbound_release(struct outbound *outbound)
{
    struct host *host = outbound->host;
    struct http_client *client = host->client;
    struct outbound **at = &host->connections;

    while (*at != outbound)
        at = &(*at)->next;
    *at = outbound->next;
    host->count--;
    uv_freeaddrinfo(outbound->found);
    SSL_free(outbound->ssl); /* with both BIOs */
    answer_reader_fini(&outbound->reader);
    free(outbound);
    if (!client->is_ending)
        host_dispatch(host);
    client_release(client);
}

static void on_closed(uv_handle_t *handle)
{
    outbound_release(container_of((uv_tcp_t *)handle, struct outbound, tcp));
}

void outbound_close(struct outbound *outbound)
{
    if (outbound->state == OUTBOUND_CLOSING)
        return;
    if (outbound->state == OUTBOUND_IDLE && outbound->ssl != NULL) {
        SSL_shutdown(outbound->ssl);
        ERR_clear_error();
        outbound->state = OUTBOUND_CLOSING;
        outbound_flush(outbound);
    }
    outbound->state = OUTBOUND_CLOSING;
    outbound->unsent = STR_EMPTY; /* it is the call's */
    /* A lookup or a socket that closes refers to us: its callback does the rest. */
    if (outbound->is_looking_up)
        uv_cancel((uv_req_t *)&outbound->lookup);
    else if (!outbound->is_reopening)
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

void outbound_fail(struct outbound *outbound, struct error *err)
{
    struct outgoing_call *call = outbound->call;

    outbound->call = NULL;
    outbound_close(outbound);
    if (call == NULL)
        return;
    if (err->status == STATUS_UNAVAILABLE && try_again(outbound, call)) {
        host_dispatch(outbound->host);
        return;
    }
    error_wrap(err, "%s:%s", outbound->host->url.host, outbound->host->url.port);
    call_end(call, NULL, err);
}

void outbound_fail_uv(struct outbound *outbound, int problem, const char *what)
{
    struct error err;

    error_set(&err, STATUS_UNAVAILABLE, "%s: %s", what, uv_strerror(problem));
    outbound_fail(outbound, &err);
}

void outbound_fail_tls(struct outbound *outbound, const char *what)
{
    struct error err;

    client_tls_failed(outbound->ssl, what, &err);
    outbound_flush(outbound); /* the alert that says why */
    outbound_fail(outbound, &err);
}

/* ---- connecting */

/* The next handshake with this host resumes the session. 1: we keep the reference. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct outbound *outbound = SSL_get_app_data(ssl);

    SSL_SESSION_free(outbound->host->session);
    outbound->host->session = session;
    return 1;
}

static enum status trust(struct host *host, struct error *err)
{
    if (host->context != NULL)
        return STATUS_OK;
    TRY(client_tls_context(host->ca_file, &host->context, err));
    SSL_CTX_set_session_cache_mode(host->context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(host->context, on_session);
    return STATUS_OK;
}

static enum status begin_tls(struct outbound *outbound, struct error *err)
{
    struct host *host = outbound->host;

    TRY(trust(host, err));
    outbound->ssl = SSL_new(host->context);
    outbound->from_socket = BIO_new(BIO_s_mem());
    outbound->to_socket = BIO_new(BIO_s_mem());
    if (outbound->ssl == NULL || outbound->from_socket == NULL || outbound->to_socket == NULL)
        abort();
    SSL_set_bio(outbound->ssl, outbound->from_socket, outbound->to_socket);
    SSL_set_app_data(outbound->ssl, outbound);
    SSL_set_connect_state(outbound->ssl);
    TRY(client_tls_expect(outbound->ssl, host->url.host, err));
    if (host->session != NULL)
        SSL_set_session(outbound->ssl, host->session);
    return STATUS_OK;
}

static void connected(struct outbound *outbound)
{
    struct error err;

    uv_tcp_nodelay(&outbound->tcp, 1);
    /* It refuses only what is not connected. */
    (void)uv_read_start((uv_stream_t *)&outbound->tcp, outbound_on_allocate, outbound_on_read);
    if (!outbound->host->url.is_tls)
        outbound_send(outbound, outbound->call);
    else if (begin_tls(outbound, &err) == STATUS_OK)
        outbound_shake_hands(outbound);
    else
        outbound_fail(outbound, &err);
}

static void connect_to(struct outbound *outbound, const struct sockaddr *address);

/* The socket of an address that did not answer is gone; the next one gets a new socket. */
static void on_reopen(uv_handle_t *handle)
{
    struct outbound *outbound = container_of((uv_tcp_t *)handle, struct outbound, tcp);

    outbound->is_reopening = false;
    if (outbound->state == OUTBOUND_CLOSING) {
        outbound_release(outbound);
        return;
    }
    uv_tcp_init(outbound->host->client->loop, &outbound->tcp);
    connect_to(outbound, outbound->address->ai_addr);
}

/* A name may have several addresses, of which some are not listened to. */
static void refused(struct outbound *outbound, int problem)
{
    if (outbound->address == NULL || outbound->address->ai_next == NULL) {
        outbound_fail_uv(outbound, problem, "connect");
        return;
    }
    outbound->address = outbound->address->ai_next;
    outbound->is_reopening = true;
    uv_close((uv_handle_t *)&outbound->tcp, on_reopen);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct outbound *outbound = container_of(connect, struct outbound, connect);

    if (outbound->state == OUTBOUND_CLOSING || outbound->is_reopening)
        return;
    if (status == 0)
        connected(outbound);
    else
        refused(outbound, status);
}

static void connect_to(struct outbound *outbound, const struct sockaddr *address)
{
    int problem = uv_tcp_connect(&outbound->connect, &outbound->tcp, address, on_connected);

    if (problem != 0)
        refused(outbound, problem);
}

static void on_looked_up(uv_getaddrinfo_t *lookup, int status, struct addrinfo *list)
{
    struct outbound *outbound = container_of(lookup, struct outbound, lookup);

    outbound->is_looking_up = false;
    outbound->found = outbound->address = list;
    if (outbound->state == OUTBOUND_CLOSING)
        uv_close((uv_handle_t *)&outbound->tcp, on_closed);
    else if (status != 0)
        outbound_fail_uv(outbound, status, "find");
    else
        connect_to(outbound, list->ai_addr);
}

static int look_up(struct outbound *outbound)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    const struct url *url = &outbound->host->url;
    int problem = uv_getaddrinfo(outbound->host->client->loop, &outbound->lookup, on_looked_up,
                                 url->host, url->port, &hints);

    outbound->is_looking_up = problem == 0;
    return problem;
}

/* Addresses are used as they are, names are looked up beside the loop. */
static int begin(struct outbound *outbound)
{
    const struct url *url = &outbound->host->url;
    int port = (int)strtol(url->port, NULL, 10);
    struct sockaddr_in6 address6;
    struct sockaddr_in address;

    if (uv_ip4_addr(url->host, port, &address) == 0)
        return uv_tcp_connect(&outbound->connect, &outbound->tcp, (struct sockaddr *)&address,
                              on_connected);
    if (uv_ip6_addr(url->host, port, &address6) == 0)
        return uv_tcp_connect(&outbound->connect, &outbound->tcp, (struct sockaddr *)&address6,
                              on_connected);
    return look_up(outbound);
}

enum status outbound_open(struct host *host, struct outgoing_call *call, struct error *err)
{
    struct outbound *outbound = calloc(1, sizeof(*outbound));
    int problem;

    if (outbound == NULL)
        abort();
    outbound->host = host;
    outbound->next = host->connections;
    host->connections = outbound;
    host->count++;
    host->client->handles++;
    outbound->is_fresh = true;
    outbound->until_ns = clock_monotonic_ns() + call->connect_ms * UINT64_C(1000000);
    uv_tcp_init(host->client->loop, &outbound->tcp);
    problem = begin(outbound);
    if (problem == 0) {
        outbound->call = call;
        return STATUS_OK;
    }
    outbound_close(outbound);
    return error_set(err, STATUS_UNAVAILABLE, "%s:%s: connect: %s", host->url.host,
                     host->url.port, uv_strerror(problem));
}
