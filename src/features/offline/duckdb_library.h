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
    X(column_type) X(rows_changed) \
    X(destroy_data_chunk) X(data_chunk_get_size) X(data_chunk_get_vector) \
    X(vector_get_data) X(vector_get_validity) X(vector_ensure_validity_writable) \
    X(vector_assign_string_element_len) \
    X(create_logical_type) X(destroy_logical_type) \
    X(create_scalar_function) X(destroy_scalar_function) X(scalar_function_set_name) \
    X(scalar_function_add_parameter) X(scalar_function_set_return_type) \
    X(scalar_function_set_extra_info) X(scalar_function_set_function) \
    X(register_scalar_function) X(scalar_function_get_extra_info) X(scalar_function_set_error)
/* clang-format on */

/* NOLINTNEXTLINE(bugprone-macro-parentheses): a member's name stands bare */
#define DUCKDB_MEMBER(name) __typeof__(&duckdb_##name) name;
struct duckdb_library {
    DUCKDB_FUNCTIONS(DUCKDB_MEMBER)
};
#undef DUCKDB_MEMBER

/* Loads it once; UNAVAILABLE says what is missing and how to get it. Never unloaded. */
MUST_USE enum status duckdb_library_get(const struct duckdb_library **out, struct error *err);
