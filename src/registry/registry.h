/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The registry remembers what was trained, on what, how good it was, who
 * approved it and where it answers. Runs collect parameters, metrics and
 * artifacts; a model version is one trained model with its lineage; a
 * deployment says which version an endpoint serves. A version's evidence is
 * never changed; decisions and deployments are only ever appended. A run's
 * parameters, metrics and artifacts are those last logged under their names.
 *
 * One registry may be used by many threads at once. Functions that write
 * return when the change is on disk. JSON goes in and out as text; strings
 * that come out live in the arena given.
 */
#include "base/arena.h"
#include "base/status.h"
#include "blob/blob.h"
#include "sql/sql.h"

struct registry;

/* Borrows both; they must outlive the registry. */
MUST_USE enum status registry_open(struct sql *db, struct blob_store *blobs,
                                   struct registry **out, struct error *err);
void registry_close(struct registry **registry);
struct blob_store *registry_blobs(const struct registry *registry);

enum run_status { RUN_RUNNING, RUN_FINISHED, RUN_FAILED };

struct run {
    struct str id;
    struct str name; /* the pipeline's, or what the user calls it */
    enum run_status status;
    int64_t started_us;
    int64_t ended_us;   /* 0 while it runs */
    struct str params;  /* JSON object */
    struct str metrics; /* JSON object of numbers, or "NaN" and the like */
};

struct artifact {
    struct str path; /* "evaluate/report.html" */
    struct str hash;
    int64_t size;
};

/* Beginning a run that exists already revives it: a pipeline was redriven. */
MUST_USE enum status run_begin(struct registry *registry, struct str id, struct str name,
                               struct error *err);
/* Begins it if there is none; one that is there stays as it is, ended or not. */
MUST_USE enum status run_ensure(struct registry *registry, struct str id, struct str name,
                                int64_t started_us, struct error *err);
/*
 * Members of the JSON object replace those of equal name, a null is left out. Metrics must be
 * numbers, or the texts "NaN", "Infinity" and "-Infinity".
 */
MUST_USE enum status run_log_params(struct registry *registry, struct str id, struct str json,
                                    struct error *err);
MUST_USE enum status run_log_metrics(struct registry *registry, struct str id, struct str json,
                                     struct error *err);
/* Every file in the folder, or below it if deep, becomes an artifact "prefix/relative path". */
MUST_USE enum status run_log_folder(struct registry *registry, struct str id, struct str prefix,
                                    const char *folder, bool deep, struct error *err);
MUST_USE enum status run_end(struct registry *registry, struct str id, enum run_status status,
                             struct error *err);
MUST_USE enum status run_get(struct registry *registry, struct arena *arena, struct str id,
                             struct run *out, struct error *err);
/* Newest first. */
MUST_USE enum status run_list(struct registry *registry, struct arena *arena, int64_t limit,
                              struct run **out, size_t *count, struct error *err);
MUST_USE enum status run_artifacts(struct registry *registry, struct arena *arena,
                                   struct str id, struct artifact **out, size_t *count,
                                   struct error *err);
/* NOT_FOUND names the nearest path there is. */
MUST_USE enum status run_artifact_get(struct registry *registry, struct arena *arena,
                                      struct str id, struct str path, struct artifact *out,
                                      struct error *err);
const char *run_status_name(enum run_status status);

enum version_status { VERSION_PENDING, VERSION_APPROVED, VERSION_REJECTED };

struct model_version {
    struct str model;
    int64_t version; /* 1, 2, … within the model */
    enum version_status status;
    int64_t created_us;
    struct str created_by;
    struct str run;  /* id, or empty */
    struct str hash; /* the model file's blob */
    int64_t size;    /* bytes */
    struct str
        signature; /* JSON: ordered input features and their types; "{}" when the file tells */
    struct str params;  /* JSON object */
    struct str metrics; /* JSON object */
    struct str lineage; /* JSON object: training set, data fingerprint, code hash, execution */
};

struct decision {
    enum version_status status;
    struct str by;
    struct str reason;
    int64_t time_us;
};

