/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/offline_internal.h"

#include <stdio.h>

/*
 * A table of DuckDB's with columns of ours beside it: each is a scalar function of the row's number.
 * The scan of a table of its own is what DuckDB shares out to threads and still writes in order; a
 * table function would have it all on one, and a positional join costs as much as the writing.
 */

/* The callbacks get no place for it; it is loaded once per process anyway. */
static const struct duckdb_library *duckdb;

/* A column of the table's own by this name hides the row's number; it gets another for the while. */
#define ROW_NUMBER "rowid"
#define RENAMED "onggi_rowid"

/* --- a column as a function ----------------------------------------------- */

static void give_nulls(duckdb_vector vector, const struct column *column, size_t from,
                       size_t rows)
{
    uint64_t *validity = NULL;

    if (column->valid == NULL || memchr(column->valid + from, 0, rows) == NULL)
        return;
    duckdb->vector_ensure_validity_writable(vector);
    validity = duckdb->vector_get_validity(vector);
    for (size_t row = 0; row < rows; row++) {
        if (column->valid[from + row] == 0)
            validity[row / 64] &= ~(UINT64_C(1) << (row % 64));
    }
}

static void give_rows(duckdb_vector vector, const struct column *column, size_t from,
                      size_t rows)
{
    size_t width = column_width(column->type);

    give_nulls(vector, column, from, rows);
    if (column->type != TYPE_STRING && column->type != TYPE_BYTES) {
        memcpy(duckdb->vector_get_data(vector), (const char *)column->data + from * width,
               rows * width);
        return;
    }
    for (size_t row = 0; row < rows; row++) {
        struct str text = column_is_null(column, from + row) ? STR_EMPTY
                                                             : column->texts[from + row];

        duckdb->vector_assign_string_element_len(vector, row, text.data, text.len);
    }
}

/* The rows of a chunk follow each other: nothing is ever deleted from the table. */
static bool is_run(const int64_t *numbers, size_t rows)
{
    for (size_t i = 1; i < rows; i++) {
        if (numbers[i] != numbers[0] + (int64_t)i)
            return false;
    }
    return true;
}

/* On any of DuckDB's threads: all that it reads stays as it is. */
static void on_rows(duckdb_function_info info, duckdb_data_chunk chunk, duckdb_vector out)
{
    const struct column *column = duckdb->scalar_function_get_extra_info(info);
    size_t rows = duckdb->data_chunk_get_size(chunk);
    const int64_t *numbers = duckdb->vector_get_data(duckdb->data_chunk_get_vector(chunk, 0));

    if (rows == 0)
        return;
    if (!is_run(numbers, rows) || numbers[0] < 0 || (size_t)numbers[0] + rows > column->count) {
        duckdb->scalar_function_set_error(info, "the rows changed while they were read");
        return;
    }
    give_rows(out, column, (size_t)numbers[0], rows);
}

static enum status register_column(struct offline *offline, const char *name,
                                   const struct column *column, struct error *err)
{
    duckdb_scalar_function function = duckdb->create_scalar_function();
    duckdb_logical_type number = duckdb->create_logical_type(DUCKDB_TYPE_BIGINT);
    duckdb_logical_type type = duckdb->create_logical_type(duckdb_type_of(column->type));
    duckdb_state state;

    duckdb->scalar_function_set_name(function, name);
    duckdb->scalar_function_add_parameter(function, number);
    duckdb->scalar_function_set_return_type(function, type);
    duckdb->scalar_function_set_extra_info(function, (void *)column, NULL);
    duckdb->scalar_function_set_function(function, on_rows);
    state = duckdb->register_scalar_function(offline->connection, function);
    duckdb->destroy_logical_type(&type);
    duckdb->destroy_logical_type(&number);
    duckdb->destroy_scalar_function(&function);
    if (state != DuckDBSuccess)
        return error_set(err, STATUS_INTERNAL, "DuckDB does not take the function '%s'", name);
    return STATUS_OK;
}

/* --- the statement -------------------------------------------------------- */

/* The table's own column of that name, renamed; its name, or empty. */
static enum status free_row_number(struct offline *offline, struct str relation,
                                   struct str *renamed, struct error *err)
{
    struct offline_column *columns;
    struct buffer sql = { 0 };
    enum status status;
    size_t count;

    *renamed = STR_EMPTY;
    TRY(offline_describe_relation(offline, offline->arena, relation, &columns, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (str_equal_nocase(columns[i].name, STR(ROW_NUMBER)))
            *renamed = columns[i].name;
    }
    if (renamed->len == 0)
        return STATUS_OK;
    buffer_append(&sql, STR("ALTER TABLE "));
    sql_put_name(&sql, relation);
    buffer_append(&sql, STR(" RENAME COLUMN " ROW_NUMBER " TO " RENAMED));
    status = offline_run(offline, buffer_str(&sql), err);
    buffer_free(&sql);
    return status;
}

static enum status put_copy(struct offline *offline, struct str relation,
                            const struct table *table, struct buffer *sql, struct error *err)
{
    struct str renamed;
    char name[40];

    TRY(free_row_number(offline, relation, &renamed, err));
    buffer_append(sql, STR("COPY (SELECT *"));
    if (renamed.len > 0) {
        buffer_append(sql, STR(" RENAME (" RENAMED " AS "));
        sql_put_name(sql, renamed);
        buffer_append_byte(sql, ')');
    }
    for (size_t i = 0; i < table->column_count; i++) {
        snprintf(name, sizeof(name), "onggi_column_%zu", i);
        TRY(register_column(offline, name, &table->columns[i], err));
        buffer_printf(sql, ", %s(" ROW_NUMBER ") AS ", name);
        sql_put_name(sql, table->names[i]);
    }
    buffer_append(sql, STR(" FROM "));
    sql_put_name(sql, relation);
    buffer_append_byte(sql, ')');
    return STATUS_OK;
}

enum status offline_copy_beside(struct offline *offline, struct str relation,
                                const struct table *table, struct str path, const char *options,
                                uint64_t *rows, struct error *err)
{
    struct buffer sql = { 0 };
    enum status status;

    duckdb = offline->duckdb;
    status = put_copy(offline, relation, table, &sql, err);
    if (status == STATUS_OK) {
        buffer_append(&sql, STR(" TO "));
        sql_put_text(&sql, path);
        buffer_printf(&sql, " (%s)", options);
        status = offline_run_count(offline, buffer_str(&sql), rows, err);
    }
    buffer_free(&sql);
    return status;
}
