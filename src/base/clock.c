/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static _Atomic int64_t fake_us = -1;

int64_t clock_now_us(void)
{
    int64_t fake = atomic_load_explicit(&fake_us, memory_order_relaxed);
    struct timespec now;

    if (fake >= 0)
        return fake;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000;
}

uint64_t clock_monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void clock_fake_us(int64_t now_us)
{
    atomic_store_explicit(&fake_us, now_us, memory_order_relaxed);
}

int64_t floor_div_int64(int64_t value, int64_t divisor)
{
    int64_t quotient = value / divisor;

    return value % divisor < 0 ? quotient - 1 : quotient;
}

int64_t floor_to_int64(int64_t value, int64_t step)
{
    int64_t rest = value % step;

    return value - (rest < 0 ? rest + step : rest);
}

/* Both by counting years from 1 March, so that the leap day is the last of its year. */
int64_t days_from_civil(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = floor_div_int64(y, 400);
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
           day_of_year - 719468;
}

void civil_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    int64_t shifted = days + 719468;
    int64_t era = floor_div_int64(shifted, 146097);
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era -
                          (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;

    *day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    *year = year_of_era + era * 400 + (*month <= 2 ? 1 : 0);
}

/* Exactly count digits from *at on; moves *at behind them. */
static bool take_digits(struct str text, size_t *at, size_t count, int *out)
{
    int value = 0;

    if (*at + count > text.len)
        return false;
    for (size_t i = 0; i < count; i++) {
        char c = text.data[*at + i];

        if (c < '0' || c > '9')
            return false;
        value = value * 10 + (c - '0');
    }
    *at += count;
    *out = value;
    return true;
}

static bool take_byte(struct str text, size_t *at, char byte)
{
    if (*at >= text.len || text.data[*at] != byte)
        return false;
    ++*at;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

static bool take_date(struct str text, size_t *at, int64_t *days)
{
    int year, month, day;

    if (!take_digits(text, at, 4, &year) || !take_byte(text, at, '-') ||
        !take_digits(text, at, 2, &month) || !take_byte(text, at, '-') ||
        !take_digits(text, at, 2, &day))
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    *days = days_from_civil(year, month, day);
    return true;
}

static bool take_fraction(struct str text, size_t *at, int64_t *us)
{
    int64_t scale = US_PER_SECOND / 10;
    size_t from;

    *us = 0;
    if (!take_byte(text, at, '.'))
        return true;
    for (from = *at; *at < text.len && text.data[*at] >= '0' && text.data[*at] <= '9'; ++*at) {
        *us += (text.data[*at] - '0') * scale;
        scale /= 10;
    }
    return *at > from;
}

static bool take_clock(struct str text, size_t *at, int64_t *us)
{
    int hour, minute, second = 0;
    int64_t fraction = 0;

    if (!take_digits(text, at, 2, &hour) || !take_byte(text, at, ':') ||
        !take_digits(text, at, 2, &minute))
        return false;
    if (take_byte(text, at, ':') &&
        (!take_digits(text, at, 2, &second) || !take_fraction(text, at, &fraction)))
        return false;
    if (hour > 23 || minute > 59 || second > 59)
        return false;
    *us = hour * US_PER_HOUR + minute * US_PER_MINUTE + second * US_PER_SECOND + fraction;
    return true;
}

static bool take_zone(struct str text, size_t *at, int64_t *offset_us)
{
    int hours, minutes = 0;
    bool west;

    *offset_us = 0;
    if (*at == text.len || take_byte(text, at, 'Z') || take_byte(text, at, 'z'))
        return true;
    west = text.data[*at] == '-';
    if (!take_byte(text, at, '+') && !take_byte(text, at, '-'))
        return false;
    if (!take_digits(text, at, 2, &hours))
        return false;
    if (*at < text.len) {
        take_byte(text, at, ':');
        if (!take_digits(text, at, 2, &minutes))
            return false;
    }
    if (hours > 23 || minutes > 59)
        return false;
    *offset_us = (hours * US_PER_HOUR + minutes * US_PER_MINUTE) * (west ? -1 : 1);
    return true;
}

bool time_parse_us(struct str text, int64_t *out)
{
    int64_t days, clock_us = 0, offset_us = 0;
    size_t at = 0;

    if (!take_date(text, &at, &days))
        return false;
    if (at < text.len) {
        if (!take_byte(text, &at, 'T') && !take_byte(text, &at, 't') &&
            !take_byte(text, &at, ' '))
            return false;
        if (!take_clock(text, &at, &clock_us) || !take_zone(text, &at, &offset_us))
            return false;
    }
    if (at != text.len)
        return false;
    *out = days * US_PER_DAY + clock_us - offset_us;
    return true;
}

size_t time_format_us(int64_t time_us, char text[TIME_TEXT_MAX])
{
    int64_t days = floor_div_int64(time_us, US_PER_DAY);
    int64_t rest = time_us - days * US_PER_DAY;
    int64_t fraction = rest % US_PER_SECOND;
    int64_t year;
    int month, day, len;

    civil_from_days(days, &year, &month, &day);
    len = snprintf(text, TIME_TEXT_MAX, "%04lld-%02d-%02dT%02d:%02d:%02d", (long long)year,
                   month, day, (int)(rest / US_PER_HOUR), (int)(rest / US_PER_MINUTE % 60),
                   (int)(rest / US_PER_SECOND % 60));
    if (fraction != 0) {
        len += snprintf(text + len, (size_t)(TIME_TEXT_MAX - len), ".%06d", (int)fraction);
        while (text[len - 1] == '0')
            len--;
    }
    text[len++] = 'Z';
    text[len] = '\0';
    return (size_t)len;
}

struct unit {
    const char *name;
    int64_t us;
};

static const struct unit units[] = {
    { "d", US_PER_DAY },    { "h", US_PER_HOUR }, { "m", US_PER_MINUTE },
    { "s", US_PER_SECOND }, { "ms", 1000 },
};

bool duration_parse_us(struct str text, int64_t *out)
{
    size_t digits = 0;
    int64_t count;

    while (digits < text.len && text.data[digits] >= '0' && text.data[digits] <= '9')
        digits++;
    if (!str_to_int64(str_slice(text, 0, digits), &count))
        return false;
    if (digits == text.len) {
        *out = 0;
        return count == 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (str_equal(str_slice(text, digits, text.len), str_from(units[i].name)))
            return !__builtin_mul_overflow(count, units[i].us, out);
    return false;
}

size_t duration_format_us(int64_t duration_us, char text[TIME_TEXT_MAX])
{
    if (duration_us == 0)
        return (size_t)snprintf(text, TIME_TEXT_MAX, "0s");
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (duration_us % units[i].us == 0)
            return (size_t)snprintf(text, TIME_TEXT_MAX, "%lld%s",
                                    (long long)(duration_us / units[i].us), units[i].name);
    return (size_t)snprintf(text, TIME_TEXT_MAX, "%.3fms", (double)duration_us / 1000.0);
}
