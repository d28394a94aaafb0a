/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * HTTP/1.1 as a client. http_call() blocks and serves the command line;
 * struct http_client lives on a libuv loop, keeps connections and answers by
 * callback, for calls from inside the server.
 */
#include "net/router.h"

#include <uv.h>

struct http_options {
    const char *method; /* NULL: GET, or POST with a body */
    struct str content_type;
    struct str accept;
    struct str token; /* sent as a bearer token when not empty */
    struct str traceparent;
    struct str body;
    const char *body_file; /* sent instead of body, read piece by piece */
    const char
        *answer_file;    /* a 2xx body is written there instead of memory; removed on failure */
    size_t answer_max;   /* 0: 64 MiB; LIMIT beyond */
    unsigned connect_ms; /* 0: 5 s */
    unsigned timeout_ms; /* of the whole call; 0: none */
    const char *ca_file; /* PEM; NULL: the system's certificates */
    /* PEM, http_call only: the server must show just this certificate, and neither name nor issuer count. */
    const char *certificate;
    /* Asked ten times a second while it waits; true ends the call with UNAVAILABLE. May be NULL. */
    bool (*is_cancelled)(void);
    event_sink events; /* called for each server-sent event of a text/event-stream answer */
    void *events_context;
};

struct http_answer {
    int code;
    struct str content_type;
    struct str request_id;
    struct str body;
};

/*
 * One call on a connection of its own, in the calling thread. "http://host:port/path?query" or
 * https, the certificate is checked. Fails only when there was no answer: UNAVAILABLE (refused,
 * broken off), TIMEOUT, INVALID (URL, no HTTP), LIMIT, or what the event sink returned.
 */
MUST_USE enum status http_call(struct arena *arena, const char *url,
                               const struct http_options *options, struct http_answer *out,
                               struct error *err);

struct http_client;

struct http_client_config {
    size_t connections_max; /* open at a time to one host; 0: 32. More calls wait in line */
    unsigned idle_ms;       /* 0: 30 s; then a kept connection is closed */
};

/* Belongs to the loop's thread, as do all its callbacks. */
struct http_client *http_client_new(uv_loop_t *loop, const struct http_client_config *config);
/* Calls under way end with UNAVAILABLE. The memory goes once the loop has closed the handles. */
void http_client_free(struct http_client **client);

/* The answer lives until the callback returns; it is NULL when there is none, and err says why. */
typedef void (*http_done)(void *context, const struct http_answer *answer,
                          const struct error *err);
/*
 * http and https; the certificate is checked against the host's name, and ca_file is read when a host is
 * first asked with it. connect_ms covers the TLS handshake. An answer over TLS that ends with the connection
 * needs TLS's own good-bye, else it counts as cut off. Options that concern files and events are not used.
 * Always calls done, once, never before it has returned. A call that failed on a kept connection before a
 * byte came back is tried again on a fresh one if its method is safe to repeat.
 */
void http_client_call(struct http_client *client, const char *url,
                      const struct http_options *options, http_done done, void *context);
