/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/sweep.h"

#include "base/clock.h"
#include "support/test.h"

#include <math.h>

/*
 * Random rows and questions with many ties and nulls; every cell of the sweep must equal what the
 * definition of windows gives when it is applied row by row.
 */

#define ROWS 400
#define QUESTIONS 150
#define KEYS 4
#define INPUTS 5

static struct error err;
static uint64_t random_state = 123456789;

static uint64_t random_below(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

static const enum value_type input_types[INPUTS] = { TYPE_INT64, TYPE_FLOAT64, TYPE_STRING,
                                                     TYPE_BOOL, TYPE_FLOAT64 };

struct world {
    struct column columns[INPUTS];
    struct sum_scale scales[INPUTS];
    int64_t times[ROWS], created[ROWS];
    uint32_t keys[ROWS];
    int64_t question_times[QUESTIONS];
    uint32_t question_keys[QUESTIONS];
    struct key_table *table;
    struct row_order rows, questions;
    bool has_created;
};

/* How hard the sums are: 64 bits, 128 bits, or wide with NaN and infinities. */
enum hardness { EASY, DEEP, WILD };

static double random_number(enum hardness hardness)
{
    static const double wild[] = { NAN, INFINITY, -INFINITY, 1e308, -1e308, 5e-324, -0.0 };

    if (hardness == EASY)
        return (double)random_below(1000) / 4 - 100;
    if (hardness == DEEP || random_below(10) > 0)
        return ((double)random_below(1000) + 0.1) * ldexp(1, (int)random_below(60) - 30);
    return wild[random_below(ARRAY_LEN(wild))];
}

static struct value random_value(enum value_type type, enum hardness hardness)
{
    static const struct str texts[] = { STR_INIT("b"), STR_INIT("a"), STR_INIT("ab") };
    struct value value = { .type = type, .is_null = random_below(5) == 0 };

    if (type == TYPE_INT64)
        value.integer = (int64_t)random_below(hardness == DEEP ? UINT64_C(1) << 55 : 100) - 50;
    else if (type == TYPE_FLOAT64)
        value.number = random_number(hardness);
    else if (type == TYPE_BOOL)
        value.boolean = random_below(2) == 1;
    else
        value.text = texts[random_below(ARRAY_LEN(texts))];
    return value;
}

/* Around 1970, so that floors go below zero too. */
static int64_t random_time(void)
{
    return (int64_t)(random_below(400) * 60 + random_below(3)) * US_PER_SECOND -
           200 * US_PER_MINUTE;
}

static void fill_rows(struct world *world, enum hardness hardness)
{
    for (int i = 0; i < INPUTS; i++) {
        column_init(&world->columns[i], input_types[i]);
        for (int row = 0; row < ROWS; row++)
            assert_ok(column_append(&world->columns[i], random_value(input_types[i], hardness),
                                    &err));
        world->scales[i] = sum_scale_of(&world->columns[i]);
    }
    for (int row = 0; row < ROWS; row++) {
        world->times[row] = random_time();
        world->created[row] = random_below(4) == 0
                                  ? CREATED_NULL
                                  : world->times[row] +
                                        (int64_t)random_below(90) * US_PER_MINUTE;
        world->keys[row] = (uint32_t)random_below(KEYS);
    }
    for (int i = 0; i < QUESTIONS; i++) {
        world->question_times[i] = random_below(30) == 0 ? INT64_MIN : random_time();
        /* Half of them meet a row's time to the microsecond. */
        if (random_below(2) == 0)
            world->question_times[i] = world->times[random_below(ROWS)];
        world->question_keys[i] = (uint32_t)random_below(KEYS + 1);
    }
}

static void make_table(struct world *world)
{
    enum value_type type = TYPE_INT64;
    struct column keys;
    const struct column *columns[] = { &keys };
    uint32_t ids[KEYS];

    world->table = key_table_new(&type, 1);
    column_init(&keys, TYPE_INT64);
    for (int i = 0; i < KEYS; i++)
        assert_ok(
            column_append(&keys, (struct value){ .type = type, .integer = 1000 + i }, &err));
    assert_ok(key_table_ids(world->table, columns, KEYS, true, ids, &err));
    column_free(&keys);
}

static void world_init(struct world *world, enum hardness hardness, bool has_created)
{
    const struct row_order_input rows = { world->keys, world->times,
                                          has_created ? world->created : NULL, ROWS, KEYS };
    const struct row_order_input questions = { world->question_keys, world->question_times,
                                               NULL, QUESTIONS, KEYS + 1 };

    *world = (struct world){ .has_created = has_created };
    fill_rows(world, hardness);
    make_table(world);
    assert_ok(row_order_make(&rows, 2, &world->rows, &err));
    assert_ok(row_order_make(&questions, 2, &world->questions, &err));
}

static void world_fini(struct world *world)
{
    for (int i = 0; i < INPUTS; i++)
        column_free(&world->columns[i]);
    key_table_free(&world->table);
    row_order_free(&world->rows);
    row_order_free(&world->questions);
}

/* --- row by row ----------------------------------------------------------- */

static int64_t created_of(const struct world *world, int row)
{
    return world->has_created ? world->created[row] : CREATED_NULL;
}

static bool is_known(const struct sweep *sweep, const struct world *world, int row, int64_t now)
{
    return !sweep->as_known || created_of(world, row) <= now;
}

static bool is_in_window(const struct sweep_feature *feature, int64_t time, int64_t now)
{
    /* 128 bits instead of care about overflow. */
    int128 head = (int128)now - feature->delay_us, tail = head - feature->window_us;

    if (feature->hop_us > 0) {
        int128 rest = tail % feature->hop_us;

        tail -= rest < 0 ? rest + feature->hop_us : rest;
    }
    if (feature->window_us > 0 && time < tail)
        return false;
    return time < head || (feature->include_current && time == head);
}

static struct value plain_aggregate(const struct sweep *sweep, const struct world *world,
                                    const struct sweep_feature *feature, int question,
                                    struct arena *arena)
{
    int64_t now = world->question_times[question];
    struct aggregate_partial partial;
    struct value value;

    aggregate_init(&feature->spec, &partial);
    for (int row = 0; row < ROWS && now != INT64_MIN; row++) {
        struct aggregate_row one = { .value = column_get(&world->columns[feature->input],
                                                         (size_t)row),
                                     .time_us = world->times[row],
                                     .created_us = created_of(world, row),
                                     .order = row };

        if (world->keys[row] == world->question_keys[question] &&
            is_known(sweep, world, row, now) && is_in_window(feature, one.time_us, now))
            aggregate_add(&feature->spec, arena, &partial, &one);
    }
    assert_ok(aggregate_finish(&feature->spec, &partial, &value, &err));
    return value;
}

static struct value plain_newest(const struct sweep *sweep, const struct world *world,
                                 const struct sweep_feature *feature, int question)
{
    int64_t now = world->question_times[question];
    int best = -1;

    for (int row = 0; row < ROWS && now != INT64_MIN; row++) {
        if (world->keys[row] != world->question_keys[question] || world->times[row] > now ||
            (sweep->ttl_us > 0 && world->times[row] < now - sweep->ttl_us) ||
            !is_known(sweep, world, row, now))
            continue;
        if (best < 0 || world->times[row] > world->times[best] ||
            (world->times[row] == world->times[best] &&
             created_of(world, row) >= created_of(world, best)))
            best = row;
    }
    return best < 0 ? value_null(input_types[feature->input])
                    : column_get(&world->columns[feature->input], (size_t)best);
}

/* --- the comparison ------------------------------------------------------- */

#define FEATURES 40

static void random_feature(struct sweep_feature *feature)
{
    static const int64_t windows[] = { 0, 7 * US_PER_MINUTE, US_PER_HOUR, 3 * US_PER_HOUR };
    static const int64_t hops[] = { 0, 5 * US_PER_MINUTE, US_PER_HOUR };
    enum value_type type;

    *feature = (struct sweep_feature){ .label = STR("view.feature") };
    do {
        feature->is_column = random_below(8) == 0;
        feature->input = random_below(INPUTS);
        feature->spec.function = (enum aggregate_function)random_below(
            AGGREGATE_FUNCTION_COUNT);
        feature->spec.input = input_types[feature->input];
    } while (aggregate_type(feature->spec.function, feature->spec.input, &type, &err) !=
             STATUS_OK);
    feature->spec.counts_rows = feature->spec.function == AGGREGATE_COUNT &&
                                random_below(2) == 0;
    feature->window_us = windows[random_below(ARRAY_LEN(windows))];
    feature->hop_us = feature->window_us == 0 ? 0 : hops[random_below(ARRAY_LEN(hops))];
    feature->delay_us = random_below(3) == 0 ? 20 * US_PER_MINUTE : 0;
    feature->include_current = random_below(2) == 0;
}

static void make_features(struct sweep_feature *features, struct column *outs)
{
    for (int i = 0; i < FEATURES; i++) {
        enum value_type type;

        random_feature(&features[i]);
        assert_ok(
            aggregate_type(features[i].spec.function, features[i].spec.input, &type, &err));
        if (features[i].is_column)
            type = input_types[features[i].input];
        assert_ok(column_make(&outs[i], type, QUESTIONS, &err));
        features[i].out = &outs[i];
    }
}

static void compare(const struct sweep *sweep, const struct world *world)
{
    for (int i = 0; i < FEATURES; i++) {
        const struct sweep_feature *feature = &sweep->features[i];

        for (int question = 0; question < QUESTIONS; question++) {
            struct arena *arena = arena_new();
            struct value want = feature->is_column
                                    ? plain_newest(sweep, world, feature, question)
                                    : plain_aggregate(sweep, world, feature, question, arena);
            struct value got = column_get(feature->out, (size_t)question);

            if (!value_identical(got, want))
                fail_msg("%s of input %zu, window %lld: " STR_FMT ", not " STR_FMT,
                         feature->is_column ? "newest" : aggregate_name(feature->spec.function),
                         feature->input, (long long)feature->window_us,
                         STR_ARG(value_format(arena, got)), STR_ARG(value_format(arena, want)));
            arena_free(arena);
        }
    }
}

static void check(enum hardness hardness, bool has_created, bool as_known)
{
    struct world *world = test_malloc(sizeof(*world));
    struct sweep_feature features[FEATURES];
    struct column outs[FEATURES];
    struct sweep sweep;

    world_init(world, hardness, has_created);
    make_features(features, outs);
    sweep = (struct sweep){ .columns = world->columns,
                            .scales = world->scales,
                            .times = world->times,
                            .created = has_created ? world->created : NULL,
                            .rows = &world->rows,
                            .question_times = world->question_times,
                            .questions = &world->questions,
                            .keys = world->table,
                            .as_known = as_known,
                            .ttl_us = random_below(2) == 0 ? 0 : US_PER_HOUR,
                            .features = features,
                            .feature_count = FEATURES };
    assert_ok(sweep_run(&sweep, 2, &err));
    compare(&sweep, world);
    for (int i = 0; i < FEATURES; i++)
        column_free(&outs[i]);
    world_fini(world);
    test_free(world);
}

TEST(every_cell_is_what_the_definition_gives)
{
    for (int round = 0; round < 4; round++) {
        check(EASY, false, false);
        check(EASY, true, false);
        check(DEEP, true, false);
        check(WILD, true, false);
    }
}

TEST(as_known_leaves_out_what_was_created_later)
{
    for (int round = 0; round < 4; round++) {
        check(EASY, true, true);
        check(DEEP, true, true);
        check(WILD, true, true);
    }
}

#define LATE 20000

/* A row a minute, every other one a week late, and the first one known last of all. */
struct late {
    int64_t times[LATE], created[LATE];
    uint32_t keys[LATE];
    struct column inputs[2]; /* that are summed as integers, and that cannot be */
    struct sum_scale scales[2];
    struct row_order order;
};

static void late_init(struct late *late)
{
    const struct row_order_input input = { late->keys, late->times, late->created, LATE, 1 };

    for (int i = 0; i < 2; i++)
        column_init(&late->inputs[i], TYPE_FLOAT64);
    for (int row = 0; row < LATE; row++) {
        struct value value = { .type = TYPE_FLOAT64, .number = row };

        late->times[row] = row * US_PER_MINUTE;
        late->created[row] = late->times[row] + (row % 2 == 0 ? 0 : US_PER_DAY * 7);
        assert_ok(column_append(&late->inputs[0], value, &err));
        value.number = row == 0 ? 1e300 : row;
        assert_ok(column_append(&late->inputs[1], value, &err));
    }
    late->created[0] = LATE * US_PER_MINUTE * 2;
    assert_ok(row_order_make(&input, 1, &late->order, &err));
    for (int i = 0; i < 2; i++)
        late->scales[i] = sum_scale_of(&late->inputs[i]);
}

/* What is known is no first part of the rows here: met again for each question they are a billion steps. */
TEST(as_known_takes_no_longer_the_more_is_late)
{
    struct column outs[5];
    struct sweep_feature features[5] = {
        { .spec = { AGGREGATE_COUNT, TYPE_FLOAT64, true } },
        { .spec = { AGGREGATE_SUM, TYPE_FLOAT64, false } },
        { .spec = { AGGREGATE_SUM, TYPE_FLOAT64, false }, .input = 1 },
        { .spec = { AGGREGATE_MIN, TYPE_FLOAT64, false } },
        { .is_column = true },
    };
    struct late *late = test_calloc(1, sizeof(*late));
    struct sweep sweep = { .columns = late->inputs,
                           .scales = late->scales,
                           .times = late->times,
                           .created = late->created,
                           .rows = &late->order,
                           .question_times = late->times,
                           .questions = &late->order,
                           .as_known = true,
                           .features = features,
                           .feature_count = 5 };
    uint64_t started;

    late_init(late);
    for (int i = 0; i < 5; i++) {
        assert_ok(column_make(&outs[i], i == 0 ? TYPE_INT64 : TYPE_FLOAT64, LATE, &err));
        features[i].out = &outs[i];
    }
    started = clock_monotonic_ns();
    assert_ok(sweep_run(&sweep, 1, &err));
    assert_true(clock_monotonic_ns() - started < UINT64_C(3000000000));
    /* Of the rows before the last one, every other one of a week is not there yet, and not the first. */
    assert_int_equal(outs[0].int64s[LATE - 1], LATE - 1 - 7 * 24 * 60 / 2);
    for (int i = 0; i < 5; i++)
        column_free(&outs[i]);
    column_free(&late->inputs[0]);
    column_free(&late->inputs[1]);
    row_order_free(&late->order);
    test_free(late);
}

TEST(a_sum_beyond_int64_names_feature_and_key)
{
    struct world *world = test_malloc(sizeof(*world));
    struct column out;
    struct sweep_feature feature = { .label = STR("view.total"),
                                     .spec = { AGGREGATE_SUM, TYPE_INT64, false },
                                     .out = &out };
    struct sweep sweep;

    world_init(world, EASY, false);
    for (int row = 0; row < ROWS; row++)
        column_set(&world->columns[0], (size_t)row,
                   (struct value){ .type = TYPE_INT64, .integer = INT64_MAX });
    world->scales[0] = sum_scale_of(&world->columns[0]);
    assert_ok(column_make(&out, TYPE_INT64, QUESTIONS, &err));
    sweep = (struct sweep){ .columns = world->columns,
                            .scales = world->scales,
                            .times = world->times,
                            .rows = &world->rows,
                            .question_times = world->question_times,
                            .questions = &world->questions,
                            .keys = world->table,
                            .features = &feature,
                            .feature_count = 1 };
    assert_fails(STATUS_LIMIT, sweep_run(&sweep, 1, &err));
    assert_str_contains(str_from(err.message), STR("view.total, key 100"));
    column_free(&out);
    world_fini(world);
    test_free(world);
}

/* Keys that nobody has rows of cost no less to share out than others. */
TEST(many_keys_without_rows_are_asked_about)
{
    enum { MANY = 300000 };
    uint32_t *keys = test_malloc(MANY * sizeof(*keys));
    int64_t *times = test_calloc(MANY, sizeof(*times));
    const struct row_order_input none = { 0 };
    const struct row_order_input asked = { keys, times, NULL, MANY, MANY };
    struct row_order rows, questions;
    struct column out;
    struct sweep_feature count = { .label = STR("view.n"),
                                   .spec = { AGGREGATE_COUNT, TYPE_INT64, true },
                                   .out = &out };

    for (uint32_t i = 0; i < MANY; i++)
        keys[i] = i;
    assert_ok(row_order_make(&none, 1, &rows, &err));
    assert_ok(row_order_make(&asked, 2, &questions, &err));
    assert_ok(column_make(&out, TYPE_INT64, MANY, &err));
    assert_ok(sweep_run(&(struct sweep){ .rows = &rows,
                                         .question_times = times,
                                         .questions = &questions,
                                         .features = &count,
                                         .feature_count = 1 },
                        2, &err));
    for (size_t i = 0; i < MANY; i++)
        assert_true(out.valid[i] == 1 && out.int64s[i] == 0);
    column_free(&out);
    row_order_free(&rows);
    row_order_free(&questions);
    test_free(times);
    test_free(keys);
}

TEST_MAIN(TEST_CASE(every_cell_is_what_the_definition_gives),
          TEST_CASE(as_known_leaves_out_what_was_created_later),
          TEST_CASE(as_known_takes_no_longer_the_more_is_late),
          TEST_CASE(a_sum_beyond_int64_names_feature_and_key),
          TEST_CASE(many_keys_without_rows_are_asked_about))
