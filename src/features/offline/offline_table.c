/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/offline_internal.h"

/* Our columns as a table function: DuckDB asks for them chunk by chunk, in order, on one thread. */

struct provider {
    const struct table *table;
    size_t next; /* row */
};

/* The callbacks get no place for it; it is loaded once per process anyway. */
static const struct duckdb_library *duckdb;

static void on_bind(duckdb_bind_info info)
{
    struct provider *provider = duckdb->bind_get_extra_info(info);
    const struct table *table = provider->table;
    struct arena *arena = arena_new();

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
    struct provider *provider = duckdb->init_get_extra_info(info);

    provider->next = 0;
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

static void on_chunk(duckdb_function_info info, duckdb_data_chunk chunk)
{
    struct provider *provider = duckdb->function_get_extra_info(info);
    const struct table *table = provider->table;
    size_t rows = table->rows - provider->next, most = duckdb->vector_size();

    if (rows > most)
        rows = most;
    for (size_t i = 0; i < table->column_count; i++)
        give_column(duckdb->data_chunk_get_vector(chunk, i), &table->columns[i], provider->next,
                    rows);
    duckdb->data_chunk_set_size(chunk, rows);
    provider->next += rows;
}

enum status offline_register_table(struct offline *offline, const char *name,
                                   const struct table *table, struct error *err)
{
    struct provider *provider = ARENA_NEW(offline->arena, struct provider);
    duckdb_table_function function;
    duckdb_state state;

    duckdb = offline->duckdb;
    provider->table = table;
    function = duckdb->create_table_function();
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
