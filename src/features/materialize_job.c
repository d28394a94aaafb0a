/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job: each source is read once for all of its views, into columns; rows
 * are put in order by entity and time; each entity's row is built and written
 * in the order of keys.
 */
#include "features/materialize.h"

#include "base/clock.h"
#include "features/offline/key_table.h"
#include "features/offline/parallel.h"
#include "features/offline/row_order.h"
#include "features/online/online_row.h"

#include <pthread.h>
#include <stdlib.h>

#define ROW_MAX ((size_t)1 << 30)

/* Which entity each row is about; views of the same keys share it. */
struct numbering {
    size_t *wants; /* the keys, in the source's wants */
    size_t count;
    struct key_table *keys;
    struct column ids; /* int32: the key's number of each row, as bits */
};

/* What one view needs of its source while that is read. */
struct building {
    const struct materialize_view *view;
    struct window_layout *layout; /* NULL for columns */
    struct numbering *numbering;  /* among the source's */
    size_t *input_wants;          /* of the windows' inputs, or of the columns */
    size_t input_count;
    /* The outcome. */
    uint64_t entities;
    int64_t newest_us;
    double seconds;
};

/* A source, and all of it that is kept in memory. */
struct reading {
    struct job *job;
    struct arena *arena;
    const struct source_spec *source;
    struct building *views;
    size_t view_count;
    struct numbering *numberings; /* no more than views */
    size_t numbering_count;
    struct offline_want *wants;
    size_t want_count, want_capacity;
    bool *is_kept;       /* by want: keys alone are not, their numbers are */
    struct column *kept; /* by want */
    struct column times;
    struct column created; /* int64, CREATED_NULL for null */
    size_t rows;
};

static double seconds_since(uint64_t start_ns)
{
    return (double)(clock_monotonic_ns() - start_ns) / 1e9;
}

/* --- what to read --------------------------------------------------------- */

static size_t want_of(struct reading *reading, struct str column, enum value_type type)
{
    size_t i = 0;

    for (; i < reading->want_count; i++)
        if (reading->wants[i].type == type && str_equal(reading->wants[i].column, column))
            return i;
    ARENA_PUSH(reading->arena, reading->wants, reading->want_count,
               reading->want_capacity) = (struct offline_want){ column, type };
    return i;
}

static struct numbering *numbering_of(struct reading *reading, const size_t *wants,
                                      size_t count)
{
    for (size_t i = 0; i < reading->numbering_count; i++) {
        struct numbering *known = &reading->numberings[i];

        if (known->count == count && memcmp(known->wants, wants, count * sizeof(*wants)) == 0)
            return known;
    }
    return NULL;
}

static void want_keys(struct reading *reading, struct building *building)
{
    const struct materialize_view *view = building->view;
    enum value_type *types = ARENA_ARRAY(reading->arena, enum value_type, view->key_count);
    size_t *wants = ARENA_ARRAY(reading->arena, size_t, view->key_count);

    for (size_t i = 0; i < view->key_count; i++) {
        types[i] = view->keys[i].type;
        wants[i] = want_of(reading, view->keys[i].name, view->keys[i].type);
    }
    building->numbering = numbering_of(reading, wants, view->key_count);
    if (building->numbering != NULL)
        return;
    building->numbering = &reading->numberings[reading->numbering_count++];
    *building->numbering = (struct numbering){ .wants = wants,
                                               .count = view->key_count,
                                               .keys = key_table_new(types, view->key_count) };
    column_init(&building->numbering->ids, TYPE_INT32);
}

static void want_inputs(struct reading *reading, struct building *building)
{
    const struct materialize_view *view = building->view;
    const struct window_input *inputs = NULL;

    building->input_count = view->column_count;
    if (view->window_count > 0) {
        building->layout = window_layout_new(reading->arena, view->windows, view->window_count);
        inputs = window_layout_inputs(building->layout, &building->input_count);
    }
    building->input_wants = ARENA_ARRAY(reading->arena, size_t, building->input_count);
    for (size_t i = 0; i < building->input_count; i++)
        building->input_wants[i] = inputs != NULL
                                       ? want_of(reading, inputs[i].name, inputs[i].type)
                                       : want_of(reading, view->columns[i].name,
                                                 view->columns[i].type);
}

