/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The head of a reply, as bytes. */
#include "net/exchange.h"

struct reply_frame {
    const char *date;
    bool keep_alive;
    bool is_old; /* HTTP/1.0: says when it keeps alive */
    bool is_chunked;
    bool has_length;
    uint64_t length;
};

/* Writes to `room` where it fits into max, else into the exchange's arena. */
struct str reply_head_write(struct exchange *exchange, const struct reply_frame *frame,
                            char *room, size_t max);
/* "OK", "Not Found": for status lines. */
const char *reply_reason(int code);
/* Whether a reply with this code may have a body at all. */
bool reply_has_body(int code);
