/* SPDX-License-Identifier: Apache-2.0 */
/* Model versions, what was decided about them, and where they are deployed. */
#include "base/clock.h"
#include "registry/registry_store.h"

static const char *const status_names[] = {
    [VERSION_PENDING] = "PENDING",
    [VERSION_APPROVED] = "APPROVED",
    [VERSION_REJECTED] = "REJECTED",
};

const char *version_status_name(enum version_status status)
{
    return status_names[status];
}

bool version_status_parse(struct str text, enum version_status *out)
{
    for (size_t i = 0; i < ARRAY_LEN(status_names); i++) {
        if (!str_equal(text, str_from(status_names[i])))
            continue;
        *out = (enum version_status)i;
        return true;
    }
    return false;
}

struct create_work {
    const struct model_version *wanted;
    struct str key;
    version_still_wanted still_wanted;
    void *context;
    int64_t version;
};

static struct str object_or_empty(struct str json)
{
    return json.len == 0 ? STR("{}") : json;
}

/* The version that this key made before; NOT_FOUND if it is new. */
static enum status find_by_key(struct sql_tx *tx, struct create_work *work, struct error *err)
{
    struct sql_rows *rows;

    if (work->key.len == 0)
        return STATUS_NOT_FOUND;
    TRY(sql_query(tx, "SELECT version FROM model_versions WHERE made_by_key = ?1",
                  SQL_ARGS(sql_arg_str(work->key)), &rows, err));
    TRY(sql_next(rows, err));
    work->version = sql_int64(rows, 0);
    sql_rows_close(rows);
    return STATUS_OK;
}

static enum status next_version(struct sql_tx *tx, struct create_work *work, struct error *err)
{
    struct sql_rows *rows;

    TRY(sql_query(tx,
                  "SELECT coalesce(max(version), 0) + 1 FROM model_versions WHERE model = ?1",
                  SQL_ARGS(sql_arg_str(work->wanted->model)), &rows, err));
    TRY(sql_next(rows, err));
    work->version = sql_int64(rows, 0);
    sql_rows_close(rows);
    return STATUS_OK;
}

static enum status create(struct sql_tx *tx, void *context, struct error *err)
{
    struct create_work *work = context;
    const struct model_version *wanted = work->wanted;
    enum status status = find_by_key(tx, work, err);

    if (status != STATUS_NOT_FOUND)
        return status;
    if (work->still_wanted != NULL && !work->still_wanted(work->context))
        return error_set(err, STATUS_CONFLICT, "stopped before the version was made");
    TRY(next_version(tx, work, err));
    return sql_run(
        tx,
        "INSERT INTO model_versions (model, version, status, created_us, created_by, run,"
        " hash, size, signature, params, metrics, lineage, made_by_key)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        SQL_ARGS(sql_arg_str(wanted->model), sql_arg_int64(work->version),
                 sql_arg_int64(VERSION_PENDING), sql_arg_int64(clock_now_us()),
                 sql_arg_str(wanted->created_by), sql_arg_str(wanted->run),
                 sql_arg_str(wanted->hash), sql_arg_int64(wanted->size),
                 sql_arg_str(object_or_empty(wanted->signature)),
                 sql_arg_str(object_or_empty(wanted->params)),
                 sql_arg_str(object_or_empty(wanted->metrics)),
                 sql_arg_str(object_or_empty(wanted->lineage)),
                 work->key.len == 0 ? sql_arg_null() : sql_arg_str(work->key)),
        err);
}

enum status model_version_create(struct registry *registry, const struct model_version *wanted,
                                 struct str key, version_still_wanted still_wanted,
                                 void *context, int64_t *version, struct error *err)
{
    struct create_work work = {
        .wanted = wanted, .key = key, .still_wanted = still_wanted, .context = context
    };

    if (!str_is_name(wanted->model))
        return error_set(err, STATUS_INVALID,
                         "model name '" STR_FMT "': expected letters, digits, '_', '-', '.'",
                         STR_ARG(str_slice(wanted->model, 0, 80)));
    TRY(sql_write(registry->db, create, &work, err));
    *version = work.version;
    return STATUS_OK;
}

struct version_work {
    struct arena *arena;
    struct str model;
    int64_t version; /* 0: all of the model */
    struct model_version *list;
    size_t count;
    size_t capacity;
};

