/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A reply out of bytes, for both clients. Knows no socket. */
#include "net/client.h"

#include "base/buffer.h"

#include <llhttp.h>

/* Takes body bytes instead of memory; what it fails with ends the call. */
typedef enum status (*body_sink)(void *context, struct str bytes, struct error *err);

struct answer_reader {
    llhttp_t parser;
    struct http_answer answer; /* strings in the buffers below */
    struct buffer field;
    struct buffer value;
    struct buffer content_type;
    struct buffer request_id;
    struct buffer body;
    size_t body_max;
    size_t head_seen;
    bool is_head; /* the request was: no body follows, whatever the head says */
    bool in_value;
    bool head_done;
    bool done;
    bool keep_alive;
    body_sink sink; /* NULL: memory */
    void *sink_context;
    struct error err;
    bool failed;
};

void answer_reader_init(struct answer_reader *reader, size_t body_max, bool is_head);
void answer_reader_fini(struct answer_reader *reader);
/* reader->done says whether the answer is whole. Fails with INVALID, LIMIT or the sink's error. */
MUST_USE enum status answer_reader_feed(struct answer_reader *reader, struct str bytes,
                                        struct error *err);
/* The other side has closed: fine for an answer without length, else UNAVAILABLE. */
MUST_USE enum status answer_reader_end(struct answer_reader *reader, struct error *err);
