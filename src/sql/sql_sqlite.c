/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/sql_driver.h"

#include <assert.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#define BUSY_WAIT_MS 5000
#define STATEMENT_BUCKETS 128

/* A prepared statement, and the rows it gives while it runs. */
struct statement {
    struct sql_rows base;
    struct connection *connection;
    const char *source; /* the address is the key */
    sqlite3_stmt *handle;
    bool kept; /* in the cache; the others are finalized when their rows close */
    bool running;
    struct statement *next;         /* in its bucket */
    struct statement *next_running; /* in connection->running */
};

struct connection {
    struct sql_tx base;
    sqlite3 *handle;
    bool writes;
    char *path;
    struct statement *buckets[STATEMENT_BUCKETS];
    struct statement *running;
};

static struct connection *connection_of(struct sql_tx *tx)
{
    return container_of(tx, struct connection, base);
}

static const struct statement *statement_of(const struct sql_rows *rows)
{
    return (const struct statement *)(const void *)rows;
}

static enum status io_failed(const struct connection *connection, struct error *err)
{
    int number = sqlite3_system_errno(connection->handle);

    if (number == 0)
        return error_set(err, STATUS_UNAVAILABLE, "database '%s': %s", connection->path,
                         sqlite3_errmsg(connection->handle));
    return error_errno(err, number, "database '%s'", connection->path);
}

static enum status constraint_failed(const struct connection *connection, struct error *err)
{
    int code = sqlite3_extended_errcode(connection->handle);
    bool taken = code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY ||
                 code == SQLITE_CONSTRAINT_ROWID;

    return error_set(err, taken ? STATUS_CONFLICT : STATUS_INVALID, "%s",
                     sqlite3_errmsg(connection->handle));
}

/* SQLite's code as a status, and a sentence that says what to do. */
static enum status lite_failed(const struct connection *connection, int code, struct error *err)
{
    const char *path = connection->path;

    switch (code & 0xff) {
    case SQLITE_FULL:
        return error_set(err, STATUS_UNAVAILABLE,
                         "the disk with database '%s' is full; free some space and try again",
                         path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(
            err, STATUS_UNAVAILABLE,
            "database '%s' is locked by another program; end that one, or try again", path);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return error_set(err, STATUS_UNAVAILABLE,
                         "database '%s' is damaged (%s); put a backup in its place, or move it "
                         "away to begin anew",
                         path, sqlite3_errmsg(connection->handle));
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return error_set(
            err, STATUS_UNAVAILABLE,
            "database '%s' cannot be written; look at the owner and mode of the file "
            "and its folder",
            path);
    case SQLITE_TOOBIG:
        return error_set(err, STATUS_LIMIT, "database '%s': a value is too large", path);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return io_failed(connection, err);
    case SQLITE_CONSTRAINT:
        return constraint_failed(connection, err);
    default:
        return error_set(err, STATUS_INTERNAL, "database '%s': %s", path,
                         sqlite3_errmsg(connection->handle));
    }
}

static enum status lite_script(struct sql_tx *tx, const char *text, struct error *err)
{
    struct connection *connection = connection_of(tx);
    int code = sqlite3_exec(connection->handle, text, NULL, NULL, NULL);

    return code == SQLITE_OK ? STATUS_OK : lite_failed(connection, code, err);
}

static void statement_free(struct statement *statement)
{
    sqlite3_finalize(statement->handle);
    free(statement);
}

static void lite_disconnect(struct sql_tx *tx)
{
    struct connection *connection = connection_of(tx);

    for (size_t i = 0; i < STATEMENT_BUCKETS; i++) {
        struct statement *statement = connection->buckets[i];

        while (statement != NULL) {
            struct statement *next = statement->next;

            statement_free(statement);
            statement = next;
        }
    }
    sqlite3_close(connection->handle);
    free(connection->path);
    free(connection);
}

/* FULL makes each commit reach the disk before it is answered, which WAL alone does not. */
static enum status configure(struct connection *connection, struct error *err)
{
    sqlite3_busy_timeout(connection->handle, BUSY_WAIT_MS);
    if (!connection->writes)
        return lite_script(&connection->base, "PRAGMA query_only = 1", err);
    return lite_script(&connection->base,
                       "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                       "PRAGMA foreign_keys = 1; PRAGMA journal_size_limit = 67108864;",
                       err);
}

static enum status lite_connect(struct str place, bool writes, struct sql_tx **out,
                                struct error *err)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    struct connection *connection = calloc(1, sizeof(*connection));
    int code;
    enum status status = STATUS_OK;