static void reading_init(struct reading *reading)
{
    reading->numberings = ARENA_ARRAY(reading->arena, struct numbering, reading->view_count);
    for (size_t v = 0; v < reading->view_count; v++) {
        want_keys(reading, &reading->views[v]);
        want_inputs(reading, &reading->views[v]);
    }
    reading->is_kept = ARENA_ARRAY(reading->arena, bool, reading->want_count);
    reading->kept = ARENA_ARRAY(reading->arena, struct column, reading->want_count);
    for (size_t i = 0; i < reading->want_count; i++)
        column_init(&reading->kept[i], reading->wants[i].type);
    for (size_t v = 0; v < reading->view_count; v++)
        for (size_t i = 0; i < reading->views[v].input_count; i++)
            reading->is_kept[reading->views[v].input_wants[i]] = true;
    column_init(&reading->times, TYPE_TIMESTAMP);
    column_init(&reading->created, TYPE_INT64);
}

static void reading_free(struct reading *reading)
{
    for (size_t i = 0; i < reading->numbering_count; i++) {
        key_table_free(&reading->numberings[i].keys);
        column_free(&reading->numberings[i].ids);
    }
    for (size_t i = 0; i < reading->want_count; i++)
        column_free(&reading->kept[i]);
    column_free(&reading->times);
    column_free(&reading->created);
}

/* --- reading -------------------------------------------------------------- */

static enum status keep_created(struct reading *reading, const struct column *created,
                                struct error *err)
{
    int64_t *to;

    TRY(column_reserve(&reading->created, created->count, err));
    to = reading->created.int64s + reading->created.count;
    for (size_t row = 0; row < created->count; row++)
        to[row] = column_is_null(created, row) ? CREATED_NULL : created->int64s[row];
    reading->created.count += created->count;
    return STATUS_OK;
}

static enum status keep_ids(const struct reading *reading, struct numbering *numbering,
                            const struct table *batch, struct error *err)
{
    const struct column *few[8];
    const struct column **columns = few;
    uint32_t *ids;

    if (numbering->count > ARRAY_LEN(few))
        columns = arena_array(reading->arena, numbering->count, sizeof(*columns));
    for (size_t i = 0; i < numbering->count; i++)
        columns[i] = &batch->columns[numbering->wants[i]];
    TRY(column_reserve(&numbering->ids, batch->rows, err));
    ids = (uint32_t *)numbering->ids.int32s + numbering->ids.count;
    TRY(key_table_ids(numbering->keys, columns, batch->rows, true, ids, err));
    numbering->ids.count += batch->rows;
    return STATUS_OK;
}

static enum status on_batch(void *context, const struct table *batch, struct error *err)
{
    struct reading *reading = context;
    const struct column *times = &batch->columns[reading->want_count];

    if (reading->rows + batch->rows > UINT32_MAX - 1)
        return error_set(err, STATUS_LIMIT, "more than 2^32 rows; use --from and --to");
    for (size_t i = 0; i < reading->want_count; i++)
        if (reading->is_kept[i])
            TRY(column_append_all(&reading->kept[i], &batch->columns[i], err));
    TRY(column_append_all(&reading->times, times, err));
    TRY(keep_created(reading, times + 1, err));
    for (size_t i = 0; i < reading->numbering_count; i++)
        TRY(keep_ids(reading, &reading->numberings[i], batch, err));
    reading->rows += batch->rows;
    job_progress(reading->job, "read", reading->rows, 0);
    return STATUS_OK;
}

/* --- building ------------------------------------------------------------- */

struct entity_key {
    struct str key;
    uint32_t id;
};

static int compare_keys(const void *a, const void *b)
{
    return str_compare(((const struct entity_key *)a)->key,
                       ((const struct entity_key *)b)->key);
}

static struct entity_key *sorted_keys(struct arena *arena, const struct building *building)
{
    uint32_t count = key_table_size(building->numbering->keys);
    struct entity_key *keys = ARENA_ARRAY(arena, struct entity_key, count);
    struct value *values = ARENA_ARRAY(arena, struct value, building->view->key_count);

    for (uint32_t id = 0; id < count; id++) {
        struct online_key key;

        key_table_values(building->numbering->keys, id, values);
        /* Keys with a null in them have no number. */
        (void)online_key_encode(values, building->view->key_count, &key);
        keys[id] = (struct entity_key){ arena_str(arena, (struct str){ key.bytes, key.len }),
                                        id };
    }
    if (count > 0)
        qsort(keys, count, sizeof(*keys), compare_keys);
    return keys;
}

