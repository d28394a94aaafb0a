/* SPDX-License-Identifier: Apache-2.0 */
/* Which version answers at which endpoint: a list that only grows; the last entry counts. */
#include "base/clock.h"
#include "registry/registry_store.h"

enum status version_check_approved(struct str model, int64_t version,
                                   enum version_status status, struct error *err)
{
    if (status == VERSION_APPROVED)
        return STATUS_OK;
    return error_set(err, STATUS_CONFLICT,
                     "version %lld of model '" STR_FMT
                     "' is %s; only approved versions are deployed"
                     " (onggi models approve " STR_FMT " %lld --reason TEXT)",
                     (long long)version, STR_ARG(model),
                     status == VERSION_PENDING ? "not yet approved" : "rejected",
                     STR_ARG(model), (long long)version);
}

static enum status check_approved(struct sql_tx *tx, const struct deployment *wanted,
                                  struct error *err)
{
    enum version_status version_status;
    struct sql_rows *rows;
    enum status status;

    TRY(sql_query(tx, "SELECT status FROM model_versions WHERE model = ?1 AND version = ?2",
                  SQL_ARGS(sql_arg_str(wanted->model), sql_arg_int64(wanted->version)), &rows,
                  err));
    status = sql_next(rows, err);
    if (status == STATUS_NOT_FOUND)
        return error_set(err, STATUS_NOT_FOUND, "no version %lld of model '" STR_FMT "'",
                         (long long)wanted->version, STR_ARG(wanted->model));
    TRY(status);
    version_status = (enum version_status)sql_int64(rows, 0);
    sql_rows_close(rows);
    return version_check_approved(wanted->model, wanted->version, version_status, err);
}

/* Beneath a plain deployment lies what was served; beneath a rollback what lay beneath its goal. */
static enum status record(struct sql_tx *tx, void *context, struct error *err)
{
    const struct deployment *wanted = context;

    /* In the same transaction as the insert: a rejection cannot slip in between. */
    TRY(check_approved(tx, wanted, err));
    return sql_run(tx,
                   "INSERT INTO deployments (endpoint, model, version, time_us, deployed_by,"
                   " back_to, previous)"
                   " SELECT ?1, ?2, ?3, ?4, ?5, ?6, CASE WHEN ?6 <> 0 THEN ?7 ELSE"
                   " coalesce((SELECT max(id) FROM deployments WHERE endpoint = ?1), 0) END",
                   SQL_ARGS(sql_arg_str(wanted->endpoint), sql_arg_str(wanted->model),
                            sql_arg_int64(wanted->version), sql_arg_int64(wanted->time_us),
                            sql_arg_str(wanted->by), sql_arg_int64(wanted->back_to),
                            sql_arg_int64(wanted->previous)),
                   err);
}

enum status deployment_record(struct registry *registry, struct str endpoint, struct str model,
                              int64_t version, struct str by, struct error *err)
{
    struct deployment wanted = { .endpoint = endpoint,
                                 .model = model,
                                 .version = version,
                                 .time_us = clock_now_us(),
                                 .by = by };

    return sql_write(registry->db, record, &wanted, err);
}

enum status deployment_record_rollback(struct registry *registry, const struct deployment *to,
                                       struct str by, struct error *err)
{
    struct deployment wanted = *to;

    wanted.time_us = clock_now_us();
    wanted.by = by;
    wanted.back_to = to->id;
    return sql_write(registry->db, record, &wanted, err);
}

struct deployments_work {
    struct arena *arena;
    struct str endpoint;
    int64_t limit;
    struct deployment *list;
    size_t count;
    size_t capacity;
};

#define COLUMNS \
    "d.endpoint, d.model, d.version, d.time_us, d.deployed_by, d.id, d.previous, d.back_to," \
    " v.status"
#define AND_THEIR_VERSIONS \
    " AS d JOIN model_versions AS v ON v.model = d.model AND v.version = d.version"

static enum status collect(struct sql_rows *rows, struct deployments_work *work,
                           struct error *err)
{
    enum status status;

