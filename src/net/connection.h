/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One client's socket: bytes in, one request at a time, bytes out. All of it
 * runs on its loop's thread. The memory is reference-counted: the handle
 * holds it, and so does every operation that ends later.
 */
#include "net/loop.h"

enum connection_state {
    CONNECTION_HEAD, /* waits for a head, or for the rest of one */
    CONNECTION_BODY,
    CONNECTION_SPOOLING, /* the body is here, the disk has not all of it yet */
    CONNECTION_RUNNING,  /* a worker has the turn */
    CONNECTION_SENDING,  /* the reply is on its way */
    CONNECTION_LINGERING, /* replied and shut down; what still comes is read, or a reset would eat the reply */
    CONNECTION_CLOSED,
};

struct connection {
    uv_tcp_t tcp;
    uv_write_t write_req;
    uv_shutdown_t shutdown_req;
    struct loop *loop;
    struct connection *next;
    struct connection **back;
    unsigned refs;
    enum connection_state state;
    struct message message;
    struct buffer input; /* what could not be consumed yet */
    struct turn *turn;
    struct tls *tls; /* NULL: plain */
    uint64_t deadline_ns;
    size_t unsent; /* bytes in libuv's queue when last looked at */
    bool is_reading;
    bool has_ended;      /* the client sends no more */
    bool is_sending;     /* a write is under way */
    bool is_consuming;   /* we are inside connection_consume: it goes on by itself */
    unsigned operations; /* file operations that must end before the socket closes */
};

enum sent {
    SENT_ALL,
    SENT_LATER, /* connection_sent() is called when it has left */
    SENT_LOST,  /* the connection is closed */
};

void connection_accept(struct loop *loop);
void connection_close(struct connection *connection);
/*
 * A file operation for the connection begins, and is over. In between the socket stays, and so does the memory;
 * after the end the connection may be gone: false says it is closed.
 */
void connection_operation_begin(struct connection *connection);
bool connection_operation_over(struct connection *connection);
void connection_ref(struct connection *connection);
void connection_unref(struct connection *connection);

/* The pieces must stay where they are until they have left. One call at a time. */
enum sent connection_send(struct connection *connection, uv_buf_t *pieces, unsigned count);
/* Bytes have left; the reply goes on, or ends. */
void connection_sent(struct connection *connection);

/* The turn's reply is complete (or is a stream or file that begins): sends it. */
void connection_reply(struct connection *connection);
/* The reply has left: the next request, or the end. */
void connection_turn_over(struct connection *connection, int code);
/* Deciphered or plain bytes of the client. */
void connection_receive(struct connection *connection, struct str bytes);
void connection_deadline(struct connection *connection, unsigned timeout_ms);
/* The client sends no more; what it asked for is still answered. */
void connection_end(struct connection *connection);
/* The client has to wait with its bytes. */
void connection_pause(struct connection *connection);
/* The disk has caught up with the body, or could not. */
void connection_spooled(struct connection *connection);
void connection_spool_failed(struct connection *connection, int error_number);
/* Called about ten times a second. */
void connection_sweep(struct connection *connection, uint64_t now_ns);
/* On drain: an idle one has a moment left for a request that is on its way. */
void connection_drain(struct connection *connection);