static void build_row(const struct reading *reading, const struct building *building,
                      const struct column *inputs, const uint32_t *rows, size_t count,
                      struct arena *scratch, struct buffer *out)
{
    const struct window_events events = { inputs, reading->times.int64s,
                                          reading->created.int64s };
    uint32_t newest = rows[count - 1];
    struct value *values;

    if (building->layout != NULL) {
        window_state_build(building->layout, scratch, &events, rows, count, out);
        return;
    }
    values = ARENA_ARRAY(scratch, struct value, building->input_count);
    for (size_t i = 0; i < building->input_count; i++)
        values[i] = column_get(&inputs[i], newest);
    online_row_encode(reading->times.int64s[newest], values, building->input_count, out);
}

/* Places in a row are 32 bits wide; what is near that is of use to no request. */
static enum status check_size(size_t bytes, struct error *err)
{
    if (bytes <= ROW_MAX)
        return STATUS_OK;
    return error_set(
        err, STATUS_LIMIT,
        "what is kept of one entity takes %zu MiB, and may take %zu; windows without "
        "`exact`, shorter ones and shorter texts take less",
        bytes >> 20, ROW_MAX >> 20);
}

static enum status build_rows(const struct reading *reading, struct building *building,
                              const struct row_order *order, struct arena *arena,
                              struct online_builder *builder, struct error *err)
{
    struct entity_key *keys = sorted_keys(arena, building);
    struct column *inputs = ARENA_ARRAY(arena, struct column, building->input_count);
    struct arena *scratch = arena_new();
    enum status status = STATUS_OK;
    struct buffer row = { 0 };

    /* Views of the columns, without their memory. */
    for (size_t i = 0; i < building->input_count; i++)
        inputs[i] = reading->kept[building->input_wants[i]];
    for (uint32_t i = 0; i < order->key_count && status == STATUS_OK; i++) {
        uint32_t from = order->starts[keys[i].id], to = order->starts[keys[i].id + 1];
        int64_t newest_us = reading->times.int64s[order->rows[to - 1]];

        buffer_clear(&row);
        build_row(reading, building, inputs, order->rows + from, to - from, scratch, &row);
        status = check_size(row.len, err);
        if (status == STATUS_OK)
            status = online_builder_add(builder, keys[i].key, buffer_str(&row), err);
        if (newest_us > building->newest_us)
            building->newest_us = newest_us;
        arena_reset(scratch);
    }
    buffer_free(&row);
    arena_free(scratch);
    return status;
}

static enum status order_rows(const struct reading *reading, const struct building *building,
                              struct row_order *out, struct error *err)
{
    const struct row_order_input input = {
        .keys = (const uint32_t *)building->numbering->ids.int32s,
        .times = reading->times.int64s,
        .created = reading->created.int64s,
        .rows = reading->rows,
        .key_count = key_table_size(building->numbering->keys),
    };

    return row_order_make(&input, 1, out, err);
}

struct task {
    struct reading *reading;
    struct online_store *store;
    struct str generation;
    pthread_mutex_t lock; /* of the job's progress */
    size_t done;
};

static enum status write_view(struct task *task, struct building *building, struct arena *arena,
                              struct error *err)
{
    const struct materialize_view *view = building->view;
    struct online_builder *builder;
    struct row_order order;
    enum status status;

    TRY(order_rows(task->reading, building, &order, err));
    building->entities = order.key_count;
    building->newest_us = INT64_MIN;
    status = online_builder_new(task->store, view->name, task->generation, view->layout,
                                &builder, err);
    if (status == STATUS_OK) {
        status = build_rows(task->reading, building, &order, arena, builder, err);
        if (status == STATUS_OK)
            status = online_builder_finish(&builder, building->newest_us, err);
        online_builder_discard(&builder);
    }
    row_order_free(&order);
    TRY(status);
    pthread_mutex_lock(&task->lock);
    job_progress(task->reading->job, "build", ++task->done * task->reading->rows,
                 task->reading->view_count * task->reading->rows);
    pthread_mutex_unlock(&task->lock);
    return STATUS_OK;
}

static enum status on_task(void *context, size_t index, unsigned thread, struct error *err)
{
    struct task *task = context;
    struct building *building = &task->reading->views[index];
    struct arena *arena = arena_new();
    uint64_t start_ns = clock_monotonic_ns();
    enum status status = write_view(task, building, arena, err);

