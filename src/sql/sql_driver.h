/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * For those who write a driver. Callers include sql.h.
 *
 * A driver knows one connection, used by one thread at a time; sql.c brings
 * the writer thread, the group commit, the pool of readers and migrations.
 */
#include "sql/sql.h"

/* One connection, and the transaction on it: the base of each driver's own struct. */
struct sql_tx {
    const struct sql_driver *driver;
    struct sql_tx *next; /* in the pool of idle readers */
};

struct sql_rows {
    const struct sql_driver *driver;
};

struct sql_driver {
    const char *name; /* the word before ':' in a location */
    /* A connection that does not write must refuse to. On failure nothing is left open. */
    enum status (*connect)(struct str place, bool writes, struct sql_tx **out,
                           struct error *err);
    void (*disconnect)(struct sql_tx *tx);

    /* On a connection that writes, begin waits for other processes; on others it takes a snapshot. */
    enum status (*begin)(struct sql_tx *tx, struct error *err);
    enum status (*commit)(struct sql_tx *tx, struct error *err);
    void (*rollback)(struct sql_tx *tx);
    /* One work among those of a transaction. When undoing fails, the whole transaction is lost. */
    enum status (*work_begin)(struct sql_tx *tx, struct error *err);
    enum status (*work_keep)(struct sql_tx *tx, struct error *err);
    enum status (*work_undo)(struct sql_tx *tx, struct error *err);
    /* Rows that a work left open. */
    void (*close_all_rows)(struct sql_tx *tx);

    /* Several statements, without args. */
    enum status (*script)(struct sql_tx *tx, const char *text, struct error *err);
    enum status (*query)(struct sql_tx *tx, const char *text, const struct value *args,
                         size_t count, struct sql_rows **out, struct error *err);
    enum status (*next)(struct sql_rows *rows, struct error *err);
    void (*rows_close)(struct sql_rows *rows);
    bool (*is_null)(const struct sql_rows *rows, int column);
    int64_t (*int64)(const struct sql_rows *rows, int column);
    double (*number)(const struct sql_rows *rows, int column);
    /* The view lives until the next row. */
    struct str (*text)(const struct sql_rows *rows, int column);
    int64_t (*last_id)(const struct sql_tx *tx);
    int64_t (*changes)(const struct sql_tx *tx);
};

extern const struct sql_driver sql_sqlite;