    assert(connection != NULL);
    connection->base.driver = &sql_sqlite;
    connection->writes = writes;
    connection->path = strndup(place.data, place.len);
    assert(connection->path != NULL);
    code = sqlite3_open_v2(connection->path, &connection->handle, flags, NULL);
    if (code == SQLITE_OK)
        sqlite3_extended_result_codes(connection->handle, 1);
    status = code == SQLITE_OK ? configure(connection, err)
                               : lite_failed(connection, code, err);
    if (status != STATUS_OK)
        lite_disconnect(&connection->base);
    else
        *out = &connection->base;
    return status;
}

static enum status prepare(struct connection *connection, const char *text, sqlite3_stmt **out,
                           struct error *err)
{
    int code = sqlite3_prepare_v3(connection->handle, text, -1, SQLITE_PREPARE_PERSISTENT, out,
                                  NULL);

    if (code == SQLITE_OK)
        return STATUS_OK;
    (void)lite_failed(connection, code, err);
    return error_wrap(err, "prepare \"%.100s\"", text);
}

static struct statement **bucket_of(struct connection *connection, const char *text)
{
    return &connection->buckets[((uintptr_t)text >> 3) % STATEMENT_BUCKETS];
}

static struct statement *cached(struct connection *connection, const char *text)
{
    struct statement *statement = *bucket_of(connection, text);

    while (statement != NULL && statement->source != text)
        statement = statement->next;
    /* A text that changed at its address was no literal. */
    assert(statement == NULL || strcmp(sqlite3_sql(statement->handle), text) == 0);
    return statement;
}

/* The cached statement, or a new one if there is none or its rows are still being read. */
static enum status statement_get(struct connection *connection, const char *text,
                                 struct statement **out, struct error *err)
{
    struct statement *known = cached(connection, text), *statement;
    sqlite3_stmt *handle;

    if (known != NULL && !known->running) {
        *out = known;
        return STATUS_OK;
    }
    TRY(prepare(connection, text, &handle, err));
    statement = calloc(1, sizeof(*statement));
    assert(statement != NULL);
    statement->base.driver = &sql_sqlite;
    statement->connection = connection;
    statement->source = text;
    statement->handle = handle;
    statement->kept = known == NULL;
    if (statement->kept) {
        statement->next = *bucket_of(connection, text);
        *bucket_of(connection, text) = statement;
    }
    *out = statement;
    return STATUS_OK;
}

static int bind(sqlite3_stmt *handle, int index, struct value value)
{
    if (value.is_null)
        return sqlite3_bind_null(handle, index);
    switch (value.type) {
    case TYPE_BOOL:
        return sqlite3_bind_int(handle, index, value.boolean);
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        return sqlite3_bind_double(handle, index, value.number);
    case TYPE_STRING:
        return sqlite3_bind_text64(handle, index, value.text.data, value.text.len,
                                   SQLITE_TRANSIENT, SQLITE_UTF8);
    case TYPE_BYTES:
        return sqlite3_bind_blob64(handle, index, value.text.data, value.text.len,
                                   SQLITE_TRANSIENT);
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_TIMESTAMP:
        break;
    }
    return sqlite3_bind_int64(handle, index, value.integer);
}

static void lite_rows_close(struct sql_rows *rows)
{
    struct statement *statement = container_of(rows, struct statement, base);
    struct statement **link = &statement->connection->running;

    while (*link != statement)
        link = &(*link)->next_running;
    *link = statement->next_running;
    statement->running = false;
    sqlite3_reset(statement->handle);
    sqlite3_clear_bindings(statement->handle);
    if (!statement->kept)
        statement_free(statement);
}

static void lite_close_all_rows(struct sql_tx *tx)
{
    struct connection *connection = connection_of(tx);

    while (connection->running != NULL)
        lite_rows_close(&connection->running->base);
}

