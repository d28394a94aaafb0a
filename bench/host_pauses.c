/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often this machine takes the processor away from a program that only looks at the clock, which
 * no server on it can do better than: host_pauses [SECONDS]. Prints one line of JSON.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PAUSE_NS 100000

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 4;
    uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9);
    uint64_t last = start, longest = 0, lost = 0, pauses = 0;

    while (last < end) {
        uint64_t now = now_ns(), gap = now - last;

        last = now;
        if (gap < PAUSE_NS)
            continue;
        pauses++;
        lost += gap;
        longest = gap > longest ? gap : longest;
    }
    printf("{\"pauses_per_second\":%.1f,\"lost_percent\":%.2f,\"longest_us\":%.0f}\n",
           (double)pauses / seconds, 100 * (double)lost / (double)(last - start),
           (double)longest / 1e3);
    return 0;
}
