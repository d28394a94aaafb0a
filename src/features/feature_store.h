/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The feature store: definitions, training sets, and the values that are
 * true now. This face is what other subsystems see of features/.
 *
 * Who reads features often takes a plan: a service worked out once into keys,
 * request fields and outputs. A plan is immutable and counted; reading by it
 * takes no lock, allocates from the given arena only, does not block as long
 * as the online store is local, and may be done by any thread.
 */
#include "base/arena.h"
#include "base/json.h"
#include "base/status.h"
#include "base/value.h"

struct definition_store;
struct feature_plan;
struct feature_store;

struct feature_store_config {
    struct definition_store *definitions; /* must live longer */
    const char *project;                  /* the folder of onggi.yaml, absolute */
    struct str online;         /* "lmdb:.onggi/online"; a relative path is below the project */
    uint64_t job_memory_bytes; /* of one job; 0: the job's own default */
    unsigned job_threads;      /* 0: one a core */
};

MUST_USE enum status feature_store_open(const struct feature_store_config *config,
                                        struct feature_store **out, struct error *err);
/* Sets *store to NULL; a NULL store is fine. Plans must have been given back. */
void feature_store_close(struct feature_store **store);

enum feature_status {
    FEATURE_PRESENT,
    FEATURE_NULL_VALUE,      /* the entity has a row, its value is null */
    FEATURE_NOT_FOUND,       /* nothing is known about the entity */
    FEATURE_OUTSIDE_MAX_AGE, /* older than the view's ttl */
    FEATURE_TOO_EARLY,       /* what is known is newer than the time asked for */
};
/* "PRESENT", … */
const char *feature_status_name(enum feature_status status);

struct feature_field {
    struct str name;
    enum value_type type;
};
struct feature_output {
    struct str
        name; /* view__feature for all, where two features of the service have one name */
    struct str view;
    enum value_type type;
};

/* NOT_FOUND names the nearest service. Give it back with feature_plan_unref. */
MUST_USE enum status feature_store_plan_get(struct feature_store *store, struct str service,
                                            struct feature_plan **out, struct error *err);
struct feature_plan *feature_plan_ref(struct feature_plan *plan);
/* Sets *plan to NULL; a NULL plan is fine. */
void feature_plan_unref(struct feature_plan **plan);
/* False once an apply has changed the definitions: time to take a new one. Costs one load. */
bool feature_plan_is_current(const struct feature_plan *plan);

/* The arrays live as long as the plan. */
struct str feature_plan_service(const struct feature_plan *plan);
const struct feature_field *feature_plan_keys(const struct feature_plan *plan, size_t *count);
/* The service's `time` field is among them. */
const struct feature_field *feature_plan_request(const struct feature_plan *plan,
                                                 size_t *count);
const struct feature_output *feature_plan_outputs(const struct feature_plan *plan,
                                                  size_t *count);

#define FEATURE_ROWS_MAX 10000
/*
 * Rows times values of each, those that only expressions read among them: some 200 MB with the
 * reply's text.
 */
#define FEATURE_CELLS_MAX 1000000

/* What so many rows cost: the values that have to be worked out. LIMIT beyond FEATURE_CELLS_MAX. */
MUST_USE enum status feature_plan_cells(const struct feature_plan *plan, size_t rows,
                                        size_t *out, struct error *err);

/* Each value has the type that the plan says, or is null. */
struct feature_query {
    size_t rows;
    const struct value *keys;    /* rows × keys */
    const struct value *request; /* rows × request fields; a null time means now_us */
    int64_t now_us;              /* the instant asked about, where the service has no `time` */
};
#define FEATURE_TIME_NONE INT64_MIN
/* rows × outputs each; any of the last two may be NULL if it is not wanted. */
struct feature_answer {
    struct value *values; /* text is copied into the arena */
    enum feature_status *statuses;
    int64_t *event_times_us; /* FEATURE_TIME_NONE where there is none */
};
/*
 * The caller gives the arrays of the answer. All views are read as they stood together at one
 * instant. UNAVAILABLE if a view was not materialised yet, or not since its definition changed;
 * LIMIT if the answer's texts are more than 64 MiB.
 */
MUST_USE enum status feature_plan_read(struct feature_plan *plan, struct arena *arena,
                                       const struct feature_query *query,
                                       const struct feature_answer *answer, struct error *err);

/*
 * "entities" and "request" of a request body, as every door takes them. With `columns` each
 * field is an array, all of one length; without, each is one value, and the query has one row.
 * Either object may be NULL if nothing is wanted of it. INVALID names the field, with the
 * nearest known one; LIMIT beyond FEATURE_ROWS_MAX rows or FEATURE_CELLS_MAX values.
 */
MUST_USE enum status feature_plan_query(const struct feature_plan *plan, struct arena *arena,
                                        yyjson_val *entities, yyjson_val *request, bool columns,
                                        struct feature_query *out, struct error *err);

/* --- materialising -------------------------------------------------------- */

struct materialize_request {
    const struct str *views; /* none: all that are stored */
    size_t view_count;
    int64_t from_us, to_us; /* event times from ≤ t < to; INT64_MIN and INT64_MAX: no bound */
    /* As in features/job.h; both may be NULL. */
    void (*on_progress)(void *context, struct str phase, uint64_t done, uint64_t total);
    bool (*is_cancelled)(void *context);
    void *context;
};
struct materialize_view_result {
    struct str view;
    uint64_t rows; /* of the source */
    uint64_t entities;
    double seconds;
};
struct materialize_result {
    struct materialize_view_result *views;
    size_t view_count;
    uint64_t rows; /* read from all sources, each once */
    uint64_t entities;
    double seconds;
};
/*
 * Builds the views anew from their sources, in a job process, and serves all of them from the
 * same instant on. What was served before stays until then, and if it fails.
 */
MUST_USE enum status feature_store_materialize(struct feature_store *store, struct arena *arena,
                                               const struct materialize_request *request,
                                               struct materialize_result *out,
                                               struct error *err);

/* {"views"?: [names], "from"?: time, "to"?: time}, over what is in *out; strings point into the JSON. */
MUST_USE enum status materialize_request_read(struct arena *arena, const yyjson_val *json,
                                              struct materialize_request *out,
                                              struct error *err);
struct str materialize_result_json(struct arena *arena,
                                   const struct materialize_result *result);

struct job_kind;
/* `onggi job materialize`: for the table that main gives to job_main. */
extern const struct job_kind materialize_job;

struct door;
/* POST /api/v1/features/get and /materialize; the context is the store. */
extern const struct door feature_store_door;
