/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/source_rows.h"

#include "features/aggregate.h"

#include <stdlib.h>

struct loading {
    const struct source_rows_want *want;
    struct source_rows *rows;
    size_t capacity;     /* of each ids */
    uint64_t read;       /* rows seen */
    uint32_t *batch_ids; /* key_count × batch rows */
    size_t batch_capacity;
    bool *keep;
};

static enum status batch_room(struct loading *loading, size_t rows, struct error *err)
{
    if (rows <= loading->batch_capacity)
        return STATUS_OK;
    free(loading->batch_ids);
    free(loading->keep);
    loading->batch_capacity = rows;
    loading->batch_ids = calloc(rows * (loading->rows->key_count + 1), sizeof(uint32_t));
    loading->keep = calloc(rows, sizeof(bool));
    if (loading->batch_ids == NULL || loading->keep == NULL)
        return error_set(err, STATUS_LIMIT, "no memory is left");
    return STATUS_OK;
}

static enum status ids_room(struct loading *loading, size_t more, struct error *err)
{
    struct source_rows *rows = loading->rows;
    size_t wanted = rows->count + more;

    if (wanted <= loading->capacity)
        return STATUS_OK;
    loading->capacity = wanted > loading->capacity * 3 / 2 ? wanted : loading->capacity * 3 / 2;
    for (size_t i = 0; i < rows->key_count; i++) {
        uint32_t *ids = reallocarray(rows->keys[i].ids, loading->capacity, sizeof(*ids));

        if (ids == NULL)
            return error_set(err, STATUS_LIMIT, "no memory is left for %zu rows", wanted);
        rows->keys[i].ids = ids;
    }
    return STATUS_OK;
}

/* Which rows of the batch some view asks about. */
static enum status find_ids(struct loading *loading, const struct table *batch, size_t *kept,
                            struct error *err)
{
    struct source_rows *rows = loading->rows;
    const struct column *columns[KEY_COLUMNS_MAX];
    size_t from = rows->input_count;

    memset(loading->keep, 0, batch->rows);
    for (size_t i = 0; i < rows->key_count; i++) {
        struct source_keys *keys = &rows->keys[i];
        uint32_t *ids = loading->batch_ids + i * batch->rows;

        for (size_t k = 0; k < keys->column_count; k++)
            columns[k] = &batch->columns[from++];
        TRY(key_table_ids(keys->table, columns, batch->rows, keys->add, ids, err));
        for (size_t row = 0; row < batch->rows; row++)
            loading->keep[row] |= ids[row] != KEY_NONE;
    }
    *kept = 0;
    for (size_t row = 0; row < batch->rows; row++)
        *kept += loading->keep[row];
    return STATUS_OK;
}

static enum status append_kept(const struct loading *loading, struct column *to,
                               const struct column *from, size_t kept, struct error *err)
{
    if (kept == from->count)
        return column_append_all(to, from, err);
    for (size_t row = 0; row < from->count; row++) {
        if (loading->keep[row])
            TRY(column_append(to, column_get(from, row), err));
    }
    return STATUS_OK;
}

static enum status append_columns(struct loading *loading, const struct table *batch,
                                  size_t kept, struct error *err)
{
    struct source_rows *rows = loading->rows;
    const struct column *times = &batch->columns[batch->column_count - 2];

    for (size_t i = 0; i < rows->input_count; i++)
        TRY(append_kept(loading, &rows->inputs[i], &batch->columns[i], kept, err));
    TRY(append_kept(loading, &rows->times, times, kept, err));
    if (loading->want->source->created.len > 0)
        TRY(append_kept(loading, &rows->created, times + 1, kept, err));
    return STATUS_OK;
}

static void append_ids(struct loading *loading, size_t batch_rows)
{
    struct source_rows *rows = loading->rows;

    for (size_t i = 0; i < rows->key_count; i++) {
        const uint32_t *ids = loading->batch_ids + i * batch_rows;
        uint32_t *to = rows->keys[i].ids + rows->count;

        for (size_t row = 0; row < batch_rows; row++) {
            if (loading->keep[row])
                *to++ = ids[row];
        }
    }
}

