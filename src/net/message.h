/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * HTTP/1.1 messages out of bytes, as strict as they come: whatever two readers
 * could understand differently is refused. llhttp reads the grammar; the rules
 * about what may stand together are here. Knows no socket.
 */
#include "net/exchange.h"

#include <llhttp.h>

/* Why a request is not taken; the connection closes after the answer. */
struct refusal {
    int code;
    const char *why;
};

struct message_limits {
    size_t head_max;
    size_t header_count_max;
    size_t target_max;
    size_t chunks_max;
};

struct message_head {
    struct str method;
    struct str target; /* in origin form */
    struct str host;
    struct str origin; /* these three are empty when there is none */
    struct str request_id;
    struct str traceparent;
    uint64_t content_length;
    bool is_chunked;
    bool expects_continue;
    bool keep_alive;
    bool is_old; /* HTTP/1.0: takes no chunks */
};

/* The reader of one connection. Zeroed, then message_init. */
struct message {
    llhttp_t parser;
    const struct message_limits *limits;
    size_t scanned; /* bytes of the unfinished head that were looked at */
    size_t line;    /* where its last line begins */
    unsigned blank_lines;
    /* While a head is parsed. */
    struct arena *arena;
    struct exchange *exchange;
    size_t header_capacity;
    struct str target;
    /* While a chunked body is read. */
    uint64_t chunks;
    uint64_t framing; /* bytes that were no body */
    struct buffer *body;
    bool ended;
    struct refusal refusal;
};

enum message_progress {
    MESSAGE_PARTIAL,
    MESSAGE_COMPLETE,
    MESSAGE_REFUSED, /* message->refusal says why */
};

void message_init(struct message *message, const struct message_limits *limits);
/*
 * Looks for the end of a head in all bytes since its beginning; those of the last time are not
 * looked at again. Blank lines in front come as a complete head of two bytes: skip them.
 */
enum message_progress message_scan(struct message *message, struct str input, size_t *head_len);
/* The head found by the scan. It must live as long as the exchange, whose headers point into it. */
enum message_progress message_parse(struct message *message, struct arena *arena,
                                    struct str head, struct exchange *exchange,
                                    struct message_head *out);
/*
 * Body bytes of a chunked message: decoded ones are appended. *used says how many were
 * consumed; what follows the body is not.
 */
enum message_progress message_chunks(struct message *message, struct str input, size_t *used,
                                     struct buffer *body);
/* Bytes of the chunk under way that are announced and not here yet. */
uint64_t message_chunk_left(const struct message *message);
