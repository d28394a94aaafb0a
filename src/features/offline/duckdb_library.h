/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * DuckDB, loaded when a job needs it: its 58,000 symbols stay out of the
 * program, and a server starts without it. Names as in duckdb.h, without
 * "duckdb_".
 */
#include "base/status.h"

#include <duckdb.h>

/* clang-format off */
#define DUCKDB_FUNCTIONS(X) \
    X(open_ext) X(close) X(connect) X(disconnect) X(free) X(create_config) X(set_config) \
    X(destroy_config) \
    X(prepare) X(prepare_error) X(destroy_prepare) X(pending_prepared) \
    X(pending_prepared_streaming) X(pending_error) \
    X(execute_pending) X(destroy_pending) \
    X(result_error) X(destroy_result) X(fetch_chunk) X(column_count) X(column_name) \
    X(column_type) X(column_logical_type) X(rows_changed) \
    X(destroy_data_chunk) X(data_chunk_get_size) X(data_chunk_set_size) \
    X(data_chunk_get_vector) \
    X(vector_get_data) X(vector_get_validity) X(vector_ensure_validity_writable) \
    X(vector_assign_string_element_len) X(vector_reference_vector) \
    X(create_logical_type) X(destroy_logical_type) \
    X(create_table_function) X(destroy_table_function) X(table_function_set_name) \
    X(table_function_set_extra_info) X(table_function_set_bind) X(table_function_set_init) \
    X(table_function_set_function) X(register_table_function) \
    X(bind_get_extra_info) X(bind_add_result_column) X(bind_set_cardinality) \
    X(init_set_max_threads) X(function_get_extra_info) X(function_set_error)
/* clang-format on */

#define DUCKDB_MEMBER(name) __typeof__(&duckdb_##name) name;
struct duckdb_library {
    DUCKDB_FUNCTIONS(DUCKDB_MEMBER)
};
#undef DUCKDB_MEMBER

/* Loads it once; UNAVAILABLE says what is missing and how to get it. Never unloaded. */
MUST_USE enum status duckdb_library_get(const struct duckdb_library **out, struct error *err);
