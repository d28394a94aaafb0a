/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the reading and the building half of the LMDB driver share. */
#include "features/online/online_driver.h"

#include <lmdb.h>

#define LMDB_DATA "/data.mdb"

/* STATUS of an LMDB return code, with its text. */
enum status lmdb_failed(struct error *err, int rc, const char *what);
enum status lmdb_build(const char *folder, struct str view, struct str generation,
                       struct str layout, struct online_builder **out, struct error *err);
enum status lmdb_add(struct online_builder *base, struct str key, struct str row,
                     struct error *err);
enum status lmdb_finish(struct online_builder *base, int64_t newest_us, struct error *err);
void lmdb_discard(struct online_builder *base);
