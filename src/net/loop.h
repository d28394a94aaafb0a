/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The server from inside. A loop thread owns its connections and everything
 * that hangs on them; other threads reach it by posting a message. A request
 * and its reply are a turn: it belongs to its loop, lent to one worker while a
 * DEFERRED handler runs.
 */
#include "net/dispatch.h"
#include "net/message.h"
#include "net/route_stats.h"
#include "net/server.h"
#include "net/workers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#define READ_BUFFER ((size_t)64 << 10)
#define DATE_LEN 29

struct access_log;
struct connection;
struct loop;
struct tls;
struct tls_context;

/* A message to a loop: run() is called on its thread. */
struct post {
    struct post *next;
    void (*run)(struct post *post);
};

/* Bytes that a worker streams out. The lock guards pending, flags and the loop's half of it. */
struct stream {
    pthread_mutex_t lock;
    pthread_cond_t moved;  /* bytes left, or nobody waits for them any more */
    struct buffer pending; /* written by the worker, framed */
    struct buffer sending; /* the loop's */
    size_t in_flight;      /* of both, what has not left */
    bool posted;
    bool chunked;
    bool is_open; /* the head is written */
    struct post post;
};

struct turn {
    struct exchange exchange;
    struct message_head head;
    struct connection *connection; /* NULL once it is closed */
    struct spool *spool;           /* NULL unless the body goes to a file */
    struct file_reply *file;       /* NULL unless the reply is one */
    uint64_t body_left;            /* of a Content-Length */
    uint64_t body_seen;
    size_t body_counted;              /* its share of the server's memory.held */
    atomic_uint_least64_t bytes_sent; /* of the reply's body */
    bool is_answered;                 /* the reply is known before the body is here */
    bool body_came_late;              /* not with the head: the handler's time begins later */
    bool at_worker;
    bool keep_alive;
    atomic_bool is_gone; /* not even a half-closed client waits: need not start */
    struct work work;
    struct post done;
    struct turn *next_free;
    /* What stays from turn to turn. */
    struct loop *loop;
    struct arena *arena;
    struct buffer body;
    struct stream stream;
};

/* What a reload replaces as a whole. A loop takes a new one between two events. */
struct settings {
    struct arena *arena; /* it lives there */
    struct server_deadlines deadlines;
    size_t connections_max;
    size_t
        refused_max; /* who is told that there are too many, and closed soon; the next are closed at once */
    struct str *hosts;
    size_t host_count;
    const char *access_log_path;   /* NULL: none */
    struct access_log *access_log; /* NULL: none; handed on if the path stays */
};

struct loop {
    uv_loop_t uv;
    uv_tcp_t listener;
    int listener_fd; /* what the handle has a copy of; -1 once we drain */
    bool is_deaf;    /* the handle is closed for a while: the system had nothing left */
    uv_timer_t sweep;
    uv_async_t wake;
    pthread_t thread;
    struct server *server;
    const struct settings *settings;
    struct connection *connections; /* open ones */
    atomic_size_t connection_count;
    size_t handles; /* connections whose handle is not closed yet */
    size_t turns_at_workers;
    _Atomic(struct post *) posts;
    struct turn *free_turns;
    size_t free_turn_count;
    uint64_t date_ns; /* when date was made */
    char date[DATE_LEN + 1];
    uint64_t swept_ns;
    uint64_t now_ns; /* when the last reply had left */
    bool draining;
    bool stopping;
    char read_buffer[READ_BUFFER];
    char plain_buffer[READ_BUFFER];  /* what TLS deciphered */
    char cipher_buffer[READ_BUFFER]; /* and enciphered */
};

struct server {
    struct router *router;
    struct server_config config;
    struct arena *arena; /* of the config's strings */
    struct message_limits message_limits;
    struct loop *loops;
    size_t loop_count;
    struct workers *workers;
    struct settings *settings; /* the loops have it too */
    atomic_bool check_host;
    pthread_mutex_t tls_lock;
    struct tls_context *tls; /* NULL: plain */
    struct door door;
    struct route_stats *other_stats; /* of requests that met no route */
    struct metric *loop_lag;
    atomic_bool draining;
    atomic_size_t deaf_loops; /* those that have heard of it and accept nobody any more */
    atomic_bool stopping;
    atomic_size_t connection_count;
    struct arena_budget
        memory; /* of bodies, and of what turns hold besides, beyond what they keep anyway */
};

/* Any thread. */
void loop_post(struct loop *loop, struct post *post);
/* Ends the loop if it is to stop and nothing that ends later holds it any more. */
void loop_leave(struct loop *loop);
/* "Sun, 06 Nov 1994 08:49:37 GMT", made once a second. */
const char *loop_date(struct loop *loop, uint64_t now_ns);
void date_format(char text[DATE_LEN + 1]);

struct turn *turn_new(struct connection *connection);
void turn_free(struct turn *turn);
/* Counts what the body holds by now; false when all of them together hold too much. */
bool turn_count_body(struct turn *turn);
void turns_free(struct loop *loop); /* those kept for reuse */
/* The whole request is here: runs the handler or lends the turn to a worker. */
void turn_dispatch(struct turn *turn);
/* Nobody waits for the answer any more; the worker that has it is told. */
void turn_abandon(struct turn *turn);
/* The reply has left: metrics, access log. code is what the client saw, or 499 for none. */
void turn_record(struct turn *turn, int code);
