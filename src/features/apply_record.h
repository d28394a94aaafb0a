/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The tables of the recorded definitions. Callers include apply.h. */
#include "features/definition_internal.h"
#include "sql/sql.h"

MUST_USE enum status apply_record_migrate(struct sql *db, struct error *err);
MUST_USE enum status apply_record_read(struct sql *db, struct arena *arena,
                                       struct definition_record *out, struct error *err);
/* All at once or not at all: what was recorded before is replaced. */
MUST_USE enum status apply_record_write(struct sql *db, const struct definitions *definitions,
                                        struct error *err);
