/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The online store answers one question fast: what is known about this entity
 * now? It keeps one packed row of bytes per view and entity; what is in a row
 * is the affair of window_state.h and online_row.h, which database keeps it
 * that of the driver.
 *
 * The rows of a view come in generations. A materialisation builds a new one
 * beside the one that is served, and publishing switches to it at one instant,
 * for this process and for others that have the store open; a read that is
 * under way keeps the generation that it began with.
 *
 * One store may be used by many threads at once; a builder and a snapshot
 * belong to one thread at a time.
 */
#include "base/arena.h"
#include "base/status.h"

struct online_store;   /* opaque, as are the next two: only the drivers see inside */
struct online_view;    /* the rows of one view; lives as long as its store */
struct online_builder; /* a generation that is being written */

/* location is "driver:rest", as in "lmdb:.onggi/online". Creates what is not there. */
MUST_USE enum status online_store_open(struct str location, struct online_store **out,
                                       struct error *err);
/* No snapshot may be open any more. Sets *store to NULL; a NULL store is fine. */
void online_store_close(struct online_store **store);

/* A view that was never materialised is fine: it gets its rows when they are published. */
MUST_USE enum status online_store_view(struct online_store *store, struct str name,
                                       struct online_view **out, struct error *err);

/* What was said when the generation was built. */
struct online_info {
    struct str generation; /* a later one sorts behind an earlier one */
    struct str layout; /* how its rows are laid out: who reads compares it with what it knows */
    uint64_t entities;
    int64_t newest_us; /* the newest event time in it; INT64_MIN if it has no rows */
    int64_t built_us;
};

struct online_snapshot {
    const struct online_info *info; /* until the snapshot ends */
    struct online_view *view;
    void *held; /* the driver's */
};

/* NOT_FOUND if the view was never materialised; err is not written then, for that is no failure. */
MUST_USE enum status online_snapshot_begin(struct online_view *view,
                                           struct online_snapshot *out, struct error *err);
void online_snapshot_end(struct online_snapshot *snapshot);
/*
 * Snapshots of several views that go together: of what was published at one instant they show all
 * or nothing. On failure none is open, and *failed says of which view it is one; NOT_FOUND as above.
 */
MUST_USE enum status online_snapshots_begin(struct online_store *store,
                                            struct online_view *const *views, size_t count,
                                            struct online_snapshot *out, size_t *failed,
                                            struct error *err);
/*
 * Rows of several entities in one go. An absent one has data NULL. The bytes may be the store's own
 * pages: they are valid until the snapshot ends, and are aligned for int64_t by no promise.
 */
MUST_USE enum status online_snapshot_find(struct online_snapshot *snapshot, struct arena *arena,
                                          const struct str *keys, size_t count,
                                          struct str *rows, struct error *err);

/* The longest key that every driver takes. */
#define ONLINE_KEY_MAX 480

/*
 * The name of a new generation, of whatever views: to be taken before the first row is read, since
 * of two that are built at the same time the one that was reserved later is the newer.
 */
MUST_USE enum status online_store_reserve(struct online_store *store, struct arena *arena,
                                          struct str *generation, struct error *err);
/* Seen by nobody until it is published. The store may be another process's. */
MUST_USE enum status online_builder_new(struct online_store *store, struct str view,
                                        struct str generation, struct str layout,
                                        struct online_builder **out, struct error *err);
/* Keys must come in ascending order of their bytes, each once. */
MUST_USE enum status online_builder_add(struct online_builder *builder, struct str key,
                                        struct str row, struct error *err);
/*
 * Brings everything to disk and frees the builder, on failure too; it can then be published.
 * CONFLICT if somebody took it away meanwhile.
 */
MUST_USE enum status online_builder_finish(struct online_builder **builder, int64_t newest_us,
                                           struct error *err);
/* Removes what was written; a NULL builder is fine. */
void online_builder_discard(struct online_builder **builder);

/* What is left of builders that did not come to their end, or of a generation that nobody publishes. */
MUST_USE enum status online_store_discard(struct online_store *store, struct str generation,
                                          struct error *err);

struct online_publication {
    struct str view;
    struct str generation;
};
/*
 * Switches all these views at the same instant, and removes the generations that are older. It is
 * durable when it returns. CONFLICT if a newer generation of a view is there already, or one of
 * these has vanished: nothing is switched then, and all of these are removed.
 */
MUST_USE enum status online_store_publish(struct online_store *store,
                                          const struct online_publication *items, size_t count,
                                          struct error *err);
/*
 * Forgets all other views: they are as never materialised, and their rows leave the disk once the
 * reads that are under way have ended. What is being built of them now can no more be published.
 */
MUST_USE enum status online_store_keep(struct online_store *store, const struct str *views,
                                       size_t count, struct error *err);
