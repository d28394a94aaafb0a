/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/sweep.h"

#include "base/clock.h"
#include "features/offline/parallel.h"
#include "features/offline/sweep_segment.h"

#include <assert.h>

#define TASK_ROWS 65536

enum status segment_failed(const struct segment *segment, const struct sweep_feature *feature,
                           struct error *err)
{
    struct str key = key_table_text(segment->sweep->keys, segment->arena, segment->key);

    return error_wrap(err, STR_FMT ", key " STR_FMT, STR_ARG(feature->label), STR_ARG(key));
}

/* --- bounds --------------------------------------------------------------- */

static int64_t minus(int64_t time, int64_t duration)
{
    int64_t result;

    return __builtin_sub_overflow(time, duration, &result) ? INT64_MIN : result;
}

static int64_t tail_of(const struct sweep_feature *window, int64_t head)
{
    int64_t tail = minus(head, window->window_us);

    if (window->hop_us == 0)
        return tail;
    return tail < INT64_MIN + window->hop_us ? INT64_MIN : floor_to_int64(tail, window->hop_us);
}

static void find_bounds(const struct segment *segment, struct bounds *bounds)
{
    const struct sweep_feature *window = bounds->like;
    const int64_t *times = segment->times;
    uint32_t low = 0, high = 0;

    for (uint32_t i = 0; i < segment->question_count; i++) {
        int64_t head = minus(segment->question_times[i], window->delay_us);
        int64_t tail = window->window_us == 0 ? INT64_MIN : tail_of(window, head);

        while (high < segment->row_count &&
               (times[high] < head || (window->include_current && times[high] == head)))
            high++;
        while (low < high && times[low] < tail)
            low++;
        bounds->low[i] = low;
        bounds->high[i] = high;
    }
}

static bool same_window(const struct sweep_feature *a, const struct sweep_feature *b)
{
    return a->window_us == b->window_us && a->hop_us == b->hop_us &&
           a->delay_us == b->delay_us && a->include_current == b->include_current;
}

/* Features of one window share its bounds. */
static const struct bounds *bounds_of(const struct segment *segment,
                                      const struct sweep_feature *feature, struct bounds *all,
                                      size_t *count)
{
    struct bounds *bounds = all;

    for (; bounds < all + *count; bounds++) {
        if (same_window(bounds->like, feature))
            return bounds;
    }
    (*count)++;
    bounds->like = feature;
    bounds->low = ARENA_ARRAY(segment->arena, uint32_t, segment->question_count);
    bounds->high = ARENA_ARRAY(segment->arena, uint32_t, segment->question_count);
    find_bounds(segment, bounds);
    return bounds;
}

/* --- columns -------------------------------------------------------------- */

/* The rows that may be the newest at each question, by time alone: the last of them is. */
static struct bounds newest_bounds(const struct segment *segment)
{
    struct sweep_feature like = { .window_us = segment->sweep->ttl_us,
                                  .include_current = true };
    struct bounds bounds = {
        .like = &like,
        .low = ARENA_ARRAY(segment->arena, uint32_t, segment->question_count),
        .high = ARENA_ARRAY(segment->arena, uint32_t, segment->question_count)
    };

    find_bounds(segment, &bounds);
    bounds.like = NULL;
    return bounds;
}

/* The newest row for each question, or NO_ROW. */
static const uint32_t *find_newest(const struct segment *segment)
{
    uint32_t *newest = ARENA_ARRAY(segment->arena, uint32_t, segment->question_count);
    struct bounds bounds = newest_bounds(segment);

    if (known_differs(segment, &bounds)) {
        known_last(segment, &bounds, newest);
    } else {
        for (uint32_t i = 0; i < segment->question_count; i++)
            newest[i] = bounds.low[i] < bounds.high[i] ? bounds.high[i] - 1 : NO_ROW;
    }
    for (uint32_t i = 0; i < segment->question_count; i++)
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): where a row was found there are rows */
        newest[i] = newest[i] == NO_ROW ? NO_ROW : segment->rows[newest[i]];
    return newest;
}

static void copy_newest(const struct segment *segment, const struct sweep_feature *feature,
                        const uint32_t *newest)
{
    const struct column *from = &segment->sweep->columns[feature->input];
    struct column *to = feature->out;
    size_t width = column_width(from->type);

    for (uint32_t i = 0; i < segment->question_count; i++) {
        uint32_t question = segment->questions[i];

        if (newest[i] == NO_ROW || column_is_null(from, newest[i]))
            continue;
        memcpy((char *)to->data + question * width, (char *)from->data + newest[i] * width,
               width);
        to->valid[question] = 1;
    }
}

/* --- one key -------------------------------------------------------------- */

typedef enum status (*sweep_function)(const struct segment *segment,
                                      const struct sweep_feature *feature,
                                      const struct bounds *bounds, struct column_work *work,
                                      struct error *err);
static const sweep_function functions[AGGREGATE_FUNCTION_COUNT] = {
    [AGGREGATE_COUNT] = sweep_count, [AGGREGATE_SUM] = sweep_sum,
    [AGGREGATE_AVG] = sweep_sum,     [AGGREGATE_MIN] = sweep_extreme,
    [AGGREGATE_MAX] = sweep_extreme, [AGGREGATE_FIRST] = sweep_end,
    [AGGREGATE_LAST] = sweep_end,
};

