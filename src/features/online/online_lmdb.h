/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the parts of the LMDB driver share: reading, building, switching. */
#include "features/online/online_driver.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

/* Reads of one view at the same instant, in this process. */
#define LMDB_SLOTS 64

struct generation {
    struct arena *arena; /* it lives in it */
    struct online_info info;
    MDB_env *env;
    MDB_dbi rows;
    unsigned references; /* under the view's lock */
};

struct slot {
    _Alignas(64) atomic_bool busy; /* who sets it owns what follows */
    struct generation *generation; /* NULL: never used, or given up */
    MDB_txn *txn;                  /* reset while the slot is idle */
};

struct lmdb_view {
    struct online_view base;
    struct lmdb_view *next;
    struct str name;
    pthread_mutex_t lock;
    _Atomic(struct generation *) current; /* NULL: never materialised */
    struct slot slots[LMDB_SLOTS];
};

/* online_lmdb_read.c: opens it to be read; with one reference. */
MUST_USE enum status lmdb_generation_open(const char *folder, struct str view, struct str name,
                                          struct generation **out, struct error *err);
/* Under the lock of its view, once it has one; NULL is fine. */
void lmdb_generation_unref(struct generation *generation);
/* After a switch: what was served leaves the view, and the slots that are idle. */
void lmdb_view_let_go(struct lmdb_view *view, struct generation *old);
enum status lmdb_begin(struct online_view *base, struct online_snapshot *out,
                       struct error *err);
void lmdb_end(struct online_snapshot *snapshot);
enum status lmdb_find(struct online_snapshot *snapshot, struct arena *arena,
                      const struct str *keys, size_t count, struct str *rows,
                      struct error *err);

/* online_lmdb_build.c */

/* STATUS of an LMDB return code, with its text. */
enum status lmdb_failed(struct error *err, int rc, const char *what);
enum status lmdb_build(const char *folder, struct str view, struct str generation,
                       struct str layout, struct online_builder **out, struct error *err);
enum status lmdb_add(struct online_builder *base, struct str key, struct str row,
                     struct error *err);
enum status lmdb_finish(struct online_builder *base, int64_t newest_us, struct error *err);
void lmdb_discard(struct online_builder *base);
