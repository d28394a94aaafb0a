/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/offline_internal.h"

#include "base/clock.h"
#include "base/hash.h"

/* --- one column of a chunk ------------------------------------------------ */

static bool is_valid(const uint64_t *validity, size_t row)
{
    return validity == NULL || (validity[row / 64] >> (row % 64) & 1) != 0;
}

/* What DuckDB says for "infinity". */
#define INFINITE(time) ((time) == INT64_MAX || (time) == -INT64_MAX)

/* False if it is infinite, or beyond what microseconds tell, which is taken for as much. */
static bool time_to_us(duckdb_type type, const void *data, size_t row, int64_t *out)
{
    int64_t time, unit = 1;

    if (type == DUCKDB_TYPE_DATE) {
        int32_t days = ((const int32_t *)data)[row];

        time = days == INT32_MAX ? INT64_MAX : days == -INT32_MAX ? -INT64_MAX : days;
        unit = US_PER_DAY;
    } else {
        time = ((const int64_t *)data)[row];
    }
    if (type == DUCKDB_TYPE_TIMESTAMP_S)
        unit = US_PER_SECOND;
    if (type == DUCKDB_TYPE_TIMESTAMP_MS)
        unit = US_PER_SECOND / 1000;
    if (INFINITE(time) || __builtin_mul_overflow(time, unit, out)) {
        *out = time > 0 ? INT64_MAX : INT64_MIN;
        return false;
    }
    if (type == DUCKDB_TYPE_TIMESTAMP_NS)
        *out = floor_div_int64(time, 1000);
    return true;
}

static struct str text_of(duckdb_string_t *string)
{
    uint32_t len = string->value.inlined.length;

    return (struct str){ len <= 12 ? string->value.inlined.inlined : string->value.pointer.ptr,
                         len };
}

static enum status take_validity(const uint64_t *validity, size_t rows, struct column *to,
                                 struct error *err)
{
    if (validity == NULL && to->valid == NULL)
        return STATUS_OK;
    TRY(column_need_valid(to, err));
    for (size_t row = 0; row < rows; row++)
        to->valid[row] = is_valid(validity, row);
    return STATUS_OK;
}

/* An infinite instant counts as null, but stays told from one in its bytes. */
static enum status take_times(duckdb_type type, const void *data, size_t rows,
                              struct column *to, struct error *err)
{
    for (size_t row = 0; row < rows; row++) {
        if (column_is_null(to, row))
            to->int64s[row] = 0;
        else if (!time_to_us(type, data, row, &to->int64s[row])) {
            TRY(column_need_valid(to, err));
            to->valid[row] = 0;
        }
    }
    return STATUS_OK;
}

enum status offline_take_column(struct offline *offline, duckdb_data_chunk chunk, size_t index,
                                duckdb_type type, struct column *to, struct error *err)
{
    const struct duckdb_library *duckdb = offline->duckdb;
    duckdb_vector vector = duckdb->data_chunk_get_vector(chunk, index);
    size_t rows = duckdb->data_chunk_get_size(chunk);
    void *data = duckdb->vector_get_data(vector);

    to->count = 0;
    TRY(column_reserve(to, rows, err));
    TRY(take_validity(duckdb->vector_get_validity(vector), rows, to, err));
    if (to->type == TYPE_TIMESTAMP) {
        TRY(take_times(type, data, rows, to, err));
    } else if (to->type == TYPE_STRING || to->type == TYPE_BYTES) {
        for (size_t row = 0; row < rows; row++)
            to->texts[row] = column_is_null(to, row) ? STR_EMPTY
                                                     : text_of((duckdb_string_t *)data + row);
    } else {
        memcpy(to->data, data, rows * column_width(to->type));
    }
    to->count = rows;
    return STATUS_OK;
}

/* --- what to select ------------------------------------------------------- */

static const struct offline_column *column_find(const struct offline_column *columns,
                                                size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(columns[i].name, name))
            return &columns[i];
    }
    return NULL;
}

static struct str nearest_column(struct arena *arena, const struct offline_column *columns,
                                 size_t count, struct str name)
{
    struct str *names = ARENA_ARRAY(arena, struct str, count);

    for (size_t i = 0; i < count; i++)
        names[i] = columns[i].name;
    return str_nearest(name, names, count);
}

enum status offline_column_get(struct arena *arena, const struct offline_column *columns,
                               size_t count, struct str name, const struct offline_column **out,
                               struct error *err)
{
    struct str nearest;

    *out = column_find(columns, count, name);
    if (*out != NULL)
        return STATUS_OK;
    nearest = nearest_column(arena, columns, count, name);
    if (nearest.len > 0)
        return error_set(err, STATUS_INVALID,
                         "there is no column '" STR_FMT "'; did you mean '" STR_FMT "'?",
                         STR_ARG(name), STR_ARG(nearest));
    return error_set(err, STATUS_INVALID, "there is no column '" STR_FMT "'", STR_ARG(name));
}

static bool is_number(enum value_type type)
{
    return type == TYPE_INT32 || type == TYPE_INT64 || type == TYPE_FLOAT32 ||
           type == TYPE_FLOAT64;
}

