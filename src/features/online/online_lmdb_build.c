/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A generation is written once, in the order of its keys, by one process that
 * nobody else watches: so no commit waits for the disk before the last one,
 * and the map grows between commits instead of being reserved, because a job
 * runs under a limit of memory.
 */
#include "features/online/online_lmdb.h"

#include "base/clock.h"
#include "base/file.h"
#include "features/online/online_folder.h"

#include <errno.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Uncommitted pages are held in memory. */
#define COMMIT_BYTES ((size_t)32 << 20)
/* Branch pages, the rest of a page behind a row, and a page of its own for a long row. */
#define ROW_OVERHEAD 8192
/* LMDB makes as many places for readers as fit: about a thousand. */
#define LOCK_FILE_BYTES ((size_t)64 << 10)

struct lmdb_builder {
    struct online_builder base;
    struct arena *arena;
    struct online_info info;
    char *path;
    int lock; /* on the folder; -1: none */
    MDB_env *env;
    MDB_txn *txn; /* NULL between commits */
    MDB_dbi rows;
    size_t pending; /* bytes since the last commit, estimated */
    size_t map_bytes;
    size_t used_bytes; /* of the file, estimated from above */
};

enum status lmdb_failed(struct error *err, int rc, const char *what)
{
    if (rc == MDB_MAP_FULL)
        return error_set(err, STATUS_LIMIT, "%s: the online store's file has no room left",
                         what);
    if (rc == MDB_READERS_FULL)
        return error_set(err, STATUS_LIMIT,
                         "%s: too many processes read this online store at once", what);
    if (rc == MDB_CORRUPTED || rc == MDB_INVALID || rc == MDB_PAGE_NOTFOUND ||
        rc == MDB_VERSION_MISMATCH)
        return error_set(
            err, STATUS_INTERNAL,
            "%s: the file is damaged (%s); `onggi features materialize` builds it anew", what,
            mdb_strerror(rc));
    if (rc > 0)
        return error_errno(err, rc, "%s", what);
    return error_set(err, STATUS_INTERNAL, "%s: %s", what, mdb_strerror(rc));
}

static enum status env_open(struct lmdb_builder *builder, struct error *err)
{
    int rc = mdb_env_create(&builder->env);

    builder->map_bytes = 4 * COMMIT_BYTES;
    if (rc == 0)
        rc = mdb_env_set_mapsize(builder->env, builder->map_bytes);
    if (rc == 0)
        rc = mdb_env_open(builder->env, builder->path,
                          MDB_NOSYNC | MDB_NOTLS | MDB_NORDAHEAD | MDB_NOLOCK, 0644);
    return rc == 0 ? STATUS_OK : lmdb_failed(err, rc, builder->path);
}

/* Room for `bytes` more than what was written so far; between transactions only. */
static enum status txn_begin(struct lmdb_builder *builder, size_t bytes, struct error *err)
{
    size_t wanted = builder->used_bytes + 2 * bytes + 2 * COMMIT_BYTES;
    int rc = 0;

    if (wanted > builder->map_bytes) {
        builder->map_bytes = 2 * wanted;
        rc = mdb_env_set_mapsize(builder->env, builder->map_bytes);
    }
    if (rc == 0)
        rc = mdb_txn_begin(builder->env, NULL, 0, &builder->txn);
    if (rc == 0)
        rc = mdb_dbi_open(builder->txn, NULL, 0, &builder->rows);
    return rc == 0 ? STATUS_OK : lmdb_failed(err, rc, builder->path);
}

/* LMDB takes a write that was cut short for an I/O error; on a full disk it is that. */
static int full_disk_reason(const struct lmdb_builder *builder, int rc)
{
    struct statvfs disk;

    if (rc != EIO || statvfs(builder->path, &disk) != 0)
        return rc;
    return (uint64_t)disk.f_bavail * disk.f_frsize < COMMIT_BYTES ? ENOSPC : rc;
}

static enum status txn_commit(struct lmdb_builder *builder, struct error *err)
{
    int rc = full_disk_reason(builder, mdb_txn_commit(builder->txn));

    builder->txn = NULL; /* gone, whatever came of it */
    builder->used_bytes += builder->pending;
    builder->pending = 0;
    return rc == 0 ? STATUS_OK : lmdb_failed(err, rc, builder->path);
}

