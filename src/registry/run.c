/* SPDX-License-Identifier: Apache-2.0 */
/* Runs: what was tried, with which parameters, how well, and what it left behind. */
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "registry/registry_store.h"

#include <sys/stat.h>

static const char *const status_names[] = {
    [RUN_RUNNING] = "RUNNING",
    [RUN_FINISHED] = "FINISHED",
    [RUN_FAILED] = "FAILED",
};

const char *run_status_name(enum run_status status)
{
    return status_names[status];
}

struct run_begin_work {
    struct str id;
    struct str name;
};

static enum status begin(struct sql_tx *tx, void *context, struct error *err)
{
    const struct run_begin_work *work = context;

    return sql_run(tx,
                   "INSERT INTO runs (id, name, status, started_us) VALUES (?1, ?2, ?3, ?4)"
                   " ON CONFLICT (id) DO UPDATE SET status = ?3, ended_us = 0",
                   SQL_ARGS(sql_arg_str(work->id), sql_arg_str(work->name),
                            sql_arg_int64(RUN_RUNNING), sql_arg_int64(clock_now_us())),
                   err);
}

enum status run_begin(struct registry *registry, struct str id, struct str name,
                      struct error *err)
{
    struct run_begin_work work = { id, name };

    return sql_write(registry->db, begin, &work, err);
}

struct run_ensure_work {
    struct str id, name;
    int64_t started_us;
};

static enum status ensure(struct sql_tx *tx, void *context, struct error *err)
{
    const struct run_ensure_work *work = context;

    return sql_run(tx,
                   "INSERT INTO runs (id, name, status, started_us) VALUES (?1, ?2, ?3, ?4)"
                   " ON CONFLICT (id) DO NOTHING",
                   SQL_ARGS(sql_arg_str(work->id), sql_arg_str(work->name),
                            sql_arg_int64(RUN_RUNNING), sql_arg_int64(work->started_us)),
                   err);
}

enum status run_ensure(struct registry *registry, struct str id, struct str name,
                       int64_t started_us, struct error *err)
{
    struct run_ensure_work work = { id, name, started_us };

    return sql_write(registry->db, ensure, &work, err);
}

struct run_log_work {
    struct arena *arena;
    struct str id;
    const char *select; /* the column as it is */
    const char *update; /* the column as it shall be */
    yyjson_val *added;
};

/* The old object with the members of the new one put over it. */
static struct str merge_objects(struct arena *arena, yyjson_val *old, yyjson_val *added)
{
    yyjson_mut_doc *doc = json_mut_doc(arena);
    yyjson_mut_val *merged = yyjson_val_mut_copy(doc, old);
    size_t index, max;
    yyjson_val *key, *value;

    yyjson_obj_foreach(added, index, max, key, value)
    {
        yyjson_mut_val *name = yyjson_val_mut_copy(doc, key);

        if (!yyjson_is_null(value))
            yyjson_mut_obj_put(merged, name, yyjson_val_mut_copy(doc, value));
    }
    return json_mut_write(arena, merged);
}

static enum status merge_column(struct sql_tx *tx, void *context, struct error *err)
{
    struct run_log_work *work = context;
    struct sql_rows *rows;
    yyjson_val *old;
    struct str text;
    enum status status;

    TRY(sql_query(tx, work->select, SQL_ARGS(sql_arg_str(work->id)), &rows, err));
    status = sql_next(rows, err);
    if (status == STATUS_NOT_FOUND)
        return error_set(err, STATUS_NOT_FOUND, "no run '" STR_FMT "'", STR_ARG(work->id));
    TRY(status);
    text = sql_str(rows, work->arena, 0);
    sql_rows_close(rows);
    TRY(json_parse(work->arena, text, &old, err));
    text = merge_objects(work->arena, old, work->added);
    return sql_run(tx, work->update, SQL_ARGS(sql_arg_str(work->id), sql_arg_str(text)), err);
}

static enum status check_numbers(yyjson_val *object, struct error *err)
{
    size_t index, max;
    yyjson_val *key, *value;

    yyjson_obj_foreach(object, index, max, key, value)
    {
        struct str text = json_str(value);

        if (!yyjson_is_num(value) && !yyjson_is_null(value) && !str_equal(text, STR("NaN")) &&
            !str_equal(text, STR("Infinity")) && !str_equal(text, STR("-Infinity")))
            return error_set(err, STATUS_INVALID,
                             "metric '" STR_FMT "': expected a number, found %s",
                             STR_ARG(json_str(key)), yyjson_get_type_desc(value));
    }
    return STATUS_OK;
}

static enum status log_object(struct registry *registry, struct run_log_work *work,
                              struct str json, bool numbers, struct error *err)
{
    enum status status;

