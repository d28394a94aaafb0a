/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"
#include "features/offline/source_rows.h"
#include "features/offline/sweep.h"
#include "features/offline/training_set_engine.h"

/* --- entity rows by key --------------------------------------------------- */

static bool same_keys(const struct key_set *set, const struct spec_view *view)
{
    return set->key_count == view->key_count &&
           memcmp(set->keys, view->keys, view->key_count * sizeof(*view->keys)) == 0;
}

static enum status order_questions(struct engine *engine, struct key_set *set, uint32_t *ids,
                                   struct error *err)
{
    struct row_order_input input = { .keys = ids,
                                     .times = engine->rows.times.int64s,
                                     .rows = engine->rows.count,
                                     .key_count = key_table_size(set->table) + 1 };

    /* A row without a key is a question too: its counts are 0. */
    for (size_t row = 0; row < engine->rows.count; row++) {
        if (ids[row] == KEY_NONE)
            ids[row] = key_table_size(set->table);
    }
    return row_order_make(&input, job_limits(engine->job)->threads, &set->questions, err);
}

static enum status make_set(struct engine *engine, const struct spec_view *view,
                            struct key_set *set, struct error *err)
{
    const struct column *columns[KEY_COLUMNS_MAX];
    enum value_type types[KEY_COLUMNS_MAX];
    struct column ids;
    enum status status;

    set->keys = view->keys;
    set->key_count = view->key_count;
    for (size_t i = 0; i < view->key_count; i++) {
        columns[i] = &engine->rows.keys[view->keys[i]];
        types[i] = columns[i]->type;
    }
    set->table = key_table_new(types, view->key_count);
    TRY(column_make(&ids, TYPE_INT32, engine->rows.count, err));
    status = key_table_ids(set->table, columns, engine->rows.count, true, (uint32_t *)ids.data,
                           err);
    if (status == STATUS_OK)
        status = order_questions(engine, set, ids.data, err);
    column_free(&ids);
    return status;
}

static enum status find_set(struct engine *engine, const struct spec_view *view, size_t *out,
                            struct error *err)
{
    for (*out = 0; *out < engine->set_count; (*out)++) {
        if (same_keys(&engine->sets[*out], view))
            return STATUS_OK;
    }
    engine->set_count++;
    return make_set(engine, view, &engine->sets[*out], err);
}

enum status engine_prepare(struct engine *engine, struct error *err)
{
    const struct training_set_spec *spec = engine->spec;

    engine->sets = ARENA_ARRAY(engine->arena, struct key_set, spec->view_count);
    engine->view_sets = ARENA_ARRAY(engine->arena, size_t, spec->view_count);
    engine->slots = ARENA_ARRAY(engine->arena, struct column, spec->slot_count);
    for (size_t i = 0; i < spec->view_count; i++)
        TRY(find_set(engine, &spec->views[i], &engine->view_sets[i], err));
    TRY(engine_check_memory(engine, err));
    for (size_t i = 0; i < spec->view_count; i++) {
        const struct spec_view *view = &spec->views[i];

        for (size_t k = 0; k < view->feature_count; k++)
            TRY(column_make(&engine->slots[view->first_slot + k], view->features[k].type,
                            engine->rows.count, err));
    }
    return STATUS_OK;
}

/* --- what of a source is needed ------------------------------------------- */

static size_t find_input(struct offline_want *inputs, size_t *count,
                         const struct spec_feature *feature)
{
    enum value_type type = feature->is_column ? feature->type : feature->aggregate.input;

    for (size_t i = 0; i < *count; i++) {
        if (str_equal(inputs[i].column, feature->input) && inputs[i].type == type)
            return i;
    }
    inputs[*count] = (struct offline_want){ feature->input, type };
    return (*count)++;
}

static bool wants_input(const struct spec_feature *feature)
{
    return feature->is_column || !feature->aggregate.counts_rows;
}

static int64_t minus(int64_t time, int64_t duration)
{
    int64_t result;

    return __builtin_sub_overflow(time, duration, &result) ? INT64_MIN : result;
}

