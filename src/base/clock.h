/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Time: what the clock says, and how instants and durations are written.
 * Tests set the wall clock; the monotonic one is always the system's.
 */
#include "base/arena.h"
#include "base/status.h"

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_MINUTE (60 * US_PER_SECOND)
#define US_PER_HOUR (60 * US_PER_MINUTE)
#define US_PER_DAY (24 * US_PER_HOUR)

int64_t clock_now_us(void);        /* wall clock, UTC, since 1970 */
uint64_t clock_monotonic_ns(void); /* only differences mean something */
/* From now on clock_now_us() gives this; a negative one brings the real clock back. */
void clock_fake_us(int64_t now_us);

/*
 * RFC 3339 and its common relatives: "2018-08-08T10:00:00.25Z", "+09:00", a
 * space for the T, no zone (UTC), or a date alone (midnight). More digits than
 * six are floored to microseconds. Years 0001 to 9999.
 */
MUST_USE bool time_parse_us(struct str text, int64_t *out);
#define TIME_TEXT_MAX 40
/* "2018-08-08T10:00:00Z", with a fraction only where there is one. Returns the length. */
size_t time_format_us(int64_t time_us, char text[TIME_TEXT_MAX]);

/* An integer and ms, s, m, h or d: "500ms", "7d". Never negative; 0 needs no unit. */
MUST_USE bool duration_parse_us(struct str text, int64_t *out);
/* In the largest unit that divides it. Returns the length. */
size_t duration_format_us(int64_t duration_us, char text[TIME_TEXT_MAX]);

/* Floor division: also right before 1970. */
int64_t floor_div_int64(int64_t value, int64_t divisor);
int64_t floor_to_int64(int64_t value, int64_t step);
/* Civil date of a day since 1970-01-01, proleptic Gregorian. */
void civil_from_days(int64_t days, int64_t *year, int *month, int *day);
int64_t days_from_civil(int64_t year, int month, int day);
