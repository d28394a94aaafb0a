/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "features/window_state_layout.h"

/* Events [from, to) of the entity make one entry. */
struct entry {
    int64_t start_us;
    size_t from, to;
};

struct builder {
    const struct window_layout *layout;
    struct arena *arena;
    const struct window_events *events;
    const uint32_t *rows;
    size_t count;
    int64_t newest_us;
    size_t row_start; /* in out */
    struct buffer *out;
};

/* The partials of one column while it is decided how they are written. */
struct partials {
    size_t count;
    uint32_t *counts;
    int128 *sums;
    int32_t exponent;
};

static int64_t time_at(const struct builder *builder, size_t event)
{
    return builder->events->times_us[builder->rows[event]];
}

static void put_u32(struct buffer *out, uint32_t value)
{
    value = htole32(value);
    buffer_append_bytes(out, &value, sizeof(value));
}

static void put_i64(struct buffer *out, int64_t value)
{
    uint64_t bytes = htole64((uint64_t)value);

    buffer_append_bytes(out, &bytes, sizeof(bytes));
}

static size_t reserve_u32s(struct buffer *out, size_t count)
{
    size_t at = out->len;

    memset(buffer_reserve(out, count * sizeof(uint32_t)), 0, count * sizeof(uint32_t));
    out->len += count * sizeof(uint32_t);
    return at;
}

static void store_u32(struct buffer *out, size_t at, size_t value)
{
    uint32_t bytes = htole32((uint32_t)value);

    memcpy(out->data + at, &bytes, sizeof(bytes));
}

/* --- entries -------------------------------------------------------------- */

/* From here on, instants stand alone: a head may still come to lie between them. */
static int64_t heads_from_us(const struct builder *builder, const struct window_group *group)
{
    return group->delay_us == 0 ? INT64_MAX : time_minus(builder->newest_us, group->delay_us);
}

static int64_t entry_start(const struct window_group *group, int64_t heads_from,
                           int64_t time_us)
{
    if (time_us >= heads_from)
        return time_us;
    if (group->reach_us == 0)
        return INT64_MIN;
    return group->hop_us == 0 || time_us < INT64_MIN + group->hop_us
               ? time_us
               : floor_to_int64(time_us, group->hop_us);
}

/*
 * From the newest event backwards, as far as any window can reach. The newest instant is no
 * entry of a group of suffixes: its events are [*newest_from, count).
 */
static struct entry *find_entries(const struct builder *builder,
                                  const struct window_group *group, size_t *count,
                                  size_t *newest_from)
{
    int64_t heads_from = heads_from_us(builder, group);
    int64_t oldest = window_tail_us(group, group->reach_us,
                                    time_minus(builder->newest_us, group->delay_us));
    size_t i = builder->count, used = 0, capacity = 0;
    struct entry *entries = NULL;

    if (group->delay_us == 0)
        while (i > 0 && time_at(builder, i - 1) == builder->newest_us)
            i--;
    *newest_from = i;
    for (; i > 0; i--) {
        int64_t start = entry_start(group, heads_from, time_at(builder, i - 1));

        if (start < oldest)
            break;
        if (used == 0 || entries[used - 1].start_us != start)
            ARENA_PUSH(builder->arena, entries, used, capacity) = (struct entry){ start, i, i };
        entries[used - 1].from = i - 1;
    }
    *count = used;
    return entries;
}

/* --- partials ------------------------------------------------------------- */

static void add_events(const struct builder *builder, const struct window_column *column,
                       size_t from, size_t to, struct aggregate_partial *partial)
{
    const struct window_events *events = builder->events;

    for (size_t i = from; i < to; i++) {
        uint32_t at = builder->rows[i];
        struct aggregate_row row = { .time_us = events->times_us[at],
                                     .created_us = events->created_us[at],
                                     .order = at };

        if (!column->spec.counts_rows)
            row.value = column_get(&events->inputs[column->input], at);
        aggregate_add(&column->spec, builder->arena, partial, &row);
    }
}

typedef bool (*on_partial)(void *context, size_t index,
                           const struct aggregate_partial *partial);

/*
 * Hands each partial of a column to the callback, in the order of `entries`, newest first; with
 * suffixes each one holds those before it. Stops when the callback says false.
 */
