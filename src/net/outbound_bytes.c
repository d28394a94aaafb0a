/* SPDX-License-Identifier: Apache-2.0 */
#include "net/outbound.h"

#include "base/clock.h"

#include <openssl/err.h>
#include <stdlib.h>

/* ---- bytes out */

/* Enciphered bytes that the socket did not take at once. */
struct outbound_write {
    uv_write_t req;
    struct outbound *outbound;
    char data[];
};

static void send_more(struct outbound *outbound);

/*
 * Who refuses early stops to read, and what they said is worth more than our failure: reading
 * goes on, and ends with the answer or with the failure.
 */
static void send_failed(struct outbound *outbound, int problem)
{
    if (problem != UV_EPIPE && problem != UV_ECONNRESET) {
        outbound_fail_uv(outbound, problem, "send");
        return;
    }
    outbound->is_unheard = true;
    outbound->unsent = STR_EMPTY;
}

static void on_left(struct outbound *outbound, int status)
{
    outbound->is_writing = false;
    if (outbound->state == OUTBOUND_CLOSING)
        return;
    if (status < 0)
        send_failed(outbound, status);
    else if (outbound->ssl != NULL)
        outbound_flush(outbound);
    if (outbound->state == OUTBOUND_BUSY && !outbound->is_writing)
        send_more(outbound);
}

static void on_plain_written(uv_write_t *req, int status)
{
    on_left(container_of(req, struct outbound, write), status);
}

static void on_copy_written(uv_write_t *req, int status)
{
    struct outbound_write *write = container_of(req, struct outbound_write, req);
    struct outbound *outbound = write->outbound;

    free(write);
    on_left(outbound, status);
}

static int write_later(struct outbound *outbound, const char *data, size_t len)
{
    struct outbound_write *write = malloc(sizeof(*write) + len);
    uv_buf_t piece;
    int problem;

    if (write == NULL)
        abort();
    memcpy(write->data, data, len);
    write->outbound = outbound;
    piece = uv_buf_init(write->data, (unsigned)len);
    problem = uv_write(&write->req, (uv_stream_t *)&outbound->tcp, &piece, 1, on_copy_written);
    if (problem != 0)
        free(write);
    outbound->is_writing = problem == 0;
    return problem;
}

void outbound_flush(struct outbound *outbound)
{
    char *data = NULL;
    long len;
    uv_buf_t piece;
    int done;

    if (outbound->ssl == NULL || outbound->is_writing || outbound->is_unheard)
        return;
    len = BIO_get_mem_data(outbound->to_socket, &data);
    if (len <= 0)
        return;
    piece = uv_buf_init(data, (unsigned)len);
    done = uv_try_write((uv_stream_t *)&outbound->tcp, &piece, 1);
    if (done < 0)
        done = 0;
    if (done < len)
        (void)!write_later(outbound, data + done, (size_t)(len - done));
    BIO_reset(outbound->to_socket);
}

/* A piece at a time, so that a large body is never in memory twice. */
static void send_enciphered(struct outbound *outbound)
{
    while (outbound->unsent.len > 0 && !outbound->is_writing) {
        size_t len = outbound->unsent.len < OUTBOUND_ROOM ? outbound->unsent.len
                                                          : OUTBOUND_ROOM;
        size_t done = 0;

        if (SSL_write_ex(outbound->ssl, outbound->unsent.data, len, &done) != 1) {
            outbound_fail_tls(outbound, "send");
            return;
        }
        outbound->unsent = str_slice(outbound->unsent, done, outbound->unsent.len);
        outbound_flush(outbound);
    }
}

static void send_plain(struct outbound *outbound)
{
    uv_buf_t piece = uv_buf_init((char *)(uintptr_t)outbound->unsent.data,
                                 (unsigned)outbound->unsent.len);
    int problem = uv_write(&outbound->write, (uv_stream_t *)&outbound->tcp, &piece, 1,
                           on_plain_written);

    outbound->unsent = STR_EMPTY;
    outbound->is_writing = problem == 0;
    if (problem != 0)
        send_failed(outbound, problem);
}

static void send_more(struct outbound *outbound)
{
    if (outbound->unsent.len == 0)
        return;
    if (outbound->ssl != NULL)
        send_enciphered(outbound);
    else
        send_plain(outbound);
}

void outbound_send(struct outbound *outbound, struct outgoing_call *call)
{
    outbound->call = call;
    answer_reader_init(&outbound->reader, call->answer_max, call->is_head);
    outbound->state = OUTBOUND_BUSY;
    outbound->has_answered = false;
    outbound->unsent = call->request;
    send_more(outbound);
}

/* ---- bytes in */

