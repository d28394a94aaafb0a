/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What an endpoint answers, as JSON: written once, from the numbers into the reply. */
#include "net/http.h"
#include "proxy/predict.h"

struct reply_form {
    bool many; /* "rows" was given: the answer has "rows" too */
    bool explain;
    uint64_t start_ns; /* when the request began to be read */
};

void reply_write(struct buffer *out, const struct request *req, const struct endpoint *endpoint,
                 const struct reply_form *form, const struct prediction *prediction);
