/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One face over relational databases: SQLite today. Writes go through one
 * writer thread that puts what waits at the same time into one commit; a
 * write returns when it is on disk. Reads run on the caller's thread, on a
 * connection of a small pool, and see a snapshot.
 *
 * One struct sql may be used by many threads at once, not across fork(). A
 * commit that fails (full disk) fails all works that it carried.
 */
#include "base/arena.h"
#include "base/status.h"
#include "base/value.h"

struct sql;    /* a database */
struct sql_tx; /* one transaction, inside a sql_read or sql_write callback */
struct sql_rows;

/* location is "sqlite:FILE". Creates the file; WAL, synchronous FULL, foreign keys on. */
MUST_USE enum status sql_open(struct str location, struct sql **out, struct error *err);
void sql_close(struct sql **db); /* waits for the writer; a NULL one is fine */

/*
 * Each subsystem brings its own steps, under its own name; the ones not yet done are run in
 * order, in one transaction. Steps are never changed once released, only added.
 */
MUST_USE enum status sql_migrate(struct sql *db, const char *subsystem,
                                 const char *const *steps, size_t count, struct error *err);

typedef enum status (*sql_work)(struct sql_tx *tx, void *context, struct error *err);
/*
 * Runs on the writer thread. An error undoes this work alone, not its neighbours in the commit.
 * OK is returned after the commit has reached the disk. Never call it from inside a callback.
 */
MUST_USE enum status sql_write(struct sql *db, sql_work work, void *context, struct error *err);
MUST_USE enum status sql_read(struct sql *db, sql_work work, void *context, struct error *err);

/* Args bind ?1, ?2, …. Statements are prepared once per connection, by the address of their text: literals only. */
MUST_USE enum status sql_run(struct sql_tx *tx, const char *text, const struct value *args,
                             size_t count, struct error *err);
MUST_USE enum status sql_query(struct sql_tx *tx, const char *text, const struct value *args,
                               size_t count, struct sql_rows **out, struct error *err);
/* NOT_FOUND behind the last row. After any failure, and after NOT_FOUND, the rows are closed. */
MUST_USE enum status sql_next(struct sql_rows *rows, struct error *err);
/* Only needed when leaving before the end. */
void sql_rows_close(struct sql_rows *rows);
bool sql_is_null(const struct sql_rows *rows, int column);
int64_t sql_int64(const struct sql_rows *rows, int column);
double sql_double(const struct sql_rows *rows, int column);
struct str sql_str(const struct sql_rows *rows, struct arena *arena, int column); /* copied */
int64_t sql_last_id(const struct sql_tx *tx); /* of the last INSERT */
int64_t sql_changes(const struct sql_tx *tx);

/* For args: (struct value[]){ sql_arg_str(name), sql_arg_int64(version) } */
struct value sql_arg_str(struct str s);
struct value sql_arg_int64(int64_t integer);
struct value sql_arg_double(double number); /* a NaN is stored as NULL: databases have none */
struct value sql_arg_null(void);
#define SQL_ARGS(...) \
    (const struct value[]){ __VA_ARGS__ }, \
        sizeof((const struct value[]){ __VA_ARGS__ }) / sizeof(struct value)
