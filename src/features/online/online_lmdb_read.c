/* SPDX-License-Identifier: Apache-2.0 */
/* What a read does, from a slot that it claims to the rows that it finds. */
#include "features/online/online_lmdb.h"

#include "features/online/online_folder.h"

#include <errno.h>

/* Address space, not memory: room for a file that grows, without ever mapping it anew. */
#define MAP_BYTES ((size_t)64 << 30)
/* Of all processes together. */
#define READERS 1024

/* --- generations ---------------------------------------------------------- */

static void generation_close(struct generation *generation)
{
    if (generation->env != NULL)
        mdb_env_close(generation->env);
    arena_free(generation->arena);
}

/* The rows' handle stays valid for all transactions once the one that opened it has committed. */
static int rows_open(MDB_env *env, MDB_dbi *rows)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

    if (rc != 0)
        return rc;
    rc = mdb_dbi_open(txn, NULL, 0, rows);
    if (rc != 0)
        mdb_txn_abort(txn);
    else
        rc = mdb_txn_commit(txn);
    return rc;
}

/* A map_bytes of 0 maps what the file has. */
static int env_try(struct generation *generation, const char *path, size_t map_bytes)
{
    int dead;
    int rc = mdb_env_create(&generation->env);

    if (rc == 0 && map_bytes > 0)
        rc = mdb_env_set_mapsize(generation->env, map_bytes);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(generation->env, READERS);
    if (rc == 0)
        rc = mdb_env_open(generation->env, path, MDB_RDONLY | MDB_NOTLS | MDB_NORDAHEAD, 0644);
    if (rc == 0) /* slots of processes that died */
        rc = mdb_reader_check(generation->env, &dead);
    return rc == 0 ? rows_open(generation->env, &generation->rows) : rc;
}

static enum status env_open(struct generation *generation, const char *path, struct error *err)
{
    int rc = env_try(generation, path, MAP_BYTES);

    /* Where address space is short (ulimit -v, an emulator). */
    if (rc == ENOMEM && generation->env != NULL) {
        mdb_env_close(generation->env);
        generation->env = NULL;
        rc = env_try(generation, path, 0);
    }
    return rc == 0 ? STATUS_OK : lmdb_failed(err, rc, path);
}

enum status lmdb_generation_open(const char *folder, struct str view, struct str name,
                                 struct generation **out, struct error *err)
{
    struct arena *arena = arena_new();
    struct generation *generation = ARENA_NEW(arena, struct generation);
    char *path = online_folder_path(arena, folder, view, name);

    generation->arena = arena;
    generation->references = 1;
    if (online_folder_info(arena, path, &generation->info, err) != STATUS_OK ||
        env_open(generation, path, err) != STATUS_OK) {
        generation_close(generation);
        return err->status;
    }
    *out = generation;
    return STATUS_OK;
}

void lmdb_generation_unref(struct generation *generation)
{
    if (generation != NULL && --generation->references == 0)
        generation_close(generation);
}

/* --- slots ---------------------------------------------------------------- */

/* Under the view's lock, by the slot's owner. */
static void slot_give_up(struct slot *slot)
{
    if (slot->generation == NULL)
        return;
    mdb_txn_abort(slot->txn);
    lmdb_generation_unref(slot->generation);
    slot->generation = NULL;
    slot->txn = NULL;
}

static bool slot_claim(struct slot *slot)
{
    bool idle = false;

    return atomic_compare_exchange_strong(&slot->busy, &idle, true);
}

/* Threads that stay on slots of their own do not take each other's cache lines. */
static unsigned first_slot(void)
{
    static atomic_uint threads;
    static _Thread_local unsigned mine = UINT32_MAX;

    if (mine == UINT32_MAX)
        mine = atomic_fetch_add(&threads, 1) % LMDB_SLOTS;
    return mine;
}

static struct slot *view_claim_slot(struct lmdb_view *view)
{
    unsigned first = first_slot();

