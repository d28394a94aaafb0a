/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the registry's own files share; callers include registry.h. */
#include "registry/registry.h"

struct registry {
    struct sql *db;
    struct blob_store *blobs;
    decision_made on_decision; /* may be NULL */
    void *on_decision_context;
};

/* "did you mean" over the texts of one column; a sentence part, empty if nothing is near. */
struct str registry_nearest(struct sql_tx *tx, struct arena *arena, const char *query,
                            struct str wanted);
