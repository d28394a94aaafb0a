/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What training sets and batch predictions have in common: entity rows from a
 * file or by SQL go in, a file comes out.
 */
#include "cli/cli.h"

#define BATCH_OPTIONS \
    { "entities", "FILE", "the entity rows: Parquet or CSV", false }, \
        { "entities-sql", "SQL", "the entity rows: a SELECT over sources", false }, \
        { "out", "FILE", "where the result goes: .parquet or .csv", false }, \
    { \
        "time", "COLUMN", "the rows' time; default: the service's time field", false \
    }

struct batch {
    struct str target;  /* the route */
    struct str service; /* empty: the route knows it */
};

MUST_USE enum status batch_run(struct cli *cli, const struct batch *batch, struct error *err);