/* The earliest row that this feature can want at the earliest question. */
static int64_t earliest(const struct spec_view *view, const struct spec_feature *feature,
                        int64_t first)
{
    if (feature->is_column)
        return view->ttl_us == 0 ? INT64_MIN : minus(first, view->ttl_us);
    if (feature->window_us == 0)
        return INT64_MIN;
    return minus(minus(minus(first, feature->delay_us), feature->window_us), feature->hop_us);
}

static struct offline_range range_of(const struct engine *engine, size_t source)
{
    const struct column *times = &engine->rows.times;
    struct offline_range range = { INT64_MAX, INT64_MIN };
    int64_t first = INT64_MAX;

    for (size_t row = 0; row < times->count; row++) {
        if (times->int64s[row] == INT64_MIN)
            continue;
        if (times->int64s[row] < first)
            first = times->int64s[row];
        if (times->int64s[row] > range.to_us)
            range.to_us = times->int64s[row];
    }
    for (size_t i = 0; i < engine->spec->view_count; i++) {
        const struct spec_view *view = &engine->spec->views[i];

        for (size_t k = 0; view->source == source && k < view->feature_count; k++) {
            int64_t from = earliest(view, &view->features[k], first);

            range.from_us = from < range.from_us ? from : range.from_us;
        }
    }
    return range;
}

static void fill_keys(struct engine *engine, size_t view, struct source_keys *out)
{
    const struct training_set_spec *spec = engine->spec;
    size_t count = spec->views[view].key_count;
    struct str *columns = ARENA_ARRAY(engine->arena, struct str, count);
    enum value_type *types = ARENA_ARRAY(engine->arena, enum value_type, count);

    for (size_t i = 0; i < count; i++) {
        columns[i] = spec->keys[spec->views[view].keys[i]].name;
        types[i] = spec->keys[spec->views[view].keys[i]].type;
    }
    *out = (struct source_keys){ .columns = columns,
                                 .types = types,
                                 .column_count = count,
                                 .table = engine->sets[engine->view_sets[view]].table };
}

/* --- one source ----------------------------------------------------------- */

/* The views over one source, and what they read of it. */
struct source_work {
    size_t source;
    size_t *views; /* one for each of want.keys */
    struct offline_want *inputs;
    struct source_rows_want want;
};

static bool plan_source(struct engine *engine, size_t source, struct source_work *work)
{
    const struct training_set_spec *spec = engine->spec;
    size_t features = 0;

    *work = (struct source_work){ .source = source };
    work->views = ARENA_ARRAY(engine->arena, size_t, spec->view_count);
    work->want.keys = ARENA_ARRAY(engine->arena, struct source_keys, spec->view_count);
    for (size_t i = 0; i < spec->view_count; i++) {
        if (spec->views[i].source != source)
            continue;
        features += spec->views[i].feature_count;
        work->views[work->want.key_count] = i;
        fill_keys(engine, i, &work->want.keys[work->want.key_count++]);
    }
    work->inputs = ARENA_ARRAY(engine->arena, struct offline_want, features);
    for (size_t i = 0; i < work->want.key_count; i++) {
        const struct spec_view *view = &spec->views[work->views[i]];

        for (size_t k = 0; k < view->feature_count; k++) {
            if (wants_input(&view->features[k]))
                find_input(work->inputs, &work->want.input_count, &view->features[k]);
        }
    }
    work->want.inputs = work->inputs;
    return work->want.key_count > 0;
}

static struct sweep_feature *sweep_features(struct engine *engine, struct source_work *work,
                                            const struct spec_view *view)
{
    struct sweep_feature *features = ARENA_ARRAY(engine->arena, struct sweep_feature,
                                                 view->feature_count);

    for (size_t i = 0; i < view->feature_count; i++) {
        const struct spec_feature *from = &view->features[i];
        struct sweep_feature *to = &features[i];

        to->label = arena_printf(engine->arena, STR_FMT "." STR_FMT, STR_ARG(view->name),
                                 STR_ARG(from->name));
        to->is_column = from->is_column;
        to->spec = from->aggregate;
        to->window_us = from->window_us;
        to->hop_us = from->hop_us;
        to->delay_us = from->delay_us;
        to->include_current = from->include_current;
        if (wants_input(from))
            to->input = find_input(work->inputs, &work->want.input_count, from);
        to->out = &engine->slots[view->first_slot + i];
    }
    return features;
}

