/* SPDX-License-Identifier: Apache-2.0 */
#include "features/exact_sum.h"
#include "support/test.h"

#include <float.h>
#include <math.h>

/* A sum done the slow and plain way: one counter for each bit that a double can have. */
#define BITS 2200
struct plain_sum {
    int64_t counters[BITS];
};

static void plain_add(struct plain_sum *sum, double number, int sign)
{
    int exponent;
    int64_t mantissa = (int64_t)ldexp(frexp(number, &exponent), 53);
    uint64_t size = (uint64_t)(mantissa < 0 ? -mantissa : mantissa);

    if (number == 0)
        return;
    /* frexp gives subnormals bits below 2^-1074 that are all zero. */
    for (int i = 0; i < 53; i++) {
        if ((size >> i & 1) != 0)
            sum->counters[exponent - 53 + i + 1074] += mantissa < 0 ? -sign : sign;
    }
}

/* Carries up, so that each counter is 0 or 1; the last one takes the sign. */
static int64_t carry(const int64_t *counters, int negate, uint8_t *bits)
{
    int64_t rest = 0;

    for (int i = 0; i < BITS; i++) {
        rest += negate * counters[i];
        bits[i] = (uint8_t)(rest & 1);
        rest = (rest - bits[i]) / 2;
    }
    return rest;
}

static double plain_round(const struct plain_sum *sum)
{
    uint8_t bits[BITS];
    bool negative = carry(sum->counters, 1, bits) < 0, up = false, sticky = false;
    int top = BITS - 1, low;
    double result = 0;

    if (negative)
        carry(sum->counters, -1, bits);
    while (top >= 0 && bits[top] == 0)
        top--;
    low = top - 52 > 0 ? top - 52 : 0;
    for (int i = top; i >= low; i--)
        result += ldexp(bits[i], i - 1074);
    for (int i = 0; i < low - 1; i++)
        sticky |= bits[i] != 0;
    if (low > 0 && bits[low - 1] != 0)
        up = sticky || bits[low] != 0;
    if (up)
        result += ldexp(1, low - 1074);
    return negative ? -result : result;
}

static uint64_t random_state = 88172645463325252u;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Any finite double whose exponent lies in 2^±spread. */
static double random_double(int spread)
{
    uint64_t bits = random_next();
    double fraction = 1 + (double)(bits >> 12) * 0x1p-52;
    int exponent = (int)(random_next() % (unsigned)(2 * spread + 1)) - spread;

    if (random_next() % 3 == 0)
        fraction = (double)(bits % 1000);
    return ldexp((bits & 1) != 0 ? -fraction : fraction, exponent);
}

static bool same(double a, double b)
{
    /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): -0 is not 0 here */
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof(a)) == 0;
}

static double sum_of(const double *numbers, size_t count)
{
    struct arena *arena = arena_new();
    struct exact_sum sum;
    double result;

    exact_sum_init(&sum);
    for (size_t i = 0; i < count; i++)
        exact_sum_add(&sum, arena, numbers[i]);
    result = exact_sum_round(&sum);
    arena_free(arena);
    return result;
}
#define SUM_OF(...) \
    sum_of((const double[]){ __VA_ARGS__ }, \
           sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double))

TEST(known_sums)
{
    assert_true(same(SUM_OF(0.1, 0.2), 0.30000000000000004));
    assert_true(same(SUM_OF(0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1), 1.0));
    assert_true(same(SUM_OF(1e308, 1, -1e308), 1.0));
    assert_true(same(SUM_OF(1e308, 1e-308, -1e308), 1e-308));
    assert_true(same(SUM_OF(1e16, 1, 1e-16, -1e16), 1.0));
    assert_true(same(SUM_OF(-0.0, -0.0), 0.0));
    assert_true(same(SUM_OF(1.5, -1.5), 0.0));
}

TEST(ties_go_to_even)
{
    assert_true(same(SUM_OF(0x1p53, 1), 0x1p53));
    assert_true(same(SUM_OF(0x1p53, 1, 0x1p-1074), 0x1p53 + 2));
    assert_true(same(SUM_OF(0x1p53 + 2, 1), 0x1p53 + 4));
    assert_true(same(SUM_OF(-0x1p53, -1, -0x1p-1000), -0x1p53 - 2));
}

TEST(the_ends_of_the_range)
{
    assert_true(same(SUM_OF(0x1p-1074, 0x1p-1074), 0x1p-1073));
    assert_true(same(SUM_OF(DBL_MIN, -0x1p-1074), DBL_MIN - 0x1p-1074));
    assert_true(same(SUM_OF(DBL_MAX, DBL_MAX), INFINITY));
    assert_true(same(SUM_OF(DBL_MAX, DBL_MAX, -DBL_MAX), DBL_MAX));
    /* Half a unit beyond the largest double rounds to infinity, a bit less does not. */
    assert_true(same(SUM_OF(DBL_MAX, 0x1p970), INFINITY));
    assert_true(same(SUM_OF(DBL_MAX, 0x1p970, -0x1p-1074), DBL_MAX));
}

