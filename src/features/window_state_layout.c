/* SPDX-License-Identifier: Apache-2.0 */
#include "features/window_state_layout.h"

#include "base/clock.h"

int64_t window_tail_us(const struct window_group *group, int64_t window_us, int64_t head_us)
{
    int64_t tail = time_minus(head_us, window_us);

    if (window_us == 0)
        return INT64_MIN;
    return group->hop_us == 0 || tail < INT64_MIN + group->hop_us
               ? tail
               : floor_to_int64(tail, group->hop_us);
}

/* Windows of all time have a group of their own: their one entry is no tile. */
static size_t group_of(struct window_layout *layout, const struct aggregation *feature)
{
    size_t i = 0;

    for (; i < layout->group_count; i++) {
        struct window_group *group = &layout->groups[i];

        if (group->hop_us == feature->hop_us && group->delay_us == feature->delay_us &&
            (group->reach_us == 0) == (feature->window_us == 0))
            break;
    }
    if (i == layout->group_count)
        layout->groups[layout->group_count++] =
            (struct window_group){ .hop_us = feature->hop_us, .delay_us = feature->delay_us };
    if (feature->window_us > layout->groups[i].reach_us)
        layout->groups[i].reach_us = feature->window_us;
    return i;
}

static size_t range_of(struct window_layout *layout, const struct window_range *wanted)
{
    size_t i = 0;

    for (; i < layout->range_count; i++) {
        const struct window_range *range = &layout->ranges[i];

        if (range->group == wanted->group && range->window_us == wanted->window_us &&
            range->include_current == wanted->include_current)
            return i;
    }
    layout->ranges[layout->range_count++] = *wanted;
    return i;
}

static size_t input_of(struct window_layout *layout, const struct aggregation *feature)
{
    size_t i = 0;

    for (; i < layout->input_count; i++)
        if (str_equal(layout->inputs[i].name, feature->input))
            return i;
    layout->inputs[layout->input_count++] = (struct window_input){ feature->input,
                                                                   feature->input_type };
    return i;
}

static struct aggregate_spec spec_of(const struct aggregation *feature)
{
    return (struct aggregate_spec){ .function = feature->function,
                                    .input = feature->input_type,
                                    .counts_rows = feature->input.len == 0 };
}

static size_t column_of(struct window_layout *layout, struct arena *arena,
                        struct window_group *group, const struct aggregation *feature)
{
    struct window_column wanted = { .spec = spec_of(feature) };
    size_t i = 0;

    if (wanted.spec.function == AGGREGATE_AVG)
        wanted.spec.function = AGGREGATE_SUM;
    if (!wanted.spec.counts_rows)
        wanted.input = input_of(layout, feature);
    for (; i < group->column_count; i++) {
        const struct window_column *column = &group->columns[i];

        if (column->spec.function == wanted.spec.function &&
            column->spec.counts_rows == wanted.spec.counts_rows &&
            column->input == wanted.input)
            return i;
    }
    ARENA_PUSH(arena, group->columns, group->column_count, group->column_capacity) = wanted;
    return i;
}

static void text_column(struct buffer *out, const struct window_layout *layout,
                        const struct window_column *column)
{
    const struct window_input *input = &layout->inputs[column->input];

    if (column->spec.counts_rows)
        buffer_append(out, STR(" count(*)"));
    else
        buffer_printf(out, " %s(" STR_FMT " %s)", aggregate_name(column->spec.function),
                      STR_ARG(input->name), value_type_name(input->type));
}

static struct str text_of(struct arena *arena, const struct window_layout *layout)
{
    struct buffer out = { 0 };
    struct str text;

    buffer_printf(&out, "windows %d", WINDOW_STATE_VERSION);
    for (size_t g = 0; g < layout->group_count; g++) {
        const struct window_group *group = &layout->groups[g];

        buffer_printf(&out, "; hop %lld delay %lld reach %lld:", (long long)group->hop_us,
                      (long long)group->delay_us, (long long)group->reach_us);
        for (size_t c = 0; c < group->column_count; c++)
            text_column(&out, layout, &group->columns[c]);
    }
    text = arena_str(arena, buffer_str(&out));
    buffer_free(&out);
    return text;
}

struct window_layout *window_layout_new(struct arena *arena, const struct aggregation *features,
                                        size_t count)
{
    struct window_layout *layout = ARENA_NEW(arena, struct window_layout);

    layout->groups = ARENA_ARRAY(arena, struct window_group, count);
    layout->ranges = ARENA_ARRAY(arena, struct window_range, count);
    layout->inputs = ARENA_ARRAY(arena, struct window_input, count);
    layout->features = ARENA_ARRAY(arena, struct window_feature, count);
    layout->feature_count = count;
    for (size_t i = 0; i < count; i++) {
        struct window_feature *feature = &layout->features[i];
        size_t group = group_of(layout, &features[i]);
        struct window_range range = { group, features[i].window_us,
                                      features[i].include_current };

        feature->spec = spec_of(&features[i]);
        feature->range = range_of(layout, &range);
        feature->column = column_of(layout, arena, &layout->groups[group], &features[i]);
    }
    layout->text = text_of(arena, layout);
    return layout;
}

struct str window_layout_text(const struct window_layout *layout)
{
    return layout->text;
}

const struct window_input *window_layout_inputs(const struct window_layout *layout,
                                                size_t *count)
{
    *count = layout->input_count;
    return layout->inputs;
}
