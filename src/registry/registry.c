/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/registry.h"

#include "registry/registry_store.h"

#include <stdlib.h>

/* Released steps stay as they are; what changes comes as a further one. */
static const char *const steps[] = {
    "CREATE TABLE runs (id TEXT PRIMARY KEY, name TEXT NOT NULL, status INTEGER NOT NULL,"
    " started_us INTEGER NOT NULL, ended_us INTEGER NOT NULL DEFAULT 0,"
    " params TEXT NOT NULL DEFAULT '{}', metrics TEXT NOT NULL DEFAULT '{}');"
    "CREATE INDEX runs_by_start ON runs (started_us);"
    "CREATE TABLE artifacts (run TEXT NOT NULL REFERENCES runs (id), path TEXT NOT NULL,"
    " hash TEXT NOT NULL, size INTEGER NOT NULL, PRIMARY KEY (run, path)) WITHOUT ROWID;"
    "CREATE TABLE model_versions (model TEXT NOT NULL, version INTEGER NOT NULL,"
    " status INTEGER NOT NULL, created_us INTEGER NOT NULL, created_by TEXT NOT NULL,"
    " run TEXT NOT NULL, hash TEXT NOT NULL, size INTEGER NOT NULL, signature TEXT NOT NULL,"
    " params TEXT NOT NULL, metrics TEXT NOT NULL, lineage TEXT NOT NULL,"
    " made_by_key TEXT UNIQUE, PRIMARY KEY (model, version)) WITHOUT ROWID;"
    "CREATE TABLE decisions (id INTEGER PRIMARY KEY, model TEXT NOT NULL,"
    " version INTEGER NOT NULL, status INTEGER NOT NULL, decided_by TEXT NOT NULL,"
    " reason TEXT NOT NULL, time_us INTEGER NOT NULL,"
    " FOREIGN KEY (model, version) REFERENCES model_versions (model, version));"
    "CREATE INDEX decisions_by_version ON decisions (model, version);"
    "CREATE TABLE deployments (id INTEGER PRIMARY KEY, endpoint TEXT NOT NULL,"
    " model TEXT NOT NULL, version INTEGER NOT NULL, time_us INTEGER NOT NULL,"
    " deployed_by TEXT NOT NULL,"
    " FOREIGN KEY (model, version) REFERENCES model_versions (model, version));"
    "CREATE INDEX deployments_by_endpoint ON deployments (endpoint);",
    /* previous: what a rollback goes back to; back_to: what this rollback went back to. */
    "ALTER TABLE deployments ADD COLUMN previous INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE deployments ADD COLUMN back_to INTEGER NOT NULL DEFAULT 0;"
    "UPDATE deployments SET previous = coalesce((SELECT max(older.id) FROM deployments AS older"
    " WHERE older.endpoint = deployments.endpoint AND older.id < deployments.id), 0);",
};

enum status registry_open(struct sql *db, struct blob_store *blobs, struct registry **out,
                          struct error *err)
{
    struct registry *registry;

    if (sql_migrate(db, "registry", steps, ARRAY_LEN(steps), err) != STATUS_OK)
        return error_wrap(err, "open registry");
    registry = calloc(1, sizeof(*registry));
    if (registry == NULL)
        abort();
    *registry = (struct registry){ .db = db, .blobs = blobs };
    *out = registry;
    return STATUS_OK;
}

void registry_close(struct registry **registry)
{
    free(*registry);
    *registry = NULL;
}

struct blob_store *registry_blobs(const struct registry *registry)
{
    return registry->blobs;
}

void registry_on_decision(struct registry *registry, decision_made callback, void *context)
{
    registry->on_decision = callback;
    registry->on_decision_context = context;
}

struct str registry_nearest(struct sql_tx *tx, struct arena *arena, const char *query,
                            struct str wanted)
{
    struct str *names = NULL;
    size_t count = 0, capacity = 0;
    struct sql_rows *rows;
    struct error err;
    struct str near;

    if (sql_query(tx, query, NULL, 0, &rows, &err) != STATUS_OK)
        return STR_EMPTY;
    while (sql_next(rows, &err) == STATUS_OK)
        ARENA_PUSH(arena, names, count, capacity) = sql_str(rows, arena, 0);
    near = str_nearest(wanted, names, count);
    if (near.len == 0)
        return STR_EMPTY;
    return arena_printf(arena, "; did you mean '" STR_FMT "'?", STR_ARG(near));
}