TEST(infinities_and_nan_can_be_removed_again)
{
    struct arena *arena = arena_new();
    struct exact_sum sum;

    exact_sum_init(&sum);
    exact_sum_add(&sum, arena, INFINITY);
    exact_sum_add(&sum, arena, 7);
    assert_true(same(exact_sum_round(&sum), INFINITY));
    exact_sum_add(&sum, arena, -INFINITY);
    assert_true(isnan(exact_sum_round(&sum)));
    exact_sum_remove(&sum, arena, INFINITY);
    assert_true(same(exact_sum_round(&sum), -INFINITY));
    exact_sum_add(&sum, arena, NAN);
    exact_sum_remove(&sum, arena, -INFINITY);
    assert_true(isnan(exact_sum_round(&sum)));
    exact_sum_remove(&sum, arena, NAN);
    assert_true(same(exact_sum_round(&sum), 7));
    arena_free(arena);
}

TEST(random_sums_equal_the_plain_way)
{
    static const int spreads[] = { 0, 10, 60, 200, 1000 };

    for (unsigned round = 0; round < 300; round++) {
        struct arena *arena = arena_new();
        struct plain_sum *plain = ARENA_NEW(arena, struct plain_sum);
        struct exact_sum sum;

        exact_sum_init(&sum);
        for (unsigned i = 0; i < 200; i++) {
            double number = random_double(spreads[round % ARRAY_LEN(spreads)]);

            exact_sum_add(&sum, arena, number);
            plain_add(plain, number, 1);
            if (i % 10 == 0 && !same(exact_sum_round(&sum), plain_round(plain)))
                fail_msg("%.17g, not %.17g", exact_sum_round(&sum), plain_round(plain));
        }
        arena_free(arena);
    }
}

static void encode(const struct exact_sum *sum, struct buffer *out)
{
    buffer_clear(out);
    exact_sum_encode(sum, out);
}

/* Adds all numbers forwards into one sum, backwards into parts that are merged, with detours. */
static void sum_two_ways(struct arena *arena, const double *numbers, size_t count,
                         struct exact_sum *straight, struct exact_sum *merged)
{
    struct exact_sum part;

    exact_sum_init(straight);
    exact_sum_init(merged);
    for (size_t i = 0; i < count; i++)
        exact_sum_add(straight, arena, numbers[i]);
    exact_sum_init(&part);
    for (size_t i = count; i-- > 0;) {
        exact_sum_add(&part, arena, numbers[i]);
        if (i % 7 == 0) {
            exact_sum_merge(merged, arena, &part);
            exact_sum_init(&part);
        }
    }
    exact_sum_add(merged, arena, 1e300);
    exact_sum_add(merged, arena, 1e-300);
    exact_sum_remove(merged, arena, 1e300);
    exact_sum_remove(merged, arena, 1e-300);
}

TEST(the_way_to_a_sum_does_not_show)
{
    static const int spreads[] = { 0, 30, 70, 500 };
    struct buffer one = { 0 }, two = { 0 };
    struct error err;

    for (unsigned round = 0; round < 200; round++) {
        struct arena *arena = arena_new();
        struct exact_sum straight, merged, decoded;
        double numbers[70];
        struct str bytes;

        for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
            numbers[i] = round % 5 == 4 && i > 30 ? -numbers[i - 31]
                                                  : random_double(spreads[round % 4]);
        sum_two_ways(arena, numbers, ARRAY_LEN(numbers), &straight, &merged);
        encode(&straight, &one);
        encode(&merged, &two);
        assert_int_equal(one.len, two.len);
        assert_memory_equal(one.data, two.data, one.len);
        bytes = buffer_str(&one);
        assert_ok(exact_sum_decode(arena, &bytes, &decoded, &err));
        assert_int_equal(bytes.len, 0);
        assert_true(same(exact_sum_round(&decoded), exact_sum_round(&straight)));
        exact_sum_subtract(&merged, arena, &decoded);
        assert_true(same(exact_sum_round(&merged), 0));
        arena_free(arena);
    }
    buffer_free(&one);
    buffer_free(&two);
}

TEST(damaged_bytes_are_refused)
{
    struct arena *arena = arena_new();
    struct exact_sum sum, decoded;
    struct buffer bytes = { 0 };
    struct error err;

    exact_sum_init(&sum);
    exact_sum_add(&sum, arena, 0.1);
    exact_sum_add(&sum, arena, NAN);
    exact_sum_encode(&sum, &bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        struct str cut = { bytes.data, len };

        assert_fails(STATUS_INVALID, exact_sum_decode(arena, &cut, &decoded, &err));
    }
    bytes.data[0] = (char)(bytes.data[0] + 0x10);
    {
        struct str other_version = buffer_str(&bytes);

        assert_fails(STATUS_INVALID, exact_sum_decode(arena, &other_version, &decoded, &err));
    }
    buffer_free(&bytes);
    arena_free(arena);
}

TEST_MAIN(TEST_CASE(known_sums), TEST_CASE(ties_go_to_even), TEST_CASE(the_ends_of_the_range),
          TEST_CASE(infinities_and_nan_can_be_removed_again),
          TEST_CASE(random_sums_equal_the_plain_way), TEST_CASE(the_way_to_a_sum_does_not_show),
          TEST_CASE(damaged_bytes_are_refused))
