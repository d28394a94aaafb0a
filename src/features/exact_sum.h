/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Sums of doubles without rounding on the way. The order of adding, merging
 * and removing never shows: the result is the exact sum, rounded once to the
 * nearest double. Most columns fit 128 bits of fixed point; what does not goes
 * into a wide accumulator that covers every double.
 *
 * NaN and infinities are counted apart, so that they can be removed again.
 * The struct may be copied as long as the copy is only read.
 */
#include "base/arena.h"
#include "base/buffer.h"
#include "base/status.h"

/* Wider than ISO C knows; gcc and clang have them on all 64-bit machines. */
__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;

/* 2^-1074 to 2^1024, 63 bits of headroom for counts, and a sign. */
#define EXACT_SUM_LIMBS 34

struct exact_sum {
    int128 fixed;   /* × 2^exponent; unused once wide is set */
    uint64_t *wide; /* two's complement, unit 2^-1074; in the arena of who added */
    int64_t nans;   /* signed counts: a removal may come before its addition */
    int64_t positive_infinities;
    int64_t negative_infinities;
    int32_t exponent; /* 0 in an empty sum */
    bool is_empty;    /* of finite non-zero numbers: the exponent is still free */
};

void exact_sum_init(struct exact_sum *sum);
/* The arena is used once at most, when the sum grows wide. */
void exact_sum_add(struct exact_sum *sum, struct arena *arena, double number);
void exact_sum_remove(struct exact_sum *sum, struct arena *arena, double number);
/* `other` stays as it is and need not outlive the call. */
void exact_sum_merge(struct exact_sum *sum, struct arena *arena, const struct exact_sum *other);
void exact_sum_subtract(struct exact_sum *sum, struct arena *arena,
                        const struct exact_sum *other);
/* Rounded to nearest, ties to even; an empty sum is 0, inf − inf is NaN, too large is ±inf. */
double exact_sum_round(const struct exact_sum *sum);

/* fixed × 2^exponent, rounded once. */
double exact_round(int128 fixed, int exponent);

/*
 * Splits a finite number into integer × 2^exponent with an odd integer (0: 0 × 2^0): what
 * decides the scale of a whole column.
 */
int64_t exact_split(double number, int *exponent);

/* Versioned, compact, the same bytes for the same sum however it came about. */
void exact_sum_encode(const struct exact_sum *sum, struct buffer *out);
/* Takes the sum off the front of *bytes. INVALID if it is cut off or of another version. */
MUST_USE enum status exact_sum_decode(struct arena *arena, struct str *bytes,
                                      struct exact_sum *out, struct error *err);