    for (unsigned i = 0; i < LMDB_SLOTS; i++) {
        struct slot *slot = &view->slots[(first + i) % LMDB_SLOTS];

        if (slot_claim(slot))
            return slot;
    }
    return NULL;
}

/* Moves the slot to the generation that is served now. */
static enum status slot_follow(struct lmdb_view *view, struct slot *slot, struct error *err)
{
    enum status status = STATUS_OK;
    struct generation *current;
    int rc;

    pthread_mutex_lock(&view->lock);
    slot_give_up(slot);
    current = atomic_load(&view->current);
    if (current == NULL) {
        status = STATUS_NOT_FOUND;
    } else if ((rc = mdb_txn_begin(current->env, NULL, MDB_RDONLY, &slot->txn)) != 0) {
        status = lmdb_failed(err, rc, "begin to read");
    } else {
        slot->generation = current;
        current->references++;
    }
    pthread_mutex_unlock(&view->lock);
    return status;
}

/* A generation published while the slot was busy is noticed here, or by the publisher's sweep. */
static void slot_release(struct lmdb_view *view, struct slot *slot)
{
    struct generation *used = slot->generation;

    atomic_store(&slot->busy, false);
    if (atomic_load(&view->current) == used || !slot_claim(slot))
        return;
    pthread_mutex_lock(&view->lock);
    slot_give_up(slot);
    pthread_mutex_unlock(&view->lock);
    atomic_store(&slot->busy, false);
}

enum status lmdb_begin(struct online_view *base, struct online_snapshot *out, struct error *err)
{
    struct lmdb_view *view = container_of(base, struct lmdb_view, base);
    struct slot *slot = view_claim_slot(view);
    enum status status = STATUS_OK;

    if (slot == NULL)
        return error_set(err, STATUS_LIMIT, "view '" STR_FMT "': more than %d reads at once",
                         STR_ARG(view->name), LMDB_SLOTS);
    if (slot->generation == NULL || slot->generation != atomic_load(&view->current)) {
        status = slot_follow(view, slot, err);
    } else {
        int rc = mdb_txn_renew(slot->txn);

        if (rc != 0)
            status = lmdb_failed(err, rc, "begin to read");
    }
    if (status != STATUS_OK) {
        slot_release(view, slot);
        return status;
    }
    *out = (struct online_snapshot){ &slot->generation->info, base, slot };
    return STATUS_OK;
}

void lmdb_end(struct online_snapshot *snapshot)
{
    struct lmdb_view *view = container_of(snapshot->view, struct lmdb_view, base);
    struct slot *slot = snapshot->held;

    mdb_txn_reset(slot->txn);
    slot_release(view, slot);
}

enum status lmdb_find(struct online_snapshot *snapshot, struct arena *arena,
                      const struct str *keys, size_t count, struct str *rows, struct error *err)
{
    struct slot *slot = snapshot->held;

    (void)arena; /* rows are read where they lie */
    for (size_t i = 0; i < count; i++) {
        MDB_val key = { keys[i].len, (void *)(uintptr_t)keys[i].data };
        MDB_val row;
        int rc = keys[i].len == 0 ? MDB_NOTFOUND
                                  : mdb_get(slot->txn, slot->generation->rows, &key, &row);

        if (rc != 0 && rc != MDB_NOTFOUND)
            return lmdb_failed(err, rc, "read");
        rows[i] = rc == 0 ? (struct str){ row.mv_data, row.mv_size } : (struct str){ 0 };
    }
    return STATUS_OK;
}

/* Behind a switch: the generation that was served leaves the view, and the slots that are idle. */
void lmdb_view_let_go(struct lmdb_view *view, struct generation *old)
{
    const struct generation *current = atomic_load(&view->current);

    pthread_mutex_lock(&view->lock);
    for (size_t i = 0; i < LMDB_SLOTS; i++) {
        struct slot *slot = &view->slots[i];

        if (!slot_claim(slot))
            continue;
        if (slot->generation != current)
            slot_give_up(slot);
        atomic_store(&slot->busy, false);
    }
    lmdb_generation_unref(old);
    pthread_mutex_unlock(&view->lock);
}
