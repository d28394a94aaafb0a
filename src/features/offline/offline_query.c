/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/offline_internal.h"

#include <pthread.h>

/* A chunk is 2,048 rows: these keep both sides busy and cost a megabyte or two. */
#define AHEAD 16

/* --- one statement -------------------------------------------------------- */

static enum status prepare(struct offline *offline, struct str sql,
                           duckdb_prepared_statement *out, struct error *err)
{
    const struct duckdb_library *duckdb = offline->duckdb;
    struct arena *arena = arena_new();
    enum status status = STATUS_OK;

    /* A prepared text is one statement: what a user's SQL appends to ours is refused. */
    if (duckdb->prepare(offline->connection, arena_cstr(arena, sql), out) != DuckDBSuccess) {
        status = offline_failed(offline, err, duckdb->prepare_error(*out));
        duckdb->destroy_prepare(out);
    }
    arena_free(arena);
    return status;
}

static enum status execute(struct offline_query *query, struct error *err)
{
    const struct duckdb_library *duckdb = query->offline->duckdb;

    if (duckdb->execute_pending(query->pending, &query->result) == DuckDBSuccess) {
        query->has_result = true;
        return STATUS_OK;
    }
    offline_failed(query->offline, err, duckdb->result_error(&query->result));
    duckdb->destroy_result(&query->result);
    return err->status;
}

static void close_query(struct offline_query *query)
{
    const struct duckdb_library *duckdb = query->offline->duckdb;

    if (query->has_result)
        duckdb->destroy_result(&query->result);
    duckdb->destroy_pending(&query->pending);
    duckdb->destroy_prepare(&query->statement);
    query->has_result = false;
}

static enum status open_query(struct offline *offline, struct str sql, bool streaming,
                              struct offline_query *out, struct error *err)
{
    const struct duckdb_library *duckdb = offline->duckdb;
    struct offline_query query = { .offline = offline };
    duckdb_state state;

    TRY(prepare(offline, sql, &query.statement, err));
    state = streaming ? duckdb->pending_prepared_streaming(query.statement, &query.pending)
                      : duckdb->pending_prepared(query.statement, &query.pending);
    if (state != DuckDBSuccess)
        offline_failed(offline, err, duckdb->pending_error(query.pending));
    if (state != DuckDBSuccess || execute(&query, err) != STATUS_OK) {
        close_query(&query);
        return err->status;
    }
    *out = query;
    return STATUS_OK;
}

enum status offline_run_count(struct offline *offline, struct str sql, uint64_t *rows,
                              struct error *err)
{
    struct offline_query query;

    TRY(open_query(offline, sql, false, &query, err));
    *rows = offline->duckdb->rows_changed(&query.result);
    close_query(&query);
    return STATUS_OK;
}

enum status offline_run(struct offline *offline, struct str sql, struct error *err)
{
    uint64_t ignored;

    return offline_run_count(offline, sql, &ignored, err);
}

/* --- a SELECT, chunk by chunk --------------------------------------------- */

/* *chunk: NULL behind the last one. */
static enum status next_chunk(struct offline_query *query, duckdb_data_chunk *chunk,
                              struct error *err)
{
    const struct duckdb_library *duckdb = query->offline->duckdb;
    const char *message;

    *chunk = duckdb->fetch_chunk(query->result);
    if (*chunk != NULL)
        return STATUS_OK;
    message = duckdb->result_error(&query->result);
    if (message == NULL || message[0] == '\0')
        return STATUS_OK;
    return offline_failed(query->offline, err, message);
}

/* DuckDB makes the next chunks on a thread of its own while the sink works on the last one. */
struct pipe {
    struct offline_query *query;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    duckdb_data_chunk chunks[AHEAD]; /* a ring */
    size_t first, count;
    bool is_over;   /* nothing more comes: status says why */
    bool is_closed; /* nothing more is wanted */
    enum status status;
    struct error error;
};

