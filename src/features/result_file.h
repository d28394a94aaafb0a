/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Files that long work leaves to be fetched: made by one request, handed out
 * by GET /api/v1/results/{id} once, and gone after that or after a day.
 */
#include "base/arena.h"
#include "base/status.h"

/* A fresh id and the absolute path to write to; ending is "parquet" or "csv". */
MUST_USE enum status result_file_new(struct arena *arena, const char *project,
                                     const char *ending, struct str *id, const char **path,
                                     struct error *err);
/* NOT_FOUND if there is none, or no longer. */
MUST_USE enum status result_file_get(struct arena *arena, const char *project, struct str id,
                                     const char **path, const char **content_type,
                                     struct error *err);