static struct model_version read_version(const struct sql_rows *rows, struct arena *arena)
{
    return (struct model_version){
        .model = sql_str(rows, arena, 0),
        .version = sql_int64(rows, 1),
        .status = (enum version_status)sql_int64(rows, 2),
        .created_us = sql_int64(rows, 3),
        .created_by = sql_str(rows, arena, 4),
        .run = sql_str(rows, arena, 5),
        .hash = sql_str(rows, arena, 6),
        .size = sql_int64(rows, 7),
        .signature = sql_str(rows, arena, 8),
        .params = sql_str(rows, arena, 9),
        .metrics = sql_str(rows, arena, 10),
        .lineage = sql_str(rows, arena, 11),
    };
}

static enum status no_version(struct sql_tx *tx, struct version_work *work, bool model_exists,
                              struct error *err)
{
    struct str near;

    if (model_exists)
        return error_set(err, STATUS_NOT_FOUND, "model '" STR_FMT "' has no version %lld",
                         STR_ARG(work->model), (long long)work->version);
    near = registry_nearest(tx, work->arena, "SELECT DISTINCT model FROM model_versions",
                            work->model);
    return error_set(err, STATUS_NOT_FOUND, "no model '" STR_FMT "'" STR_FMT,
                     STR_ARG(str_slice(work->model, 0, 128)), STR_ARG(near));
}

static enum status read_versions(struct sql_tx *tx, void *context, struct error *err)
{
    struct version_work *work = context;
    bool model_exists = false;
    struct sql_rows *rows;
    enum status status;

    TRY(sql_query(
        tx,
        "SELECT model, version, status, created_us, created_by, run, hash, size, signature,"
        " params, metrics, lineage FROM model_versions WHERE model = ?1"
        " ORDER BY version DESC",
        SQL_ARGS(sql_arg_str(work->model)), &rows, err));
    while ((status = sql_next(rows, err)) == STATUS_OK) {
        model_exists = true;
        if (work->version == 0 || sql_int64(rows, 1) == work->version)
            ARENA_PUSH(work->arena, work->list, work->count,
                       work->capacity) = read_version(rows, work->arena);
    }
    if (status != STATUS_NOT_FOUND)
        return status;
    return work->count > 0 ? STATUS_OK : no_version(tx, work, model_exists, err);
}

enum status model_version_get(struct registry *registry, struct arena *arena, struct str model,
                              int64_t version, struct model_version *out, struct error *err)
{
    struct version_work work = { .arena = arena, .model = model, .version = version };

    if (version < 1)
        return error_set(err, STATUS_INVALID, "model versions are numbered from 1, not %lld",
                         (long long)version);
    TRY(sql_read(registry->db, read_versions, &work, err));
    *out = work.list[0];
    return STATUS_OK;
}

enum status model_version_list(struct registry *registry, struct arena *arena, struct str model,
                               struct model_version **out, size_t *count, struct error *err)
{
    struct version_work work = { .arena = arena, .model = model };

    TRY(sql_read(registry->db, read_versions, &work, err));
    *out = work.list;
    *count = work.count;
    return STATUS_OK;
}

struct names_work {
    struct arena *arena;
    struct str *list;
    size_t count;
    size_t capacity;
};

static enum status read_names(struct sql_tx *tx, void *context, struct error *err)
{
    struct names_work *work = context;
    struct sql_rows *rows;
    enum status status;

    TRY(sql_query(tx, "SELECT DISTINCT model FROM model_versions ORDER BY model", NULL, 0,
                  &rows, err));
    while ((status = sql_next(rows, err)) == STATUS_OK)
        ARENA_PUSH(work->arena, work->list, work->count,
                   work->capacity) = sql_str(rows, work->arena, 0);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status model_list(struct registry *registry, struct arena *arena, struct str **out,
                       size_t *count, struct error *err)
{
    struct names_work work = { .arena = arena };

    TRY(sql_read(registry->db, read_names, &work, err));
    *out = work.list;
    *count = work.count;
    return STATUS_OK;
}

/* Who made it what it is. */
static enum status decided_already(struct sql_tx *tx, const struct version_decision *wanted,
                                   struct error *err)
{
    struct arena *arena = arena_new();
    struct sql_rows *rows;
    enum status status = sql_query(
        tx,
        "SELECT v.status, d.decided_by, d.reason FROM model_versions AS v"
        " LEFT JOIN decisions AS d ON d.model = v.model AND d.version = v.version"
        " WHERE v.model = ?1 AND v.version = ?2 ORDER BY d.id DESC LIMIT 1",
        SQL_ARGS(sql_arg_str(wanted->model), sql_arg_int64(wanted->version)), &rows, err);

