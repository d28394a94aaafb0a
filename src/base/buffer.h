/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Bytes that grow: for replies, files and texts whose length is not known
 * beforehand. The buffer owns its memory; as with the arena, appending does
 * not fail. A zeroed struct is an empty buffer.
 */
#include "base/str.h"

struct buffer {
    char *data;
    size_t len;
    size_t capacity;
};

void buffer_free(struct buffer *buffer);
void buffer_clear(struct buffer *buffer); /* keeps the memory */
/* Room for more bytes behind len; the caller writes there and adds to len. */
char *buffer_reserve(struct buffer *buffer, size_t more);
void buffer_append(struct buffer *buffer, struct str s);
void buffer_append_byte(struct buffer *buffer, char byte);
void buffer_append_bytes(struct buffer *buffer, const void *bytes, size_t len);
void buffer_printf(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
/* Takes len bytes off the front. */
void buffer_consume(struct buffer *buffer, size_t len);
struct str buffer_str(const struct buffer *buffer);
