/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#define PADDING '='

void base64_encode(struct buffer *out, struct str bytes)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *to = buffer_reserve(out, (bytes.len + 2) / 3 * 4);

    for (size_t i = 0; i < bytes.len; i += 3) {
        uint32_t bits = 0;

        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (i + k < bytes.len ? (unsigned char)bytes.data[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            *to++ = i + k <= bytes.len ? letters[bits >> (18 - 6 * k) & 63] : PADDING;
    }
    out->len += (bytes.len + 2) / 3 * 4;
}

/* The six bits of a letter, or -1. */
static int bits_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

static struct str without_padding(struct str text)
{
    size_t most = text.len > 0 && text.len % 4 == 0 ? 2 : 0;

    for (; most > 0 && text.data[text.len - 1] == PADDING; most--)
        text.len--;
    return text;
}

bool base64_decode(struct arena *arena, struct str text, struct str *out)
{
    struct str rest = without_padding(text);
    char *bytes = arena_alloc(arena, rest.len / 4 * 3 + 3);
    uint32_t bits = 0;
    size_t len = 0;

    if (rest.len % 4 == 1)
        return false;
    for (size_t i = 0; i < rest.len; i++) {
        int six = bits_of(rest.data[i]);

        if (six < 0)
            return false;
        bits = (bits << 6 | (uint32_t)six) & 0xffffff;
        if (i % 4 != 0)
            bytes[len++] = (char)(bits >> (6 - 2 * (i % 4)) & 0xff);
    }
    /* What is left of the last letter says nothing, so it must not say anything else. */
    if (rest.len % 4 != 0 && (bits & ((1U << (2 * (4 - rest.len % 4))) - 1)) != 0)
        return false;
    *out = (struct str){ bytes, len };
    return true;
}