static enum status sweep_window(const struct segment *segment,
                                const struct sweep_feature *feature,
                                const struct bounds *bounds, struct column_work *work,
                                struct error *err)
{
    if (known_differs(segment, bounds))
        return sweep_known(segment, feature, bounds, err);
    return functions[feature->spec.function](segment, feature, bounds, work, err);
}

static enum status sweep_features(const struct segment *segment, struct bounds *all,
                                  struct column_work *works, struct error *err)
{
    const struct sweep *sweep = segment->sweep;
    const uint32_t *newest = NULL;
    size_t window_count = 0;

    for (size_t i = 0; i < sweep->feature_count; i++) {
        const struct sweep_feature *feature = &sweep->features[i];
        const struct bounds *bounds;

        if (feature->is_column) {
            newest = newest == NULL ? find_newest(segment) : newest;
            copy_newest(segment, feature, newest);
            continue;
        }
        bounds = bounds_of(segment, feature, all, &window_count);
        TRY(sweep_window(segment, feature, bounds, &works[feature->input], err));
    }
    return STATUS_OK;
}

static int64_t *times_of(struct arena *arena, const int64_t *times, const uint32_t *rows,
                         uint32_t count)
{
    int64_t *out = ARENA_ARRAY(arena, int64_t, count);

    for (uint32_t i = 0; i < count; i++)
        out[i] = times[rows[i]];
    return out;
}

static size_t columns_used(const struct sweep *sweep)
{
    size_t count = 1;

    for (size_t i = 0; i < sweep->feature_count; i++) {
        if (sweep->features[i].input >= count)
            count = sweep->features[i].input + 1;
    }
    return count;
}

static enum status sweep_key(const struct sweep *sweep, struct arena *arena, uint32_t key,
                             struct error *err)
{
    const struct row_order *rows = sweep->rows, *questions = sweep->questions;
    bool has_rows = key < rows->key_count;
    struct segment segment = { .sweep = sweep, .arena = arena, .key = key };

    segment.questions = questions->rows + questions->starts[key];
    segment.question_count = questions->starts[key + 1] - questions->starts[key];
    if (segment.question_count == 0)
        return STATUS_OK;
    if (has_rows) {
        segment.rows = rows->rows + rows->starts[key];
        segment.row_count = rows->starts[key + 1] - rows->starts[key];
    }
    segment.times = times_of(arena, sweep->times, segment.rows, segment.row_count);
    segment.question_times = times_of(arena, sweep->question_times, segment.questions,
                                      segment.question_count);
    if (sweep->as_known && sweep->created != NULL)
        known_prepare(&segment);
    return sweep_features(&segment, ARENA_ARRAY(arena, struct bounds, sweep->feature_count),
                          ARENA_ARRAY(arena, struct column_work, columns_used(sweep)), err);
}

/* --- all keys ------------------------------------------------------------- */

struct sweeping {
    const struct sweep *sweep;
    struct arena **arenas; /* one a thread */
    uint32_t *firsts;      /* first key of each task, and the number of keys at the end */
};

static enum status sweep_task(void *context, size_t task, unsigned thread, struct error *err)
{
    struct sweeping *sweeping = context;

    for (uint32_t key = sweeping->firsts[task]; key < sweeping->firsts[task + 1]; key++) {
        TRY(sweep_key(sweeping->sweep, sweeping->arenas[thread], key, err));
        arena_reset(sweeping->arenas[thread]);
    }
    return STATUS_OK;
}

/* What a key costs: its rows and questions, and one for the key itself, which may have neither. */
static size_t load_of(const struct sweep *sweep, uint32_t key)
{
    const struct row_order *rows = sweep->rows, *questions = sweep->questions;
    size_t load = questions->starts[key + 1] - questions->starts[key] + 1;

    return key < rows->key_count ? load + rows->starts[key + 1] - rows->starts[key] : load;
}

/* All tasks but the last have a load of TASK_ROWS at least; behind them stands one number more. */
static size_t tasks_max(const struct sweep *sweep)
{
    const struct row_order *rows = sweep->rows, *questions = sweep->questions;
    size_t load = (size_t)rows->starts[rows->key_count] +
                  questions->starts[questions->key_count] + questions->key_count;

    return load / TASK_ROWS + 1;
}

/* Portions of keys with a load of about TASK_ROWS each. */
static size_t share_out(const struct sweep *sweep, struct arena *arena, uint32_t **firsts)
{
    size_t most = tasks_max(sweep), count = 0, load = 0;

    *firsts = ARENA_ARRAY(arena, uint32_t, most + 1);
    for (uint32_t key = 0; key < sweep->questions->key_count; key++) {
        if (load == 0) {
            assert(count < most);
            (*firsts)[count++] = key;
        }
        load += load_of(sweep, key);
        if (load >= TASK_ROWS)
            load = 0;
    }
    (*firsts)[count] = sweep->questions->key_count;
    return count;
}

enum status sweep_run(const struct sweep *sweep, unsigned threads, struct error *err)
{
    struct arena *arena = arena_new();
    struct sweeping sweeping = { .sweep = sweep };
    size_t tasks = share_out(sweep, arena, &sweeping.firsts);
    enum status status;

    threads = threads == 0 ? 1 : threads;
    sweeping.arenas = ARENA_ARRAY(arena, struct arena *, threads);
    for (unsigned i = 0; i < threads; i++)
        sweeping.arenas[i] = arena_new();
    status = parallel_run(threads, tasks, sweep_task, &sweeping, err);
    for (unsigned i = 0; i < threads; i++)
        arena_free(sweeping.arenas[i]);
    arena_free(arena);
    return status;
}
