/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A blocking connection with deadlines, plain or TLS: what http_call speaks through. */
#include "net/url.h"

struct wire;

/*
 * ca_file: NULL for the system's certificates. UNAVAILABLE when nobody listens. is_cancelled is asked
 * ten times a second by all that waits, also later on; true ends it with UNAVAILABLE. May be NULL.
 */
MUST_USE enum status wire_open(const struct url *url, const char *ca_file, unsigned connect_ms,
                               bool (*is_cancelled)(void), struct wire **out,
                               struct error *err);
void wire_close(struct wire **wire);
/* Of all that follows, on the monotonic clock; 0: none. */
void wire_set_deadline(struct wire *wire, uint64_t deadline_ns);
MUST_USE enum status wire_write(struct wire *wire, struct str bytes, struct error *err);
/* At least one byte, or 0 at the end. */
MUST_USE enum status wire_read(struct wire *wire, char *room, size_t max, size_t *out,
                               struct error *err);