/* Asked in the transaction, on the writer's thread: false, and nothing is created (CONFLICT). */
typedef bool (*version_still_wanted)(void *context);
/*
 * The number is chosen here. `key` makes it happen once: the same key again gives the version it
 * made the first time, whatever else is given. still_wanted may be NULL.
 */
MUST_USE enum status model_version_create(struct registry *registry,
                                          const struct model_version *wanted, struct str key,
                                          version_still_wanted still_wanted, void *context,
                                          int64_t *version, struct error *err);
/* NOT_FOUND names the nearest model, or the versions there are. */
MUST_USE enum status model_version_get(struct registry *registry, struct arena *arena,
                                       struct str model, int64_t version,
                                       struct model_version *out, struct error *err);
MUST_USE enum status model_version_list(struct registry *registry, struct arena *arena,
                                        struct str model, struct model_version **out,
                                        size_t *count, struct error *err);
MUST_USE enum status model_list(struct registry *registry, struct arena *arena,
                                struct str **out, size_t *count, struct error *err);
/* False if text is none. */
bool version_status_parse(struct str text, enum version_status *out);

struct version_decision {
    struct str model;
    int64_t version;
    enum version_status status;
    struct str by, reason;
    /* What the version's status was when the decider looked: CONFLICT, with who, if it is another. */
    bool has_seen;
    enum version_status seen;
};
/*
 * An empty reason is INVALID: whoever reads it later has nothing else. Approving what is approved
 * is CONFLICT, with who was first; a rejection is always taken, for it is there to stop a model.
 */
MUST_USE enum status model_version_decide(struct registry *registry,
                                          const struct version_decision *decision,
                                          struct error *err);
/* Called after each decision is on disk, on the thread that made it. Set it before any is made. */
typedef void (*decision_made)(void *context, struct str model, int64_t version,
                              const struct decision *decision);
void registry_on_decision(struct registry *registry, decision_made callback, void *context);
/* Newest first. */
MUST_USE enum status model_version_decisions(struct registry *registry, struct arena *arena,
                                             struct str model, int64_t version,
                                             struct decision **out, size_t *count,
                                             struct error *err);
const char *version_status_name(enum version_status status);

struct deployment {
    struct str endpoint;
    struct str model;
    int64_t version;
    int64_t time_us;
    struct str by;
    int64_t id;
    int64_t previous; /* the deployment that a rollback of this one goes back to; 0: none */
    int64_t back_to;  /* of a rollback: the deployment it went back to; else 0 */
    enum version_status status; /* of the version, now */
};

/* CONFLICT, with how to mend it, unless the status is APPROVED. */
MUST_USE enum status version_check_approved(struct str model, int64_t version,
                                            enum version_status status, struct error *err);
/* CONFLICT unless the version is approved: nothing else may decide about people. */
MUST_USE enum status deployment_record(struct registry *registry, struct str endpoint,
                                       struct str model, int64_t version, struct str by,
                                       struct error *err);
/*
 * The endpoint serves again what the deployment `to` brought. Where the next rollback leads is
 * what came before that one: each goes one deployment further back.
 */
MUST_USE enum status deployment_record_rollback(struct registry *registry,
                                                const struct deployment *to, struct str by,
                                                struct error *err);
/* What the endpoint serves, by the last record. */
MUST_USE enum status deployment_get(struct registry *registry, struct arena *arena,
                                    struct str endpoint, struct deployment *out,
                                    struct error *err);

struct rollback {
    struct deployment from, to;
    struct deployment *skipped; /* versions in between that are no longer approved */
    size_t skipped_count;
    int64_t next; /* the version that one more rollback would bring; 0: none */
};
/* The last deployment before the present one with another, approved version. */
MUST_USE enum status deployment_rollback_find(struct registry *registry, struct arena *arena,
                                              struct str endpoint, struct rollback *out,
                                              struct error *err);
/* The current one of each endpoint. */
MUST_USE enum status deployment_list(struct registry *registry, struct arena *arena,
                                     struct deployment **out, size_t *count, struct error *err);
/* All of an endpoint, newest first, at most limit. */
MUST_USE enum status deployment_history(struct registry *registry, struct arena *arena,
                                        struct str endpoint, int64_t limit,
                                        struct deployment **out, size_t *count,
                                        struct error *err);
