/* SPDX-License-Identifier: Apache-2.0 */
/* Operators, logic and the choosing functions: kernels over columns. */
#include "features/expression_kernel.h"

#include <math.h>

__extension__ typedef __int128 int128;

#define KERNEL_CHECKED(kernel, builtin) \
    static void kernel(struct arena *arena __attribute__((unused)), size_t n, \
                       const struct expression_vector *args, struct expression_vector *out) \
    { \
        for (size_t i = 0; i < n; i++) { \
            if (builtin(args[0].integers[i], args[1].integers[i], &out->integers[i])) \
                expression_mark(out, i, ROW_OVERFLOW); \
        } \
    }

KERNEL_CHECKED(add_int64, __builtin_add_overflow)
KERNEL_CHECKED(subtract_int64, __builtin_sub_overflow)
KERNEL_CHECKED(multiply_int64, __builtin_mul_overflow)
KERNEL_2(add_float64, numbers, numbers, a + b)
KERNEL_2(subtract_float64, numbers, numbers, a - b)
KERNEL_2(multiply_float64, numbers, numbers, a *b)
KERNEL_1(negate_float64, numbers, numbers, -a)

static void negate_int64(struct arena *arena __attribute__((unused)), size_t n,
                         const struct expression_vector *args, struct expression_vector *out)
{
    for (size_t i = 0; i < n; i++) {
        if (__builtin_sub_overflow(INT64_C(0), args[0].integers[i], &out->integers[i]))
            expression_mark(out, i, ROW_OVERFLOW);
    }
}

/* Seconds; the difference is taken in 128 bits, so that no two instants are too far apart. */
static void subtract_times(struct arena *arena __attribute__((unused)), size_t n,
                           const struct expression_vector *args, struct expression_vector *out)
{
    for (size_t i = 0; i < n; i++) {
        int128 difference = (int128)args[0].integers[i] - args[1].integers[i];

        out->numbers[i] = (double)difference / 1e6;
    }
}

/* A ratio without a base is unknown, not infinite: models refuse infinities. */
static void divide(struct arena *arena __attribute__((unused)), size_t n,
                   const struct expression_vector *args, struct expression_vector *out)
{
    for (size_t i = 0; i < n; i++) {
        double base = args[1].numbers[i];

        if (base == 0)
            expression_mark(out, i, ROW_NULL);
        out->numbers[i] = base == 0 ? 0 : args[0].numbers[i] / base;
    }
}

/* Rounds down, so that a = (a // b) * b + a % b with a rest of the divisor's sign. */
static void divide_int64(struct arena *arena __attribute__((unused)), size_t n,
                         const struct expression_vector *args, struct expression_vector *out)
{
    for (size_t i = 0; i < n; i++) {
        int64_t a = args[0].integers[i], b = args[1].integers[i];

        out->integers[i] = 0;
        if (b == 0)
            expression_mark(out, i, ROW_NULL);
        else if (a == INT64_MIN && b == -1)
            expression_mark(out, i, ROW_OVERFLOW);
        else
            out->integers[i] = a / b - (a % b != 0 && (a % b < 0) != (b < 0));
    }
}

static void modulo_int64(struct arena *arena __attribute__((unused)), size_t n,
                         const struct expression_vector *args, struct expression_vector *out)
{
    for (size_t i = 0; i < n; i++) {
        int64_t a = args[0].integers[i], b = args[1].integers[i];
        int64_t rest;

        if (b == 0)
            expression_mark(out, i, ROW_NULL);
        rest = b == 0 || b == -1 ? 0 : a % b;
        out->integers[i] = rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    }
}

static void floor_divide_float64(struct arena *arena __attribute__((unused)), size_t n,
                                 const struct expression_vector *args,
                                 struct expression_vector *out)
{
    for (size_t i = 0; i < n; i++) {
        double base = args[1].numbers[i];

        if (base == 0)
            expression_mark(out, i, ROW_NULL);
        out->numbers[i] = base == 0 ? 0 : floor(args[0].numbers[i] / base);
    }
}

static void modulo_float64(struct arena *arena __attribute__((unused)), size_t n,
                           const struct expression_vector *args, struct expression_vector *out)
{
    for (size_t i = 0; i < n; i++) {
        double base = args[1].numbers[i];
        double rest = base == 0 ? 0 : fmod(args[0].numbers[i], base);

        if (base == 0)
            expression_mark(out, i, ROW_NULL);
        out->numbers[i] = rest != 0 && (rest < 0) != (base < 0) ? rest + base : rest;
    }
}

