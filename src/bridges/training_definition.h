/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a training set was made from, as it was defined at that moment: the
 * next apply rewrites the recorded definitions, a model's lineage must not
 * change with them.
 */
#include "blob/blob.h"
#include "features/definition.h"
#include "features/training_set.h"

/*
 * Keeps {"service", "definitions": {kind: {name: …}}, "sources": {name: hash}, "columns", and what
 * was asked} as a blob; *hash is in the arena. Equal definitions and questions give equal hashes.
 */
MUST_USE enum status training_definition_put(struct arena *arena, struct blob_store *blobs,
                                             const struct definitions *definitions,
                                             const struct training_set_request *request,
                                             struct str *hash, struct error *err);
