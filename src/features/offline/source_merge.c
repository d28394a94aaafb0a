/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/source_files.h"

/* --- types ---------------------------------------------------------------- */

/* Whole numbers among others in a text are written as they come: 7 beside 7.5. */
static bool is_wider(const struct reader *reader, enum value_type from, enum value_type to)
{
    if (from == TYPE_INT32)
        return to == TYPE_INT64 || to == TYPE_FLOAT64;
    if (from == TYPE_INT64)
        return to == TYPE_FLOAT64 && reader->format == FORMAT_CSV;
    return from == TYPE_FLOAT32 && to == TYPE_FLOAT64;
}

/* Whether b's values are fine in a column of a's type, or of one that DuckDB finds for both. */
static bool fits(const struct reader *reader, const struct offline_column *a,
                 const struct offline_column *b)
{
    return str_equal(a->duckdb, b->duckdb) ||
           (a->is_known && b->is_known &&
            (a->type == b->type || is_wider(reader, b->type, a->type)));
}

/* --- columns without values ------------------------------------------------- */

static bool *silent(const struct reader *reader, size_t file, size_t column)
{
    return &reader->silent[file * reader->column_count + column];
}

static enum status take_any(void *context, struct offline_query *query, duckdb_data_chunk chunk,
                            struct error *err)
{
    (void)err;
    *(bool *)context |= query->offline->duckdb->data_chunk_get_size(chunk) > 0;
    return STATUS_OK;
}

/* A column that is empty throughout has some type, which says nothing. */
static enum status find_silent(struct reader *reader, size_t file, size_t column,
                               struct error *err)
{
    struct buffer sql = { 0 };
    bool has_values = false;
    enum status status;

    if (*silent(reader, file, column))
        return STATUS_OK;
    buffer_append(&sql, STR("SELECT 1 FROM "));
    reader_put(reader, &sql, file, 1, "");
    buffer_append(&sql, STR(" WHERE "));
    sql_put_name(&sql, reader->columns[column].name);
    buffer_append(&sql, STR(" IS NOT NULL LIMIT 1"));
    status = offline_select(reader->offline, buffer_str(&sql), take_any, &has_values, err);
    buffer_free(&sql);
    *silent(reader, file, column) = status == STATUS_OK && !has_values;
    reader->is_any_silent |= *silent(reader, file, column);
    return status;
}

/* --- files ---------------------------------------------------------------- */

static void take_type(struct reader *reader, size_t column, const struct offline_column *other,
                      size_t file)
{
    reader->columns[column].type = other->type;
    reader->columns[column].is_known = other->is_known;
    reader->columns[column].duckdb = other->duckdb;
    reader->typed_by[column] = file;
}

static enum status refuse(const struct reader *reader, size_t column,
                          const struct offline_column *other, size_t file, struct error *err)
{
    const struct offline_column *first = &reader->columns[column];

    return error_set(err, STATUS_INVALID,
                     "column '" STR_FMT "' is " STR_FMT " in " STR_FMT " and " STR_FMT
                     " in " STR_FMT "; write the files with one type%s",
                     STR_ARG(first->name), STR_ARG(first->duckdb),
                     STR_ARG(reader_shown(reader, reader->paths[reader->typed_by[column]])),
                     STR_ARG(other->duckdb), STR_ARG(reader_shown(reader, reader->paths[file])),
                     reader->format == FORMAT_CSV ? ", or name it in `types:`" : "");
}

/* Types that do not fit are no matter where one of them stands for no values at all. */
static enum status settle(struct reader *reader, size_t column,
                          const struct offline_column *other, size_t file, struct error *err)
{
    TRY(find_silent(reader, file, column, err));
    if (*silent(reader, file, column))
        return STATUS_OK;
    for (size_t i = 0; i < file; i++) {
        TRY(find_silent(reader, i, column, err));
        if (!*silent(reader, i, column))
            return refuse(reader, column, other, file, err);
    }
    take_type(reader, column, other, file);
    return STATUS_OK;
}

static enum status merge_type(struct reader *reader, size_t column,
                              const struct offline_column *other, size_t file,
                              struct error *err)
{
    struct offline_column *merged = &reader->columns[column];

