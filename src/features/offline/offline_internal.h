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
    struct str *files; /* that may be opened */
    size_t file_count, file_capacity;
    bool
        hashes_rows; /* what SQL gives is hashed as it is read, where it could differ next time: */
    bool is_fickle;     /* some source's SQL asks the clock or chance */
    uint64_t rows_hash; /* of all that was read so */
};

/* From now on nothing but these files can be opened. */
MUST_USE enum status offline_confine(struct offline *offline, struct error *err);

/* "name" and 'text' as SQL writes them. */
void sql_put_name(struct buffer *sql, struct str name);
void sql_put_text(struct buffer *sql, struct str text);
/* The column, of a type of DuckDB's, as SQL that gives the same value in ours, or an error. */
void sql_put_exact(struct buffer *sql, struct str column, struct str from,
                   enum value_type type);
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
/* Columns of what stands behind FROM. */
MUST_USE enum status offline_describe_sql(struct offline *offline, struct arena *arena,
                                          struct str from, struct offline_column **columns,
                                          size_t *count, struct error *err);
/* Columns of any relation that SQL knows by this name. */
MUST_USE enum status offline_describe_relation(struct offline *offline, struct arena *arena,
                                               struct str name, struct offline_column **columns,
                                               size_t *count, struct error *err);
/* INVALID names the nearest one. */
MUST_USE enum status offline_column_get(struct arena *arena,
                                        const struct offline_column *columns, size_t count,
                                        struct str name, const struct offline_column **out,
                                        struct error *err);
/* The column as SQL that gives the type; INVALID if that cannot be done without loss, with how to mend it. */
MUST_USE enum status offline_put_column(struct buffer *sql, const struct offline_column *column,
                                        enum value_type type, struct str mend,
                                        struct error *err);
/*
 * SELECT of the wanted columns, event time and created time (see offline_read); with a hash of each row
 * behind them if *hashes.
 */
MUST_USE enum status offline_put_select(struct offline *offline, struct arena *arena,
                                        const struct source_spec *source,
                                        const struct offline_want *want, size_t want_count,
                                        struct offline_range range, struct buffer *sql,
                                        bool *hashes, struct error *err);
/* Whether the text may give other rows at another time, whatever the sources are. */
bool sql_is_fickle(struct str sql);
/*
 * What stands behind FROM to read these files in their order, source NULL if they are entity rows.
 * INVALID names the one that differs from the others in more than their types' width.
 */
MUST_USE enum status offline_put_reader(struct offline *offline, struct buffer *sql,
                                        struct str *paths, size_t count,
                                        const struct source_spec *source, struct error *err);
/* The pattern that DuckDB finds this file by, and no other; empty if there is none. */
struct str offline_pattern(struct arena *arena, struct str path);
/* The file may be opened, by its name, its pattern, and what it is a symbolic link to. */
void offline_allow(struct offline *offline, struct str path);
