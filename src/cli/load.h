/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A load generator: so many connections, each sends the next request when the
 * answer to the last has come (a closed loop), over real sockets. One thread,
 * so that it leaves the machine to the server.
 */
#include "base/arena.h"
#include "base/status.h"

struct load_options {
    struct str url;           /* "http://127.0.0.1:8470" */
    struct str path;          /* of the POST */
    struct str token;         /* may be empty */
    const struct str *bodies; /* JSON, sent in turn */
    size_t body_count;
    unsigned connections;
    double seconds;
};

struct load_result {
    uint64_t requests; /* answered with 200 */
    uint64_t errors;   /* any other answer, and connections that broke */
    int error_code;    /* of one such answer; 0: none */
    double seconds;
    uint64_t p50_ns, p99_ns, p999_ns, max_ns;
};

MUST_USE enum status load_run(struct arena *arena, const struct load_options *options,
                              struct load_result *out, struct error *err);
