/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/sql.h"
#include "sql/sql_driver.h"

struct migration {
    struct str subsystem;
    const char *const *steps;
    size_t count;
};

static enum status make_table(struct sql_tx *tx, struct error *err)
{
    return tx->driver->script(
        tx,
        "CREATE TABLE IF NOT EXISTS schema_version ("
        "subsystem TEXT PRIMARY KEY, steps INTEGER NOT NULL) WITHOUT ROWID",
        err);
}

static enum status steps_done(struct sql_tx *tx, struct str subsystem, size_t *out,
                              struct error *err)
{
    struct sql_rows *rows;
    enum status status;

    TRY(sql_query(tx, "SELECT steps FROM schema_version WHERE subsystem = ?1",
                  SQL_ARGS(sql_arg_str(subsystem)), &rows, err));
    status = sql_next(rows, err);
    if (status == STATUS_NOT_FOUND) {
        *out = 0;
        return STATUS_OK;
    }
    TRY(status);
    *out = (size_t)sql_int64(rows, 0);
    sql_rows_close(rows);
    return STATUS_OK;
}

static enum status run_step(struct sql_tx *tx, const struct migration *migration, size_t step,
                            struct error *err)
{
    if (tx->driver->script(tx, migration->steps[step], err) != STATUS_OK)
        return error_wrap(err, "migrate " STR_FMT " to step %zu", STR_ARG(migration->subsystem),
                          step + 1);
    return sql_run(
        tx,
        "INSERT INTO schema_version (subsystem, steps) VALUES (?1, ?2)"
        " ON CONFLICT (subsystem) DO UPDATE SET steps = excluded.steps",
        SQL_ARGS(sql_arg_str(migration->subsystem), sql_arg_int64((int64_t)step + 1)), err);
}

/* All missing steps in one transaction: a subsystem is migrated or it is not. */
static enum status migrate(struct sql_tx *tx, void *context, struct error *err)
{
    const struct migration *migration = context;
    size_t done;

    TRY(make_table(tx, err));
    TRY(steps_done(tx, migration->subsystem, &done, err));
    if (done > migration->count)
        return error_set(err, STATUS_CONFLICT,
                         "the " STR_FMT
                         " tables were written by a newer onggi (step %zu, this one "
                         "knows %zu); use that one",
                         STR_ARG(migration->subsystem), done, migration->count);
    for (size_t step = done; step < migration->count; step++)
        TRY(run_step(tx, migration, step, err));
    return STATUS_OK;
}

enum status sql_migrate(struct sql *db, const char *subsystem, const char *const *steps,
                        size_t count, struct error *err)
{
    struct migration migration = { str_from(subsystem), steps, count };

    return sql_write(db, migrate, &migration, err);
}
