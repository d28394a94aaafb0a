/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/sql.h"

#include "base/crash_stack.h"
#include "sql/sql_driver.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#define IDLE_READERS_MAX 8

/* One call of sql_write, on its caller's stack until it is done. */
struct write_request {
    sql_work work;
    void *context;
    struct error *err;
    enum status status;
    bool done;
    pthread_cond_t finished;
    struct write_request *next;
};

struct sql {
    const struct sql_driver *driver;
    char *place;
    pthread_mutex_t lock; /* the queue, the idle readers, closing */
    pthread_cond_t work_waits;
    struct write_request *first, **last;
    bool closing;
    struct sql_tx *writer; /* touched by the writer thread alone */
    pthread_t thread;
    struct sql_tx *idle;
    size_t idle_count;
};

static const struct sql_driver *const drivers[] = { &sql_sqlite };

static enum status driver_of(struct str location, const struct sql_driver **out,
                             struct str *place, struct error *err)
{
    size_t colon = str_index(location, ':');

    for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
        if (!str_equal(str_slice(location, 0, colon), str_from(drivers[i]->name)))
            continue;
        *out = drivers[i];
        *place = str_slice(location, colon + (colon < location.len), location.len);
        return STATUS_OK;
    }
    return error_set(err, STATUS_INVALID, "'" STR_FMT "' is no database; write sqlite:FILE",
                     STR_ARG(location));
}

/* The works share one commit, each in its own savepoint. False in *alive: all of them are lost. */
static enum status run_one(struct sql *db, struct write_request *request, bool *alive)
{
    struct error undo_err;
    enum status status = db->driver->work_begin(db->writer, request->err);

    if (status != STATUS_OK) {
        *alive = false;
        return status;
    }
    status = request->work(db->writer, request->context, request->err);
    db->driver->close_all_rows(db->writer);
    if (status == STATUS_OK)
        status = db->driver->work_keep(db->writer, request->err);
    if (status != STATUS_OK && db->driver->work_undo(db->writer, &undo_err) != STATUS_OK)
        *alive = false;
    return status;
}

static void fail_rest(struct write_request *batch, const struct error *err)
{
    for (struct write_request *request = batch; request != NULL; request = request->next) {
        if (request->status != STATUS_OK)
            continue;
        request->status = err->status;
        *request->err = *err;
    }
}

static void run_batch(struct sql *db, struct write_request *batch)
{
    struct error err;
    bool alive = true;

    if (db->driver->begin(db->writer, &err) != STATUS_OK) {
        fail_rest(batch, &err);
        return;
    }
    for (struct write_request *request = batch; alive && request != NULL;
         request = request->next) {
        request->status = run_one(db, request, &alive);
        if (!alive)
            err = *request->err;
    }
    if (alive && db->driver->commit(db->writer, &err) == STATUS_OK)
        return;
    db->driver->rollback(db->writer);
    fail_rest(batch, &err);
}

static void answer_batch(struct write_request *batch)
{
    struct write_request *next;

    for (struct write_request *request = batch; request != NULL; request = next) {
        next = request->next; /* once done, the caller's stack is its own again */
        request->done = true;
        pthread_cond_signal(&request->finished);
    }
}

static void *writer_main(void *context)
{
    struct sql *db = context;

    crash_stack_ready();
    pthread_mutex_lock(&db->lock);
    for (;;) {
        struct write_request *batch = db->first;

        if (batch == NULL && db->closing)
            break;
        if (batch == NULL) {
            pthread_cond_wait(&db->work_waits, &db->lock);
            continue;
        }
        db->first = NULL;
        db->last = &db->first;
        pthread_mutex_unlock(&db->lock);
        run_batch(db, batch);
        pthread_mutex_lock(&db->lock);
        answer_batch(batch);
    }
    pthread_mutex_unlock(&db->lock);
    return NULL;
}

enum status sql_open(struct str location, struct sql **out, struct error *err)
{
    const struct sql_driver *driver;
    struct sql_tx *writer;
    struct str place;
    struct sql *db;

    TRY(driver_of(location, &driver, &place, err));
    TRY(driver->connect(place, true, &writer, err));
    db = calloc(1, sizeof(*db));
    assert(db != NULL);
    db->driver = driver;
    db->writer = writer;
    db->place = strndup(place.data, place.len);
    db->last = &db->first;
    pthread_mutex_init(&db->lock, NULL);
    pthread_cond_init(&db->work_waits, NULL);
    if (db->place == NULL || pthread_create(&db->thread, NULL, writer_main, db) != 0)
        abort();
    *out = db;
    return STATUS_OK;
}

