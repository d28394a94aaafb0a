/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The target of a request: path segments and query, each percent-decoded
 * exactly once. What decodes to NUL or is no UTF-8 is refused, so that nobody
 * behind has to wonder.
 */
#include "base/arena.h"
#include "base/status.h"

#define URL_SEGMENTS_MAX 32
#define URL_QUERY_MAX 128

struct url_param {
    struct str name;
    struct str value;
};

struct url_target {
    struct str raw_path; /* as it came, without the query */
    struct str raw_query;
    struct str path; /* decoded */
    struct str
        *segments; /* decoded each by itself: an encoded slash stays inside its segment */
    size_t segment_count;
    struct url_param *query;
    size_t query_count;
};

/* "/a/b?c=d". INVALID for bad escapes, "." and ".." segments, a fragment, or no leading slash. */
MUST_USE enum status url_target_parse(struct arena *arena, struct str target,
                                      struct url_target *out, struct error *err);
/* %XX, and '+' as a space if so told. A text without either comes back as it is. */
MUST_USE enum status url_decode(struct arena *arena, struct str text, bool plus_is_space,
                                struct str *out, struct error *err);
/* Everything but unreserved characters as %XX: for one segment or one query value. */
struct str url_encode(struct arena *arena, struct str text);

/* "https://host:port/path?query", for clients. */
struct url {
    bool is_tls;
    char host[256]; /* without brackets */
    char port[8];
    struct str authority; /* for the Host header */
    struct str target;    /* "/" at least; as it came */
};

/* The views point into text. INVALID for another scheme, user names, and bytes that need encoding. */
MUST_USE enum status url_parse(struct str text, struct url *out, struct error *err);