static bool each_partial(const struct builder *builder, const struct window_group *group,
                         const struct window_column *column, const struct entry *entries,
                         size_t count, on_partial callback, void *context)
{
    struct aggregate_partial partial;

    aggregate_init(&column->spec, &partial);
    for (size_t i = 0; i < count; i++) {
        if (group->delay_us > 0)
            aggregate_init(&column->spec, &partial);
        add_events(builder, column, entries[i].from, entries[i].to, &partial);
        if (!callback(context, count - 1 - i, &partial))
            return false;
    }
    return true;
}

static bool keep_integer(void *context, size_t index, const struct aggregate_partial *partial)
{
    struct partials *kept = context;

    if (partial->count > UINT32_MAX || partial->integer != (int64_t)partial->integer)
        return false;
    kept->counts[index] = (uint32_t)partial->count;
    kept->sums[index] = partial->integer;
    return true;
}

static bool keep_count(void *context, size_t index, const struct aggregate_partial *partial)
{
    struct partials *kept = context;

    kept->counts[index] = (uint32_t)partial->count;
    return partial->count <= UINT32_MAX;
}

static bool is_plain(const struct exact_sum *sum)
{
    return sum->wide == NULL &&
           (sum->nans | sum->positive_infinities | sum->negative_infinities) == 0;
}

/* The lowest exponent of all: each of the column's sums is a multiple of 2^exponent. */
static bool lower_exponent(void *context, size_t index, const struct aggregate_partial *partial)
{
    struct partials *kept = context;

    (void)index;
    if (!is_plain(&partial->number))
        return false;
    if (!partial->number.is_empty && partial->number.exponent < kept->exponent)
        kept->exponent = partial->number.exponent;
    return true;
}

static bool keep_fixed(void *context, size_t index, const struct aggregate_partial *partial)
{
    struct partials *kept = context;
    int shift = partial->number.is_empty ? 0 : partial->number.exponent - kept->exponent;
    int128 sum = partial->number.is_empty ? 0 : partial->number.fixed;
    int128 limit = shift < WINDOW_FIXED_BITS ? (int128)1 << (WINDOW_FIXED_BITS - shift) : 0;

    if (partial->count > UINT32_MAX || sum >= limit || sum <= -limit)
        return false;
    kept->counts[index] = (uint32_t)partial->count;
    kept->sums[index] = sum * ((int128)1 << shift);
    return true;
}

/* --- columns -------------------------------------------------------------- */

struct encoding {
    const struct window_column *column;
    struct buffer bytes;
    size_t *from, *to; /* in bytes, by index */
};

static bool keep_encoded(void *context, size_t index, const struct aggregate_partial *partial)
{
    struct encoding *encoding = context;

    encoding->from[index] = encoding->bytes.len;
    aggregate_encode(&encoding->column->spec, partial, &encoding->bytes);
    encoding->to[index] = encoding->bytes.len;
    return true;
}

static void write_encoded(struct buffer *out, const struct encoding *encoding, size_t count)
{
    size_t offset = 0;

    buffer_append_byte(out, WINDOW_ENCODED);
    for (size_t i = 0; i < count; i++) {
        put_u32(out, (uint32_t)offset);
        offset += encoding->to[i] - encoding->from[i];
    }
    put_u32(out, (uint32_t)offset);
    for (size_t i = 0; i < count; i++)
        buffer_append_bytes(out, encoding->bytes.data + encoding->from[i],
                            encoding->to[i] - encoding->from[i]);
}

static void write_fixed(struct buffer *out, enum window_format format,
                        const struct partials *kept)
{
    buffer_append_byte(out, (char)format);
    if (format == WINDOW_FIXED)
        put_u32(out, (uint32_t)kept->exponent);
    for (size_t i = 0; i < kept->count; i++)
        put_u32(out, kept->counts[i]);
    if (format == WINDOW_COUNT)
        return;
    for (size_t i = 0; i < kept->count; i++) {
        put_i64(out, (int64_t)kept->sums[i]);
        if (format == WINDOW_FIXED)
            put_i64(out, (int64_t)(kept->sums[i] >> 64));
    }
}

/* The entries of one group, and apart the newest instant, if it has one. */
struct group_entries {
    const struct window_group *group;
    const struct entry *entries;
    size_t count;
    bool has_newest;
    struct entry newest;
};