/* Without loss; where it goes by the value, each is checked as it is read. */
static bool is_convertible(enum value_type from, enum value_type to)
{
    bool to_float = to == TYPE_FLOAT32 || to == TYPE_FLOAT64;

    if (from == to || (to_float && is_number(from)))
        return true;
    return (from == TYPE_INT32 || from == TYPE_INT64) && (to == TYPE_INT32 || to == TYPE_INT64);
}

enum status offline_put_column(struct buffer *sql, const struct offline_column *column,
                               enum value_type type, struct str mend, struct error *err)
{
    if (!column->is_known || !is_convertible(column->type, type))
        return error_set(err, STATUS_INVALID,
                         "column '" STR_FMT "' is " STR_FMT ", wanted is %s; " STR_FMT,
                         STR_ARG(column->name), STR_ARG(column->duckdb), value_type_name(type),
                         STR_ARG(mend));
    sql_put_exact(sql, column->name, column->duckdb, type);
    return STATUS_OK;
}

/* --- reading a source ----------------------------------------------------- */

struct reading {
    struct offline *offline;
    const struct source_spec *source;
    struct offline_range range;
    offline_sink sink;
    void *context;
    struct table batch; /* wanted columns, then event time and created time */
    size_t want_count;
    struct arena *arena;
    bool hashes;   /* a last column has each row's hash: */
    uint64_t hash; /* their sum, in which the order of the rows does not show */
};

static void batch_init(struct reading *reading, const struct offline_want *want)
{
    struct table *batch = &reading->batch;

    table_init(batch, reading->arena, reading->want_count + 2);
    for (size_t i = 0; i < batch->column_count; i++) {
        bool wanted = i < reading->want_count;

        column_init(&batch->columns[i], wanted ? want[i].type : TYPE_TIMESTAMP);
        batch->names[i] = wanted ? want[i].column : reading->source->time;
    }
}

static bool keep_row(const struct reading *reading, size_t row)
{
    const struct column *time = &reading->batch.columns[reading->want_count];

    return !column_is_null(time, row) && time->int64s[row] >= reading->range.from_us &&
           time->int64s[row] <= reading->range.to_us;
}

static void move_row(struct column *column, size_t from, size_t to)
{
    size_t width = column_width(column->type);
    char *data = column->data;

    memcpy(data + to * width, data + from * width, width);
    if (column->valid != NULL)
        column->valid[to] = column->valid[from];
}

/* Closes the gaps of rows that are not wanted. */
static void compact(struct reading *reading)
{
    struct table *batch = &reading->batch;
    size_t kept = 0;

    for (size_t row = 0; row < batch->rows; row++) {
        if (!keep_row(reading, row))
            continue;
        for (size_t i = 0; kept != row && i < batch->column_count; i++)
            move_row(&batch->columns[i], row, kept);
        kept++;
    }
    batch->rows = kept;
    for (size_t i = 0; i < batch->column_count; i++)
        batch->columns[i].count = kept;
}

/* What is created in the infinite future is never known, where a row that does not say it always was. */
static void settle_created(struct column *created)
{
    for (size_t row = 0; created->valid != NULL && row < created->count; row++)
        created->valid[row] |= created->int64s[row] == INT64_MAX;
}

static void add_hashes(struct reading *reading, duckdb_data_chunk chunk)
{
    const struct duckdb_library *duckdb = reading->offline->duckdb;
    duckdb_vector vector = duckdb->data_chunk_get_vector(chunk, reading->batch.column_count);
    const uint64_t *hashes = duckdb->vector_get_data(vector);

    for (size_t row = 0; row < duckdb->data_chunk_get_size(chunk); row++)
        reading->hash += hashes[row];
}

static enum status read_chunk(void *context, struct offline_query *query,
                              duckdb_data_chunk chunk, struct error *err)
{
    struct reading *reading = context;
    struct table *batch = &reading->batch;

    for (size_t i = 0; i < batch->column_count; i++)
        TRY(offline_take_column(reading->offline, chunk, i,
                                reading->offline->duckdb->column_type(&query->result, i),
                                &batch->columns[i], err));
    settle_created(&batch->columns[batch->column_count - 1]);
    if (reading->hashes)
        add_hashes(reading, chunk);
    batch->rows = reading->offline->duckdb->data_chunk_get_size(chunk);
    compact(reading);
    if (batch->rows == 0)
        return STATUS_OK;
    return reading->sink(reading->context, batch, err);
}

enum status offline_read(struct offline *offline, const struct source_spec *source,
                         const struct offline_want *want, size_t want_count,
                         struct offline_range range, offline_sink sink, void *context,
                         struct error *err)
{
    struct reading reading = { .offline = offline,
                               .source = source,
                               .range = range,
                               .sink = sink,
                               .context = context,
                               .want_count = want_count,
                               .arena = arena_new() };
    struct buffer sql = { 0 };
    enum status status;

    batch_init(&reading, want);
    status = offline_put_select(offline, reading.arena, source, want, want_count, range, &sql,
                                &reading.hashes, err);
    if (status == STATUS_OK)
        status = offline_select(offline, buffer_str(&sql), read_chunk, &reading, err);
    if (reading.hashes)
        offline->rows_hash = hash64(&reading.hash, sizeof(reading.hash), offline->rows_hash);
    table_free(&reading.batch);
    buffer_free(&sql);
    arena_free(reading.arena);
    if (status != STATUS_OK)
        return error_wrap(err, "source '" STR_FMT "'", STR_ARG(source->name));
    return STATUS_OK;
}
