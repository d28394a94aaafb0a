/* SPDX-License-Identifier: Apache-2.0 */
#include "features/exact_sum.h"

#include <assert.h>
#include <math.h>

#define LOWEST_EXPONENT (-1074) /* of the smallest double */
#define MANTISSA_BITS 53
/* What a fixed sum may grow to before it goes wide; one bit is left for the next addition. */
#define FIXED_BITS 126

void exact_sum_init(struct exact_sum *sum)
{
    *sum = (struct exact_sum){ .is_empty = true };
}

int64_t exact_split(double number, int *exponent)
{
    uint64_t bits, mantissa;
    int biased, zeros;

    memcpy(&bits, &number, sizeof(bits));
    biased = (int)(bits >> 52 & 0x7ff);
    mantissa = bits & ((UINT64_C(1) << 52) - 1);
    if (biased != 0)
        mantissa |= UINT64_C(1) << 52;
    else
        biased = 1;
    *exponent = 0;
    if (mantissa == 0)
        return 0;
    zeros = __builtin_ctzll(mantissa);
    *exponent = biased - 1075 + zeros;
    mantissa >>= zeros;
    return bits >> 63 ? -(int64_t)mantissa : (int64_t)mantissa;
}

static uint128 magnitude_of(int128 value)
{
    return value < 0 ? -(uint128)value : (uint128)value;
}

/* 1 for 1, 2 for 2 and 3, …; value is not 0. */
static int bit_length(uint128 value)
{
    uint64_t high = (uint64_t)(value >> 64);

    return high != 0 ? 128 - __builtin_clzll(high) : 64 - __builtin_clzll((uint64_t)value);
}

static int trailing_zeros(uint128 value)
{
    uint64_t low = (uint64_t)value;

    return low != 0 ? __builtin_ctzll(low) : 64 + __builtin_ctzll((uint64_t)(value >> 64));
}

static bool fits_shifted(int128 value, int shift)
{
    return shift < FIXED_BITS && bit_length(magnitude_of(value)) + shift <= FIXED_BITS;
}

static int128 shift_left(int128 value, int shift)
{
    return (int128)((uint128)value << shift);
}

/* --- wide ----------------------------------------------------------------- */

/* Adds value × 2^(position + LOWEST_EXPONENT). */
static void wide_add(uint64_t *limbs, int128 value, int position)
{
    int first = position / 64, shift = position % 64;
    uint64_t extension = value < 0 ? UINT64_MAX : 0;
    uint64_t parts[3] = {
        (uint64_t)((uint128)value << shift),
        (uint64_t)(value >> (64 - shift)),
        shift == 0 ? extension : (uint64_t)(value >> 64 >> (64 - shift)),
    };
    unsigned carry = 0;

    for (int i = first; i < EXACT_SUM_LIMBS; i++) {
        uint64_t part = i - first < 3 ? parts[i - first] : extension;
        uint128 total = (uint128)limbs[i] + part + carry;

        if (i - first >= 3 && (carry != 0) == (extension != 0))
            break; /* nothing changes further up */
        limbs[i] = (uint64_t)total;
        carry = (unsigned)(total >> 64);
    }
}

static void grow_wide(struct exact_sum *sum, struct arena *arena)
{
    sum->wide = ARENA_ARRAY(arena, uint64_t, EXACT_SUM_LIMBS);
    if (!sum->is_empty)
        wide_add(sum->wide, sum->fixed, sum->exponent - LOWEST_EXPONENT);
    sum->is_empty = false;
    sum->fixed = 0;
}

static bool wide_is_negative(const uint64_t *limbs)
{
    return limbs[EXACT_SUM_LIMBS - 1] >> 63;
}

/* Returns the highest limb that is not zero, or -1. */
static int wide_magnitude(const uint64_t *limbs, uint64_t *magnitude)
{
    bool negative = wide_is_negative(limbs);
    unsigned carry = negative;
    int highest = -1;

    for (int i = 0; i < EXACT_SUM_LIMBS; i++) {
        uint128 total = (uint128)(negative ? ~limbs[i] : limbs[i]) + carry;

        magnitude[i] = (uint64_t)total;
        carry = (unsigned)(total >> 64);
        if (magnitude[i] != 0)
            highest = i;
    }
    return highest;
}

