/* SPDX-License-Identifier: Apache-2.0 */
#include "net/loop.h"

#include "base/clock.h"

#include <stdio.h>
#include <time.h>

void loop_post(struct loop *loop, struct post *post)
{
    struct post *first = atomic_load_explicit(&loop->posts, memory_order_relaxed);

    do {
        post->next = first;
    } while (!atomic_compare_exchange_weak_explicit(
        &loop->posts, &first, post, memory_order_release, memory_order_relaxed));
    /* Who finds the list empty wakes the loop; the others ride along. */
    if (first == NULL)
        uv_async_send(&loop->wake);
}

void date_format(char text[DATE_LEN + 1])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)(clock_now_us() / US_PER_SECOND);
    char whole[96];
    struct tm tm;

    gmtime_r(&seconds, &tm);
    snprintf(whole, sizeof(whole), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
             days + 3 * (ptrdiff_t)tm.tm_wday, tm.tm_mday, months + 3 * (ptrdiff_t)tm.tm_mon,
             tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    memcpy(text, whole, DATE_LEN);
    text[DATE_LEN] = '\0';
}

const char *loop_date(struct loop *loop, uint64_t now_ns)
{
    if (loop->date_ns == 0 || now_ns - loop->date_ns > UINT64_C(500000000)) {
        date_format(loop->date);
        loop->date_ns = now_ns;
    }
    return loop->date;
}

void loop_leave(struct loop *loop)
{
    if (loop->stopping && loop->turns_at_workers == 0 && loop->handles == 0)
        uv_stop(&loop->uv);
}
