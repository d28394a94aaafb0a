/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The router finds the handler of a request and asks, once, whether this user
 * may. Mount all doors before the first request; after that it is read-only
 * and used by every thread.
 */
#include "net/http.h"

struct router;

struct router *router_new(void);
void router_free(struct router **router);
/* The door must outlive the router. A path already taken by another door ends the process: a bug. */
void router_mount(struct router *router, const struct door *door, void *context);
/* What is not found at this path ("/v2") or below it is said in the door's dialect. One path in all. */
void router_set_home(struct router *router, const char *path, const struct door *door);

/*
 * Answers who a request comes from; INVALID becomes 401. Called on a loop thread, must not block;
 * not called for PERMIT_ANYONE routes, nor where router_call names an identity. Without such a
 * function everybody is the user "local" and an admin.
 */
typedef enum status (*authenticate)(void *context, const struct request *req,
                                    struct identity *out, struct error *err);
void router_set_authenticate(struct router *router, authenticate function, void *context);

/* OpenAPI 3.1 of everything mounted. */
struct str router_openapi(const struct router *router, struct arena *arena);

/*
 * The same road without a socket, for commands that run without a server. `events` is called
 * for each server-sent event, in the calling thread; without it a stream is collected into the
 * body. The answer lives in the arena.
 */
struct call {
    struct str method;
    struct str target; /* path and query, encoded as in HTTP */
    struct str content_type;
    struct str accept;
    struct str body;
    const char *body_file; /* instead of body; the caller keeps it */
    struct identity identity;
    bool (*is_cancelled)(void); /* what request_is_abandoned() asks here; may be NULL */
};
struct answer {
    int code;
    struct str content_type;
    struct str body;
    const char *file; /* the answer is this file instead; remove it if remove_file */
    bool remove_file;
};
typedef enum status (*event_sink)(void *context, struct str event, struct str data,
                                  struct error *err);
/* Fails only when nothing could be asked; an error of the handler is an answer with its code. */
MUST_USE enum status router_call(struct router *router, struct arena *arena,
                                 const struct call *call, event_sink events,
                                 void *events_context, struct answer *out, struct error *err);

/* 400 for INVALID, 404, 409, 413, 504, 503, 500. */
int http_code_of_status(enum status status);
