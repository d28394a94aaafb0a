/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * For those who write kernels: a loop over the rows of a block, plain enough
 * for the compiler to vectorise. A strict kernel also runs over the rows that
 * are null, whose places hold anything: it must bear every bit pattern.
 */
#include "features/expression_program.h"

/* `a` and `b` are a row of the arguments, the body is that row of the result. */
#define KERNEL_1(kernel, in, result, body) \
    static void kernel(struct arena *arena __attribute__((unused)), size_t n, \
                       const struct expression_vector *args, struct expression_vector *out) \
    { \
        for (size_t i = 0; i < n; i++) { \
            __typeof__(args[0].in[0]) a = args[0].in[i]; \
            out->result[i] = (body); \
        } \
    }
#define KERNEL_2(kernel, in, result, body) \
    static void kernel(struct arena *arena __attribute__((unused)), size_t n, \
                       const struct expression_vector *args, struct expression_vector *out) \
    { \
        for (size_t i = 0; i < n; i++) { \
            __typeof__(args[0].in[0]) a = args[0].in[i], b = args[1].in[i]; \
            out->result[i] = (body); \
        } \
    }

/* A null argument keeps its row a null, whatever came of the bits in its place. */
static inline void expression_mark(struct expression_vector *out, size_t row,
                                   enum row_state state)
{
    if (out->states[row] == ROW_VALUE)
        out->states[row] = (uint8_t)state;
}
