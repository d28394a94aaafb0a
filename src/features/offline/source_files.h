/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The files of one source, on their way to become one relation of SQL. For the source_*.c files. */
#include "features/offline/offline_internal.h"

enum file_format { FORMAT_UNKNOWN, FORMAT_PARQUET, FORMAT_CSV };

struct reader {
    struct offline *offline;
    struct arena *arena;
    const struct source_spec *source; /* NULL: entity rows */
    enum file_format format;
    struct str *paths;
    size_t count;
    char delimiter; /* of a CSV */
    /* Of several files, by the first one's names: */
    struct offline_column *columns;
    size_t column_count;
    size_t *typed_by; /* for each column: the file that its type is of */
    bool *silent;     /* count × column_count: that file's column is known to have no values */
    bool is_any_silent;
    bool differs; /* in more than the rows */
};

struct str reader_shown(const struct reader *reader, struct str path);
/* read_parquet(…) or read_csv(…) of some of the files, with more options. */
void reader_put(const struct reader *reader, struct buffer *sql, size_t first, size_t count,
                const char *more);
/* The columns of one file. */
MUST_USE enum status reader_describe(const struct reader *reader, size_t file,
                                     struct offline_column **columns, size_t *count,
                                     struct error *err);
/* Compares all files; INVALID names the one that loses something beside the others. */
MUST_USE enum status reader_merge(struct reader *reader, struct error *err);
/* All files of which some differ, as what stands behind FROM. */
void reader_put_merged(const struct reader *reader, struct buffer *sql);
