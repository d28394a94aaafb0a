/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * onggi.yaml. Every key has a default and an empty file works. What is wrong
 * is said with file:line:column and the nearest known name. docs/server.md
 * lists the keys.
 */
#include "base/arena.h"
#include "base/log.h"
#include "base/status.h"
#include "net/http.h"

#define CONFIG_FILE "onggi.yaml"
#define DEFAULT_PORT 8470

struct config_user {
    struct str name;
    enum permission role;
    struct str token_sha256; /* lower-case hex */
};

struct config_server {
    struct str host;        /* an address, without brackets */
    uint16_t port;          /* 0: any free one */
    struct str listen_host; /* the same two as the file has them, whatever --listen says */
    uint16_t listen_port;
    unsigned threads; /* loops; 0: one a core */
    unsigned workers; /* 0: a few a core */
    unsigned connections;
    int64_t head_ms, body_ms, idle_ms, handler_ms, drain_ms;
    struct str certificate, key; /* paths below the project or absolute; empty: no TLS */
    struct str certificate_place, key_place; /* "onggi.yaml:5:20" */
    struct str access_log;                   /* a path; empty: off */
    struct str *hosts; /* names that Host and Origin may carry besides loopback's */
    size_t host_count;
    bool log_json;
    enum log_level log_level;
};

struct config {
    struct str online, metadata, blobs; /* "driver:rest", as in "lmdb:.onggi/online" */
    struct str python;                  /* what runs scripts */
    size_t job_memory;                  /* bytes; 0: the job's own default */
    unsigned job_threads;               /* 0: one a core */
    unsigned keep_runs, keep_logs;      /* of each pipeline; 0: the engine's own default */
    struct config_server server;
    struct config_user *users;
    size_t user_count;
};

/* Everything lives in the arena. An absent file is as good as an empty one. */
MUST_USE enum status config_load(struct arena *arena, const char *folder, struct config *out,
                                 struct error *err);
MUST_USE enum status config_parse(struct arena *arena, struct str file_name, struct str text,
                                  struct config *out, struct error *err);
/* What runs scripts: ONGGI_PYTHON, else `python:`; a path with a slash stands below the project's folder. */
struct str config_python(struct arena *arena, const struct config *config, const char *folder);
/*
 * Takes from `fresh` what a running server can take over: users, and of the server's section deadlines,
 * connections, hosts, access_log, log, log_level, and other files for tls. *waiting names the keys that differ
 * otherwise ("server.listen, python"); empty if none. Strings are those of `fresh` or in the arena.
 */
void config_take(struct arena *arena, struct config *running, const struct config *fresh,
                 struct str *waiting);
/* How and how much is logged, from now on, in this process. */
void config_apply_log(const struct config_server *server);
/* The users of `from`, copied, become those of `to`. */
void config_copy_users(struct arena *arena, struct config *to, const struct config *from);
/* "127.0.0.1:8470", "[::1]:8470", ":8470" (all addresses), "8470" (loopback). */
MUST_USE enum status config_listen_parse(struct arena *arena, struct str text, struct str *host,
                                         uint16_t *port, struct error *err);
bool host_is_loopback(struct str host);
/* "viewer", "editor", "approver", "admin". */
const char *role_name(enum permission role);
bool role_parse(struct str name, enum permission *out);