/* --- rounding ------------------------------------------------------------- */

/* `sticky`: something not zero is below the lowest bit. */
static double round_magnitude(uint128 magnitude, bool sticky, int exponent, bool negative)
{
    int lowest, shift;
    uint64_t mantissa;
    double result;

    if (magnitude == 0)
        return 0;
    lowest = bit_length(magnitude) + exponent - MANTISSA_BITS;
    if (lowest < LOWEST_EXPONENT)
        lowest = LOWEST_EXPONENT;
    shift = lowest - exponent;
    /* No bit is below that of the least double, and a mantissa has 53 of them. */
    assert(shift > -MANTISSA_BITS && shift < 128);
    if (shift <= 0) {
        mantissa = (uint64_t)(magnitude << -shift);
    } else {
        uint128 rest = magnitude & (((uint128)1 << shift) - 1),
                half = (uint128)1 << (shift - 1);

        mantissa = (uint64_t)(magnitude >> shift);
        if (rest > half || (rest == half && (sticky || (mantissa & 1) != 0)))
            mantissa++;
    }
    result = ldexp((double)mantissa, lowest);
    return negative ? -result : result;
}

double exact_round(int128 fixed, int exponent)
{
    return round_magnitude(magnitude_of(fixed), false, exponent, fixed < 0);
}

static double wide_round(const uint64_t *limbs)
{
    uint64_t magnitude[EXACT_SUM_LIMBS];
    int highest = wide_magnitude(limbs, magnitude), low = highest > 0 ? highest - 1 : 0;
    bool sticky = false;
    uint128 top;

    if (highest < 0)
        return 0;
    top = highest > 0 ? (uint128)magnitude[highest] << 64 | magnitude[low] : magnitude[0];
    for (int i = 0; i < low; i++)
        sticky |= magnitude[i] != 0;
    return round_magnitude(top, sticky, low * 64 + LOWEST_EXPONENT, wide_is_negative(limbs));
}

double exact_sum_round(const struct exact_sum *sum)
{
    if (sum->nans > 0 || (sum->positive_infinities > 0 && sum->negative_infinities > 0))
        return NAN;
    if (sum->positive_infinities > 0)
        return INFINITY;
    if (sum->negative_infinities > 0)
        return -INFINITY;
    if (sum->wide != NULL)
        return wide_round(sum->wide);
    return sum->is_empty ? 0 : exact_round(sum->fixed, sum->exponent);
}

/* --- adding --------------------------------------------------------------- */

/* Frees exponent range that only numbers long removed had needed. */
static void normalise(struct exact_sum *sum)
{
    int zeros = trailing_zeros((uint128)sum->fixed);

    sum->fixed >>= zeros;
    sum->exponent += zeros;
}

/* Brings both to the lower exponent; false, and nothing changed, if 128 bits are not enough. */
static bool align(struct exact_sum *sum, int128 *value, int exponent)
{
    int up = exponent > sum->exponent ? exponent - sum->exponent : 0;
    int down = sum->exponent > exponent ? sum->exponent - exponent : 0;

    if (!fits_shifted(*value, up) || !fits_shifted(sum->fixed, down))
        return false;
    *value = shift_left(*value, up);
    sum->fixed = shift_left(sum->fixed, down);
    sum->exponent -= down;
    return true;
}

static void add_fixed(struct exact_sum *sum, struct arena *arena, int128 value, int exponent)
{
    if (value == 0)
        return;
    if (sum->wide == NULL && sum->is_empty) {
        sum->fixed = value;
        sum->exponent = exponent;
        sum->is_empty = false;
        return;
    }
    if (sum->wide == NULL && !align(sum, &value, exponent)) {
        normalise(sum);
        if (!align(sum, &value, exponent))
            grow_wide(sum, arena);
    }
    if (sum->wide != NULL) {
        wide_add(sum->wide, value, exponent - LOWEST_EXPONENT);
        return;
    }
    sum->fixed += value;
    sum->is_empty = sum->fixed == 0;
}

