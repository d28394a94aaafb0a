/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limit that the server is measured against: one libuv loop, llhttp and a
 * fixed reply, nothing else. It checks nothing and must never serve anybody.
 *
 *     bare_loop [NANOSECONDS]
 *
 * With an argument it also burns so much time a request: the limit of whoever
 * has as much to do besides.
 */
#include <llhttp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#define BODY_LEN 366

struct client {
    uv_tcp_t tcp;
    uv_write_t write;
    llhttp_t parser;
};

static char read_buffer[65536];
static char reply[1024];
static unsigned reply_len;
static unsigned long work_rounds;

static void make_reply(void)
{
    int head = snprintf(reply, sizeof(reply),
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                        "Content-Length: %d\r\n\r\n",
                        BODY_LEN);

    memset(reply + head, ' ', BODY_LEN);
    reply[head] = '{';
    reply[head + BODY_LEN - 1] = '}';
    reply_len = (unsigned)(head + BODY_LEN);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_written(uv_write_t *write, int status)
{
    (void)write;
    (void)status;
}

static double now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Counted, not timed: what is to be done does not grow less while the processor is away. */
static void work(unsigned long rounds)
{
    volatile unsigned long done = 0;

    while (done < rounds)
        done = done + 1;
}

/* The fastest of several: the others were disturbed. */
static unsigned long rounds_of(double ns)
{
    const unsigned long probe = 1000000;
    double best = 1e18;

    for (int i = 0; i < 20; i++) {
        double start = now_ns(), took;

        work(probe);
        took = now_ns() - start;
        best = took < best ? took : best;
    }
    return (unsigned long)(ns / best * (double)probe);
}

static int on_message_complete(llhttp_t *parser)
{
    struct client *client = parser->data;
    uv_buf_t piece = uv_buf_init(reply, reply_len);
    int done;

    work(work_rounds);
    done = uv_try_write((uv_stream_t *)&client->tcp, &piece, 1);
    if (done < 0)
        done = 0;
    if ((unsigned)done < reply_len) {
        piece = uv_buf_init(reply + done, reply_len - (unsigned)done);
        (void)uv_write(&client->write, (uv_stream_t *)&client->tcp, &piece, 1, on_written);
    }
    return 0;
}

static const llhttp_settings_t settings = { .on_message_complete = on_message_complete };

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    (void)handle;
    (void)suggested;
    *out = uv_buf_init(read_buffer, sizeof(read_buffer));
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *room)
{
    struct client *client = stream->data;

    if (count > 0 && llhttp_execute(&client->parser, room->base, (size_t)count) == HPE_OK)
        return;
    if (count != 0 && !uv_is_closing((uv_handle_t *)stream))
        uv_close((uv_handle_t *)stream, on_closed);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct client *client = calloc(1, sizeof(*client));

    if (status != 0 || client == NULL)
        abort();
    uv_tcp_init(listener->loop, &client->tcp);
    client->tcp.data = client;
    llhttp_init(&client->parser, HTTP_REQUEST, &settings);
    client->parser.data = client;
    if (uv_accept(listener, (uv_stream_t *)&client->tcp) != 0)
        abort();
    uv_tcp_nodelay(&client->tcp, 1);
    (void)uv_read_start((uv_stream_t *)&client->tcp, on_allocate, on_read);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address;
    int len = sizeof(address);
    uv_tcp_t listener;

    work_rounds = argc > 1 ? rounds_of(strtod(argv[1], NULL)) : 0;
    signal(SIGPIPE, SIG_IGN);
    make_reply();
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(uv_default_loop(), &listener);
    if (uv_tcp_bind(&listener, (const struct sockaddr *)&address, 0) != 0 ||
        uv_listen((uv_stream_t *)&listener, 1024, on_connection) != 0 ||
        uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &len) != 0)
        return 1;
    printf("%u\n", (unsigned)ntohs(address.sin_port));
    fflush(stdout);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
