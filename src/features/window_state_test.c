/* SPDX-License-Identifier: Apache-2.0 */
#include "features/window_state.h"

#include "base/clock.h"
#include "support/test.h"

#include <math.h>

#define EVENTS_MAX 400

/* Events of one entity, in memory as materialisation has them. */
struct events {
    size_t count;
    int64_t times[EVENTS_MAX];
    struct column columns[4]; /* "count" has no column; the others by name below */
    int64_t created[EVENTS_MAX];
    uint32_t rows[EVENTS_MAX]; /* by time */
};

static const struct test_input {
    const char *name;
    enum value_type type;
} inputs[] = { { "whole", TYPE_INT64 },
               { "real", TYPE_FLOAT64 },
               { "flag", TYPE_BOOL },
               { "text", TYPE_STRING } };

static const struct events *sorting;

static int by_time(const void *a, const void *b)
{
    int64_t x = sorting->times[*(const uint32_t *)a], y = sorting->times[*(const uint32_t *)b];

    return (x > y) - (x < y);
}

/* One in eight null; floats of all scales and kinds. */
static struct value random_value(unsigned *seed, enum value_type type)
{
    static const double reals[] = { 0.1,    -0.0, 1e300,    -1e300, 1e-300,
                                    5e-324, 1e17, INFINITY, NAN,    -INFINITY };
    static const char *const texts[] = { "a", "b", "", "a longer text", "\xc3\xa9" };
    struct value value = { .type = type };
    int roll = rand_r(seed);

    if (roll % 8 == 0)
        return value_null(type);
    switch (type) {
    case TYPE_INT64:
        value.integer = roll % 5 == 0 ? ((int64_t)1 << 55) * (roll % 64 - 32)
                                      : roll % 200 - 100;
        break;
    case TYPE_FLOAT64:
        value.number = roll % 40 == 1 ? reals[roll / 64 % 10] : (roll % 2000 - 1000) / 8.0;
        break;
    case TYPE_BOOL:
        value.boolean = roll / 16 % 2 == 1;
        break;
    default:
        value.text = str_from(texts[roll / 16 % 5]);
        break;
    }
    return value;
}

/* Times on tile edges, on each other, a moment apart, and around 1970. */
static int64_t random_time(unsigned *seed, int64_t reach)
{
    int64_t time = (int64_t)(((uint64_t)rand_r(seed) << 24) % (uint64_t)reach) - reach / 3;
    int roll = rand_r(seed) % 6;

    if (roll == 0)
        return floor_to_int64(time, US_PER_HOUR);
    if (roll == 1)
        return floor_to_int64(time, US_PER_DAY) + rand_r(seed) % 3 - 1;
    return roll == 2 ? floor_to_int64(time, 5 * US_PER_MINUTE) : time;
}

static void make_events(struct events *events, unsigned *seed)
{
    int64_t reach = (rand_r(seed) % 2 == 0 ? 3 : 90) * US_PER_DAY;
    struct error err;

    events->count = (size_t)(rand_r(seed) % EVENTS_MAX) + 1;
    if (rand_r(seed) % 3 == 0)
        events->count = events->count % 4 + 1;
    for (size_t c = 0; c < ARRAY_LEN(inputs); c++)
        column_init(&events->columns[c], inputs[c].type);
    for (size_t i = 0; i < events->count; i++) {
        events->rows[i] = (uint32_t)i;
        events->times[i] = i > 0 && rand_r(seed) % 5 == 0 ? events->times[i - 1]
                                                          : random_time(seed, reach);
        for (size_t c = 0; c < ARRAY_LEN(inputs); c++)
            assert_ok(
                column_append(&events->columns[c], random_value(seed, inputs[c].type), &err));
        events->created[i] = rand_r(seed) % 2 == 0 ? CREATED_NULL : rand_r(seed) % 3;
    }
    sorting = events;
    qsort(events->rows, events->count, sizeof(*events->rows), by_time);
}

static void free_events(struct events *events)
{
    for (size_t c = 0; c < ARRAY_LEN(inputs); c++)
        column_free(&events->columns[c]);
}

static struct aggregation make_feature(unsigned *seed)
{
    static const int64_t windows[] = {
        0,          US_PER_SECOND,  US_PER_HOUR,    6 * US_PER_HOUR,
        US_PER_DAY, 7 * US_PER_DAY, 30 * US_PER_DAY
    };
    static const int64_t delays[] = { 0, 0, 0, US_PER_HOUR, 7 * US_PER_DAY, 12345678901 };
    struct aggregation feature = { .input_type = TYPE_INT64 };
    size_t input = (size_t)(rand_r(seed) % 5);

