/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which models have passed their trial here: the same bytes with the same
 * runtime do so again, and a start need not wait for it. One small file each.
 */
#include "base/str.h"

struct tried {
    const char *folder; /* NULL: nothing is remembered */
    struct str hash;    /* of the model's bytes */
    struct str signature;
    const char *runtime; /* its version */
    size_t limit_bytes;
};

/* What it took of memory, if it has passed. */
bool tried_find(const struct tried *tried, size_t *memory_bytes);
/* What cannot be kept is tried again the next time; the log says so. */
void tried_add(const struct tried *tried, size_t memory_bytes);
