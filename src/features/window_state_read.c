/* SPDX-License-Identifier: Apache-2.0 */
#include "features/window_state_layout.h"

/* Entries [from, to) of a group, and the newest instant if it counts; is_found: worked out. */
struct window_span {
    uint32_t from, to;
    bool newest;
    bool is_found;
};

/* A group as it lies in the row, its bounds checked. */
struct group_view {
    const struct window_group *group;
    const char *offsets; /* of its columns */
    const char *starts;
    uint32_t entries;
    uint32_t partials;
};

static enum status damaged(struct error *err)
{
    return error_set(
        err, STATUS_INTERNAL,
        "the stored windows are damaged; `onggi features materialize` builds them anew");
}

enum status window_state_open(const struct window_layout *layout, struct arena *arena,
                              struct str row, int64_t query_us, struct window_read *out,
                              struct error *err)
{
    size_t head = WINDOW_HEADER_BYTES + layout->group_count * sizeof(uint32_t);

    if (row.len < head || row.data[0] != WINDOW_STATE_VERSION ||
        load_u32(row.data + 4) != row.len)
        return damaged(err);
    *out = (struct window_read){
        .layout = layout,
        .arena = arena,
        .row = row,
        .newest_us = load_i64(row.data + 8),
        .query_us = query_us,
        .spans = ARENA_ARRAY(arena, struct window_span, layout->range_count),
    };
    return STATUS_OK;
}

static enum status group_open(const struct window_read *read, size_t index,
                              struct group_view *out, struct error *err)
{
    const struct window_group *group = &read->layout->groups[index];
    size_t at = load_u32(read->row.data + WINDOW_HEADER_BYTES + index * sizeof(uint32_t));
    size_t head = sizeof(uint32_t) * (1 + group->column_count);
    uint32_t entries;

    if (at > read->row.len || read->row.len - at < head)
        return damaged(err);
    entries = load_u32(read->row.data + at);
    if ((read->row.len - at - head) / sizeof(int64_t) < entries)
        return damaged(err);
    *out = (struct group_view){
        .group = group,
        .offsets = read->row.data + at + sizeof(uint32_t),
        .starts = read->row.data + at + head,
        .entries = entries,
        .partials = entries + (group->delay_us == 0),
    };
    return STATUS_OK;
}

/* How many entries start before this instant. Without branches: their outcomes are random. */
static uint32_t entries_before(const struct group_view *view, int64_t time_us)
{
    uint32_t from = 0, count = view->entries;

    while (count > 0) {
        uint32_t half = count / 2;
        bool right = load_i64(view->starts + (size_t)(from + half) * sizeof(int64_t)) < time_us;

        from = right ? from + half + 1 : from;
        count = right ? count - half - 1 : half;
    }
    return from;
}

/* A suffix holds all up to the newest instant, so one entry is the whole window. */
static void find_span(const struct window_read *read, const struct window_range *range,
                      const struct group_view *view, struct window_span *span)
{
    int64_t head = time_minus(read->query_us, view->group->delay_us);
    int64_t tail = window_tail_us(view->group, range->window_us, head);

    span->from = entries_before(view, tail);
    span->is_found = true;
    if (view->group->delay_us == 0) {
        span->to = span->from < view->entries ? span->from + 1 : span->from;
        span->newest = (read->newest_us < head || range->include_current) &&
                       read->newest_us >= tail;
        return;
    }
    if (range->include_current && head < INT64_MAX)
        head++;
    span->to = entries_before(view, head);
    if (span->to < span->from)
        span->to = span->from;
}

/* --- columns -------------------------------------------------------------- */

struct column_view {
    const struct aggregate_spec *spec;
    enum window_format format;
    uint32_t partials;
    int32_t exponent;   /* of FIXED */
    const char *counts; /* of ENCODED: offsets, and the bytes in place of the sums */
    const char *sums;
    size_t sums_len;
};

