/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* For the files of this folder. Callers include offline.h. */
#include "base/buffer.h"
#include "features/offline/duckdb_library.h"
#include "features/offline/offline.h"

struct offline {
    const struct duckdb_library *duckdb;
    struct arena *arena; /* of the job */
    duckdb_database database;
    duckdb_connection connection;
    struct str project; /* absolute, without a slash at the end */
    struct job_limits limits;
    struct str spill;  /* a folder of this job's own, for what does not fit in memory */
    int spill_fd;      /* its lock, for as long as we live */
    struct str *files; /* that may be opened, beside the data in the project's folder */
    size_t file_count, file_capacity;
};

/* From now on nothing but the data in the project's folder and these files can be opened. */
MUST_USE enum status offline_confine(struct offline *offline, struct error *err);

/* "name" and 'text' as SQL writes them. */
void sql_put_name(struct buffer *sql, struct str name);
void sql_put_text(struct buffer *sql, struct str text);
/* The type of DuckDB that holds ours. */
const char *sql_type_name(enum value_type type);
duckdb_type duckdb_type_of(enum value_type type);
/* What we take a column of that type for; false: nothing. */
bool value_type_of_sql(struct str sql, enum value_type *out);

/* A message of DuckDB as one sentence without our paths; returns the status that it stands for. */
enum status offline_failed(const struct offline *offline, struct error *err,
                           const char *message);

/* Exactly one statement. */
MUST_USE enum status offline_run(struct offline *offline, struct str sql, struct error *err);
/* As above, and gives how many rows it wrote. */
MUST_USE enum status offline_run_count(struct offline *offline, struct str sql, uint64_t *rows,
                                       struct error *err);

struct offline_query {
    struct offline *offline;
    duckdb_prepared_statement statement;
    duckdb_pending_result pending;
    duckdb_result result;
    bool has_result;
};
/* Gets the chunks of one SELECT in their order, which are gone when it returns. */
typedef enum status (*offline_chunk_sink)(void *context, struct offline_query *query,
                                          duckdb_data_chunk chunk, struct error *err);
/* The sink is called on the caller's thread, while DuckDB makes the next chunks on another. */
MUST_USE enum status offline_select(struct offline *offline, struct str sql,
                                    offline_chunk_sink sink, void *context, struct error *err);

/*
 * Column `index` of the chunk, its first `count` rows, as ours; `to` keeps its memory from one
 * chunk to the next. Texts point into the chunk.
 */
MUST_USE enum status offline_take_column(struct offline *offline, duckdb_data_chunk chunk,
                                         size_t index, duckdb_type type, struct column *to,
                                         struct error *err);
/*
 * Writes a table, with columns of ours behind its own, to a file. Both have the same rows, and
 * the same order; the options are those of COPY. Rows have never been deleted from it. Once per job.
 */
MUST_USE enum status offline_copy_beside(struct offline *offline, struct str relation,
                                         const struct table *table, struct str path,
                                         const char *options, uint64_t *rows,
                                         struct error *err);
/* Columns of any relation that SQL knows by this name. */
MUST_USE enum status offline_describe_relation(struct offline *offline, struct arena *arena,
                                               struct str name, struct offline_column **columns,
                                               size_t *count, struct error *err);
/* INVALID names the nearest one. */
MUST_USE enum status offline_column_get(struct arena *arena,
                                        const struct offline_column *columns, size_t count,
                                        struct str name, const struct offline_column **out,
                                        struct error *err);
/* The column as SQL that gives the type; INVALID if that cannot be done without loss. */
MUST_USE enum status offline_put_column(struct buffer *sql, const struct offline_column *column,
                                        enum value_type type, struct error *err);
/* read_parquet(…) or read_csv(…) of these files, chosen by the first one's name or beginning. */
MUST_USE enum status offline_put_reader(struct offline *offline, struct buffer *sql,
                                        const struct str *paths, size_t count,
                                        const struct source_spec *source, struct error *err);
