/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Server-sent events out of bytes. */
#include "net/router.h"

#include "base/buffer.h"

struct event_reader {
    event_sink sink;
    void *context;
    struct buffer line; /* unfinished */
    struct buffer name;
    struct buffer data;
    bool has_data;
};

void event_reader_fini(struct event_reader *reader);
/* Calls the sink for each event that is complete; what it fails with is returned. */
MUST_USE enum status event_reader_feed(struct event_reader *reader, struct str bytes,
                                       struct error *err);