static enum status column_open(const struct window_read *read, const struct group_view *group,
                               size_t index, struct column_view *out, struct error *err)
{
    size_t at = load_u32(group->offsets + index * sizeof(uint32_t));
    size_t partials = group->partials, head, sums;
    enum window_format format;

    if (at >= read->row.len)
        return damaged(err);
    format = (enum window_format)read->row.data[at];
    if (format < WINDOW_COUNT || format > WINDOW_ENCODED)
        return damaged(err);
    head = at + 1 + (format == WINDOW_FIXED ? sizeof(int32_t) : 0);
    sums = head + (partials + (format == WINDOW_ENCODED)) * sizeof(uint32_t);
    if (sums > read->row.len)
        return damaged(err);
    *out = (struct column_view){ &group->group->columns[index].spec,
                                 format,
                                 group->partials,
                                 0,
                                 read->row.data + head,
                                 read->row.data + sums,
                                 read->row.len - sums };
    if (format == WINDOW_FIXED)
        out->exponent = (int32_t)load_u32(read->row.data + at + 1);
    if (out->exponent < WINDOW_EXPONENT_MIN || out->exponent > INT16_MAX)
        return damaged(err);
    if ((format == WINDOW_INTEGER && out->sums_len / sizeof(int64_t) < partials) ||
        (format == WINDOW_FIXED && out->sums_len / sizeof(int128) < partials))
        return damaged(err);
    return STATUS_OK;
}

static int64_t sum_counts(const struct column_view *column, uint32_t from, uint32_t to)
{
    int64_t count = 0;

    for (uint32_t i = from; i < to; i++)
        count += load_u32(column->counts + (size_t)i * sizeof(uint32_t));
    return count;
}

static int128 sum_integers(const struct column_view *column, uint32_t from, uint32_t to)
{
    int128 sum = 0;

    for (uint32_t i = from; i < to; i++)
        sum += load_i64(column->sums + (size_t)i * sizeof(int64_t));
    return sum;
}

static void add_fixed(const struct column_view *column, uint32_t from, uint32_t to,
                      struct exact_sum *number)
{
    uint128 sum = (uint128)number->fixed; /* unsigned: a damaged row may overflow */

    for (uint32_t i = from; i < to; i++)
        sum += (uint128)load_i128(column->sums + (size_t)i * sizeof(int128));
    number->fixed = (int128)sum;
    number->exponent = column->exponent;
    number->is_empty = sum == 0;
}

static enum status merge_encoded(const struct window_read *read,
                                 const struct column_view *column, uint32_t index,
                                 struct aggregate_partial *partial, struct error *err)
{
    const char *offset = column->counts + (size_t)index * sizeof(uint32_t);
    size_t from = load_u32(offset), to = load_u32(offset + sizeof(uint32_t));
    struct str bytes = { column->sums + from, to - from };
    struct aggregate_partial one;

    if (from > to || to > column->sums_len ||
        aggregate_decode(column->spec, read->arena, &bytes, &one, err) != STATUS_OK)
        return damaged(err);
    aggregate_merge(column->spec, read->arena, partial, &one);
    return STATUS_OK;
}

static enum status add_entries(const struct window_read *read, const struct column_view *column,
                               uint32_t from, uint32_t to, struct aggregate_partial *partial,
                               struct error *err)
{
    if (column->format == WINDOW_ENCODED) {
        for (uint32_t i = from; i < to; i++)
            TRY(merge_encoded(read, column, i, partial, err));
        return STATUS_OK;
    }
    partial->count += sum_counts(column, from, to);
    if (column->format == WINDOW_INTEGER)
        partial->integer += sum_integers(column, from, to);
    else if (column->format == WINDOW_FIXED)
        add_fixed(column, from, to, &partial->number);
    return STATUS_OK;
}

enum status window_state_get(struct window_read *read, size_t index, struct value *out,
                             struct error *err)
{
    const struct window_feature *feature = &read->layout->features[index];
    const struct window_range *range = &read->layout->ranges[feature->range];
    struct window_span *span = &read->spans[feature->range];
    struct aggregate_partial partial;
    struct column_view column = { 0 };
    struct group_view group = { 0 };

    TRY(group_open(read, range->group, &group, err));
    if (!span->is_found)
        find_span(read, range, &group, span);
    TRY(column_open(read, &group, feature->column, &column, err));
    aggregate_init(&feature->spec, &partial);
    TRY(add_entries(read, &column, span->from, span->to, &partial, err));
    if (span->newest)
        TRY(add_entries(read, &column, group.entries, group.entries + 1, &partial, err));
    return aggregate_finish(&feature->spec, &partial, out, err);
}

struct value window_state_nothing(const struct window_layout *layout, size_t index)
{
    const struct aggregate_spec *spec = &layout->features[index].spec;
    struct aggregate_partial partial;
    struct value value;
    struct error err;

    aggregate_init(spec, &partial);
    /* Of nothing, no sum can overflow. */
    return aggregate_finish(spec, &partial, &value, &err) == STATUS_OK
               ? value
               : value_null(spec->input);
}
