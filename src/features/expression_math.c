/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of numbers and of times. */
#include "features/expression_kernel.h"

#include "base/clock.h"

#include <math.h>

/* Outside the function's domain there is no answer: null, never a NaN made of a number. */
#define KERNEL_DOMAIN(kernel, call, domain) \
    static void kernel(struct arena *arena __attribute__((unused)), size_t n, \
                       const struct expression_vector *args, struct expression_vector *out) \
    { \
        for (size_t i = 0; i < n; i++) { \
            double a = args[0].numbers[i]; \
            bool inside = isnan(a) || (domain); \
\
            if (!inside) \
                expression_mark(out, i, ROW_NULL); \
            out->numbers[i] = inside ? (call) : 0; \
        } \
    }

KERNEL_DOMAIN(log_float64, log(a), a > 0)
KERNEL_DOMAIN(log10_float64, log10(a), a > 0)
KERNEL_DOMAIN(log1p_float64, log1p(a), a > -1)
KERNEL_DOMAIN(sqrt_float64, sqrt(a), a >= 0)
KERNEL_DOMAIN(sin_float64, sin(a), !isinf(a))
KERNEL_DOMAIN(cos_float64, cos(a), !isinf(a))
KERNEL_1(exp_float64, numbers, numbers, exp(a))
KERNEL_1(abs_float64, numbers, numbers, fabs(a))
KERNEL_1(floor_float64, numbers, numbers, floor(a))
KERNEL_1(ceil_float64, numbers, numbers, ceil(a))
KERNEL_1(round_float64, numbers, numbers, round(a))
KERNEL_1(is_nan, numbers, booleans, (uint8_t)(isnan(a) != 0))
KERNEL_1(same_int64, integers, integers, a)
KERNEL_1(same_float64, numbers, numbers, a)
KERNEL_1(float_of_int64, integers, numbers, (double)a)
KERNEL_1(float_of_bool, booleans, numbers, (double)(a & 1))
KERNEL_1(int_of_bool, booleans, integers, a & 1)

static void abs_int64(struct arena *arena __attribute__((unused)), size_t n,
                      const struct expression_vector *args, struct expression_vector *out)
{
    for (size_t i = 0; i < n; i++) {
        int64_t a = args[0].integers[i];

        if (a == INT64_MIN)
            expression_mark(out, i, ROW_OVERFLOW);
        out->integers[i] = a == INT64_MIN ? 0 : a < 0 ? -a : a;
    }
}

static void int_of_float64(struct arena *arena __attribute__((unused)), size_t n,
                           const struct expression_vector *args, struct expression_vector *out)
{
    for (size_t i = 0; i < n; i++) {
        double a = args[0].numbers[i];
        /* NOLINTNEXTLINE(cppcheck-incorrectLogicOperator): it cannot read 0x1p63 */
        bool fits = a >= -0x1p63 && a < 0x1p63;

        if (!fits)
            expression_mark(out, i, isnan(a) ? ROW_NULL : ROW_OVERFLOW);
        out->integers[i] = fits ? (int64_t)a : 0;
    }
}

static void pow_float64(struct arena *arena __attribute__((unused)), size_t n,
                        const struct expression_vector *args, struct expression_vector *out)
{
    for (size_t i = 0; i < n; i++) {
        double a = args[0].numbers[i], b = args[1].numbers[i];
        double result = pow(a, b);
        bool inside = isnan(a) || isnan(b) || (!isnan(result) && !(a == 0 && b < 0));

        if (!inside)
            expression_mark(out, i, ROW_NULL);
        out->numbers[i] = inside ? result : 0;
    }
}

/* A NaN on either side is the result: fmin() would hide it. */
KERNEL_2(min_int64, integers, integers, a < b ? a : b)
KERNEL_2(max_int64, integers, integers, a > b ? a : b)
KERNEL_2(min_float64, numbers, numbers, a < b || isnan(a) ? a : b)
KERNEL_2(max_float64, numbers, numbers, a > b || isnan(a) ? a : b)

#define EARTH_RADIUS_KM 6371.0088
#define RADIANS (M_PI / 180)

/* Kilometres between two points given in degrees. */
static double haversine(double lat1, double lon1, double lat2, double lon2)
{
    double half_lat = sin((lat2 - lat1) * RADIANS / 2);
    double half_lon = sin((lon2 - lon1) * RADIANS / 2);
    double h = half_lat * half_lat +
               cos(lat1 * RADIANS) * cos(lat2 * RADIANS) * half_lon * half_lon;

    return 2 * EARTH_RADIUS_KM * asin(sqrt(h > 1 ? 1 : h));
}