void sql_close(struct sql **db_pointer)
{
    struct sql *db = *db_pointer;

    *db_pointer = NULL;
    if (db == NULL)
        return;
    pthread_mutex_lock(&db->lock);
    db->closing = true;
    pthread_cond_signal(&db->work_waits);
    pthread_mutex_unlock(&db->lock);
    pthread_join(db->thread, NULL);
    while (db->idle != NULL) {
        struct sql_tx *reader = db->idle;

        db->idle = reader->next;
        db->driver->disconnect(reader);
    }
    db->driver->disconnect(db->writer); /* last: it folds the log into the file */
    pthread_cond_destroy(&db->work_waits);
    pthread_mutex_destroy(&db->lock);
    free(db->place);
    free(db);
}

enum status sql_write(struct sql *db, sql_work work, void *context, struct error *err)
{
    struct error local;
    struct write_request request = { .work = work, .context = context, .err = &local };

    assert(!pthread_equal(pthread_self(), db->thread));
    pthread_cond_init(&request.finished, NULL);
    pthread_mutex_lock(&db->lock);
    *db->last = &request;
    /* NOLINTNEXTLINE(cppcheck-autoVariables): it is taken out of the list before this returns */
    db->last = &request.next;
    pthread_cond_signal(&db->work_waits);
    while (!request.done)
        pthread_cond_wait(&request.finished, &db->lock);
    pthread_mutex_unlock(&db->lock);
    pthread_cond_destroy(&request.finished);
    if (request.status != STATUS_OK)
        *err = local;
    return request.status;
}

static enum status reader_take(struct sql *db, struct sql_tx **out, struct error *err)
{
    struct sql_tx *reader;

    pthread_mutex_lock(&db->lock);
    reader = db->idle;
    if (reader != NULL) {
        db->idle = reader->next;
        db->idle_count--;
    }
    pthread_mutex_unlock(&db->lock);
    if (reader == NULL)
        return db->driver->connect(str_from(db->place), false, out, err);
    *out = reader;
    return STATUS_OK;
}

static void reader_give_back(struct sql *db, struct sql_tx *reader)
{
    bool keep;

    pthread_mutex_lock(&db->lock);
    keep = db->idle_count < IDLE_READERS_MAX;
    if (keep) {
        reader->next = db->idle;
        db->idle = reader;
        db->idle_count++;
    }
    pthread_mutex_unlock(&db->lock);
    if (!keep)
        db->driver->disconnect(reader);
}

enum status sql_read(struct sql *db, sql_work work, void *context, struct error *err)
{
    struct sql_tx *reader;
    enum status status;

    TRY(reader_take(db, &reader, err));
    status = db->driver->begin(reader, err);
    if (status == STATUS_OK) {
        status = work(reader, context, err);
        db->driver->close_all_rows(reader);
        db->driver->rollback(reader); /* nothing to keep: it only lets the snapshot go */
    }
    reader_give_back(db, reader);
    return status;
}

enum status sql_query(struct sql_tx *tx, const char *text, const struct value *args,
                      size_t count, struct sql_rows **out, struct error *err)
{
    return tx->driver->query(tx, text, args, count, out, err);
}

enum status sql_next(struct sql_rows *rows, struct error *err)
{
    return rows->driver->next(rows, err);
}

void sql_rows_close(struct sql_rows *rows)
{
    rows->driver->rows_close(rows);
}

enum status sql_run(struct sql_tx *tx, const char *text, const struct value *args, size_t count,
                    struct error *err)
{
    struct sql_rows *rows;
    struct error end;
    enum status status;

    TRY(sql_query(tx, text, args, count, &rows, err));
    do
        status = sql_next(rows, &end);
    while (status == STATUS_OK);
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    *err = end;
    return status;
}

bool sql_is_null(const struct sql_rows *rows, int column)
{
    return rows->driver->is_null(rows, column);
}

int64_t sql_int64(const struct sql_rows *rows, int column)
{
    return rows->driver->int64(rows, column);
}

double sql_double(const struct sql_rows *rows, int column)
{
    return rows->driver->number(rows, column);
}

struct str sql_str(const struct sql_rows *rows, struct arena *arena, int column)
{
    return arena_str(arena, rows->driver->text(rows, column));
}

int64_t sql_last_id(const struct sql_tx *tx)
{
    return tx->driver->last_id(tx);
}

int64_t sql_changes(const struct sql_tx *tx)
{
    return tx->driver->changes(tx);
}

struct value sql_arg_str(struct str s)
{
    return (struct value){ .type = TYPE_STRING, .text = s.data == NULL ? STR_EMPTY : s };
}

struct value sql_arg_int64(int64_t integer)
{
    return (struct value){ .type = TYPE_INT64, .integer = integer };
}

struct value sql_arg_double(double number)
{
    return (struct value){ .type = TYPE_FLOAT64, .number = number };
}

struct value sql_arg_null(void)
{
    return value_null(TYPE_STRING);
}