/* Bools order false before true; strings and bytes by their bytes; NaN is unlike everything. */
#define COMPARISONS(suffix, in) \
    KERNEL_2(equal_##suffix, in, booleans, a == b) \
    KERNEL_2(unequal_##suffix, in, booleans, a != b) \
    KERNEL_2(less_##suffix, in, booleans, a < b) \
    KERNEL_2(more_##suffix, in, booleans, a > b) \
    KERNEL_2(at_most_##suffix, in, booleans, a <= b) \
    KERNEL_2(at_least_##suffix, in, booleans, a >= b)

#pragma GCC diagnostic push
/* Equality of floats is what the user asked for. */
#pragma GCC diagnostic ignored "-Wfloat-equal"
COMPARISONS(int64, integers)
COMPARISONS(float64, numbers)
#pragma GCC diagnostic pop
KERNEL_2(equal_bool, booleans, booleans, (a & 1) == (b & 1))
KERNEL_2(unequal_bool, booleans, booleans, (a & 1) != (b & 1))

/* What stands in the place of a null text is no text. */
#define COMPARE_TEXTS(kernel, body) \
    static void kernel(struct arena *arena __attribute__((unused)), size_t n, \
                       const struct expression_vector *args, struct expression_vector *out) \
    { \
        for (size_t i = 0; i < n; i++) { \
            struct str a = args[0].texts[i], b = args[1].texts[i]; \
            out->booleans[i] = (out->states == NULL || out->states[i] == ROW_VALUE) && (body); \
        } \
    }

COMPARE_TEXTS(equal_text, str_equal(a, b))
COMPARE_TEXTS(unequal_text, !str_equal(a, b))
COMPARE_TEXTS(less_text, str_compare(a, b) < 0)
COMPARE_TEXTS(more_text, str_compare(a, b) > 0)
COMPARE_TEXTS(at_most_text, str_compare(a, b) <= 0)
COMPARE_TEXTS(at_least_text, str_compare(a, b) >= 0)

static uint8_t state_of(const struct expression_vector *vector, size_t row)
{
    return vector->states == NULL ? (uint8_t)ROW_VALUE : vector->states[row];
}

/* `decisive` on either side decides, whatever the other one is; otherwise a null stays a null. */
static void decide(size_t n, const struct expression_vector *args,
                   struct expression_vector *out, bool decisive)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t left = state_of(&args[0], i), right = state_of(&args[1], i);
        bool decided = (left == ROW_VALUE && (args[0].booleans[i] & 1) == (uint8_t)decisive) ||
                       (right == ROW_VALUE && (args[1].booleans[i] & 1) == (uint8_t)decisive);

        out->booleans[i] = decided ? decisive : !decisive;
        if (out->states != NULL)
            out->states[i] = decided ? (uint8_t)ROW_VALUE : left > right ? left : right;
    }
}

static void and_bool(struct arena *arena __attribute__((unused)), size_t n,
                     const struct expression_vector *args, struct expression_vector *out)
{
    decide(n, args, out, false);
}

static void or_bool(struct arena *arena __attribute__((unused)), size_t n,
                    const struct expression_vector *args, struct expression_vector *out)
{
    decide(n, args, out, true);
}

KERNEL_1(not_bool, booleans, booleans, !(a & 1))

static void is_null(struct arena *arena __attribute__((unused)), size_t n,
                    const struct expression_vector *args, struct expression_vector *out)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t state = state_of(&args[0], i);

        out->booleans[i] = state == ROW_NULL;
        if (out->states != NULL)
            out->states[i] = state == ROW_OVERFLOW ? (uint8_t)ROW_OVERFLOW : (uint8_t)ROW_VALUE;
    }
}

/* The first that is not null; the state that remains is the last one's. */
#define COALESCE(kernel, in) \
    static void kernel(struct arena *arena __attribute__((unused)), size_t n, \
                       const struct expression_vector *args, struct expression_vector *out) \
    { \
        for (size_t i = 0; i < n; i++) { \
            const struct expression_vector *from = &args[state_of(&args[0], i) == ROW_NULL]; \
\
            out->in[i] = from->in[i]; \
            if (out->states != NULL) \
                out->states[i] = state_of(from, i); \
        } \
    }

/* A condition that is null is not true. */
#define CHOOSE(kernel, in) \
    static void kernel(struct arena *arena __attribute__((unused)), size_t n, \
                       const struct expression_vector *args, struct expression_vector *out) \
    { \
        for (size_t i = 0; i < n; i++) { \
            uint8_t state = state_of(&args[0], i); \
            bool is_true = state == ROW_VALUE && (args[0].booleans[i] & 1) != 0; \
            const struct expression_vector *from = is_true ? &args[1] : &args[2]; \
\
            out->in[i] = from->in[i]; \
            if (out->states != NULL) \
                out->states[i] = state == ROW_OVERFLOW ? (uint8_t)ROW_OVERFLOW \
                                                       : state_of(from, i); \
        } \
    }

COALESCE(coalesce_bool, booleans)
COALESCE(coalesce_int64, integers)
COALESCE(coalesce_float64, numbers)
COALESCE(coalesce_text, texts)
CHOOSE(if_bool, booleans)
CHOOSE(if_int64, integers)
CHOOSE(if_float64, numbers)
CHOOSE(if_text, texts)

#define COMPARE(name, kernel) \
    { name, "ii", 'b', kernel##_int64, false, false }, \
        { name, "ff", 'b', kernel##_float64, false, false }, \
        { name, "tt", 'b', kernel##_int64, false, false }, \
        { name, "ss", 'b', kernel##_text, false, false }, \
    { \
        name, "yy", 'b', kernel##_text, false, false \
    }

/* Ints before floats: of overloads that need equally many conversions the first is taken. */
const struct expression_function expression_operators[] = {
    { "+", "ii", 'i', add_int64, true, false },
    { "+", "ff", 'f', add_float64, false, false },
    { "-", "ii", 'i', subtract_int64, true, false },
    { "-", "ff", 'f', subtract_float64, false, false },
    { "-", "tt", 'f', subtract_times, false, false },
    { "-", "i", 'i', negate_int64, true, false },
    { "-", "f", 'f', negate_float64, false, false },
    { "*", "ii", 'i', multiply_int64, true, false },
    { "*", "ff", 'f', multiply_float64, false, false },
    { "/", "ff", 'f', divide, true, false },
    { "//", "ii", 'i', divide_int64, true, false },
    { "//", "ff", 'f', floor_divide_float64, true, false },
    { "%", "ii", 'i', modulo_int64, true, false },
    { "%", "ff", 'f', modulo_float64, true, false },
    COMPARE("=", equal),
    { "=", "bb", 'b', equal_bool, false, false },
    COMPARE("!=", unequal),
    { "!=", "bb", 'b', unequal_bool, false, false },
    COMPARE("<", less),
    COMPARE(">", more),
    COMPARE("<=", at_most),
    COMPARE(">=", at_least),
    { "and", "bb", 'b', and_bool, false, true },
    { "or", "bb", 'b', or_bool, false, true },
    { "not", "b", 'b', not_bool, false, false },
    { "is_null", "b", 'b', is_null, false, true },
    { "is_null", "i", 'b', is_null, false, true },
    { "is_null", "f", 'b', is_null, false, true },
    { "is_null", "s", 'b', is_null, false, true },
    { "is_null", "y", 'b', is_null, false, true },
    { "is_null", "t", 'b', is_null, false, true },
    { "coalesce", "bb", 'b', coalesce_bool, false, true },
    { "coalesce", "ii", 'i', coalesce_int64, false, true },
    { "coalesce", "ff", 'f', coalesce_float64, false, true },
    { "coalesce", "ss", 's', coalesce_text, false, true },
    { "coalesce", "yy", 'y', coalesce_text, false, true },
    { "coalesce", "tt", 't', coalesce_int64, false, true },
    { "if", "bbb", 'b', if_bool, false, true },
    { "if", "bii", 'i', if_int64, false, true },
    { "if", "bff", 'f', if_float64, false, true },
    { "if", "bss", 's', if_text, false, true },
    { "if", "byy", 'y', if_text, false, true },
    { "if", "btt", 't', if_int64, false, true },
};
const size_t expression_operator_count = ARRAY_LEN(expression_operators);
