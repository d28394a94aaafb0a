/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of strings. */
#include "features/expression_kernel.h"

/* What stands in the place of a null is no text, so it is not looked at. */
static bool is_text(const struct expression_vector *out, size_t row)
{
    return out->states == NULL || out->states[row] == ROW_VALUE;
}

/* In characters, not bytes: those that continue one do not count. */
static int64_t characters(struct str s)
{
    int64_t count = 0;

    for (size_t i = 0; i < s.len; i++)
        count += ((unsigned char)s.data[i] & 0xC0) != 0x80;
    return count;
}

static void length_string(struct arena *arena __attribute__((unused)), size_t n,
                          const struct expression_vector *args, struct expression_vector *out)
{
    for (size_t i = 0; i < n; i++)
        out->integers[i] = is_text(out, i) ? characters(args[0].texts[i]) : 0;
}

static void length_bytes(struct arena *arena __attribute__((unused)), size_t n,
                         const struct expression_vector *args, struct expression_vector *out)
{
    for (size_t i = 0; i < n; i++)
        out->integers[i] = is_text(out, i) ? (int64_t)args[0].texts[i].len : 0;
}

/* ASCII letters from `first` on change their case; all else stays. */
static struct str recased(struct arena *arena, struct str s, char first)
{
    char *copy = arena_alloc(arena, s.len);

    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];

        copy[i] = c >= first && c < first + 26 ? (char)(c ^ 0x20) : c;
    }
    return (struct str){ copy, s.len };
}

static void lower(struct arena *arena, size_t n, const struct expression_vector *args,
                  struct expression_vector *out)
{
    for (size_t i = 0; i < n; i++)
        out->texts[i] = is_text(out, i) ? recased(arena, args[0].texts[i], 'A') : STR_EMPTY;
}

static void upper(struct arena *arena, size_t n, const struct expression_vector *args,
                  struct expression_vector *out)
{
    for (size_t i = 0; i < n; i++)
        out->texts[i] = is_text(out, i) ? recased(arena, args[0].texts[i], 'a') : STR_EMPTY;
}

static bool str_contains(struct str s, struct str part)
{
    return part.len == 0 || memmem(s.data, s.len, part.data, part.len) != NULL;
}

#define KERNEL(kernel, test) \
    static void kernel(struct arena *arena __attribute__((unused)), size_t n, \
                       const struct expression_vector *args, struct expression_vector *out) \
    { \
        for (size_t i = 0; i < n; i++) \
            out->booleans[i] = is_text(out, i) && test(args[0].texts[i], args[1].texts[i]); \
    }

KERNEL(contains, str_contains)
KERNEL(starts_with, str_starts)
KERNEL(ends_with, str_ends)

const struct expression_function expression_texts[] = {
    { "length", "s", 'i', length_string, false, false },
    { "length", "y", 'i', length_bytes, false, false },
    { "lower", "s", 's', lower, false, false },
    { "upper", "s", 's', upper, false, false },
    { "contains", "ss", 'b', contains, false, false },
    { "starts_with", "ss", 'b', starts_with, false, false },
    { "ends_with", "ss", 'b', ends_with, false, false },
};
const size_t expression_text_count = ARRAY_LEN(expression_texts);
