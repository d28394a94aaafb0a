/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The offline store: sources as files and SQL over them, read by DuckDB. Lives
 * in job processes only (features/job.h): it takes gigabytes and a crash of it
 * must not take the server down. One thread uses it.
 */
#include "base/arena.h"
#include "base/status.h"
#include "features/column.h"
#include "features/job.h"

struct offline; /* a DuckDB in memory, with the project's sources as views */

/* A source as a job's specification carries it; see source_spec_parse. */
struct source_spec {
    struct str name;
    struct str path;    /* in the project, may hold '*' and '?'; or empty: */
    struct str sql;     /* SELECT over other sources */
    struct str time;    /* column of the event time */
    struct str created; /* column, or empty */
    size_t type_count;  /* overrides: `types:` of the definition */
    struct str *type_columns;
    enum value_type *types;
};

/*
 * {"name", "path" | "sql", "time", "created"?, "types"?: {column: type}}, as JSON in the spec of
 * a job. An array of them, in which a source comes after those that its SQL reads.
 */
MUST_USE enum status source_specs_parse(struct arena *arena, yyjson_val *array,
                                        struct source_spec **out, size_t *count,
                                        struct error *err);

/*
 * project: absolute path of its folder, which becomes the process's own; nothing can be read or written
 * but files of sources and those named in `also` (absolute paths).
 */
MUST_USE enum status offline_open(struct arena *arena, const char *project,
                                  const struct str *also, size_t also_count,
                                  const struct job_limits *limits, struct offline **out,
                                  struct error *err);
void offline_close(struct offline **offline);

/*
 * Makes the sources known by their names; once, before anything else. From then on only their files,
 * those that a symbolic link in the project stands for among them, can be read. A missing file or
 * column is an error that says where, and so are files of one source that do not fit together.
 */
MUST_USE enum status offline_add_sources(struct offline *offline,
                                         const struct source_spec *sources, size_t count,
                                         struct error *err);

struct offline_column {
    struct str name;
    enum value_type type; /* valid if is_known */
    bool is_known;        /* false: a type we have no counterpart for, such as a list */
    struct str duckdb;    /* its name there */
};
/* Columns of a source, in its order. */
MUST_USE enum status offline_describe(struct offline *offline, struct arena *arena,
                                      const struct source_spec *source,
                                      struct offline_column **columns, size_t *count,
                                      struct error *err);

struct offline_want {
    struct str column;
    enum value_type type; /* what it is to become; lossless, or an error */
};
struct offline_range {
    int64_t from_us; /* event times, both inclusive; INT64_MIN and INT64_MAX: no bound */
    int64_t to_us;
};

/*
 * The rows of a source, in file order, batch by batch. `batch` holds the wanted columns, then
 * event time and created time (both TYPE_TIMESTAMP; created is all null where the source has
 * none, INT64_MAX for infinity). Rows whose event time is null or infinite are left out. Rows of SQL
 * that has no order of its own are ordered by all columns of the source. The sink must not keep the batch.
 */
typedef enum status (*offline_sink)(void *context, const struct table *batch,
                                    struct error *err);
MUST_USE enum status offline_read(struct offline *offline, const struct source_spec *source,
                                  const struct offline_want *want, size_t want_count,
                                  struct offline_range range, offline_sink sink, void *context,
                                  struct error *err);

/* The job kind "describe": which columns sources have. */
extern const struct job_kind offline_describe_job;