/* The answer is whole: the connection is free before the caller hears, who may call again. */
static void answer_done(struct outbound *outbound)
{
    struct outgoing_call *call = outbound->call;
    struct host *host = outbound->host;
    struct answer_reader reader = outbound->reader;
    /* Who answers before all is asked has not read the rest. */
    bool keep = reader.keep_alive && !outbound->is_unheard && !outbound->is_writing &&
                outbound->unsent.len == 0;

    outbound->reader = (struct answer_reader){ 0 };
    outbound->call = NULL;
    outbound->is_fresh = false;
    outbound->state = OUTBOUND_IDLE;
    outbound->until_ns = clock_monotonic_ns() +
                         host->client->config.idle_ms * UINT64_C(1000000);
    if (!keep)
        outbound_close(outbound);
    call_end(call, &reader.answer, NULL);
    answer_reader_fini(&reader);
    host_dispatch(host);
}

static void take_bytes(struct outbound *outbound, struct str bytes)
{
    struct error err;

    /* Nothing was asked: it says what nobody wants to hear. */
    if (outbound->state == OUTBOUND_IDLE) {
        outbound_close(outbound);
        return;
    }
    outbound->has_answered = true;
    if (answer_reader_feed(&outbound->reader, bytes, &err) != STATUS_OK)
        outbound_fail(outbound, &err);
    else if (outbound->reader.done)
        answer_done(outbound);
}

/* The other side has closed, and has said so where that is the custom. */
static void take_end(struct outbound *outbound)
{
    struct error err;

    if (outbound->state == OUTBOUND_IDLE)
        outbound_close(outbound);
    else if (answer_reader_end(&outbound->reader, &err) != STATUS_OK)
        outbound_fail(outbound, &err);
    else
        answer_done(outbound);
}

/* False when the engine needs more bytes or has given up. */
static bool decipher(struct outbound *outbound)
{
    char *room = outbound->host->client->plain;
    size_t got = 0;
    int result = SSL_read_ex(outbound->ssl, room, OUTBOUND_ROOM, &got);

    if (result == 1) {
        take_bytes(outbound, (struct str){ room, got });
        return outbound->state != OUTBOUND_CLOSING;
    }
    switch (SSL_get_error(outbound->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        ERR_clear_error();
        break;
    case SSL_ERROR_ZERO_RETURN:
        take_end(outbound);
        break;
    default:
        outbound_fail_tls(outbound, "receive");
        break;
    }
    return false;
}

bool outbound_shake_hands(struct outbound *outbound)
{
    int result = SSL_do_handshake(outbound->ssl);

    if (result == 1) {
        outbound_flush(outbound);
        outbound_send(outbound, outbound->call);
        return outbound->state != OUTBOUND_CLOSING;
    }
    if (SSL_get_error(outbound->ssl, result) == SSL_ERROR_WANT_READ)
        outbound_flush(outbound);
    else
        outbound_fail_tls(outbound, "TLS handshake");
    return false;
}

static void take_enciphered(struct outbound *outbound, struct str bytes)
{
    ERR_clear_error();
    if (BIO_write(outbound->from_socket, bytes.data, (int)bytes.len) != (int)bytes.len)
        abort();
    if (outbound->state == OUTBOUND_CONNECTING && !outbound_shake_hands(outbound))
        return;
    while (decipher(outbound))
        continue;
    /* Tickets and key updates are answered without anybody above. */
    if (outbound->state != OUTBOUND_CLOSING)
        outbound_flush(outbound);
}

/* Without TLS's good-bye anybody on the way may have cut it. */
static void take_hang_up(struct outbound *outbound)
{
    struct error err;

    if (outbound->ssl == NULL || outbound->state == OUTBOUND_IDLE) {
        take_end(outbound);
        return;
    }
    error_set(&err, STATUS_UNAVAILABLE,
              outbound->state == OUTBOUND_CONNECTING
                  ? "TLS handshake: the other side hung up"
                  : "the other side hung up without saying so; what came may be cut short");
    outbound_fail(outbound, &err);
}

void outbound_on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct outbound *outbound = container_of((uv_tcp_t *)handle, struct outbound, tcp);

    (void)suggested;
    *out = uv_buf_init(outbound->host->client->raw, OUTBOUND_ROOM);
}

void outbound_on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *room)
{
    struct outbound *outbound = container_of((uv_tcp_t *)stream, struct outbound, tcp);
    struct str bytes = { room->base, count > 0 ? (size_t)count : 0 };

    if (count == 0 || outbound->state == OUTBOUND_CLOSING)
        return;
    if (count == UV_EOF)
        take_hang_up(outbound);
    else if (count < 0)
        outbound_fail_uv(outbound, (int)count, "receive");
    else if (outbound->ssl != NULL)
        take_enciphered(outbound, bytes);
    else
        take_bytes(outbound, bytes);
}
