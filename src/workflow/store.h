/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Executions and their events in the database: one event a row, and one row that sums them up. */
#include "workflow/execution.h"

MUST_USE enum status store_migrate(struct sql *db, struct error *err);
/*
 * The execution's row and its fresh events. The hash is empty where there is no code. CONFLICT if its
 * pipeline has one of this name (unless empty).
 */
MUST_USE enum status store_create(struct sql *db, const struct execution *execution,
                                  struct str name, struct str code_sha256, struct error *err);
struct named_execution {
    struct str id; /* empty: there is none */
    struct str input, definition;
};
MUST_USE enum status store_named(struct sql *db, struct arena *arena, struct str pipeline,
                                 struct str name, struct named_execution *out,
                                 struct error *err);
/* Ends one whose history cannot be read. CONFLICT if it does not run. */
MUST_USE enum status store_abort(struct sql *db, struct arena *arena, struct str id,
                                 const struct fault *fault, struct str user, int64_t now_us,
                                 struct str *pipeline, struct error *err);
/* The fresh events of all of them in one commit. */
MUST_USE enum status store_append(struct sql *db, struct execution *const *executions,
                                  size_t count, struct error *err);
/* Replays the whole history. */
MUST_USE enum status store_load(struct sql *db, struct str id, struct execution **out,
                                struct error *err);
enum store_age {
    AGE_UNKNOWN, /* there is no such execution */
    AGE_RUNNING,
    AGE_RECENT, /* among the last `keep` of its pipeline that have ended */
    AGE_OLD,
};
MUST_USE enum status store_age_get(struct sql *db, struct str id, unsigned keep,
                                   enum store_age *out, struct error *err);
MUST_USE enum status store_running(struct sql *db, struct arena *arena, struct str **ids,
                                   size_t *count, struct error *err);