    (void)thread;
    building->seconds = seconds_since(start_ns);
    arena_free(arena);
    if (status != STATUS_OK)
        return error_wrap(err, "view '" STR_FMT "'", STR_ARG(building->view->name));
    return STATUS_OK;
}

static enum status read_and_build(struct reading *reading, const struct materialize_spec *spec,
                                  struct offline *offline, struct online_store *store,
                                  struct error *err)
{
    struct task task = { .reading = reading, .store = store, .generation = spec->generation };
    uint64_t start_ns = clock_monotonic_ns();
    enum status status;
    double seconds;

    TRY(offline_read(offline, reading->source, reading->wants, reading->want_count, spec->range,
                     on_batch, reading, err));
    seconds = seconds_since(start_ns);
    pthread_mutex_init(&task.lock, NULL);
    status = parallel_run(job_limits(reading->job)->threads, reading->view_count, on_task,
                          &task, err);
    pthread_mutex_destroy(&task.lock);
    for (size_t v = 0; v < reading->view_count; v++)
        reading->views[v].seconds += seconds; /* which all of them waited for */
    return status;
}

/* --- the job -------------------------------------------------------------- */

/* All sources of the specification, one after the other. */
struct work {
    struct job *job;
    struct arena *arena;
    struct materialize_spec spec;
    struct offline *offline;
    struct online_store *store;
    yyjson_mut_doc *doc;
    yyjson_mut_val *results;
    uint64_t rows;
};

static void add_results(struct work *work, const struct reading *reading)
{
    for (size_t v = 0; v < reading->view_count; v++) {
        const struct building *building = &reading->views[v];
        yyjson_mut_val *view = yyjson_mut_arr_add_obj(work->doc, work->results);

        json_add_str(work->doc, view, "view", building->view->name);
        yyjson_mut_obj_add_uint(work->doc, view, "rows", reading->rows);
        yyjson_mut_obj_add_uint(work->doc, view, "entities", building->entities);
        yyjson_mut_obj_add_real(work->doc, view, "seconds", building->seconds);
    }
    work->rows += reading->rows;
}

static enum status run_source(struct work *work, const struct source_spec *source,
                              struct error *err)
{
    struct reading reading = { .job = work->job, .arena = work->arena, .source = source };
    const struct materialize_spec *spec = &work->spec;
    enum status status;

    reading.views = ARENA_ARRAY(work->arena, struct building, spec->view_count);
    for (size_t v = 0; v < spec->view_count; v++)
        if (str_equal(spec->views[v].source, source->name))
            reading.views[reading.view_count++].view = &spec->views[v];
    if (reading.view_count == 0) /* only other sources read it */
        return STATUS_OK;
    reading_init(&reading);
    status = read_and_build(&reading, spec, work->offline, work->store, err);
    if (status == STATUS_OK)
        add_results(work, &reading);
    reading_free(&reading);
    return status;
}

static enum status run_sources(struct work *work, struct str *result, struct error *err)
{
    yyjson_mut_val *root;

    work->doc = json_mut_doc(work->arena);
    root = yyjson_mut_obj(work->doc);
    work->results = yyjson_mut_obj_add_arr(work->doc, root, "views");
    TRY(offline_add_sources(work->offline, work->spec.sources, work->spec.source_count, err));
    for (size_t i = 0; i < work->spec.source_count; i++)
        TRY(run_source(work, &work->spec.sources[i], err));
    yyjson_mut_obj_add_uint(work->doc, root, "rows", work->rows);
    *result = json_mut_write(work->arena, root);
    return STATUS_OK;
}

static enum status run(struct job *job, struct arena *arena, const yyjson_val *json,
                       struct str *result, struct error *err)
{
    struct work work = { .job = job, .arena = arena };
    enum status status;

    TRY(materialize_spec_parse(arena, json, &work.spec, err));
    status = offline_open(arena, arena_cstr(arena, work.spec.project), NULL, 0, job_limits(job),
                          &work.offline, err);
    if (status == STATUS_OK)
        status = online_store_open(work.spec.online, &work.store, err);
    if (status == STATUS_OK)
        status = run_sources(&work, result, err);
    online_store_close(&work.store);
    offline_close(&work.offline);
    return status;
}

const struct job_kind materialize_job = { "materialize", run };
