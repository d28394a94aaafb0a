/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A page of a stranger in the user's own browser can make its name point to
 * 127.0.0.1 and speak to us as if it were ours (DNS rebinding). The name stays
 * in Host and Origin, so these are compared with the names that we answer to.
 */
#include "base/str.h"

/* "localhost:8470": loopback's names and those given, whatever the port. */
bool host_is_ours(struct str host, const struct str *names, size_t count);
/*
 * "http://localhost:8470" of a request with that host, or one of the names given; the empty one is no
 * browser's. A page of another program of this machine comes from another port.
 */
bool origin_is_ours(struct str origin, struct str host, const struct str *names, size_t count);
