/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One connection of the HTTP client, plain or TLS: finds the host, connects,
 * shakes hands, sends one call at a time and reads its answer. Which call goes
 * where is the affair of net/http_client.c. All of it on the loop's thread.
 */
#include "net/answer_reader.h"
#include "net/url.h"

#include <openssl/ssl.h>

#define OUTBOUND_ROOM ((size_t)64 << 10)

/* One call: waits in its host's line, or is on a connection. */
struct outgoing_call {
    struct outgoing_call *next;
    struct arena *arena;
    struct str request;   /* head and body */
    uint64_t deadline_ns; /* 0: none */
    unsigned connect_ms;
    size_t answer_max;
    bool is_head;
    bool is_safe;   /* may be sent twice */
    bool was_tried; /* on a kept connection, in vain */
    http_done done;
    void *context;
    struct error err; /* of one that failed before it began */
};

enum outbound_state {
    OUTBOUND_CONNECTING, /* until the handshake is over, if there is one */
    OUTBOUND_BUSY,
    OUTBOUND_IDLE,
    OUTBOUND_CLOSING,
};

struct outbound {
    struct outbound *next;
    struct host *host;
    enum outbound_state state;
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_getaddrinfo_t lookup;
    uv_write_t write;
    struct addrinfo *found;   /* all addresses of the name */
    struct addrinfo *address; /* the one that is tried */
    SSL *ssl;                 /* NULL: plain */
    BIO *from_socket, *to_socket;
    struct answer_reader reader;
    struct outgoing_call *call;
    struct str unsent; /* of the call's request */
    bool is_fresh;     /* has not answered yet */
    bool is_looking_up;
    bool is_reopening; /* the socket closes, for another address */
    bool is_writing;
    bool is_unheard;   /* the other side takes nothing more; what it said may still come */
    bool has_answered; /* a byte of this answer has come */
    uint64_t until_ns; /* connected by then, or idle until then */
};

/* Where connections are alike: same scheme, name, port, and trust. */
struct host {
    struct host *next;
    struct http_client *client;
    struct url url; /* its views are not used */
    char *ca_file;  /* NULL: the system's */
    SSL_CTX *context;
    SSL_SESSION *session; /* of the last handshake: the next one is shorter */
    struct outbound *connections;
    size_t count;
    struct outgoing_call *first;
    struct outgoing_call **last;
};

struct http_client {
    uv_loop_t *loop;
    struct http_client_config config;
    uv_timer_t tick;
    struct host *hosts;
    struct outgoing_call *failed; /* told at the next tick, never inside http_client_call */
    size_t handles;               /* that are not closed yet */
    bool is_ending;
    char raw[OUTBOUND_ROOM];   /* what a socket gave */
    char plain[OUTBOUND_ROOM]; /* deciphered */
};

/* The connection joins its host's and begins with the call; a failure comes as that of any other. */
MUST_USE enum status outbound_open(struct host *host, struct outgoing_call *call,
                                   struct error *err);
/* On an idle one. */
void outbound_send(struct outbound *outbound, struct outgoing_call *call);
void outbound_close(struct outbound *outbound);
/* Closes it; its call is told, or tried again elsewhere. */
void outbound_fail(struct outbound *outbound, struct error *err);

void outbound_fail_uv(struct outbound *outbound, int problem, const char *what);
void outbound_fail_tls(struct outbound *outbound, const char *what);

/* outbound_bytes.c, once there is a socket. */
void outbound_on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *out);
void outbound_on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *room);
/* True once nothing more stands between the call and the other side. */
bool outbound_shake_hands(struct outbound *outbound);
/* Moves what the engine has enciphered to the socket; a failure shows when the answer is read. */
void outbound_flush(struct outbound *outbound);

/* What http_client.c does for its connections. */
void host_dispatch(struct host *host); /* a connection or a place for one has become free */
/* Tells the caller and forgets the call. */
void call_end(struct outgoing_call *call, const struct http_answer *answer,
              const struct error *err);
void client_release(struct http_client *client); /* a handle is closed */