    work->arena = arena_new();
    status = json_parse(work->arena, json, &work->added, err);
    if (status == STATUS_OK && !yyjson_is_obj(work->added))
        status = error_set(err, STATUS_INVALID, "expected a JSON object");
    if (status == STATUS_OK && numbers)
        status = check_numbers(work->added, err);
    if (status == STATUS_OK)
        status = sql_write(registry->db, merge_column, work, err);
    arena_free(work->arena);
    return status;
}

enum status run_log_params(struct registry *registry, struct str id, struct str json,
                           struct error *err)
{
    struct run_log_work work = { .id = id,
                                 .select = "SELECT params FROM runs WHERE id = ?1",
                                 .update = "UPDATE runs SET params = ?2 WHERE id = ?1" };

    return log_object(registry, &work, json, false, err);
}

enum status run_log_metrics(struct registry *registry, struct str id, struct str json,
                            struct error *err)
{
    struct run_log_work work = { .id = id,
                                 .select = "SELECT metrics FROM runs WHERE id = ?1",
                                 .update = "UPDATE runs SET metrics = ?2 WHERE id = ?1" };

    return log_object(registry, &work, json, true, err);
}

struct run_artifacts_work {
    struct str id;
    struct artifact *list;
    size_t count;
    size_t capacity;
};

static enum status put_artifacts(struct sql_tx *tx, void *context, struct error *err)
{
    struct run_artifacts_work *work = context;

    for (size_t i = 0; i < work->count; i++)
        TRY(sql_run(tx,
                    "INSERT INTO artifacts (run, path, hash, size) VALUES (?1, ?2, ?3, ?4)"
                    " ON CONFLICT (run, path) DO UPDATE SET hash = ?3, size = ?4",
                    SQL_ARGS(sql_arg_str(work->id), sql_arg_str(work->list[i].path),
                             sql_arg_str(work->list[i].hash),
                             sql_arg_int64(work->list[i].size)),
                    err));
    return STATUS_OK;
}

#define FOLDER_DEPTH_MAX 16

/* Blobs first, names after: a name in the database never points at nothing. */
static enum status put_folder(struct registry *registry, struct arena *arena, struct str prefix,
                              const char *folder, int depth, bool deep,
                              struct run_artifacts_work *work, struct error *err)
{
    struct str *names;
    size_t count;

    if (depth > FOLDER_DEPTH_MAX)
        return error_set(err, STATUS_LIMIT, "folder '%s': nested deeper than %d", folder,
                         FOLDER_DEPTH_MAX);
    TRY(folder_list(arena, folder, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        const char *path = arena_printf(arena, "%s/%s", folder, names[i].data).data;
        struct str name = arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(prefix),
                                       STR_ARG(names[i]));
        struct stat info;
        struct blob blob;

        /* What a script leaves may be a link to anywhere: only its own files count. */
        if (lstat(path, &info) != 0 || (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)))
            continue;
        if (S_ISDIR(info.st_mode)) {
            if (deep)
                TRY(put_folder(registry, arena, name, path, depth + 1, deep, work, err));
            continue;
        }
        TRY(blob_put_file(registry->blobs, path, &blob, err));
        ARENA_PUSH(arena, work->list, work->count, work->capacity) =
            (struct artifact){ name, arena_str(arena, str_from(blob.hash)), blob.size };
    }
    return STATUS_OK;
}

enum status run_log_folder(struct registry *registry, struct str id, struct str prefix,
                           const char *folder, bool deep, struct error *err)
{
    struct arena *arena = arena_new();
    struct run_artifacts_work work = { .id = id };
    enum status status = put_folder(registry, arena, prefix, folder, 0, deep, &work, err);

    if (status == STATUS_OK)
        status = sql_write(registry->db, put_artifacts, &work, err);
    arena_free(arena);
    return status;
}

struct run_end_work {
    struct str id;
    enum run_status status;
};

static enum status end(struct sql_tx *tx, void *context, struct error *err)
{
    const struct run_end_work *work = context;

    TRY(sql_run(tx, "UPDATE runs SET status = ?2, ended_us = ?3 WHERE id = ?1",
                SQL_ARGS(sql_arg_str(work->id), sql_arg_int64(work->status),
                         sql_arg_int64(clock_now_us())),
                err));
    if (sql_changes(tx) == 0)
        return error_set(err, STATUS_NOT_FOUND, "no run '" STR_FMT "'", STR_ARG(work->id));
    return STATUS_OK;
}

enum status run_end(struct registry *registry, struct str id, enum run_status status,
                    struct error *err)
{
    struct run_end_work work = { id, status };

    return sql_write(registry->db, end, &work, err);
}

#define RUN_COLUMNS "SELECT id, name, status, started_us, ended_us, params, metrics FROM runs "

