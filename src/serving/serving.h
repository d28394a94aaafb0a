/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Loaded models. A model is loaded once, from a file that was checked and
 * tried in a child process first, warmed up and measured, and then run by any
 * thread without waiting for another. References are counted: a model that is
 * replaced lives until its last request has been answered.
 */
#include "base/arena.h"
#include "base/status.h"
#include "base/value.h"
#include "serving/tensor.h"

struct serving;
struct model;

struct serving_config {
    unsigned
        threads; /* that run models; so many run one model without waiting for each other */
    size_t probe_memory_bytes; /* of the child that tries a model first; 0: 2 GiB */
    unsigned probe_timeout_ms; /* 0: 30 s */
    size_t memory_bytes; /* that loaded models may take together; 0: 3/4 of the machine's */
    /* Where it is remembered which models were tried, so that a start need not do it again; NULL: nowhere. */
    const char *tried_folder;
    bool
        is_expendable; /* this process may crash: models are loaded without a trial in a child */
};

/*
 * At start, while the process has one thread. Does not fail for want of the runtime library:
 * loading a model then does, with a sentence that says so.
 */
MUST_USE enum status serving_open(const struct serving_config *config, struct serving **out,
                                  struct error *err);
void serving_close(struct serving **serving); /* models must have been given back */
/* What the protocol's door says of the server as a whole; set before the first request. Any thread calls it. */
typedef bool (*serving_readiness)(void *context, struct error *why);
void serving_set_readiness(struct serving *serving, serving_readiness callback, void *context);

struct model_feature {
    struct str name;
    enum value_type type; /* what the model wants of it */
};

/* The numbers of the warm-up: what one row takes, in this process. */
struct model_speed {
    uint64_t p50_ns; /* both 0 where it could not be measured: it fails at rows made up */
    uint64_t p99_ns;
    bool is_fast; /* p99 under 200 us: may run on a loop thread */
};

struct model_source {
    struct str name;
    int64_t version;
    const char *path; /* a local file */
    struct str hash;  /* SHA-256 of what must be in it, in hex; empty: whatever is */
    /* {"features": [names]}, or "{}": then the file's own metadata key "features", else its inputs. */
    struct str signature;
    size_t memory_bytes; /* where it is not tried: what model_memory() said elsewhere, or 0 */
    /* Optional: what is done now, "try", "load", "warm up". */
    void (*on_phase)(void *context, const char *phase);
    void *context;
};
/*
 * Checks, tries in a child, loads, warms up. Blocks for tens of milliseconds and more. LIMIT where
 * it would take too much memory beside the others. The model is not yet found by name.
 */
MUST_USE enum status model_load(struct serving *serving, const struct model_source *source,
                                struct model **out, struct error *err);
/* From now on model_acquire() finds it, also as its name's current one. Takes over the reference. */
void serving_publish(struct serving *serving, struct model *model);
/* Nobody finds it any more; who holds a reference goes on. Of a name's others the newest becomes current. */
void serving_withdraw(struct serving *serving, struct str name, int64_t version);
/* version 0: the current one. NOT_FOUND names the nearest. */
MUST_USE enum status model_acquire(struct serving *serving, struct str name, int64_t version,
                                   struct model **out, struct error *err);
struct model *model_ref(struct model *model);
/* NULL is fine. Never blocks: what nobody holds any more is freed in the background. */
void model_unref(struct model **model);

struct model_entry {
    struct str name;
    int64_t version;
    bool is_current;
};
/* All that model_acquire() finds, by name, then version. */
void serving_list(struct serving *serving, struct arena *arena, struct model_entry **out,
                  size_t *count);

struct str model_name(const struct model *model);
int64_t model_version_number(const struct model *model);
struct model_speed model_speed(const struct model *model);
/* Whether it is trees that are walked here and not in the runtime (docs/serving.md). */
bool model_is_walked(const struct model *model);
/* What one session of it takes, as its trial told; 0: not known. */
size_t model_memory(const struct model *model);
/* None where the inputs cannot be filled from one row of features: then only model_infer() runs it. */
const struct model_feature *model_features(const struct model *model, size_t *count);
const struct tensor_spec *model_inputs(const struct model *model, size_t *count);
const struct tensor_spec *model_outputs(const struct model *model, size_t *count);
/* The output that `score` means: the last column of the probabilities, else the only scalar number; -1: none. */
int model_score_output(const struct model *model);

/*
 * One row: the hot path. features has one value per model_features(), in order; a null becomes
 * NaN in a float input and is INVALID, naming the feature, in any other. Outputs are one tensor
 * per model_outputs(), with data in the arena. TIMEOUT when deadline_ns (clock_monotonic_ns; 0:
 * none) passes in mid-run.
 */
MUST_USE enum status model_run_row(struct model *model, struct arena *arena,
                                   const struct value *features, uint64_t deadline_ns,
                                   struct tensor *outputs, struct error *err);
/* rows × features at once; for batches: a few thousand rows at a time serve a cache best. */
MUST_USE enum status model_run_rows(struct model *model, struct arena *arena, size_t rows,
                                    const struct value *features, uint64_t deadline_ns,
                                    struct tensor *outputs, struct error *err);
/* Whether all features go into one float32 matrix, so that model_run_matrix() runs it. */
bool model_takes_matrix(const struct model *model);
/* The same without values: rows × features as the model reads them, a null already NaN. */
MUST_USE enum status model_run_matrix(struct model *model, struct arena *arena, size_t rows,
                                      float *features, uint64_t deadline_ns,
                                      struct tensor *outputs, struct error *err);
/* Tensors as the caller brings them, checked against model_inputs(); in any order. */
MUST_USE enum status model_infer(struct model *model, struct arena *arena,
                                 const struct tensor *inputs, size_t count,
                                 uint64_t deadline_ns, struct tensor *outputs,
                                 struct error *err);
/* The score of one row of the outputs as a number; NaN if there is no score. */
double model_score_of(const struct model *model, const struct tensor *outputs, size_t row);

/*
 * `onggi job probe-model`: what the child runs that tries a model. argv is main's. The program
 * answers it before anything else. Returns the exit code.
 */
int serving_probe_main(int argc, char **argv);
