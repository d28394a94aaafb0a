/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Numbers that look random and come out alike every time: G. Marsaglia, "Xorshift RNGs", 2003. No secrets. */
#include <stdint.h>

/* The state is never 0. */
static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
