/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/trees/trees.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read is walked, also where every comparison fails. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new();
    struct trees *trees = trees_read(arena, (struct str){ (const char *)data, size });
    const struct tensor_spec specs[2] = { { .name = STR("a") }, { .name = STR("b") } };
    struct tensor outputs[2];
    float sums[2], *rows;

    if (trees != NULL) {
        rows = ARENA_ARRAY(arena, float, 2 * trees->width);
        for (size_t i = 0; i < trees->width; i++)
            rows[i] = NAN;
        trees_sum(trees, rows, 2, trees->width, sums);
        trees_answer(trees, arena, sums, 2, specs, outputs);
    }
    arena_free(arena);
    return 0;
}
