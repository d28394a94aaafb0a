/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Training sets: the entity rows as they were given, in their order, and
 * beside each the features of a service as they were at that row's time.
 * docs/point-in-time.md and docs/windows.md say what that means exactly.
 *
 * The work is done by a job process; this is its caller's side.
 */
#include "base/arena.h"
#include "base/status.h"
#include "features/definition.h"
#include "features/job.h"

enum training_set_format { TRAINING_SET_PARQUET, TRAINING_SET_CSV };

struct training_set_request {
    const char *project; /* absolute path of its folder */
    struct str service;
    struct str entities_sql; /* SELECT over sources; or empty: */
    const char *entities;    /* absolute path of a Parquet or CSV file */
    struct str time;         /* column of the entity rows; empty: the service's time field */
    bool as_known;
    bool full_names;
    enum training_set_format format;
    const char *out; /* absolute path; written complete or not at all */
    /* For a job that goes on from the features (offline/training_set_stage.h); NULL: none. */
    const struct job_kind *kind;
    struct str stage; /* JSON, what that job is told beside the training set */
    struct job_limits limits;
    job_on_progress on_progress;
    void *context;
    bool (*is_cancelled)(void *context);
};

struct training_set_result {
    uint64_t rows;
    uint64_t columns;
    uint64_t bytes;
    uint64_t fallbacks; /* rows that a fallback answered; of the job "score" only */
    double seconds;
    struct str fingerprint; /* SHA-256, hex: of definitions, request and the data read */
};

MUST_USE enum status training_set_build(struct arena *arena,
                                        const struct definitions *definitions,
                                        const struct training_set_request *request,
                                        struct training_set_result *out, struct error *err);

/* Behind the name of a file that is not whole yet. */
#define TRAINING_SET_PART ".part"

/* The job kind "training-set". */
extern const struct job_kind training_set_job;
