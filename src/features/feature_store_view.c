/* SPDX-License-Identifier: Apache-2.0 */
#include "features/feature_store_view.h"

#include "features/online/online_row.h"

static struct window_layout *windows_of(struct arena *arena, const struct view *view)
{
    struct aggregation *aggregations = ARENA_ARRAY(arena, struct aggregation,
                                                   view->feature_count);

    for (size_t i = 0; i < view->feature_count; i++)
        aggregations[i] = view->features[i].aggregation;
    return window_layout_new(arena, aggregations, view->feature_count);
}

/* What the rows are made from, how they are found, and, of columns, what is in them. */
static void put_fields(struct buffer *out, const struct view *view)
{
    buffer_printf(out, "source " STR_FMT "; key %d:", STR_ARG(view->source->hash),
                  ONLINE_KEY_VERSION);
    for (size_t i = 0; i < view->entity->key_count; i++)
        buffer_printf(out, " " STR_FMT " %s", STR_ARG(view->entity->keys[i].name),
                      value_type_name(view->entity->keys[i].type));
    if (view->kind != VIEW_COLUMNS)
        return;
    buffer_printf(out, "; columns %d:", ONLINE_ROW_VERSION);
    for (size_t i = 0; i < view->feature_count; i++)
        buffer_printf(out, " " STR_FMT " %s", STR_ARG(view->features[i].column),
                      value_type_name(view->features[i].type));
}

void stored_view_init(struct stored_view *stored, struct arena *arena, const struct view *view)
{
    struct buffer text = { 0 };

    *stored = (struct stored_view){ .view = view };
    put_fields(&text, view);
    if (view->kind == VIEW_AGGREGATE) {
        stored->windows = windows_of(arena, view);
        buffer_append(&text, STR("; "));
        buffer_append(&text, window_layout_text(stored->windows));
    }
    stored->layout = arena_str(arena, buffer_str(&text));
    buffer_free(&text);
}

static void fill(const struct stored_read *read, enum feature_status status, int64_t time_us,
                 struct value *values, enum feature_status *statuses, int64_t *event_times_us)
{
    for (size_t i = 0; i < read->count; i++) {
        const struct feature *feature = read->features[i];

        values[i] = value_null(feature->type);
        if (status == FEATURE_NOT_FOUND && read->stored->windows != NULL)
            values[i] = window_state_nothing(read->stored->windows, feature->index);
        statuses[i] = status;
        event_times_us[i] = time_us;
    }
}

static enum status read_windows(const struct stored_read *read, struct arena *arena,
                                struct str row, int64_t query_us, struct value *values,
                                enum feature_status *statuses, int64_t *event_times_us,
                                struct error *err)
{
    struct window_read windows;

    TRY(window_state_open(read->stored->windows, arena, row, query_us, &windows, err));
    if (query_us < windows.newest_us) {
        fill(read, FEATURE_TOO_EARLY, windows.newest_us, values, statuses, event_times_us);
        return STATUS_OK;
    }
    for (size_t i = 0; i < read->count; i++) {
        enum status status = window_state_get(&windows, read->features[i]->index, &values[i],
                                              err);

        if (status == STATUS_LIMIT)
            err->status = STATUS_INVALID; /* a sum beyond int64 is not a request too large */
        if (status != STATUS_OK)
            return error_wrap(err, STR_FMT, STR_ARG(read->features[i]->name));
        statuses[i] = values[i].is_null ? FEATURE_NULL_VALUE : FEATURE_PRESENT;
        event_times_us[i] = windows.newest_us;
    }
    return STATUS_OK;
}

static enum feature_status age_status(const struct view *view, int64_t time_us,
                                      int64_t query_us)
{
    int64_t oldest;

    if (time_us > query_us)
        return FEATURE_TOO_EARLY;
    if (view->ttl_us > 0 && !__builtin_sub_overflow(query_us, view->ttl_us, &oldest) &&
        time_us < oldest)
        return FEATURE_OUTSIDE_MAX_AGE;
    return FEATURE_PRESENT;
}

static enum status read_columns(const struct stored_read *read, struct str row,
                                int64_t query_us, struct value *values,
                                enum feature_status *statuses, int64_t *event_times_us,
                                struct error *err)
{
    const struct view *view = read->stored->view;
    enum feature_status status;
    int64_t time_us;

    TRY(online_row_open(row, view->feature_count, &time_us, err));
    status = age_status(view, time_us, query_us);
    if (status != FEATURE_PRESENT) {
        fill(read, status, time_us, values, statuses, event_times_us);
        return STATUS_OK;
    }
    for (size_t i = 0; i < read->count; i++) {
        const struct feature *feature = read->features[i];

        TRY(online_row_get(row, view->feature_count, feature->index, feature->type, &values[i],
                           err));
        statuses[i] = values[i].is_null ? FEATURE_NULL_VALUE : FEATURE_PRESENT;
        event_times_us[i] = time_us;
    }
    return STATUS_OK;
}

enum status stored_view_read(const struct stored_read *read, struct arena *arena,
                             struct str row, int64_t query_us, struct value *values,
                             enum feature_status *statuses, int64_t *event_times_us,
                             struct error *err)
{
    if (row.data == NULL) {
        fill(read, FEATURE_NOT_FOUND, FEATURE_TIME_NONE, values, statuses, event_times_us);
        return STATUS_OK;
    }
    if (read->stored->windows != NULL)
        return read_windows(read, arena, row, query_us, values, statuses, event_times_us, err);
    return read_columns(read, row, query_us, values, statuses, event_times_us, err);
}
