/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/offline_internal.h"

/*
 * A relation with columns of ours beside it, as a table function: DuckDB asks for it chunk by
 * chunk, in order, on one thread. The relation's chunks are passed on as they are; a positional
 * join would do the same, but keeps one side in memory and costs as much as the writing.
 */

struct provider {
    struct offline reader; /* with a connection of its own: the other one runs the statement */
    struct offline_query query;
    const struct table *table;
    size_t next; /* row */
};

/* The callbacks get no place for it; it is loaded once per process anyway. */
static const struct duckdb_library *duckdb;

static void bind_relation(struct provider *provider, duckdb_bind_info info)
{
    idx_t count = duckdb->column_count(&provider->query.result);

    for (idx_t i = 0; i < count; i++) {
        duckdb_logical_type type = duckdb->column_logical_type(&provider->query.result, i);

        duckdb->bind_add_result_column(info, duckdb->column_name(&provider->query.result, i),
                                       type);
        duckdb->destroy_logical_type(&type);
    }
}

static void on_bind(duckdb_bind_info info)
{
    struct provider *provider = duckdb->bind_get_extra_info(info);
    const struct table *table = provider->table;
    struct arena *arena = arena_new();

    bind_relation(provider, info);
    for (size_t i = 0; i < table->column_count; i++) {
        duckdb_logical_type type = duckdb->create_logical_type(
            duckdb_type_of(table->columns[i].type));

        duckdb->bind_add_result_column(info, arena_cstr(arena, table->names[i]), type);
        duckdb->destroy_logical_type(&type);
    }
    duckdb->bind_set_cardinality(info, table->rows, true);
    arena_free(arena);
}

static void on_init(duckdb_init_info info)
{
    duckdb->init_set_max_threads(info, 1);
}

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

static void give_column(duckdb_vector vector, const struct column *column, size_t from,
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

/* The relation's next chunk goes in front; gives its rows, 0 at the end. */
static enum status give_relation(struct provider *provider, duckdb_data_chunk out, size_t *rows,
                                 struct error *err)
{
    idx_t count = duckdb->column_count(&provider->query.result);
    duckdb_data_chunk chunk;

    *rows = 0;
    TRY(offline_query_next(&provider->query, &chunk, err));
    if (chunk == NULL)
        return STATUS_OK;
    *rows = duckdb->data_chunk_get_size(chunk);
    /* What is referred to lives on when the chunk is gone. */
    for (idx_t i = 0; i < count; i++)
        duckdb->vector_reference_vector(duckdb->data_chunk_get_vector(out, i),
                                        duckdb->data_chunk_get_vector(chunk, i));
    duckdb->destroy_data_chunk(&chunk);
    if (provider->next + *rows > provider->table->rows)
        return error_set(err, STATUS_INTERNAL, "the rows changed while they were read");
    return STATUS_OK;
}

static void on_chunk(duckdb_function_info info, duckdb_data_chunk chunk)
{
    struct provider *provider = duckdb->function_get_extra_info(info);
    const struct table *table = provider->table;
    idx_t first = duckdb->column_count(&provider->query.result);
    struct error err;
    size_t rows;

    if (give_relation(provider, chunk, &rows, &err) != STATUS_OK) {
        duckdb->function_set_error(info, err.message);
        return;
    }
    for (size_t i = 0; i < table->column_count && rows > 0; i++)
        give_column(duckdb->data_chunk_get_vector(chunk, first + i), &table->columns[i],
                    provider->next, rows);
    duckdb->data_chunk_set_size(chunk, rows);
    provider->next += rows;
}

static enum status register_function(struct offline *offline, const char *name,
                                     struct provider *provider, struct error *err)
{
    duckdb_table_function function = duckdb->create_table_function();
    duckdb_state state;

    duckdb->table_function_set_name(function, name);
    duckdb->table_function_set_extra_info(function, provider, NULL);
    duckdb->table_function_set_bind(function, on_bind);
    duckdb->table_function_set_init(function, on_init);
    duckdb->table_function_set_function(function, on_chunk);
    state = duckdb->register_table_function(offline->connection, function);
    duckdb->destroy_table_function(&function);
    if (state != DuckDBSuccess)
        return error_set(err, STATUS_INTERNAL, "DuckDB does not take the table '%s'", name);
    return STATUS_OK;
}

enum status offline_copy_beside(struct offline *offline, struct str relation,
                                const struct table *table, struct str path, const char *options,
                                uint64_t *rows, struct error *err)
{
    struct provider *provider = ARENA_NEW(offline->arena, struct provider);
    struct buffer sql = { 0 };
    enum status status;

    duckdb = offline->duckdb;
    provider->table = table;
    provider->reader = *offline;
    if (duckdb->connect(offline->database, &provider->reader.connection) != DuckDBSuccess)
        return error_set(err, STATUS_INTERNAL, "DuckDB takes no second connection");
    buffer_append(&sql, STR("SELECT * FROM "));
    sql_put_name(&sql, relation);
    status = offline_query_open(&provider->reader, buffer_str(&sql), &provider->query, err);
    if (status == STATUS_OK) {
        status = register_function(offline, "onggi_beside", provider, err);
        buffer_clear(&sql);
        buffer_append(&sql, STR("COPY (SELECT * FROM onggi_beside()) TO "));
        sql_put_text(&sql, path);
        buffer_printf(&sql, " (%s)", options);
        if (status == STATUS_OK)
            status = offline_run_count(offline, buffer_str(&sql), rows, err);
        offline_query_close(&provider->query);
    }
    duckdb->disconnect(&provider->reader.connection);
    buffer_free(&sql);
    return status;
}
