/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buffer_free(struct buffer *buffer)
{
    if (buffer->arena == NULL)
        free(buffer->data);
    *buffer = (struct buffer){ 0 };
}

void buffer_clear(struct buffer *buffer)
{
    buffer->len = 0;
}

static char *moved(const struct buffer *buffer, size_t capacity)
{
    char *data;

    if (buffer->arena == NULL)
        return realloc(buffer->data, capacity);
    data = arena_alloc(buffer->arena, capacity);
    if (buffer->len > 0)
        /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): what has a length has bytes */
        memcpy(data, buffer->data, buffer->len);
    return data;
}

void buffer_grow(struct buffer *buffer, size_t more)
{
    size_t wanted = buffer->len + more;
    size_t capacity = buffer->capacity < 128 ? 128 : buffer->capacity;

    while (capacity < wanted)
        capacity *= 2;
    buffer->data = moved(buffer, capacity);
    if (buffer->data == NULL) {
        fprintf(stderr, "onggi: out of memory: %zu bytes were wanted\n", capacity);
        abort();
    }
    buffer->capacity = capacity;
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len <= 0)
        return;
    va_start(args, format);
    vsnprintf(buffer_reserve(buffer, (size_t)len + 1), (size_t)len + 1, format, args);
    va_end(args);
    buffer->len += (size_t)len;
}

void buffer_consume(struct buffer *buffer, size_t len)
{
    if (len >= buffer->len) {
        buffer->len = 0;
        return;
    }
    memmove(buffer->data, buffer->data + len, buffer->len - len);
    buffer->len -= len;
}

struct str buffer_str(const struct buffer *buffer)
{
    return (struct str){ buffer->data == NULL ? "" : buffer->data, buffer->len };
}
