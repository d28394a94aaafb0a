/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Sources for the specification of a job; source_specs_parse() of the offline store reads them. */
#include "base/json.h"
#include "features/definition.h"

/*
 * An array of the wanted sources and of all that their SQL reads, each behind those that it
 * needs, and each once.
 */
yyjson_mut_val *source_specs_json(yyjson_mut_doc *doc, struct arena *arena,
                                  const struct source *const *wanted, size_t count);
