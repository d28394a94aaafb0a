/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/entity_rows.h"

/* --- the table ------------------------------------------------------------ */

static enum status put_rows(struct offline *offline, const struct training_set_spec *spec,
                            struct buffer *sql, struct error *err)
{
    struct str query = str_trim(spec->entities_sql);

    struct str path = spec->entities_path;

    buffer_append(sql, STR("CREATE TABLE " ENTITY_ROWS_TABLE " AS SELECT * FROM "));
    if (path.len > 0)
        return offline_put_reader(offline, sql, &path, 1, NULL, err);
    while (str_ends(query, STR(";")))
        query = str_trim(str_slice(query, 0, query.len - 1));
    buffer_append_byte(sql, '(');
    buffer_append(sql, query);
    buffer_append(sql, STR("\n)"));
    return STATUS_OK;
}

static enum status make_table(struct offline *offline, const struct training_set_spec *spec,
                              struct error *err)
{
    struct buffer sql = { 0 };
    enum status status = put_rows(offline, spec, &sql, err);

    if (status == STATUS_OK)
        status = offline_run(offline, buffer_str(&sql), err);
    buffer_free(&sql);
    return status;
}

/* --- types that would not come out as they are ------------------------------ */

static bool says(struct str type, const char *part)
{
    return memmem(type.data, type.len, part, strlen(part)) != NULL;
}

/* What a Parquet file holds as something else: doubles, milliseconds, text. */
static bool is_changed_by_parquet(struct str type)
{
    static const char *const parts[] = { "HUGEINT", "INTERVAL", "TIME WITH TIME ZONE",
                                         "UNION(",  "BIGNUM",   "BIT" };

    /* Names of fields, and texts of ENUMs, may say anything. */
    if (str_starts(type, STR("ENUM(")) || str_equal(type, STR("TIMESTAMP WITH TIME ZONE")))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (says(type, parts[i]))
            return true;
    }
    return false;
}

/* sum() of whole numbers is a HUGEINT to DuckDB, and seldom needs to be. */
static enum status narrow(struct offline *offline, struct str column, struct str type,
                          struct error *err)
{
    struct buffer sql = { 0 };
    enum status status;

    buffer_append(&sql, STR("ALTER TABLE " ENTITY_ROWS_TABLE " ALTER COLUMN "));
    sql_put_name(&sql, column);
    buffer_append(&sql, STR(" TYPE BIGINT USING "));
    sql_put_exact(&sql, column, type, TYPE_INT64);
    status = offline_run(offline, buffer_str(&sql), err);
    buffer_free(&sql);
    return status;
}

static enum status settle_types(struct offline *offline, const struct training_set_spec *spec,
                                struct offline_column *columns, size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct offline_column *column = &columns[i];

        if (str_equal(column->duckdb, STR("HUGEINT")) ||
            str_equal(column->duckdb, STR("UHUGEINT"))) {
            TRY(narrow(offline, column->name, column->duckdb, err));
            column->duckdb = STR("BIGINT");
        } else if (!spec->is_csv && is_changed_by_parquet(column->duckdb)) {
            return error_set(err, STATUS_INVALID,
                             "column '" STR_FMT "' is " STR_FMT
                             ", which Parquet cannot hold as "
                             "it is; cast it in SQL, or leave it out",
                             STR_ARG(column->name), STR_ARG(column->duckdb));
        }
    }
    return STATUS_OK;
}

/* --- their hash ------------------------------------------------------------ */

/* To DuckDB's hash() both zeroes are one. */
static void put_hashed(struct buffer *sql, const struct offline_column *column)
{
    bool has_sign = str_equal(column->duckdb, STR("DOUBLE")) ||
                    str_equal(column->duckdb, STR("FLOAT"));

    sql_put_name(sql, column->name);
    if (has_sign) {
        buffer_append(sql, STR(",signbit("));
        sql_put_name(sql, column->name);
        buffer_append_byte(sql, ')');
    }
}

static enum status take_hashes(void *context, struct offline_query *query,
                               duckdb_data_chunk chunk, struct error *err)
{
    const struct duckdb_library *duckdb = query->offline->duckdb;

    (void)err;
    sha256_add(context, duckdb->vector_get_data(duckdb->data_chunk_get_vector(chunk, 0)),
               duckdb->data_chunk_get_size(chunk) * sizeof(uint64_t));
    return STATUS_OK;
}