static void haversine_float64(struct arena *arena __attribute__((unused)), size_t n,
                              const struct expression_vector *args,
                              struct expression_vector *out)
{
    for (size_t i = 0; i < n; i++)
        out->numbers[i] = haversine(args[0].numbers[i], args[1].numbers[i], args[2].numbers[i],
                                    args[3].numbers[i]);
}

/* Of an instant's UTC day; the rest of the day is never negative. */
static int64_t part_of_day(int64_t us, int64_t unit_us, int64_t count)
{
    int64_t rest = us % US_PER_DAY;

    return (rest < 0 ? rest + US_PER_DAY : rest) / unit_us % count;
}

static int64_t weekday_of(int64_t us)
{
    int64_t days = floor_div_int64(us, US_PER_DAY) + 3; /* 1970-01-01 was a Thursday */

    return days - floor_div_int64(days, 7) * 7;
}

enum date_part { DATE_YEAR, DATE_MONTH, DATE_DAY };

static int64_t date_part_of(int64_t us, enum date_part part)
{
    int64_t year;
    int month, day;

    civil_from_days(floor_div_int64(us, US_PER_DAY), &year, &month, &day);
    return part == DATE_YEAR ? year : part == DATE_MONTH ? month : day;
}

KERNEL_1(hour_of, integers, integers, part_of_day(a, US_PER_HOUR, 24))
KERNEL_1(minute_of, integers, integers, part_of_day(a, US_PER_MINUTE, 60))
KERNEL_1(second_of, integers, integers, part_of_day(a, US_PER_SECOND, 60))
KERNEL_1(weekday, integers, integers, weekday_of(a))
KERNEL_1(year_of, integers, integers, date_part_of(a, DATE_YEAR))
KERNEL_1(month_of, integers, integers, date_part_of(a, DATE_MONTH))
KERNEL_1(day_of, integers, integers, date_part_of(a, DATE_DAY))

/* Of hour(time, zone): the instant at which a UTC clock shows the zone's time. */
static void shift_time(struct arena *arena __attribute__((unused)), size_t n,
                       const struct expression_vector *args, struct expression_vector *out)
{
    for (size_t i = 0; i < n; i++) {
        if (__builtin_add_overflow(args[0].integers[i], args[1].integers[i],
                                   &out->integers[i])) {
            out->integers[i] = 0;
            expression_mark(out, i, ROW_OVERFLOW);
        }
    }
}

const struct expression_function expression_math[] = {
    { "abs", "i", 'i', abs_int64, true, false },
    { "abs", "f", 'f', abs_float64, false, false },
    { "min", "ii", 'i', min_int64, false, false },
    { "min", "ff", 'f', min_float64, false, false },
    { "min", "tt", 't', min_int64, false, false },
    { "max", "ii", 'i', max_int64, false, false },
    { "max", "ff", 'f', max_float64, false, false },
    { "max", "tt", 't', max_int64, false, false },
    { "log", "f", 'f', log_float64, true, false },
    { "log10", "f", 'f', log10_float64, true, false },
    { "log1p", "f", 'f', log1p_float64, true, false },
    { "exp", "f", 'f', exp_float64, false, false },
    { "sqrt", "f", 'f', sqrt_float64, true, false },
    { "pow", "ff", 'f', pow_float64, true, false },
    { "sin", "f", 'f', sin_float64, true, false },
    { "cos", "f", 'f', cos_float64, true, false },
    { "floor", "i", 'i', same_int64, false, false },
    { "floor", "f", 'f', floor_float64, false, false },
    { "ceil", "i", 'i', same_int64, false, false },
    { "ceil", "f", 'f', ceil_float64, false, false },
    { "round", "i", 'i', same_int64, false, false },
    { "round", "f", 'f', round_float64, false, false },
    { "is_nan", "f", 'b', is_nan, false, false },
    { "int", "i", 'i', same_int64, false, false },
    { "int", "f", 'i', int_of_float64, true, false },
    { "int", "b", 'i', int_of_bool, false, false },
    { "float", "f", 'f', same_float64, false, false },
    { "float", "i", 'f', float_of_int64, false, false },
    { "float", "b", 'f', float_of_bool, false, false },
    { "haversine", "ffff", 'f', haversine_float64, false, false },
    { "hour", "t", 'i', hour_of, false, false },
    { "minute", "t", 'i', minute_of, false, false },
    { "second", "t", 'i', second_of, false, false },
    { "weekday", "t", 'i', weekday, false, false },
    { "day", "t", 'i', day_of, false, false },
    { "month", "t", 'i', month_of, false, false },
    { "year", "t", 'i', year_of, false, false },
    { "@shift", "ti", 't', shift_time, true, false },
};
const size_t expression_math_count = ARRAY_LEN(expression_math);
