/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Bytes as text that JSON can carry (RFC 4648). */
#include "base/arena.h"
#include "base/buffer.h"

/* With '+', '/' and '=' at the end. */
void base64_encode(struct buffer *out, struct str bytes);
/* Takes '-' and '_' as well, and does without '='. False if it is no base64; else *out lives in the arena. */
MUST_USE bool base64_decode(struct arena *arena, struct str text, struct str *out);