static void add_times(struct exact_sum *sum, struct arena *arena, double number, int sign)
{
    int exponent;
    int64_t mantissa;

    if (isnan(number)) {
        sum->nans += sign;
    } else if (isinf(number)) {
        *(number > 0 ? &sum->positive_infinities : &sum->negative_infinities) += sign;
    } else {
        mantissa = exact_split(number, &exponent);
        add_fixed(sum, arena, (int128)sign * mantissa, exponent);
    }
}

void exact_sum_add(struct exact_sum *sum, struct arena *arena, double number)
{
    add_times(sum, arena, number, 1);
}

void exact_sum_remove(struct exact_sum *sum, struct arena *arena, double number)
{
    add_times(sum, arena, number, -1);
}

static void merge_wide(struct exact_sum *sum, struct arena *arena, const uint64_t *limbs,
                       bool negate)
{
    unsigned carry = negate;

    if (sum->wide == NULL)
        grow_wide(sum, arena);
    for (int i = 0; i < EXACT_SUM_LIMBS; i++) {
        uint128 total = (uint128)sum->wide[i] + (negate ? ~limbs[i] : limbs[i]) + carry;

        sum->wide[i] = (uint64_t)total;
        carry = (unsigned)(total >> 64);
    }
}

static void merge_times(struct exact_sum *sum, struct arena *arena,
                        const struct exact_sum *other, int sign)
{
    sum->nans += sign * other->nans;
    sum->positive_infinities += sign * other->positive_infinities;
    sum->negative_infinities += sign * other->negative_infinities;
    if (other->wide != NULL)
        merge_wide(sum, arena, other->wide, sign < 0);
    else if (!other->is_empty)
        add_fixed(sum, arena, sign * other->fixed, other->exponent);
}

void exact_sum_merge(struct exact_sum *sum, struct arena *arena, const struct exact_sum *other)
{
    merge_times(sum, arena, other, 1);
}

void exact_sum_subtract(struct exact_sum *sum, struct arena *arena,
                        const struct exact_sum *other)
{
    merge_times(sum, arena, other, -1);
}

/* --- bytes ---------------------------------------------------------------- */

/*
 * One byte: version in the high half, then the form, and whether counts of NaN and infinities
 * follow. Then an exponent and an integer (odd, so that a sum has one encoding), or limbs.
 * Little endian throughout.
 */
#define VERSION 1
enum form { FORM_ZERO, FORM_64, FORM_128, FORM_WIDE };
#define FORM_MASK 3
#define HAS_SPECIALS 4

static bool has_specials(const struct exact_sum *sum)
{
    return (sum->nans | sum->positive_infinities | sum->negative_infinities) != 0;
}

/* Up to three limbs without the zeros below; false if 127 bits are not enough. */
static bool squeeze(const uint64_t *limbs, int lowest, int highest, uint128 *out, int *zeros)
{
    uint64_t middle = highest > lowest ? limbs[lowest + 1] : 0;
    uint64_t top = highest > lowest + 1 ? limbs[highest] : 0;

    *zeros = __builtin_ctzll(limbs[lowest]);
    *out = ((uint128)middle << 64 | limbs[lowest]) >> *zeros;
    if (top >> *zeros != 0)
        return false;
    if (*zeros > 0)
        *out |= (uint128)top << (128 - *zeros);
    return bit_length(*out) <= FIXED_BITS + 1;
}

/* A wide sum that fits 127 bits becomes fixed, so that the way to it does not show. */
static struct exact_sum narrowed(const struct exact_sum *sum)
{
    struct exact_sum narrow = *sum;
    uint64_t limbs[EXACT_SUM_LIMBS];
    int highest, lowest = 0, zeros;
    uint128 value;