    while ((status = sql_next(rows, err)) == STATUS_OK)
        ARENA_PUSH(work->arena, work->list, work->count, work->capacity) = (struct deployment){
            .endpoint = sql_str(rows, work->arena, 0),
            .model = sql_str(rows, work->arena, 1),
            .version = sql_int64(rows, 2),
            .time_us = sql_int64(rows, 3),
            .by = sql_str(rows, work->arena, 4),
            .id = sql_int64(rows, 5),
            .previous = sql_int64(rows, 6),
            .back_to = sql_int64(rows, 7),
            .status = (enum version_status)sql_int64(rows, 8),
        };
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status read_history(struct sql_tx *tx, void *context, struct error *err)
{
    struct deployments_work *work = context;
    struct sql_rows *rows;

    TRY(sql_query(tx,
                  "SELECT " COLUMNS " FROM deployments" AND_THEIR_VERSIONS
                  " WHERE d.endpoint = ?1 ORDER BY d.id DESC LIMIT ?2",
                  SQL_ARGS(sql_arg_str(work->endpoint), sql_arg_int64(work->limit)), &rows,
                  err));
    return collect(rows, work, err);
}

enum status deployment_history(struct registry *registry, struct arena *arena,
                               struct str endpoint, int64_t limit, struct deployment **out,
                               size_t *count, struct error *err)
{
    struct deployments_work work = { .arena = arena, .endpoint = endpoint, .limit = limit };

    TRY(sql_read(registry->db, read_history, &work, err));
    *out = work.list;
    *count = work.count;
    return STATUS_OK;
}

static enum status nothing_deployed(struct str endpoint, struct error *err)
{
    return error_set(err, STATUS_NOT_FOUND, "nothing is deployed to endpoint '" STR_FMT "'",
                     STR_ARG(endpoint));
}

enum status deployment_get(struct registry *registry, struct arena *arena, struct str endpoint,
                           struct deployment *out, struct error *err)
{
    struct deployment *list;
    size_t count;

    TRY(deployment_history(registry, arena, endpoint, 1, &list, &count, err));
    if (count == 0)
        return nothing_deployed(endpoint, err);
    *out = list[0];
    return STATUS_OK;
}

/* The present one, what lies beneath it, and so on down. */
static enum status read_chain(struct sql_tx *tx, void *context, struct error *err)
{
    struct deployments_work *work = context;
    struct sql_rows *rows;

    TRY(sql_query(tx,
                  "WITH RECURSIVE chain (id, previous, depth) AS ("
                  " SELECT id, previous, 0 FROM deployments"
                  " WHERE id = (SELECT max(id) FROM deployments WHERE endpoint = ?1)"
                  " UNION ALL SELECT older.id, older.previous, depth + 1"
                  " FROM chain JOIN deployments AS older ON older.id = chain.previous)"
                  " SELECT " COLUMNS " FROM deployments" AND_THEIR_VERSIONS
                  " JOIN chain ON chain.id = d.id ORDER BY chain.depth",
                  SQL_ARGS(sql_arg_str(work->endpoint)), &rows, err));
    return collect(rows, work, err);
}

static bool same_version(const struct deployment *a, const struct deployment *b)
{
    return a->version == b->version && str_equal(a->model, b->model);
}

/* The first from `at` on that may be served and is another version than `unlike`; or the end. */
static size_t next_served(const struct deployments_work *chain, size_t at,
                          const struct deployment *unlike)
{
    while (at < chain->count && (same_version(&chain->list[at], unlike) ||
                                 chain->list[at].status != VERSION_APPROVED))
        at++;
    return at;
}

static void collect_skipped(const struct deployments_work *chain, size_t end,
                            struct rollback *out)
{
    out->skipped = ARENA_ARRAY(chain->arena, struct deployment, end);
    for (size_t i = 1; i < end; i++) {
        const struct deployment *last = out->skipped_count == 0
                                            ? &out->from
                                            : &out->skipped[out->skipped_count - 1];

        if (!same_version(&chain->list[i], &out->from) && !same_version(&chain->list[i], last))
            out->skipped[out->skipped_count++] = chain->list[i];
    }
}

enum status deployment_rollback_find(struct registry *registry, struct arena *arena,
                                     struct str endpoint, struct rollback *out,
                                     struct error *err)
{
    struct deployments_work chain = { .arena = arena, .endpoint = endpoint };
    size_t at, next;

    TRY(sql_read(registry->db, read_chain, &chain, err));
    if (chain.count == 0)
        return nothing_deployed(endpoint, err);
    *out = (struct rollback){ .from = chain.list[0] };
    at = next_served(&chain, 1, &out->from);
    if (at == chain.count)
        return error_set(err, STATUS_CONFLICT,
                         "endpoint '" STR_FMT "' served no other version that is approved "
                         "before version %lld; to stop it, reject that version",
                         STR_ARG(endpoint), (long long)out->from.version);
    out->to = chain.list[at];
    collect_skipped(&chain, at, out);
    next = next_served(&chain, at, &out->to);
    out->next = next < chain.count ? chain.list[next].version : 0;
    return STATUS_OK;
}

static enum status read_current(struct sql_tx *tx, void *context, struct error *err)
{
    struct deployments_work *work = context;
    struct sql_rows *rows;

    TRY(sql_query(tx,
                  "SELECT " COLUMNS " FROM deployments" AND_THEIR_VERSIONS
                  " WHERE d.id IN (SELECT max(id) FROM deployments GROUP BY endpoint)"
                  " ORDER BY d.endpoint",
                  NULL, 0, &rows, err));
    return collect(rows, work, err);
}

enum status deployment_list(struct registry *registry, struct arena *arena,
                            struct deployment **out, size_t *count, struct error *err)
{
    struct deployments_work work = { .arena = arena };

    TRY(sql_read(registry->db, read_current, &work, err));
    *out = work.list;
    *count = work.count;
    return STATUS_OK;
}
