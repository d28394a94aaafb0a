/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Bytes that grow: for replies, files and texts whose length is not known
 * beforehand. The buffer owns its memory; as with the arena, appending does
 * not fail. A zeroed struct is an empty buffer. With an arena set, the memory is
 * the arena's: it is as old as its other pieces, and buffer_free gives none back.
 */
#include "base/arena.h"

struct buffer {
    char *data;
    size_t len;
    size_t capacity;
    struct arena *arena; /* NULL: from malloc */
};

void buffer_free(struct buffer *buffer);
void buffer_clear(struct buffer *buffer); /* keeps the memory */
/* Replies are written in many small pieces: only the growing is worth a call. */
void buffer_grow(struct buffer *buffer, size_t more);
/* Room for more bytes behind len; the caller writes there and adds to len. */
static inline char *buffer_reserve(struct buffer *buffer, size_t more)
{
    if (more > buffer->capacity - buffer->len || buffer->data == NULL)
        buffer_grow(buffer, more);
    return buffer->data + buffer->len;
}
static inline void buffer_append_bytes(struct buffer *buffer, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): only an empty text has no bytes */
    memcpy(buffer_reserve(buffer, len), bytes, len);
    buffer->len += len;
}
static inline void buffer_append(struct buffer *buffer, struct str s)
{
    buffer_append_bytes(buffer, s.data, s.len);
}
static inline void buffer_append_byte(struct buffer *buffer, char byte)
{
    *buffer_reserve(buffer, 1) = byte;
    buffer->len++;
}
void buffer_printf(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
/* Takes len bytes off the front. */
void buffer_consume(struct buffer *buffer, size_t len);
struct str buffer_str(const struct buffer *buffer);