enum status lmdb_build(const char *folder, struct str view, struct str generation,
                       struct str layout, struct online_builder **out, struct error *err)
{
    struct arena *arena = arena_new();
    struct lmdb_builder *builder = ARENA_NEW(arena, struct lmdb_builder);

    builder->base.driver = &online_lmdb;
    builder->arena = arena;
    builder->info.layout = arena_str(arena, layout);
    builder->info.built_us = clock_now_us();
    builder->info.generation = arena_str(arena, generation);
    builder->path = online_folder_path(arena, folder, view, generation);
    if (online_folder_create(folder, builder->path, &builder->lock, err) != STATUS_OK) {
        arena_free(arena);
        return err->status;
    }
    if (env_open(builder, err) != STATUS_OK || txn_begin(builder, 0, err) != STATUS_OK) {
        lmdb_discard(&builder->base);
        return err->status;
    }
    *out = &builder->base;
    return STATUS_OK;
}

enum status lmdb_add(struct online_builder *base, struct str key, struct str row,
                     struct error *err)
{
    struct lmdb_builder *builder = container_of(base, struct lmdb_builder, base);
    MDB_val name = { key.len, (void *)(uintptr_t)key.data };
    MDB_val value = { row.len, (void *)(uintptr_t)row.data };
    size_t cost = key.len + row.len + ROW_OVERHEAD;
    int rc;

    if (builder->pending > 0 && builder->pending + cost > COMMIT_BYTES)
        TRY(txn_commit(builder, err));
    if (builder->txn == NULL)
        TRY(txn_begin(builder, cost, err));
    rc = mdb_put(builder->txn, builder->rows, &name, &value, MDB_APPEND);
    if (rc == MDB_KEYEXIST)
        return error_set(err, STATUS_INTERNAL, "%s: keys are not in ascending order",
                         builder->path);
    if (rc != 0)
        return lmdb_failed(err, rc, builder->path);
    builder->pending += cost;
    builder->info.entities++;
    return STATUS_OK;
}

static void builder_free(struct lmdb_builder *builder)
{
    if (builder->txn != NULL)
        mdb_txn_abort(builder->txn);
    if (builder->env != NULL)
        mdb_env_close(builder->env);
    if (builder->lock >= 0)
        close(builder->lock);
    arena_free(builder->arena); /* the builder lives in it */
}

/*
 * The lock file that readers will map, with its blocks: LMDB itself makes it sparse, and to touch
 * a hole of a mapped file on a full disk is the end of the process.
 */
static enum status write_lock_file(struct lmdb_builder *builder, struct error *err)
{
    static const char zeroes[LOCK_FILE_BYTES];
    struct str path = arena_printf(builder->arena, "%s/lock.mdb", builder->path);

    return file_write(path.data, (struct str){ zeroes, sizeof(zeroes) }, err);
}

static enum status write_out(struct lmdb_builder *builder, struct error *err)
{
    int rc;

    if (builder->txn != NULL)
        TRY(txn_commit(builder, err));
    rc = mdb_env_sync(builder->env, 1);
    if (rc != 0)
        return lmdb_failed(err, rc, builder->path);
    TRY(write_lock_file(builder, err));
    return online_folder_describe(builder->path, &builder->info,
                                  err); /* syncs the folder too */
}

/* Whose folder was taken away has lost what it built, wherever it noticed. */
static enum status without_folder(const struct lmdb_builder *builder, struct error *err)
{
    if (file_exists(builder->path))
        return status_of_failure(err->status);
    return error_set(err, STATUS_CONFLICT,
                     "what was built was removed in the meantime; materialise again");
}

enum status lmdb_finish(struct online_builder *base, int64_t newest_us, struct error *err)
{
    struct lmdb_builder *builder = container_of(base, struct lmdb_builder, base);

    builder->info.newest_us = newest_us;
    if (write_out(builder, err) != STATUS_OK) {
        enum status status = without_folder(builder, err);

        lmdb_discard(base);
        return status;
    }
    builder_free(builder);
    return STATUS_OK;
}

void lmdb_discard(struct online_builder *base)
{
    struct lmdb_builder *builder = container_of(base, struct lmdb_builder, base);
    struct error ignored;

    /* What stays behind is removed when a newer generation is published. */
    (void)!folder_remove(builder->path, &ignored);
    builder_free(builder);
}
