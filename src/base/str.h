/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A string is a view: bytes that somebody else owns, and their count. Views
 * are passed by value, are never NULL-terminated by promise, and may hold any
 * byte. Who hands out a view says how long its bytes live.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(at, first) __attribute__((format(printf, at, first), nonnull(at)))
#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))
#define container_of(pointer, type, member) \
    ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

struct str {
    const char *data;
    size_t len;
};

/* STR("text") of a literal; usable in initialisers too. */
#define STR(literal) ((struct str){ (literal), sizeof(literal) - 1 })
#define STR_INIT(literal) { (literal), sizeof(literal) - 1 }
#define STR_EMPTY ((struct str){ "", 0 })
/* printf("read " STR_FMT, STR_ARG(name)) */
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).len, (s).data

/* The view ends before the terminating NUL; a NULL pointer gives the empty one. */
static inline struct str str_from(const char *text)
{
    return text == NULL ? STR_EMPTY : (struct str){ text, strlen(text) };
}
/* What of from…to lies in s. */
static inline struct str str_slice(struct str s, size_t from, size_t to)
{
    if (to > s.len)
        to = s.len;
    if (from > to)
        from = to;
    /* An empty view may have no bytes at all; C does not add to that, not even 0. */
    return (struct str){ from == 0 ? s.data : s.data + from, to - from };
}
static inline bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
bool str_equal_nocase(struct str a, struct str b); /* ASCII only */
/* As memcmp, a prefix sorts before what it begins. */
int str_compare(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* The index of the first such byte, or s.len. */
size_t str_index(struct str s, char byte);
struct str str_trim(struct str s); /* spaces, tabs, CR, LF at both ends */
/* Takes the next piece before separator off *rest; false when nothing is left. */
bool str_split(struct str *rest, char separator, struct str *piece);

/* The whole text must be one decimal number; no spaces, no leading plus. */
MUST_USE bool str_to_int64(struct str s, int64_t *out);
MUST_USE bool str_to_double(struct str s, double *out);

/* Edit distance counting swaps of neighbours, capped at 64 bytes a side. */
size_t str_distance(struct str a, struct str b);
/* "did you mean": the nearest of the candidates, or the empty view if none is near enough. */
struct str str_nearest(struct str wanted, const struct str *candidates, size_t count);

bool str_is_utf8(struct str s);
/* A name of ours: a letter or '_', then letters, digits, '_', '-', '.'; up to 128 bytes. */
bool str_is_name(struct str s);