/* Names, types and every row, in their order. */
enum status entity_rows_hash(struct offline *offline, const struct entity_rows *rows,
                             struct sha256 *hash, struct error *err)
{
    struct buffer sql = { 0 };
    enum status status;

    buffer_append(&sql, STR("SELECT hash("));
    for (size_t i = 0; i < rows->column_count; i++) {
        const struct offline_column *column = &rows->columns[i];

        sha256_add(hash, column->name.data, column->name.len);
        sha256_add(hash, "", 1);
        sha256_add(hash, column->duckdb.data, column->duckdb.len);
        sha256_add(hash, "", 1);
        if (i > 0)
            buffer_append_byte(&sql, ',');
        put_hashed(&sql, column);
    }
    buffer_append(&sql, STR(") FROM " ENTITY_ROWS_TABLE));
    status = offline_select(offline, buffer_str(&sql), take_hashes, hash, err);
    buffer_free(&sql);
    return status;
}

/* --- what is read of it --------------------------------------------------- */

struct reading {
    struct offline *offline;
    const struct training_set_spec *spec;
    struct job *job;
    struct entity_rows *rows;
    bool *is_read; /* for each of spec->request */
};

static bool *find_read(struct arena *arena, const struct training_set_spec *spec)
{
    bool *is_read = ARENA_ARRAY(arena, bool, spec->request_count);

    for (size_t i = 0; i < spec->request_count; i++)
        is_read[i] = spec->reads_request;
    for (size_t i = 0; i < spec->expression_count; i++) {
        const struct spec_expression *expression = &spec->expressions[i];

        for (size_t k = 0; k < expression->input_count; k++) {
            if (expression->inputs[k].is_request)
                is_read[expression->inputs[k].index] = true;
        }
    }
    return is_read;
}

static enum status put_field(struct reading *reading, struct buffer *sql, struct str name,
                             enum value_type type, const char *what, struct error *err)
{
    const struct offline_column *column;
    struct entity_rows *rows = reading->rows;

    if (offline_column_get(reading->offline->arena, rows->columns, rows->column_count, name,
                           &column, err) != STATUS_OK ||
        offline_put_column(sql, column, type, STR("cast it in SQL, or write it with that type"),
                           err) != STATUS_OK)
        return error_wrap(err, "%s", what);
    buffer_append(sql, STR(", "));
    return STATUS_OK;
}

static enum status put_select(struct reading *reading, struct buffer *sql, struct error *err)
{
    const struct training_set_spec *spec = reading->spec;

    buffer_append(sql, STR("SELECT "));
    for (size_t i = 0; i < spec->key_count; i++)
        TRY(put_field(reading, sql, spec->keys[i].name, spec->keys[i].type, "entity key", err));
    for (size_t i = 0; i < spec->request_count; i++) {
        if (reading->is_read[i])
            TRY(put_field(reading, sql, spec->request[i].name, spec->request[i].type,
                          "request field", err));
    }
    TRY(put_field(reading, sql, spec->time, TYPE_TIMESTAMP, "time", err));
    sql->len -= 2; /* the last ", " */
    buffer_append(sql, STR(" FROM " ENTITY_ROWS_TABLE));
    return STATUS_OK;
}

static enum status take(struct reading *reading, struct offline_query *query,
                        duckdb_data_chunk chunk, size_t *index, struct column *to,
                        struct error *err)
{
    struct column piece;
    duckdb_type type = reading->offline->duckdb->column_type(&query->result, *index);
    enum status status;

    column_init(&piece, to->type);
    status = offline_take_column(reading->offline, chunk, *index, type, &piece, err);
    if (status == STATUS_OK)
        status = column_append_all(to, &piece, err);
    column_free(&piece);
    (*index)++;
    return status;
}

uint64_t entity_rows_memory(const struct training_set_spec *spec,
                            const struct entity_rows *rows)
{
    uint64_t bytes = column_memory(&rows->times);

    for (size_t i = 0; i < spec->key_count; i++)
        bytes += column_memory(&rows->keys[i]);
    for (size_t i = 0; i < spec->request_count; i++)
        bytes += column_memory(&rows->request[i]);
    return bytes;
}

