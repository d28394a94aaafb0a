/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A blocking connection with deadlines, plain or TLS: what http_call speaks through. */
#include "net/client.h"
#include "net/url.h"

struct wire;

/*
 * Of the options ca_file, certificate and is_cancelled are used. UNAVAILABLE when nobody listens.
 * is_cancelled is asked ten times a second by all that waits, also later on; true ends it with UNAVAILABLE.
 */
MUST_USE enum status wire_open(const struct url *url, const struct http_options *options,
                               unsigned connect_ms, struct wire **out, struct error *err);
void wire_close(struct wire **wire);
/* Of all that follows, on the monotonic clock; 0: none. */
void wire_set_deadline(struct wire *wire, uint64_t deadline_ns);
MUST_USE enum status wire_write(struct wire *wire, struct str bytes, struct error *err);
/* At least one byte, or 0 at the end. */
MUST_USE enum status wire_read(struct wire *wire, char *room, size_t max, size_t *out,
                               struct error *err);