    feature.function = (enum aggregate_function)(rand_r(seed) % AGGREGATE_FUNCTION_COUNT);
    if (input < 4 &&
        (inputs[input].type != TYPE_STRING ||
         (feature.function != AGGREGATE_SUM && feature.function != AGGREGATE_AVG))) {
        feature.input = str_from(inputs[input].name);
        feature.input_type = inputs[input].type;
    } else {
        feature.function = AGGREGATE_COUNT;
    }
    feature.window_us = windows[rand_r(seed) % 7];
    feature.delay_us = delays[rand_r(seed) % 6];
    feature.exact = rand_r(seed) % 4 == 0;
    feature.include_current = rand_r(seed) % 3 == 0;
    if (feature.window_us > 0 && !feature.exact)
        feature.hop_us = feature.window_us >= 12 * US_PER_DAY    ? US_PER_DAY
                         : feature.window_us >= 12 * US_PER_HOUR ? US_PER_HOUR
                                                                 : 5 * US_PER_MINUTE;
    return feature;
}

/* As docs/windows.md has it, row by row. */
static bool covers(const struct aggregation *feature, int64_t time, int64_t query)
{
    int64_t head = query - feature->delay_us;
    int64_t tail = head - feature->window_us;

    if (time > head || (time == head && !feature->include_current))
        return false;
    if (feature->window_us == 0)
        return true;
    if (feature->hop_us > 0)
        tail = floor_to_int64(tail, feature->hop_us);
    return time >= tail;
}

static enum status by_brute_force(const struct events *events,
                                  const struct aggregation *feature, int64_t query,
                                  struct arena *arena, struct value *out, struct error *err)
{
    struct aggregate_spec spec = { feature->function, feature->input_type,
                                   feature->input.len == 0 };
    struct aggregate_partial partial;

    aggregate_init(&spec, &partial);
    for (size_t i = 0; i < events->count; i++) {
        struct aggregate_row row = { .time_us = events->times[i],
                                     .created_us = events->created[i],
                                     .order = (int64_t)i };

        if (!covers(feature, events->times[i], query))
            continue;
        for (size_t c = 0; c < ARRAY_LEN(inputs); c++)
            if (str_equal(feature->input, str_from(inputs[c].name)))
                row.value = column_get(&events->columns[c], i);
        aggregate_add(&spec, arena, &partial, &row);
    }
    return aggregate_finish(&spec, &partial, out, err);
}

/* At the newest event, a moment later, on edges, and long after. */
static int64_t random_query(unsigned *seed, int64_t newest)
{
    switch (rand_r(seed) % 6) {
    case 0:
        return newest;
    case 1:
        return newest + 1;
    case 2:
        return floor_to_int64(newest, US_PER_DAY) + US_PER_DAY;
    case 3:
        return newest + 7 * US_PER_DAY;
    case 4:
        return newest + 12345678901;
    default:
        return newest + (int64_t)((uint64_t)rand_r(seed) * 2000 % (uint64_t)(40 * US_PER_DAY));
    }
}

static void build_row(const struct window_layout *layout, const struct events *events,
                      struct arena *arena, struct buffer *out)
{
    size_t count;
    const struct window_input *wanted = window_layout_inputs(layout, &count);
    struct column columns[8];
    struct window_events view = { columns, events->times, events->created };

    for (size_t i = 0; i < count; i++)
        for (size_t c = 0; c < ARRAY_LEN(inputs); c++)
            if (str_equal(wanted[i].name, str_from(inputs[c].name)))
                columns[i] = events->columns[c];
    window_state_build(layout, arena, &view, events->rows, events->count, out);
}

static void compare_at(const struct window_layout *layout, const struct aggregation *features,
                       size_t count, const struct events *events, struct str row, int64_t query,
                       struct arena *arena)
{
    struct window_read read;
    struct error err;

    assert_ok(window_state_open(layout, arena, row, query, &read, &err));
    for (size_t f = 0; f < count; f++) {
        struct value wanted, got;
        enum status status = by_brute_force(events, &features[f], query, arena, &wanted, &err);

        assert_fails(status, window_state_get(&read, f, &got, &err));
        if (status == STATUS_OK && !value_identical(wanted, got))
            fail_msg("%s of '" STR_FMT "' over %lld, delay %lld: got " STR_FMT
                     ", wanted " STR_FMT,
                     aggregate_name(features[f].function), STR_ARG(features[f].input),
                     (long long)features[f].window_us, (long long)features[f].delay_us,
                     STR_ARG(value_format(arena, got)), STR_ARG(value_format(arena, wanted)));
    }
}

