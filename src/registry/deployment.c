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

static enum status record(struct sql_tx *tx, void *context, struct error *err)
{
    const struct deployment *wanted = context;

    /* In the same transaction as the insert: a rejection cannot slip in between. */
    TRY(check_approved(tx, wanted, err));
    return sql_run(tx,
                   "INSERT INTO deployments (endpoint, model, version, time_us, deployed_by)"
                   " VALUES (?1, ?2, ?3, ?4, ?5)",
                   SQL_ARGS(sql_arg_str(wanted->endpoint), sql_arg_str(wanted->model),
                            sql_arg_int64(wanted->version), sql_arg_int64(wanted->time_us),
                            sql_arg_str(wanted->by)),
                   err);
}

enum status deployment_record(struct registry *registry, struct str endpoint, struct str model,
                              int64_t version, struct str by, struct error *err)
{
    struct deployment wanted = { endpoint, model, version, clock_now_us(), by };

    return sql_write(registry->db, record, &wanted, err);
}

struct deployments_work {
    struct arena *arena;
    struct str endpoint;
    struct deployment *list;
    size_t count;
    size_t capacity;
};

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
        };
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status read_of_endpoint(struct sql_tx *tx, void *context, struct error *err)
{
    struct deployments_work *work = context;
    struct sql_rows *rows;

    TRY(sql_query(tx,
                  "SELECT endpoint, model, version, time_us, deployed_by FROM deployments"
                  " WHERE endpoint = ?1 ORDER BY id DESC LIMIT 1000",
                  SQL_ARGS(sql_arg_str(work->endpoint)), &rows, err));
    return collect(rows, work, err);
}

static bool same_version(const struct deployment *a, const struct deployment *b)
{
    return a->version == b->version && str_equal(a->model, b->model);
}

enum status deployment_get(struct registry *registry, struct arena *arena, struct str endpoint,
                           int back, struct deployment *out, struct error *err)
{
    struct deployments_work work = { .arena = arena, .endpoint = endpoint };
    size_t at = 0;

    TRY(sql_read(registry->db, read_of_endpoint, &work, err));
    for (; back > 0 && at < work.count; back--) {
        const struct deployment *newer = &work.list[at];

        while (at < work.count && same_version(&work.list[at], newer))
            at++;
    }
    if (work.count == 0)
        return error_set(err, STATUS_NOT_FOUND, "nothing is deployed to endpoint '" STR_FMT "'",
                         STR_ARG(endpoint));
    if (at == work.count)
        return error_set(err, STATUS_NOT_FOUND,
                         "endpoint '" STR_FMT "' has served no other version",
                         STR_ARG(endpoint));
    *out = work.list[at];
    return STATUS_OK;
}

static enum status read_current(struct sql_tx *tx, void *context, struct error *err)
{
    struct deployments_work *work = context;
    struct sql_rows *rows;

    TRY(sql_query(tx,
                  "SELECT endpoint, model, version, time_us, deployed_by FROM deployments"
                  " WHERE id IN (SELECT max(id) FROM deployments GROUP BY endpoint)"
                  " ORDER BY endpoint",
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
