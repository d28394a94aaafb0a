/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The HTTP/1.1 server: loop threads that own their connections, and workers
 * for what may block. The caller brings listening sockets, one a loop, so
 * that they outlive a crash of the process that serves them.
 */
#include "net/router.h"

struct server;

struct server_limits {
    size_t head_max;         /* 16 KiB: request line and headers; 431 */
    size_t header_count_max; /* 100; 431 */
    size_t target_max;       /* 8 KiB; 414 */
    size_t chunks_max;       /* 65,536 a body; 400 */
    size_t connections_max;  /* 10,000 of all loops; the next one gets 503 and is closed */
    size_t streams_max;      /* 64 replies that hold a worker while they stream; 503 */
    size_t bodies_max; /* 1 GiB for all large bodies and what is made of them in memory; 503 */
    size_t queue_max;  /* 1,024 requests of a lane that wait for a worker; 503 */
};

struct server_deadlines {
    unsigned head_ms; /* 10 s for the whole head; 408 */
    unsigned body_ms; /* 30 s for the whole body, plus what has come of it at 64 KiB/s; 408 */
    unsigned
        idle_ms; /* 75 s between requests, and for a reader that takes nothing or too little */
    unsigned handler_ms; /* 60 s from when the request is whole; 503 */
    unsigned drain_ms;   /* 30 s from server_drain to the end */
};

struct server_tls {
    const char *certificate; /* PEM, the chain; NULL: no TLS */
    const char *key;
    /* "onggi.yaml:5:20", in front of what is wrong with them; NULL: nothing. */
    const char *certificate_place;
    const char *key_place;
    /* What stands in the two; empty: the files are read. */
    struct str certificate_pem;
    struct str key_pem;
};

/* Whether the parts behind are ready to answer; the sentence says what is missing. */
typedef bool (*readiness)(void *context, struct error *why);

struct server_config {
    const int
        *listeners; /* listening sockets, SO_REUSEPORT, one a loop thread; not closed by us */
    size_t listener_count;
    unsigned
        workers; /* 0: twice the cores, at least 4; half as many again take decisions only */
    struct server_limits limits;
    struct server_deadlines deadlines;
    struct server_tls tls;
    const char *access_log;   /* a path, "-" for stdout; NULL: none */
    const char *spool_folder; /* for bodies of BODY_FILE routes; NULL: $TMPDIR or /tmp */
    /* Names that Host and Origin may carry besides; on loopback its own names always may. */
    const struct str *hosts;
    size_t host_count;
    bool check_host; /* whether other names are refused (403): set on loopback without users */
    readiness readiness;
    void *readiness_context;
};

/* Every limit and deadline at its default; the rest zero. */
struct server_config server_config_default(void);
/* On how many threads handlers may run at a time: loops and workers. */
unsigned server_threads(const struct server_config *config);

/*
 * Mounts /healthz, /readyz, /metrics and /openapi.json on the router, raises the soft file limit
 * and starts to answer. The config is copied; the router must outlive the server.
 */
MUST_USE enum status server_start(struct router *router, const struct server_config *config,
                                  struct server **out, struct error *err);
/*
 * Takes deadlines, the limit of connections, hosts and access log from the config, reads certificate and key
 * again and opens the access log anew; the rest of the config is not looked at, nor whether there is TLS.
 * Connections stay. On failure everything stays as it was. In the thread that drains and stops.
 */
MUST_USE enum status server_reload(struct server *server, const struct server_config *config,
                                   struct error *err);
/* Whether Host and Origin are checked from now on. Any thread. */
void server_check_host(struct server *server, bool check);
/*
 * Whether certificate and key can be read and belong together; warns of a certificate that ends soon.
 * Fills *tls with what stands in them, in the arena: who starts with that does not depend on the files.
 */
MUST_USE enum status server_tls_read(struct arena *arena, struct server_tls *tls,
                                     struct error *err);
/* Whether lines could be written there; "-" is stdout. */
MUST_USE enum status server_access_log_check(const char *path, struct error *err);
/*
 * Stops to accept, tells keep-alive clients to go, waits until all replies have left or the
 * drain deadline is over. Returns false when connections had to be cut. Then server_stop.
 */
bool server_drain(struct server *server);
/* Ends threads and frees; sets *server to NULL. What still runs on a worker is waited for. */
void server_stop(struct server **server);

size_t server_connections(const struct server *server);
/* What /readyz says: false while it drains, or what stands behind is not ready. Any thread. */
bool server_is_ready(const struct server *server, struct error *why);

/*
 * One SO_REUSEPORT socket a loop on "127.0.0.1:8470", "[::1]:0", "0.0.0.0:80". With port 0 all
 * get the same free one. CONFLICT when the address is in use, with a sentence that says so.
 */
MUST_USE enum status server_listen(const char *address, int *sockets, size_t count,
                                   unsigned *port, struct error *err);
/* The address, without the port, that a listening socket is bound to. */
MUST_USE enum status server_socket_host(struct arena *arena, int socket, struct str *out,
                                        struct error *err);
/* Whether an address is loopback's: nobody but this machine's users can reach it. */
bool server_address_is_loopback(const char *address);