/* False when the chunk is not wanted any more. */
static bool pipe_put(struct pipe *pipe, duckdb_data_chunk chunk)
{
    bool is_wanted;

    pthread_mutex_lock(&pipe->lock);
    while (pipe->count == AHEAD && !pipe->is_closed)
        pthread_cond_wait(&pipe->changed, &pipe->lock);
    is_wanted = !pipe->is_closed;
    if (is_wanted)
        pipe->chunks[(pipe->first + pipe->count++) % AHEAD] = chunk;
    pthread_cond_signal(&pipe->changed);
    pthread_mutex_unlock(&pipe->lock);
    return is_wanted;
}

/* NULL: nothing more comes. */
static duckdb_data_chunk pipe_get(struct pipe *pipe)
{
    duckdb_data_chunk chunk = NULL;

    pthread_mutex_lock(&pipe->lock);
    while (pipe->count == 0 && !pipe->is_over)
        pthread_cond_wait(&pipe->changed, &pipe->lock);
    if (pipe->count > 0) {
        chunk = pipe->chunks[pipe->first];
        pipe->first = (pipe->first + 1) % AHEAD;
        pipe->count--;
    }
    pthread_cond_signal(&pipe->changed);
    pthread_mutex_unlock(&pipe->lock);
    return chunk;
}

static void *fill(void *argument)
{
    struct pipe *pipe = argument;
    duckdb_data_chunk chunk;
    struct error error;
    enum status status;

    while ((status = next_chunk(pipe->query, &chunk, &error)) == STATUS_OK && chunk != NULL) {
        if (!pipe_put(pipe, chunk)) {
            pipe->query->offline->duckdb->destroy_data_chunk(&chunk);
            break;
        }
    }
    pthread_mutex_lock(&pipe->lock);
    pipe->is_over = true;
    pipe->status = status;
    if (status != STATUS_OK)
        pipe->error = error;
    pthread_cond_signal(&pipe->changed);
    pthread_mutex_unlock(&pipe->lock);
    return NULL;
}

static enum status drain(struct pipe *pipe, offline_chunk_sink sink, void *context,
                         struct error *err)
{
    const struct duckdb_library *duckdb = pipe->query->offline->duckdb;
    enum status status = STATUS_OK;
    duckdb_data_chunk chunk;

    while (status == STATUS_OK && (chunk = pipe_get(pipe)) != NULL) {
        status = sink(context, pipe->query, chunk, err);
        duckdb->destroy_data_chunk(&chunk);
    }
    return status;
}

static void pipe_close(struct pipe *pipe, pthread_t thread)
{
    duckdb_data_chunk chunk;

    pthread_mutex_lock(&pipe->lock);
    pipe->is_closed = true;
    pthread_cond_signal(&pipe->changed);
    pthread_mutex_unlock(&pipe->lock);
    pthread_join(thread, NULL);
    while ((chunk = pipe_get(pipe)) != NULL)
        pipe->query->offline->duckdb->destroy_data_chunk(&chunk);
    pthread_cond_destroy(&pipe->changed);
    pthread_mutex_destroy(&pipe->lock);
}

enum status offline_select(struct offline *offline, struct str sql, offline_chunk_sink sink,
                           void *context, struct error *err)
{
    struct offline_query query;
    struct pipe pipe = { .query = &query };
    enum status status;
    pthread_t thread;

    TRY(open_query(offline, sql, true, &query, err));
    pthread_mutex_init(&pipe.lock, NULL);
    pthread_cond_init(&pipe.changed, NULL);
    if (pthread_create(&thread, NULL, fill, &pipe) != 0) {
        close_query(&query);
        return error_set(err, STATUS_LIMIT, "no thread is left to read with");
    }
    status = drain(&pipe, sink, context, err);
    pipe_close(&pipe, thread);
    close_query(&query);
    TRY(status);
    if (pipe.status != STATUS_OK)
        *err = pipe.error;
    return pipe.status;
}