    if (str_equal(merged->duckdb, other->duckdb))
        return STATUS_OK;
    reader->differs = true;
    if (fits(reader, merged, other))
        return STATUS_OK;
    if (!fits(reader, other, merged))
        return settle(reader, column, other, file, err);
    take_type(reader, column, other, file);
    return STATUS_OK;
}

static enum status merge_file(struct reader *reader, size_t file, struct error *err)
{
    struct offline_column *columns;
    size_t count;

    TRY(reader_describe(reader, file, &columns, &count, err));
    for (size_t i = 0; i < reader->column_count; i++) {
        size_t at = 0;

        while (at < count && !str_equal_nocase(columns[at].name, reader->columns[i].name))
            at++;
        if (at == count)
            return error_set(err, STATUS_INVALID,
                             STR_FMT " has no column '" STR_FMT "', which " STR_FMT " has",
                             STR_ARG(reader_shown(reader, reader->paths[file])),
                             STR_ARG(reader->columns[i].name),
                             STR_ARG(reader_shown(reader, reader->paths[0])));
        reader->differs |= at != i;
        TRY(merge_type(reader, i, &columns[at], file, err));
    }
    return STATUS_OK;
}

/* DESCRIBE calls a column INTEGER that a Parquet file says to be all null; as the first it takes no 7. */
static enum status find_untyped(struct reader *reader, struct error *err)
{
    struct buffer sql = { 0 };
    enum status status;

    buffer_append(&sql, STR("SELECT 1 FROM parquet_schema("));
    sql_put_text(&sql, offline_pattern(reader->arena, reader->paths[0]));
    buffer_append(&sql, STR(") WHERE logical_type = 'NullType()' LIMIT 1"));
    status = offline_select(reader->offline, buffer_str(&sql), take_any, &reader->differs, err);
    buffer_free(&sql);
    return status;
}

enum status reader_merge(struct reader *reader, struct error *err)
{
    if (reader->format == FORMAT_PARQUET)
        TRY(find_untyped(reader, err));
    TRY(reader_describe(reader, 0, &reader->columns, &reader->column_count, err));
    reader->typed_by = ARENA_ARRAY(reader->arena, size_t, reader->column_count);
    reader->silent = ARENA_ARRAY(reader->arena, bool, reader->count * reader->column_count);
    for (size_t i = 1; i < reader->count; i++)
        TRY(merge_file(reader, i, err));
    return STATUS_OK;
}

/* --- as SQL --------------------------------------------------------------- */

static void put_column(const struct reader *reader, struct buffer *sql, size_t file,
                       size_t column)
{
    const struct offline_column *merged = &reader->columns[column];

    if (!*silent(reader, file, column)) {
        sql_put_name(sql, merged->name);
        return;
    }
    buffer_append(sql, STR("CAST("));
    sql_put_name(sql, merged->name);
    buffer_printf(sql, " AS " STR_FMT ") AS ", STR_ARG(merged->duckdb));
    sql_put_name(sql, merged->name);
}

static void put_files(const struct reader *reader, struct buffer *sql, size_t first,
                      size_t count, const char *more)
{
    buffer_append(sql, STR("SELECT "));
    for (size_t i = 0; i < reader->column_count; i++) {
        if (i > 0)
            buffer_append_byte(sql, ',');
        put_column(reader, sql, first, i);
    }
    buffer_append(sql, STR(" FROM "));
    reader_put(reader, sql, first, count, more);
}

/*
 * DuckDB finds the wider types itself. It compares CSVs by place, not by name, and takes the types of
 * columns without values at their word: such files are read each alone.
 */
void reader_put_merged(const struct reader *reader, struct buffer *sql)
{
    bool is_one = reader->format == FORMAT_PARQUET && !reader->is_any_silent;

    buffer_append_byte(sql, '(');
    if (is_one)
        put_files(reader, sql, 0, reader->count, ", union_by_name=true");
    for (size_t i = 0; !is_one && i < reader->count; i++) {
        buffer_append(sql, i > 0 ? STR(" UNION ALL ") : STR(""));
        put_files(reader, sql, i, 1, "");
    }
    buffer_append_byte(sql, ')');
}
