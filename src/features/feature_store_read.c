/* SPDX-License-Identifier: Apache-2.0 */
#include "features/feature_store_plan.h"
#include "features/online/online_row.h"

#define FEATURE_TEXT_MAX ((size_t)64 << 20)

/* What is known while a query is answered: a value for each row and slot of the plan. */
struct slots {
    const struct feature_plan *plan;
    const struct feature_query *query;
    struct arena *arena;
    struct value *values;
    enum feature_status *statuses;
    int64_t *event_times_us;
    size_t text_bytes; /* copied into the arena */
};

static size_t slot_at(const struct slots *slots, size_t row, size_t slot)
{
    return row * slots->plan->plan->slot_count + slot;
}

static int64_t query_time_us(const struct slots *slots, size_t row)
{
    const struct plan *plan = slots->plan->plan;
    const struct value *time;

    if (!plan->has_time)
        return slots->query->now_us;
    time = &slots->query->request[row * plan->request_field_count + plan->time_field];
    return time->is_null ? slots->query->now_us : time->integer;
}

/* An empty key, where a value is null, finds nothing. */
static struct str row_key(const struct slots *slots, const struct plan_source *source,
                          size_t row)
{
    const struct entity *entity = source->view->view->entity;
    const struct value *given = &slots->query->keys[row * slots->plan->plan->key_count];
    struct online_key key;
    struct value few[8];
    struct value *values = few;

    if (entity->key_count > ARRAY_LEN(few))
        values = ARENA_ARRAY(slots->arena, struct value, entity->key_count);
    for (size_t i = 0; i < entity->key_count; i++)
        values[i] = given[source->view->keys[i]];
    if (!online_key_encode(values, entity->key_count, &key))
        return STR_EMPTY;
    return arena_str(slots->arena, (struct str){ key.bytes, key.len });
}

/* The row that text points into goes with the snapshot. */
static enum status keep_text(struct slots *slots, struct value *values, size_t count,
                             struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (values[i].is_null ||
            (values[i].type != TYPE_STRING && values[i].type != TYPE_BYTES))
            continue;
        slots->text_bytes += values[i].text.len;
        if (slots->text_bytes > FEATURE_TEXT_MAX)
            return error_set(err, STATUS_LIMIT,
                             "the text of these rows is more than %zu MiB; ask in pieces",
                             FEATURE_TEXT_MAX >> 20);
        values[i].text = arena_str(slots->arena, values[i].text);
    }
    return STATUS_OK;
}

static enum status read_rows(struct slots *slots, const struct plan_source *source,
                             const struct str *rows, struct error *err)
{
    const struct plan_view *view = source->view;
    const struct stored_read read = { &source->stored, view->features, view->feature_count };

    for (size_t i = 0; i < slots->query->rows; i++) {
        size_t at = slot_at(slots, i, view->first_slot);

        TRY(stored_view_read(&read, slots->arena, rows[i], query_time_us(slots, i),
                             &slots->values[at], &slots->statuses[at],
                             &slots->event_times_us[at], err));
        TRY(keep_text(slots, &slots->values[at], view->feature_count, err));
    }
    return STATUS_OK;
}

static enum status read_view(struct slots *slots, const struct plan_source *source,
                             struct online_snapshot *snapshot, struct error *err)
{
    size_t count = slots->query->rows;
    struct str *keys = ARENA_ARRAY(slots->arena, struct str, count);
    struct str *rows = ARENA_ARRAY(slots->arena, struct str, count);

    if (!str_equal(snapshot->info->layout, source->stored.layout))
        return error_set(err, STATUS_UNAVAILABLE,
                         "its definition has changed since it was materialised: run `onggi "
                         "features materialize --view " STR_FMT "`",
                         STR_ARG(source->view->view->name));
    for (size_t i = 0; i < count; i++)
        keys[i] = row_key(slots, source, i);
    TRY(online_snapshot_find(snapshot, slots->arena, keys, count, rows, err));
    return read_rows(slots, source, rows, err);
}

static enum status of_view(const struct plan_source *source, struct error *err)
{
    return error_wrap(err, "view '" STR_FMT "'", STR_ARG(source->view->view->name));
}