static bool collect(const struct builder *builder, const struct group_entries *all,
                    const struct window_column *column, on_partial callback, void *context)
{
    struct aggregate_partial newest;

    if (!each_partial(builder, all->group, column, all->entries, all->count, callback, context))
        return false;
    if (!all->has_newest)
        return true;
    aggregate_init(&column->spec, &newest);
    add_events(builder, column, all->newest.from, all->newest.to, &newest);
    return callback(context, all->count, &newest);
}

/* The quickest format that holds all partials; WINDOW_NONE: they are to be encoded. */
static enum window_format try_fixed(const struct builder *builder,
                                    const struct group_entries *all,
                                    const struct window_column *column, struct partials *kept)
{
    bool is_float = column->spec.input == TYPE_FLOAT32 || column->spec.input == TYPE_FLOAT64;

    kept->counts = ARENA_ARRAY(builder->arena, uint32_t, kept->count);
    kept->sums = ARENA_ARRAY(builder->arena, int128, kept->count);
    if (column->spec.function == AGGREGATE_COUNT)
        return collect(builder, all, column, keep_count, kept) ? WINDOW_COUNT : WINDOW_NONE;
    if (column->spec.function != AGGREGATE_SUM)
        return WINDOW_NONE;
    if (!is_float)
        return collect(builder, all, column, keep_integer, kept) ? WINDOW_INTEGER : WINDOW_NONE;
    kept->exponent = INT16_MAX;
    return collect(builder, all, column, lower_exponent, kept) &&
                   collect(builder, all, column, keep_fixed, kept)
               ? WINDOW_FIXED
               : WINDOW_NONE;
}

static void build_column(const struct builder *builder, const struct group_entries *all,
                         const struct window_column *column)
{
    struct partials kept = { .count = all->count + all->has_newest };
    enum window_format format = try_fixed(builder, all, column, &kept);
    struct encoding encoding = { .column = column };

    if (format != WINDOW_NONE) {
        write_fixed(builder->out, format, &kept);
        return;
    }
    encoding.from = ARENA_ARRAY(builder->arena, size_t, kept.count);
    encoding.to = ARENA_ARRAY(builder->arena, size_t, kept.count);
    (void)collect(builder, all, column, keep_encoded, &encoding); /* takes everything */
    write_encoded(builder->out, &encoding, kept.count);
    buffer_free(&encoding.bytes);
}

static void build_group(const struct builder *builder, const struct window_group *group)
{
    struct group_entries all = { .group = group, .has_newest = group->delay_us == 0 };
    struct buffer *out = builder->out;
    size_t offsets;

    all.newest.to = builder->count;
    all.entries = find_entries(builder, group, &all.count, &all.newest.from);
    put_u32(out, (uint32_t)all.count);
    offsets = reserve_u32s(out, group->column_count);
    for (size_t i = all.count; i-- > 0;)
        put_i64(out, all.entries[i].start_us);
    for (size_t c = 0; c < group->column_count; c++) {
        store_u32(out, offsets + c * sizeof(uint32_t), out->len - builder->row_start);
        build_column(builder, &all, &group->columns[c]);
    }
}

void window_state_build(const struct window_layout *layout, struct arena *scratch,
                        const struct window_events *events, const uint32_t *rows, size_t count,
                        struct buffer *out)
{
    struct builder builder = { layout, scratch, events, rows, count, 0, out->len, out };
    uint16_t groups = htole16((uint16_t)layout->group_count);
    size_t length_at, offsets;

    builder.newest_us = time_at(&builder, count - 1);
    buffer_append_byte(out, WINDOW_STATE_VERSION);
    buffer_append_byte(out, 0);
    buffer_append_bytes(out, &groups, sizeof(groups));
    length_at = reserve_u32s(out, 1);
    put_i64(out, builder.newest_us);
    offsets = reserve_u32s(out, layout->group_count);
    for (size_t g = 0; g < layout->group_count; g++) {
        store_u32(out, offsets + g * sizeof(uint32_t), out->len - builder.row_start);
        build_group(&builder, &layout->groups[g]);
    }
    store_u32(out, length_at, out->len - builder.row_start);
}
