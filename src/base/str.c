/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool str_equal_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

int str_compare(struct str a, struct str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_equal(str_slice(s, 0, prefix.len), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.len >= suffix.len && str_equal(str_slice(s, s.len - suffix.len, s.len), suffix);
}

size_t str_index(struct str s, char byte)
{
    const char *found = s.len == 0 ? NULL : memchr(s.data, byte, s.len);

    return found == NULL ? s.len : (size_t)(found - s.data);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    size_t from = 0;
    size_t to = s.len;

    while (from < to && is_space(s.data[from]))
        from++;
    while (to > from && is_space(s.data[to - 1]))
        to--;
    return str_slice(s, from, to);
}

bool str_split(struct str *rest, char separator, struct str *piece)
{
    size_t end;

    if (rest->data == NULL)
        return false;
    end = str_index(*rest, separator);
    *piece = str_slice(*rest, 0, end);
    if (end == rest->len)
        *rest = (struct str){ NULL, 0 };
    else
        *rest = str_slice(*rest, end + 1, rest->len);
    return true;
}

bool str_to_int64(struct str s, int64_t *out)
{
    bool negative = s.len > 0 && s.data[0] == '-';
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    uint64_t value = 0;
    size_t i = negative ? 1 : 0;

    if (i == s.len)
        return false;
    for (; i < s.len; i++) {
        unsigned digit = (unsigned)(unsigned char)s.data[i] - '0';

        if (digit > 9 || value > (limit - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

bool str_to_double(struct str s, double *out)
{
    char text[400];
    char *end;
    double value;

    if (s.len == 0 || s.len >= sizeof(text))
        return false;
    /* strtod also takes spaces, hex, "inf" and a plus; ours are plain decimals. */
    for (size_t i = 0; i < s.len; i++)
        if (strchr("0123456789+-.eE", s.data[i]) == NULL || s.data[i] == '\0')
            return false;
    if (s.data[0] == '+')
        return false;
    memcpy(text, s.data, s.len);
    text[s.len] = '\0';
    value = strtod(text, &end);
    if (end != text + s.len || isinf(value))
        return false;
    *out = value;
    return true;
}

#define DISTANCE_MAX 64

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: Damerau-Levenshtein without repeated edits of one place. */
size_t str_distance(struct str a, struct str b)
{
    size_t rows[3][DISTANCE_MAX + 1];
    size_t *before = rows[0];
    size_t *last = rows[1];
    size_t *now = rows[2];

    a = str_slice(a, 0, DISTANCE_MAX);
    b = str_slice(b, 0, DISTANCE_MAX);
    memset(rows, 0, sizeof(rows));
    for (size_t j = 0; j <= b.len; j++)
        last[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *spare = before;

        now[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t cost = lower(a.data[i - 1]) == lower(b.data[j - 1]) ? 0 : 1;
            size_t best = smaller(last[j - 1] + cost, smaller(last[j], now[j - 1]) + 1);

            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] &&
                a.data[i - 2] == b.data[j - 1])
                best = smaller(best, before[j - 2] + 1);
            now[j] = best;
        }
        before = last;
        last = now;
        now = spare;
    }
    return last[b.len];
}

struct str str_nearest(struct str wanted, const struct str *candidates, size_t count)
{
    struct str best = STR_EMPTY;
    size_t best_distance = wanted.len / 3 + 2;

    for (size_t i = 0; i < count; i++) {
        size_t distance = str_distance(wanted, candidates[i]);

        if (distance < best_distance) {
            best = candidates[i];
            best_distance = distance;
        }
    }
    return best;
}

/* Well-formed UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, up to U+10FFFF. */
bool str_is_utf8(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.data;
    size_t i = 0;

    while (i < s.len) {
        unsigned char lead = p[i];
        size_t extra = lead < 0x80   ? 0
                       : lead < 0xC2 ? 9
                       : lead < 0xE0 ? 1
                       : lead < 0xF0 ? 2
                       : lead < 0xF5 ? 3
                                     : 9;

        if (extra == 9 || i + extra >= s.len)
            return false;
        if ((lead == 0xE0 && p[i + 1] < 0xA0) || (lead == 0xED && p[i + 1] > 0x9F) ||
            (lead == 0xF0 && p[i + 1] < 0x90) || (lead == 0xF4 && p[i + 1] > 0x8F))
            return false;
        for (size_t k = 1; k <= extra; k++)
            if ((p[i + k] & 0xC0) != 0x80)
                return false;
        i += extra + 1;
    }
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool str_is_name(struct str s)
{
    if (s.len == 0 || s.len > 128 || !is_letter(s.data[0]))
        return false;
    for (size_t i = 1; i < s.len; i++) {
        char c = s.data[i];

        if (!is_letter(c) && !(c >= '0' && c <= '9') && c != '-' && c != '.')
            return false;
    }
    return true;
}