static struct run read_run(const struct sql_rows *rows, struct arena *arena)
{
    return (struct run){
        .id = sql_str(rows, arena, 0),
        .name = sql_str(rows, arena, 1),
        .status = (enum run_status)sql_int64(rows, 2),
        .started_us = sql_int64(rows, 3),
        .ended_us = sql_int64(rows, 4),
        .params = sql_str(rows, arena, 5),
        .metrics = sql_str(rows, arena, 6),
    };
}

struct run_get_work {
    struct arena *arena;
    struct str id;
    struct run run;
};

static enum status get(struct sql_tx *tx, void *context, struct error *err)
{
    struct run_get_work *work = context;
    struct sql_rows *rows;
    enum status status;

    TRY(sql_query(tx, RUN_COLUMNS "WHERE id = ?1", SQL_ARGS(sql_arg_str(work->id)), &rows,
                  err));
    status = sql_next(rows, err);
    if (status == STATUS_NOT_FOUND) {
        struct str near = registry_nearest(tx, work->arena, "SELECT id FROM runs", work->id);

        return error_set(err, STATUS_NOT_FOUND, "no run '" STR_FMT "'" STR_FMT,
                         STR_ARG(work->id), STR_ARG(near));
    }
    TRY(status);
    work->run = read_run(rows, work->arena);
    sql_rows_close(rows);
    return STATUS_OK;
}

enum status run_get(struct registry *registry, struct arena *arena, struct str id,
                    struct run *out, struct error *err)
{
    struct run_get_work work = { .arena = arena, .id = id };

    TRY(sql_read(registry->db, get, &work, err));
    *out = work.run;
    return STATUS_OK;
}

struct run_list_work {
    struct arena *arena;
    int64_t limit;
    struct run *list;
    size_t count;
    size_t capacity;
};

static enum status list(struct sql_tx *tx, void *context, struct error *err)
{
    struct run_list_work *work = context;
    struct sql_rows *rows;
    enum status status;

    TRY(sql_query(tx, RUN_COLUMNS "ORDER BY started_us DESC, id DESC LIMIT ?1",
                  SQL_ARGS(sql_arg_int64(work->limit)), &rows, err));
    while ((status = sql_next(rows, err)) == STATUS_OK)
        ARENA_PUSH(work->arena, work->list, work->count,
                   work->capacity) = read_run(rows, work->arena);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status run_list(struct registry *registry, struct arena *arena, int64_t limit,
                     struct run **out, size_t *count, struct error *err)
{
    struct run_list_work work = { .arena = arena, .limit = limit };

    TRY(sql_read(registry->db, list, &work, err));
    *out = work.list;
    *count = work.count;
    return STATUS_OK;
}

struct artifact_list_work {
    struct arena *arena;
    struct run_artifacts_work artifacts;
};

static enum status list_artifacts(struct sql_tx *tx, void *context, struct error *err)
{
    struct artifact_list_work *work = context;
    struct run_artifacts_work *found = &work->artifacts;
    struct sql_rows *rows;
    enum status status;

    TRY(sql_query(tx, "SELECT path, hash, size FROM artifacts WHERE run = ?1 ORDER BY path",
                  SQL_ARGS(sql_arg_str(found->id)), &rows, err));
    while ((status = sql_next(rows, err)) == STATUS_OK)
        ARENA_PUSH(work->arena, found->list, found->count, found->capacity) = (struct artifact){
            sql_str(rows, work->arena, 0), sql_str(rows, work->arena, 1), sql_int64(rows, 2)
        };
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status run_artifacts(struct registry *registry, struct arena *arena, struct str id,
                          struct artifact **out, size_t *count, struct error *err)
{
    struct artifact_list_work work = { .arena = arena, .artifacts.id = id };

    TRY(sql_read(registry->db, list_artifacts, &work, err));
    *out = work.artifacts.list;
    *count = work.artifacts.count;
    return STATUS_OK;
}

enum status run_artifact_get(struct registry *registry, struct arena *arena, struct str id,
                             struct str path, struct artifact *out, struct error *err)
{
    struct artifact *list = NULL;
    struct str *paths;
    size_t count = 0;
    struct str near;

    TRY(run_artifacts(registry, arena, id, &list, &count, err));
    paths = ARENA_ARRAY(arena, struct str, count);
    for (size_t i = 0; i < count; i++) {
        paths[i] = list[i].path;
        if (str_equal(list[i].path, path)) {
            *out = list[i];
            return STATUS_OK;
        }
    }
    near = str_nearest(path, paths, count);
    if (near.len == 0)
        return error_set(err, STATUS_NOT_FOUND,
                         "run '" STR_FMT "' has no artifact '" STR_FMT "'", STR_ARG(id),
                         STR_ARG(path));
    return error_set(err, STATUS_NOT_FOUND,
                     "run '" STR_FMT "' has no artifact '" STR_FMT "'; did you mean '" STR_FMT
                     "'?",
                     STR_ARG(id), STR_ARG(path), STR_ARG(near));
}