    if (sum->wide == NULL) {
        if (!narrow.is_empty)
            normalise(&narrow);
        return narrow;
    }
    highest = wide_magnitude(sum->wide, limbs);
    narrow.is_empty = highest < 0;
    if (!narrow.is_empty) {
        while (limbs[lowest] == 0)
            lowest++;
        if (highest - lowest > 2 || !squeeze(limbs, lowest, highest, &value, &zeros))
            return narrow;
        narrow.fixed = wide_is_negative(sum->wide) ? -(int128)value : (int128)value;
        narrow.exponent = lowest * 64 + zeros + LOWEST_EXPONENT;
    }
    narrow.wide = NULL;
    return narrow;
}

static enum form form_of(const struct exact_sum *sum)
{
    if (sum->wide != NULL)
        return FORM_WIDE;
    if (sum->is_empty)
        return FORM_ZERO;
    return sum->fixed == (int64_t)sum->fixed ? FORM_64 : FORM_128;
}

void exact_sum_encode(const struct exact_sum *sum, struct buffer *out)
{
    struct exact_sum narrow = narrowed(sum);
    enum form form = form_of(&narrow);
    int16_t exponent = (int16_t)narrow.exponent;

    buffer_append_byte(out,
                       (char)(VERSION << 4 | (has_specials(sum) ? HAS_SPECIALS : 0) | form));
    if (form == FORM_64 || form == FORM_128) {
        buffer_append_bytes(out, &exponent, sizeof(exponent));
        buffer_append_bytes(out, &narrow.fixed, form == FORM_64 ? 8 : 16);
    } else if (form == FORM_WIDE) {
        buffer_append_bytes(out, narrow.wide, EXACT_SUM_LIMBS * sizeof(uint64_t));
    }
    if (has_specials(sum)) {
        buffer_append_bytes(out, &sum->nans, 8);
        buffer_append_bytes(out, &sum->positive_infinities, 8);
        buffer_append_bytes(out, &sum->negative_infinities, 8);
    }
}

static bool take(struct str *bytes, void *out, size_t len)
{
    if (bytes->len < len)
        return false;
    memcpy(out, bytes->data, len);
    *bytes = str_slice(*bytes, len, bytes->len);
    return true;
}

static bool take_fixed(struct str *bytes, enum form form, struct exact_sum *sum)
{
    int16_t exponent;
    int64_t narrow;

    if (!take(bytes, &exponent, sizeof(exponent)))
        return false;
    sum->exponent = exponent;
    sum->is_empty = false;
    if (form == FORM_128)
        return take(bytes, &sum->fixed, sizeof(sum->fixed)) && sum->fixed != 0;
    if (!take(bytes, &narrow, sizeof(narrow)) || narrow == 0)
        return false;
    sum->fixed = narrow;
    return true;
}

/* Bytes that no sum of ours has would lead shifts astray. */
static bool is_sound(const struct exact_sum *sum)
{
    return sum->is_empty || sum->wide != NULL ||
           (sum->exponent >= LOWEST_EXPONENT && sum->exponent <= 1024 &&
            bit_length(magnitude_of(sum->fixed)) <= FIXED_BITS + 1);
}

enum status exact_sum_decode(struct arena *arena, struct str *bytes, struct exact_sum *out,
                             struct error *err)
{
    struct exact_sum sum;
    uint8_t head;
    bool whole;
    enum form form;

    exact_sum_init(&sum);
    if (!take(bytes, &head, 1) || head >> 4 != VERSION)
        return error_set(err, STATUS_INVALID, "a stored sum is of an unknown version");
    form = head & FORM_MASK;
    whole = true;
    if (form == FORM_64 || form == FORM_128) {
        whole = take_fixed(bytes, form, &sum);
    } else if (form == FORM_WIDE) {
        sum.wide = ARENA_ARRAY(arena, uint64_t, EXACT_SUM_LIMBS);
        sum.is_empty = false;
        whole = take(bytes, sum.wide, EXACT_SUM_LIMBS * sizeof(uint64_t));
    }
    if (whole && (head & HAS_SPECIALS) != 0)
        whole = take(bytes, &sum.nans, 8) && take(bytes, &sum.positive_infinities, 8) &&
                take(bytes, &sum.negative_infinities, 8);
    if (!whole || !is_sound(&sum))
        return error_set(err, STATUS_INVALID, "a stored sum is damaged");
    *out = sum;
    return STATUS_OK;
}