    if (status == STATUS_OK)
        status = sql_next(rows, err);
    if (status == STATUS_OK) {
        struct str by = sql_str(rows, arena, 1);
        const char *is = status_names[sql_int64(rows, 0)];

        status = error_set(err, STATUS_CONFLICT,
                           "version %lld of model '" STR_FMT "' is %s%s" STR_FMT "%s" STR_FMT,
                           (long long)wanted->version, STR_ARG(wanted->model), is,
                           by.len > 0 ? " by " : "", STR_ARG(by), by.len > 0 ? ": " : "",
                           STR_ARG(str_slice(sql_str(rows, arena, 2), 0, 200)));
        sql_rows_close(rows);
    } else if (status == STATUS_NOT_FOUND) {
        error_set(err, status, "no version %lld of model '" STR_FMT "'",
                  (long long)wanted->version, STR_ARG(wanted->model));
    }
    arena_free(arena);
    return status;
}

static enum status decide(struct sql_tx *tx, void *context, struct error *err)
{
    const struct version_decision *work = context;

    /* One statement sees and changes the status: of two at once, the second finds it changed. */
    TRY(sql_run(tx,
                "UPDATE model_versions SET status = ?3 WHERE model = ?1 AND version = ?2"
                " AND (status <> ?3 OR ?3 <> ?4) AND (?5 = 0 OR status = ?6)",
                SQL_ARGS(sql_arg_str(work->model), sql_arg_int64(work->version),
                         sql_arg_int64(work->status), sql_arg_int64(VERSION_APPROVED),
                         sql_arg_int64(work->has_seen), sql_arg_int64(work->seen)),
                err));
    if (sql_changes(tx) == 0)
        return decided_already(tx, work, err);
    return sql_run(tx,
                   "INSERT INTO decisions (model, version, status, decided_by, reason, time_us)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                   SQL_ARGS(sql_arg_str(work->model), sql_arg_int64(work->version),
                            sql_arg_int64(work->status), sql_arg_str(work->by),
                            sql_arg_str(work->reason), sql_arg_int64(clock_now_us())),
                   err);
}

enum status model_version_decide(struct registry *registry,
                                 const struct version_decision *wanted, struct error *err)
{
    struct version_decision work = *wanted;
    struct decision decision = { wanted->status, wanted->by, wanted->reason, clock_now_us() };

    if (str_trim(wanted->reason).len == 0)
        return error_set(err, STATUS_INVALID,
                         "a reason is needed: whoever asks later why has nothing else to read");
    TRY(sql_write(registry->db, decide, &work, err));
    if (registry->on_decision != NULL)
        registry->on_decision(registry->on_decision_context, wanted->model, wanted->version,
                              &decision);
    return STATUS_OK;
}

struct decisions_work {
    struct arena *arena;
    struct str model;
    int64_t version;
    struct decision *list;
    size_t count;
    size_t capacity;
};

static enum status read_decisions(struct sql_tx *tx, void *context, struct error *err)
{
    struct decisions_work *work = context;
    struct sql_rows *rows;
    enum status status;

    TRY(sql_query(tx,
                  "SELECT status, decided_by, reason, time_us FROM decisions"
                  " WHERE model = ?1 AND version = ?2 ORDER BY id DESC",
                  SQL_ARGS(sql_arg_str(work->model), sql_arg_int64(work->version)), &rows,
                  err));
    while ((status = sql_next(rows, err)) == STATUS_OK)
        ARENA_PUSH(work->arena, work->list, work->count, work->capacity) = (struct decision){
            .status = (enum version_status)sql_int64(rows, 0),
            .by = sql_str(rows, work->arena, 1),
            .reason = sql_str(rows, work->arena, 2),
            .time_us = sql_int64(rows, 3),
        };
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status model_version_decisions(struct registry *registry, struct arena *arena,
                                    struct str model, int64_t version, struct decision **out,
                                    size_t *count, struct error *err)
{
    struct decisions_work work = { .arena = arena, .model = model, .version = version };

    TRY(sql_read(registry->db, read_decisions, &work, err));
    *out = work.list;
    *count = work.count;
    return STATUS_OK;
}