static enum status check_memory(const struct loading *loading, struct error *err)
{
    const struct source_rows *rows = loading->rows;
    /* One more number a row: the order in which a view takes them. */
    uint64_t bytes = column_memory(&rows->times) + column_memory(&rows->created) +
                     loading->capacity * (rows->key_count + 1) * sizeof(uint32_t);

    for (size_t i = 0; i < rows->input_count; i++)
        bytes += column_memory(&rows->inputs[i]);
    if (bytes > loading->want->memory_max)
        return error_set(
            err, STATUS_LIMIT,
            "its rows need more than the %llu MiB of memory that are left for them; "
            "raise the jobs' memory limit (job.memory), or ask for fewer entities, "
            "columns or a shorter time",
            (unsigned long long)(loading->want->memory_max >> 20));
    return rows->count < UINT32_MAX
               ? STATUS_OK
               : error_set(err, STATUS_LIMIT, "more than 2^32 rows are too many for one job");
}

static enum status on_batch(void *context, const struct table *batch, struct error *err)
{
    struct loading *loading = context;
    size_t kept;

    loading->read += batch->rows;
    if (loading->want->job != NULL)
        job_progress(loading->want->job, loading->want->phase, loading->read, 0);
    TRY(batch_room(loading, batch->rows, err));
    TRY(find_ids(loading, batch, &kept, err));
    TRY(ids_room(loading, kept, err));
    TRY(append_columns(loading, batch, kept, err));
    append_ids(loading, batch->rows);
    loading->rows->count += kept;
    return check_memory(loading, err);
}

/* Inputs first, then every view's keys. */
static size_t all_wants(struct arena *arena, const struct source_rows_want *want,
                        struct offline_want **out)
{
    size_t count = want->input_count;

    for (size_t i = 0; i < want->key_count; i++)
        count += want->keys[i].column_count;
    *out = ARENA_ARRAY(arena, struct offline_want, count);
    for (size_t i = 0; i < want->input_count; i++)
        (*out)[i] = want->inputs[i];
    count = want->input_count;
    for (size_t i = 0; i < want->key_count; i++) {
        const struct source_keys *keys = &want->keys[i];

        for (size_t k = 0; k < keys->column_count; k++)
            (*out)[count++] = (struct offline_want){ keys->columns[k], keys->types[k] };
    }
    return count;
}

static void rows_init(struct arena *arena, const struct source_rows_want *want,
                      struct source_rows *rows)
{
    *rows = (struct source_rows){
        .keys = want->keys,
        .key_count = want->key_count,
        .input_count = want->input_count,
        .inputs = ARENA_ARRAY(arena, struct column, want->input_count + 1),
    };
    for (size_t i = 0; i < want->input_count; i++)
        column_init(&rows->inputs[i], want->inputs[i].type);
    column_init(&rows->times, TYPE_TIMESTAMP);
    column_init(&rows->created, TYPE_TIMESTAMP);
}

enum status source_rows_read(struct offline *offline, struct arena *arena,
                             const struct source_rows_want *want, struct source_rows *out,
                             struct error *err)
{
    struct source_rows rows;
    struct loading loading = { .want = want, .rows = &rows };
    struct offline_want *wants;
    size_t count = all_wants(arena, want, &wants);
    enum status status;

    rows_init(arena, want, &rows);
    status = offline_read(offline, want->source, wants, count, want->range, on_batch, &loading,
                          err);
    free(loading.batch_ids);
    free(loading.keep);
    if (status != STATUS_OK) {
        source_rows_free(&rows);
        return status;
    }
    for (size_t row = 0; row < rows.created.count; row++) {
        if (column_is_null(&rows.created, row))
            rows.created.int64s[row] = CREATED_NULL;
    }
    *out = rows;
    return STATUS_OK;
}

void source_rows_free(struct source_rows *rows)
{
    for (size_t i = 0; i < rows->key_count; i++) {
        free(rows->keys[i].ids);
        rows->keys[i].ids = NULL;
    }
    for (size_t i = 0; i < rows->input_count; i++)
        column_free(&rows->inputs[i]);
    column_free(&rows->times);
    column_free(&rows->created);
    rows->count = 0;
}
