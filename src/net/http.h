/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a door sees of HTTP: a request that has arrived whole, a response to
 * fill, and the tables that say which handler answers what. The same handlers
 * answer over a socket and inside the process (router_call), so a handler
 * knows neither.
 *
 * A request belongs to one thread at a time: a loop thread (INLINE) or a
 * worker (DEFERRED). What a handler allocates in request->arena lives until
 * the response has left.
 */
#include "base/arena.h"
#include "base/buffer.h"
#include "base/status.h"

struct request;
struct response;

typedef enum status (*route_handler)(struct request *req, struct response *res,
                                     struct error *err);

enum route_mode {
    INLINE,   /* on the loop thread: must not block, and should take microseconds */
    DEFERRED, /* on a worker: may block on disk, SQL, a job */
    /* The same for decisions, which have some workers of their own that other work cannot fill. */
    INLINE_DECISION,
    DEFERRED_DECISION,
};

/* Roles hold these; each one includes those before it. There is no zero: a route without one is a mistake. */
enum permission {
    PERMIT_ANYONE = 1, /* no user needed: liveness */
    PERMIT_VIEW,
    PERMIT_EDIT,
    PERMIT_APPROVE,
    PERMIT_ADMIN,
};

#define BODY_NONE 0
#define BODY_SMALL ((size_t)1 << 20)
#define BODY_BATCH ((size_t)64 << 20)
/* Kept in a temporary file instead of memory: request->body_file is its path. */
#define BODY_FILE ((size_t)16 << 30)

struct route {
    const char *method; /* "GET", "POST", …; a GET answers HEAD too */
    const char
        *path; /* "/api/v1/views/{view}/features"; {rest*} at the end takes what is left */
    route_handler handler;
    enum route_mode mode;
    enum permission permission;
    size_t body_max;
    const char *summary;  /* one line, for /openapi.json */
    const char *request;  /* JSON Schema of the body as text, or NULL */
    const char *response; /* JSON Schema of the 200 answer as text, or NULL */
    unsigned
        timeout_ms; /* of the handler; 0: the server's default; UINT_MAX: none (it streams) */
};
#define ROUTES_END { 0 }

/* Writes an error in the words of the door's clients; NULL in a door means ours. */
typedef void (*error_dialect)(struct request *req, struct response *res,
                              const struct error *err);

struct door {
    const char *name;           /* for metrics and the log */
    const struct route *routes; /* ends with ROUTES_END */
    error_dialect dialect;
};

/* Who asks. Set by the router before the handler runs. */
struct identity {
    struct str user; /* "local" where no users are configured */
    enum permission role;
};

struct request {
    struct arena *arena;
    void *context; /* given when the door was mounted */
    const struct route *route;
    struct str method;
    struct str path;       /* decoded */
    struct str body;       /* empty when there is none or it is in body_file */
    const char *body_file; /* removed when the response has left; NULL otherwise */
    struct identity identity;
    struct str request_id;  /* ours, or the client's X-Request-Id if it was sound */
    struct str traceparent; /* W3C, to hand on; always set */
    uint64_t
        start_ns; /* clock_monotonic_ns() when the head had arrived: what waits for a worker ages */
    uint64_t deadline_ns; /* when the answer is of no use any more; 0: none */
};

/* Empty when absent. Values are decoded once. */
struct str request_path_param(const struct request *req, const char *name);
struct str request_query(const struct request *req, const char *name);
bool request_has_query(const struct request *req, const char *name);
struct str request_header(const struct request *req, const char *name); /* any case */
/* The text of ?name=true|false|1|0; INVALID for anything else. */
MUST_USE enum status request_query_bool(const struct request *req, const char *name, bool *out,
                                        struct error *err);
/* The whole query string as it came. */
struct str request_raw_query(const struct request *req);

/* From an INLINE handler: `return request_hand_over(req, res, handler, err);` runs it on a worker instead. */
MUST_USE enum status request_hand_over(struct request *req, struct response *res,
                                       route_handler handler, struct error *err);
/* The same; where too many wait for a worker already, `refused` answers on the loop thread instead of a 503. */
MUST_USE enum status request_hand_over_or(struct request *req, struct response *res,
                                          route_handler handler, route_handler refused,
                                          struct error *err);
/* True once nobody waits any more: the client left, or the deadline passed. Cheap; any thread. */
bool request_is_abandoned(const struct request *req);

/* Before the body. The strings are copied. */
void response_header(struct response *res, const char *name, struct str value);
/* The body is copied into the reply. These never fail; the status lets a handler end with them. */
enum status response_json(struct response *res, int code, struct str json);
enum status response_bytes(struct response *res, int code, const char *content_type,
                           struct str body);
enum status response_empty(struct response *res, int code);
/*
 * Sends a file without reading it into memory. If so told, it is removed once a GET has had all of it; what
 * nobody fetches is the caller's to remove some day.
 */
MUST_USE enum status response_file(struct response *res, int code, const char *content_type,
                                   const char *path, bool remove_after, struct error *err);
/*
 * Hot path: room in the reply itself. Reserve, write up to that many bytes, then commit what
 * was written; ends with response_commit(res, code, content_type, len).
 */
char *response_reserve(struct response *res, size_t max);
enum status response_commit(struct response *res, int code, const char *content_type,
                            size_t len);
/*
 * The same where the length is not known: a buffer over room for so many bytes, which moves where
 * they do not suffice. It needs no freeing. Nothing else may be reserved before it is sent.
 */
struct buffer response_buffer(struct response *res, size_t expected);
enum status response_json_buffer(struct response *res, int code, const struct buffer *json);

/*
 * Streams, only from DEFERRED handlers: chunked, each write handed to the loop, with
 * backpressure. UNAVAILABLE once the client has left. The stream ends when the handler returns;
 * an error it returns then becomes an event or cuts the stream short.
 */
MUST_USE enum status response_stream(struct response *res, int code, const char *content_type,
                                     struct error *err);
MUST_USE enum status response_stream_write(struct response *res, struct str bytes,
                                           struct error *err);
/* Server-sent events: the first one starts the stream. data must hold no line break. */
MUST_USE enum status response_event(struct response *res, const char *event, struct str data,
                                    struct error *err);
/* Whether the client asked for text/event-stream. */
bool request_wants_events(const struct request *req);