TEST(every_window_equals_brute_force)
{
    struct events *events = test_calloc(1, sizeof(*events));
    struct arena *arena = arena_new();

    for (unsigned round = 0; round < 150; round++) {
        struct aggregation features[24];
        struct window_layout *layout;
        struct buffer row = { 0 };
        unsigned seed = round;
        int64_t newest;

        for (size_t f = 0; f < ARRAY_LEN(features); f++)
            features[f] = make_feature(&seed);
        make_events(events, &seed);
        layout = window_layout_new(arena, features, ARRAY_LEN(features));
        build_row(layout, events, arena, &row);
        newest = events->times[events->rows[events->count - 1]];
        for (int q = 0; q < 8; q++)
            compare_at(layout, features, ARRAY_LEN(features), events, buffer_str(&row),
                       random_query(&seed, newest), arena);
        buffer_free(&row);
        free_events(events);
        arena_reset(arena);
    }
    arena_free(arena);
    test_free(events);
}

TEST(equal_tiles_are_shared)
{
    struct aggregation features[] = {
        { .function = AGGREGATE_COUNT, .window_us = US_PER_HOUR, .hop_us = 5 * US_PER_MINUTE },
        { .function = AGGREGATE_COUNT,
          .window_us = 6 * US_PER_HOUR,
          .hop_us = 5 * US_PER_MINUTE },
        { .function = AGGREGATE_AVG,
          .input = STR("x"),
          .input_type = TYPE_INT64,
          .window_us = US_PER_HOUR,
          .hop_us = 5 * US_PER_MINUTE },
        { .function = AGGREGATE_SUM,
          .input = STR("x"),
          .input_type = TYPE_INT64,
          .window_us = US_PER_HOUR,
          .hop_us = 5 * US_PER_MINUTE },
        { .function = AGGREGATE_COUNT,
          .input = STR("x"),
          .input_type = TYPE_INT64,
          .window_us = US_PER_HOUR,
          .hop_us = 5 * US_PER_MINUTE },
    };
    struct arena *arena = arena_new();
    struct window_layout *layout;

    for (size_t i = 0; i < 2; i++)
        features[i].input_type = TYPE_INT64;
    layout = window_layout_new(arena, features, ARRAY_LEN(features));
    assert_str_equal(window_layout_text(layout),
                     STR("windows 1; hop 300000000 delay 0 reach 21600000000: count(*) "
                         "sum(x int64) count(x int64)"));
    arena_free(arena);
}

/* A row is our own, yet a disk may rot: never beyond its end, whatever it says. */
TEST(a_damaged_row_is_told_or_gives_some_value)
{
    struct events *events = test_calloc(1, sizeof(*events));
    struct arena *arena = arena_new();
    struct aggregation features[24];
    struct window_layout *layout;
    struct buffer row = { 0 };
    unsigned seed = 42;
    struct error err;

    for (size_t f = 0; f < ARRAY_LEN(features); f++)
        features[f] = make_feature(&seed);
    make_events(events, &seed);
    layout = window_layout_new(arena, features, ARRAY_LEN(features));
    build_row(layout, events, arena, &row);
    for (int round = 0; round < 2000; round++) {
        struct arena *scratch = arena_new();
        size_t len = round % 2 == 0 ? row.len : (size_t)rand_r(&seed) % row.len;
        char *copy = memcpy(arena_alloc(scratch, len), row.data, len);
        struct window_read read;
        struct value value;

        for (int flip = 0; flip < 3 && len > 8; flip++)
            copy[8 + (size_t)rand_r(&seed) % (len - 8)] = (char)rand_r(&seed);
        if (window_state_open(layout, scratch, (struct str){ copy, len }, INT64_MAX / 2, &read,
                              &err) == STATUS_OK)
            for (size_t f = 0; f < ARRAY_LEN(features); f++)
                (void)!window_state_get(&read, f, &value, &err);
        arena_free(scratch);
    }
    buffer_free(&row);
    free_events(events);
    arena_free(arena);
    test_free(events);
}

TEST_MAIN(TEST_CASE(every_window_equals_brute_force), TEST_CASE(equal_tiles_are_shared),
          TEST_CASE(a_damaged_row_is_told_or_gives_some_value))
