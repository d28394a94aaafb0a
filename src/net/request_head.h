/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The head of a request, as bytes, for both clients. */
#include "net/client.h"
#include "net/url.h"

struct str request_head_write(struct arena *arena, const struct url *url,
                              const struct http_options *options, uint64_t body_len,
                              bool keep_alive);
/* GET without a body, POST with one, unless the caller says. */
const char *request_method(const struct http_options *options);
