/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One request and its answer, as router and server see it from inside. Doors
 * know only http.h. Who makes an exchange (a connection, router_call) gives
 * the arena and the sink that takes streams.
 */
#include "net/http.h"
#include "net/url.h"

#include "base/buffer.h"

#include <stdatomic.h>

#define PATH_PARAMS_MAX 8
/* Bytes kept free in front of a body, so that head and body leave in one piece. */
#define REPLY_HEAD_ROOM 512

struct exchange;

struct header {
    struct str name;
    struct str value;
};

/* Where a stream goes. Each call may block until there is room. */
struct stream_sink {
    enum status (*begin)(struct exchange *exchange, struct error *err);
    enum status (*write)(struct exchange *exchange, struct str bytes, struct error *err);
    /* NULL: events are written as text. */
    enum status (*event)(struct exchange *exchange, struct str event, struct str data,
                         struct error *err);
};

enum reply_kind {
    REPLY_NONE,
    REPLY_BYTES,
    REPLY_FILE,
    REPLY_STREAM,
};

struct response {
    enum reply_kind kind;
    int code;
    const char *content_type; /* NULL: no body */
    struct header *headers;
    size_t header_count;
    size_t header_capacity;
    char *room; /* of response_reserve; REPLY_HEAD_ROOM bytes lie in front */
    size_t room_max;
    struct str body;
    const char *file;
    bool remove_file;
    bool cut;                  /* the stream ends without its proper end */
    route_handler handed_over; /* to run on a worker instead */
    route_handler refused;     /* and when none has time for it; NULL: a 503 */
};

struct exchange {
    struct request request;
    struct response response;
    struct url_target target;
    struct header *headers;
    size_t header_count;
    struct url_param path_params[PATH_PARAMS_MAX];
    size_t path_param_count;
    const struct door *door; /* NULL until a route was found */
    struct route_stats *stats;
    const struct stream_sink *sink;
    atomic_bool abandoned;
    bool (*is_cancelled)(void); /* of a call without a socket; may be NULL */
    bool is_head;               /* the answer's body stays here */
};

static inline struct exchange *exchange_of(const struct request *req)
{
    return container_of((struct request *)(uintptr_t)req, struct exchange, request);
}

static inline struct exchange *exchange_of_response(struct response *res)
{
    return container_of(res, struct exchange, response);
}

/* {"error":{"code","message","request_id"}}: how our own doors say what went wrong. */
void error_write(struct buffer *out, const char *name, const char *message,
                 struct str request_id);
void response_error(struct response *res, int code, const char *name, const char *message);
/* Drops whatever answer there was; headers too. */
void response_reset(struct response *res);

/* Ids that need to differ, not to be secret: fast, and one generator a thread. */
uint64_t quick_random(void);
/* request_id and traceparent: the client's where they are sound, else new ones. */
void exchange_identify(struct exchange *exchange, struct str given_id, struct str given_trace);
