/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The columns of sources, asked of DuckDB in a job process. */
#include "features/definition_load.h"

/* A source_describe for definition_input; the context is a const struct job_limits * or NULL. */
MUST_USE enum status definition_describe_by_job(void *context, struct arena *arena,
                                                const struct source_question *question,
                                                struct source_description *out,
                                                struct error *err);