static enum status lite_query(struct sql_tx *tx, const char *text, const struct value *args,
                              size_t count, struct sql_rows **out, struct error *err)
{
    struct connection *connection = connection_of(tx);
    struct statement *statement;

    TRY(statement_get(connection, text, &statement, err));
    assert((size_t)sqlite3_bind_parameter_count(statement->handle) == count);
    statement->running = true;
    statement->next_running = connection->running;
    connection->running = statement;
    for (size_t i = 0; i < count; i++) {
        int code = bind(statement->handle, (int)i + 1, args[i]);

        if (code != SQLITE_OK) {
            enum status status = lite_failed(connection, code, err);

            lite_rows_close(&statement->base);
            return status;
        }
    }
    *out = &statement->base;
    return STATUS_OK;
}

static enum status lite_next(struct sql_rows *rows, struct error *err)
{
    struct statement *statement = container_of(rows, struct statement, base);
    int code = sqlite3_step(statement->handle);
    enum status status;

    if (code == SQLITE_ROW)
        return STATUS_OK;
    status = code == SQLITE_DONE ? error_set(err, STATUS_NOT_FOUND, "no row")
                                 : lite_failed(statement->connection, code, err);
    lite_rows_close(rows);
    return status;
}

static enum status lite_begin(struct sql_tx *tx, struct error *err)
{
    return lite_script(tx, connection_of(tx)->writes ? "BEGIN IMMEDIATE" : "BEGIN", err);
}

static enum status lite_commit(struct sql_tx *tx, struct error *err)
{
    return lite_script(tx, "COMMIT", err);
}

static void lite_rollback(struct sql_tx *tx)
{
    /* SQLite may have rolled back by itself; a second time is an error of no interest. */
    (void)sqlite3_exec(connection_of(tx)->handle, "ROLLBACK", NULL, NULL, NULL);
}

static enum status lite_work_begin(struct sql_tx *tx, struct error *err)
{
    return lite_script(tx, "SAVEPOINT work", err);
}

static enum status lite_work_keep(struct sql_tx *tx, struct error *err)
{
    return lite_script(tx, "RELEASE work", err);
}

static enum status lite_work_undo(struct sql_tx *tx, struct error *err)
{
    return lite_script(tx, "ROLLBACK TO work; RELEASE work", err);
}

static bool lite_is_null(const struct sql_rows *rows, int column)
{
    return sqlite3_column_type(statement_of(rows)->handle, column) == SQLITE_NULL;
}

static int64_t lite_int64(const struct sql_rows *rows, int column)
{
    return sqlite3_column_int64(statement_of(rows)->handle, column);
}

static double lite_number(const struct sql_rows *rows, int column)
{
    return sqlite3_column_double(statement_of(rows)->handle, column);
}

static struct str lite_text(const struct sql_rows *rows, int column)
{
    sqlite3_stmt *handle = statement_of(rows)->handle;
    const char *data = sqlite3_column_blob(handle, column);
    int len = sqlite3_column_bytes(handle, column);

    return data == NULL ? STR_EMPTY : (struct str){ data, (size_t)len };
}

static int64_t lite_last_id(const struct sql_tx *tx)
{
    return sqlite3_last_insert_rowid(((const struct connection *)(const void *)tx)->handle);
}

static int64_t lite_changes(const struct sql_tx *tx)
{
    return sqlite3_changes64(((const struct connection *)(const void *)tx)->handle);
}

const struct sql_driver sql_sqlite = {
    .name = "sqlite",
    .connect = lite_connect,
    .disconnect = lite_disconnect,
    .begin = lite_begin,
    .commit = lite_commit,
    .rollback = lite_rollback,
    .work_begin = lite_work_begin,
    .work_keep = lite_work_keep,
    .work_undo = lite_work_undo,
    .close_all_rows = lite_close_all_rows,
    .script = lite_script,
    .query = lite_query,
    .next = lite_next,
    .rows_close = lite_rows_close,
    .is_null = lite_is_null,
    .int64 = lite_int64,
    .number = lite_number,
    .text = lite_text,
    .last_id = lite_last_id,
    .changes = lite_changes,
};