static enum status compute_view(struct engine *engine, struct source_work *work, size_t index,
                                const struct source_rows *rows, const struct sum_scale *scales,
                                struct error *err)
{
    const struct spec_view *view = &engine->spec->views[work->views[index]];
    const struct key_set *set = &engine->sets[engine->view_sets[work->views[index]]];
    const int64_t *created = rows->created.count > 0 ? rows->created.int64s : NULL;
    unsigned threads = job_limits(engine->job)->threads;
    struct row_order order;
    enum status status;
    struct row_order_input input = { .keys = rows->keys[index].ids,
                                     .times = rows->times.int64s,
                                     .created = created,
                                     .rows = rows->count,
                                     .key_count = key_table_size(set->table) };

    TRY(row_order_make(&input, threads, &order, err));
    status = sweep_run(&(struct sweep){ .columns = rows->inputs,
                                        .scales = scales,
                                        .times = rows->times.int64s,
                                        .created = created,
                                        .rows = &order,
                                        .question_times = engine->rows.times.int64s,
                                        .questions = &set->questions,
                                        .keys = set->table,
                                        .as_known = engine->spec->as_known,
                                        .ttl_us = view->ttl_us,
                                        .features = sweep_features(engine, work, view),
                                        .feature_count = view->feature_count },
                       threads, err);
    row_order_free(&order);
    return status;
}

/* Texts that features carry lie in the source's memory: it lives as long as the engine does. */
static void keep_texts(struct engine *engine, struct source_rows *rows)
{
    for (size_t i = 0; i < rows->input_count; i++) {
        if (rows->inputs[i].bytes == NULL)
            continue;
        ARENA_PUSH(engine->arena, engine->texts, engine->text_count,
                   engine->text_capacity) = rows->inputs[i].bytes;
        rows->inputs[i].bytes = NULL;
    }
}

static enum status compute_source(struct engine *engine, struct source_work *work,
                                  struct error *err)
{
    struct source_rows rows;
    struct sum_scale *scales = ARENA_ARRAY(engine->arena, struct sum_scale,
                                           work->want.input_count + 1);
    enum status status = STATUS_OK;
    uint64_t done = 0;

    TRY(source_rows_read(engine->offline, engine->arena, &work->want, &rows, err));
    for (size_t i = 0; i < rows.input_count; i++)
        scales[i] = sum_scale_of(&rows.inputs[i]);
    for (size_t i = 0; status == STATUS_OK && i < work->want.key_count; i++) {
        job_progress(engine->job, "compute features", done, work->want.key_count);
        status = compute_view(engine, work, i, &rows, scales, err);
        done++;
    }
    job_progress(engine->job, "compute features", done, work->want.key_count);
    keep_texts(engine, &rows);
    source_rows_free(&rows);
    return status;
}

enum status engine_stored(struct engine *engine, struct error *err)
{
    const struct training_set_spec *spec = engine->spec;

    for (size_t i = 0; i < spec->source_count; i++) {
        struct source_work work;

        if (!plan_source(engine, i, &work))
            continue;
        work.want.source = &spec->sources[i];
        work.want.range = range_of(engine, i);
        TRY(engine_check_memory(engine, err));
        work.want.memory_max = engine_memory_max(engine) - engine_memory(engine);
        work.want.job = engine->job;
        work.want.phase =
            arena_printf(engine->arena, "read " STR_FMT, STR_ARG(spec->sources[i].name)).data;
        TRY(compute_source(engine, &work, err));
    }
    return STATUS_OK;
}

void engine_free(struct engine *engine)
{
    char ignored[SHA256_HEX_LEN + 1];

    /* First of all: its threads have read what goes here. */
    offline_close(&engine->offline);
    if (engine->hash != NULL)
        sha256_end(engine->hash, ignored);
    for (size_t i = 0; i < engine->set_count; i++) {
        key_table_free(&engine->sets[i].table);
        row_order_free(&engine->sets[i].questions);
    }
    for (size_t i = 0; engine->slots != NULL && i < engine->spec->slot_count; i++)
        column_free(&engine->slots[i]);
    for (size_t i = 0; i < engine->text_count; i++)
        arena_free(engine->texts[i]);
    table_free(&engine->made);
    entity_rows_free(engine->spec, &engine->rows);
}