static enum status begin_all(const struct feature_plan *plan, struct online_snapshot *snapshots,
                             struct error *err)
{
    const struct plan_source *source;
    size_t failed = 0;
    enum status status = online_snapshots_begin(
        plan->store->online, plan->views, plan->plan->view_count, snapshots, &failed, err);

    if (status == STATUS_OK)
        return STATUS_OK;
    source = &plan->sources[failed];
    if (status != STATUS_NOT_FOUND)
        return of_view(source, err);
    return error_set(err, STATUS_UNAVAILABLE,
                     "view '" STR_FMT "' was never materialised: run `onggi features "
                     "materialize --view " STR_FMT "`",
                     STR_ARG(source->view->view->name), STR_ARG(source->view->view->name));
}

/* All views as they stood together, whatever is published meanwhile. */
static enum status read_views(struct slots *slots, struct error *err)
{
    const struct feature_plan *plan = slots->plan;
    size_t count = plan->plan->view_count;
    struct online_snapshot few[8];
    struct online_snapshot *snapshots = few;
    enum status status = STATUS_OK;

    if (count > ARRAY_LEN(few))
        snapshots = ARENA_ARRAY(slots->arena, struct online_snapshot, count);
    TRY(begin_all(plan, snapshots, err));
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = read_view(slots, &plan->sources[i], &snapshots[i], err);
        if (status != STATUS_OK)
            of_view(&plan->sources[i], err);
    }
    for (size_t i = count; i-- > 0;)
        online_snapshot_end(&snapshots[i]);
    return status;
}

static enum status compute_row(const struct slots *slots,
                               const struct plan_expression *expression, size_t row,
                               struct value *inputs, struct error *err)
{
    const struct feature *feature = expression->feature;
    const struct value *request =
        &slots->query->request[row * slots->plan->plan->request_field_count];
    size_t at = slot_at(slots, row, expression->slot);

    for (size_t i = 0; i < feature->input_count; i++) {
        const struct plan_input *input = &expression->inputs[i];

        inputs[i] = input->is_request ? request[input->index]
                                      : slots->values[slot_at(slots, row, input->index)];
    }
    if (expression_eval_row(feature->expression, slots->arena, inputs, &slots->values[at],
                            err) != STATUS_OK)
        return error_wrap(err, STR_FMT "." STR_FMT, STR_ARG(feature->view->name),
                          STR_ARG(feature->name));
    slots->statuses[at] = slots->values[at].is_null ? FEATURE_NULL_VALUE : FEATURE_PRESENT;
    slots->event_times_us[at] = FEATURE_TIME_NONE;
    return STATUS_OK;
}

static enum status compute(const struct slots *slots, struct error *err)
{
    const struct plan *plan = slots->plan->plan;

    for (size_t e = 0; e < plan->expression_count; e++) {
        const struct plan_expression *expression = &plan->expressions[e];
        struct value *inputs = ARENA_ARRAY(slots->arena, struct value,
                                           expression->feature->input_count);

        for (size_t row = 0; row < slots->query->rows; row++)
            TRY(compute_row(slots, expression, row, inputs, err));
    }
    return STATUS_OK;
}

static void give(const struct slots *slots, const struct feature_answer *answer)
{
    const struct plan *plan = slots->plan->plan;

    for (size_t row = 0; row < slots->query->rows; row++) {
        for (size_t i = 0; i < plan->output_count; i++) {
            size_t from = slot_at(slots, row, plan->outputs[i].slot);
            size_t to = row * plan->output_count + i;

            answer->values[to] = slots->values[from];
            if (answer->statuses != NULL)
                answer->statuses[to] = slots->statuses[from];
            if (answer->event_times_us != NULL)
                answer->event_times_us[to] = slots->event_times_us[from];
        }
    }
}

enum status feature_plan_read(struct feature_plan *plan, struct arena *arena,
                              const struct feature_query *query,
                              const struct feature_answer *answer, struct error *err)
{
    size_t count = query->rows * plan->plan->slot_count;
    struct slots slots = {
        plan,
        query,
        arena,
        ARENA_ARRAY(arena, struct value, count),
        ARENA_ARRAY(arena, enum feature_status, count),
        ARENA_ARRAY(arena, int64_t, count),
        0,
    };

    TRY(read_views(&slots, err));
    TRY(compute(&slots, err));
    give(&slots, answer);
    return STATUS_OK;
}