static enum status check_size(const struct reading *reading, struct error *err)
{
    uint64_t most = ROWS_SHARE(job_limits(reading->job)->memory_bytes);

    if (reading->rows->count >= UINT32_MAX)
        return error_set(err, STATUS_LIMIT, "more than %u rows are too many for one job",
                         UINT32_MAX - 1);
    if (entity_rows_memory(reading->spec, reading->rows) > most)
        return error_set(
            err, STATUS_LIMIT,
            "more than %zu rows need over %llu MiB in memory; raise the jobs' memory "
            "limit (job.memory), or ask for fewer rows at a time",
            reading->rows->count, (unsigned long long)(most >> 20));
    return STATUS_OK;
}

static enum status take_chunk(void *context, struct offline_query *query,
                              duckdb_data_chunk chunk, struct error *err)
{
    struct reading *reading = context;
    const struct training_set_spec *spec = reading->spec;
    struct entity_rows *rows = reading->rows;
    size_t index = 0;

    for (size_t i = 0; i < spec->key_count; i++)
        TRY(take(reading, query, chunk, &index, &rows->keys[i], err));
    for (size_t i = 0; i < spec->request_count; i++) {
        if (reading->is_read[i])
            TRY(take(reading, query, chunk, &index, &rows->request[i], err));
    }
    TRY(take(reading, query, chunk, &index, &rows->times, err));
    rows->count += reading->offline->duckdb->data_chunk_get_size(chunk);
    job_progress(reading->job, "read entity rows", rows->count, 0);
    return check_size(reading, err);
}

/* --- all of it ------------------------------------------------------------ */

static void init_columns(struct arena *arena, const struct training_set_spec *spec,
                         struct entity_rows *rows)
{
    rows->keys = ARENA_ARRAY(arena, struct column, spec->key_count);
    rows->request = ARENA_ARRAY(arena, struct column, spec->request_count);
    for (size_t i = 0; i < spec->key_count; i++)
        column_init(&rows->keys[i], spec->keys[i].type);
    for (size_t i = 0; i < spec->request_count; i++)
        column_init(&rows->request[i], spec->request[i].type);
    column_init(&rows->times, TYPE_TIMESTAMP);
}

static void settle_null_times(struct column *times)
{
    for (size_t row = 0; row < times->count; row++) {
        if (column_is_null(times, row))
            times->int64s[row] = INT64_MIN;
    }
}

static enum status read_rows(struct reading *reading, struct arena *arena, struct error *err)
{
    struct entity_rows *rows = reading->rows;
    struct buffer sql = { 0 };
    enum status status;

    TRY(make_table(reading->offline, reading->spec, err));
    TRY(offline_describe_relation(reading->offline, arena, STR(ENTITY_ROWS_TABLE),
                                  &rows->columns, &rows->column_count, err));
    TRY(settle_types(reading->offline, reading->spec, rows->columns, rows->column_count, err));
    status = put_select(reading, &sql, err);
    if (status == STATUS_OK)
        status = offline_select(reading->offline, buffer_str(&sql), take_chunk, reading, err);
    buffer_free(&sql);
    settle_null_times(&rows->times);
    return status;
}

enum status entity_rows_read(struct offline *offline, struct arena *arena,
                             const struct training_set_spec *spec, struct job *job,
                             struct entity_rows *out, struct error *err)
{
    struct entity_rows rows = { 0 };
    struct reading reading = { offline, spec, job, &rows, find_read(arena, spec) };

    init_columns(arena, spec, &rows);
    if (read_rows(&reading, arena, err) != STATUS_OK) {
        entity_rows_free(spec, &rows);
        return error_wrap(err, "entity rows");
    }
    *out = rows;
    return STATUS_OK;
}

void entity_rows_free(const struct training_set_spec *spec, struct entity_rows *rows)
{
    for (size_t i = 0; i < spec->key_count && rows->keys != NULL; i++)
        column_free(&rows->keys[i]);
    for (size_t i = 0; i < spec->request_count && rows->request != NULL; i++)
        column_free(&rows->request[i]);
    column_free(&rows->times);
    rows->count = 0;
}
