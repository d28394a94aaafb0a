/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The recorded definitions: what `apply` last wrote into the metadata, which
 * is what training sets, materialisation and requests go by, whatever the
 * files say meanwhile. One store per process; any thread may call.
 */
#include "features/definition_load.h"
#include "net/router.h"
#include "sql/sql.h"

struct definition_store;

struct definition_store_config {
    const char *project;
    struct sql *db;
    const struct definition_kind *const *kinds; /* NULL-terminated; may be NULL */
    source_describe describe;
    void *describe_context;
};

/* Reads the metadata and nothing else. The config's pointers must outlive the store. */
MUST_USE enum status definition_store_open(const struct definition_store_config *config,
                                           struct definition_store **out, struct error *err);
void definition_store_close(struct definition_store **store);

/* A reference to the snapshot in force; definitions_unref() it. */
const struct definitions *definition_store_current(struct definition_store *store);
/* Its revision, without a lock: to see whether something worked out from it is still good. */
int64_t definition_store_revision(const struct definition_store *store);

/* Called after each apply that changed something, on the thread that applied, before it answers. */
typedef void (*definitions_changed)(void *context, const struct definitions *now);
void definition_store_on_change(struct definition_store *store, definitions_changed callback,
                                void *context);
/*
 * Called by each apply and validate before anything is recorded: what `next` would break goes into
 * `errors`, what its author should know into `warnings`. There may be one.
 */
typedef void (*definitions_review)(void *context, const struct definitions *before,
                                   const struct definitions *next,
                                   struct definition_errors *errors,
                                   struct definition_errors *warnings);
void definition_store_on_review(struct definition_store *store, definitions_review callback,
                                void *context);

enum definition_change_kind { DEFINITION_ADDED, DEFINITION_CHANGED, DEFINITION_REMOVED };

struct definition_change {
    enum definition_change_kind change;
    struct str kind; /* "view" */
    struct str name;
    struct place place; /* of a removed one: where it was */
};

struct definition_changes {
    struct definition_change *items;
    size_t count;
    struct str
        *unbuilt; /* views for which nothing in the online store can be good any more, or yet */
    size_t unbuilt_count;
    bool applied;
    int64_t revision;                  /* now in force */
    struct definition_errors warnings; /* of the review */
};

enum apply_mode {
    APPLY_RECORD,
    APPLY_DRY_RUN,
    APPLY_FORCED, /* what the review calls an error is a warning */
};

struct definition_apply {
    enum apply_mode mode;
    /* Ends it with UNAVAILABLE while nothing is recorded yet; both may be NULL. */
    bool (*is_cancelled)(void *context);
    void *context;
};

/*
 * Loads the files and compares them with what is recorded; unless it is a dry run, records them
 * in one transaction and puts the new snapshot in force. INVALID with `errors` filled when they
 * are wrong, or when the review finds that they break something: nothing changes.
 */
MUST_USE enum status definition_store_apply(struct definition_store *store, struct arena *arena,
                                            const struct definition_apply *how,
                                            struct definition_changes *out,
                                            struct definition_errors *errors,
                                            struct error *err);

/* /api/v1/validate, /api/v1/apply, /api/v1/definitions/…; the context is the store. */
extern const struct door definition_door;
