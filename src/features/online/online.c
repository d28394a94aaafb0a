/* SPDX-License-Identifier: Apache-2.0 */
#include "features/online/online.h"

#include "features/online/online_driver.h"

static const struct online_driver *const drivers[] = { &online_lmdb };

static enum status driver_find(struct str location, const struct online_driver **out,
                               struct str *rest, struct error *err)
{
    size_t colon = str_index(location, ':');
    struct str name = str_slice(location, 0, colon);
    struct str known[ARRAY_LEN(drivers)];
    struct str nearest;

    for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
        known[i] = str_from(drivers[i]->name);
        if (colon == location.len || !str_equal(name, known[i]))
            continue;
        *out = drivers[i];
        *rest = str_slice(location, colon + 1, location.len);
        return STATUS_OK;
    }
    nearest = str_nearest(name, known, ARRAY_LEN(drivers));
    return error_set(
        err, STATUS_INVALID,
        "expected 'driver:place' as in 'lmdb:.onggi/online', where the driver is one "
        "of: lmdb%s" STR_FMT "%s",
        nearest.len > 0 ? "; did you mean '" : "", STR_ARG(nearest),
        nearest.len > 0 ? "'?" : "");
}

enum status online_store_open(struct str location, struct online_store **out, struct error *err)
{
    const struct online_driver *driver;
    struct str rest;

    if (driver_find(location, &driver, &rest, err) != STATUS_OK ||
        driver->open(rest, out, err) != STATUS_OK)
        return error_wrap(err, "open online store '" STR_FMT "'", STR_ARG(location));
    return STATUS_OK;
}

void online_store_close(struct online_store **store)
{
    if (*store != NULL)
        (*store)->driver->close(*store);
    *store = NULL;
}

enum status online_store_view(struct online_store *store, struct str name,
                              struct online_view **out, struct error *err)
{
    return store->driver->view(store, name, out, err);
}

enum status online_snapshot_begin(struct online_view *view, struct online_snapshot *out,
                                  struct error *err)
{
    return view->driver->begin(view, out, err);
}

void online_snapshot_end(struct online_snapshot *snapshot)
{
    snapshot->view->driver->end(snapshot);
}

static void end_all(struct online_snapshot *snapshots, size_t count)
{
    while (count > 0)
        online_snapshot_end(&snapshots[--count]);
}

enum status online_snapshots_begin(struct online_store *store, struct online_view *const *views,
                                   size_t count, struct online_snapshot *out, size_t *failed,
                                   struct error *err)
{
    for (;;) {
        uint64_t version = store->driver->version(store);
        enum status status = STATUS_OK;
        size_t begun = 0;

        while (begun < count && status == STATUS_OK) {
            status = online_snapshot_begin(views[begun], &out[begun], err);
            begun += status == STATUS_OK;
        }
        /* A publication takes far longer than this: who comes back does so once. */
        if (store->driver->version(store) == version && status == STATUS_OK)
            return STATUS_OK;
        end_all(out, begun);
        if (store->driver->version(store) == version) {
            *failed = begun;
            return status;
        }
    }
}

enum status online_snapshot_find(struct online_snapshot *snapshot, struct arena *arena,
                                 const struct str *keys, size_t count, struct str *rows,
                                 struct error *err)
{
    return snapshot->view->driver->find(snapshot, arena, keys, count, rows, err);
}

enum status online_store_reserve(struct online_store *store, struct arena *arena,
                                 struct str *generation, struct error *err)
{
    if (store->driver->reserve(store, arena, generation, err) != STATUS_OK)
        return error_wrap(err, "begin a generation");
    return STATUS_OK;
}

enum status online_builder_new(struct online_store *store, struct str view,
                               struct str generation, struct str layout,
                               struct online_builder **out, struct error *err)
{
    if (store->driver->build(store, view, generation, layout, out, err) != STATUS_OK)
        return error_wrap(err, "build view '" STR_FMT "'", STR_ARG(view));
    return STATUS_OK;
}

enum status online_builder_add(struct online_builder *builder, struct str key, struct str row,
                               struct error *err)
{
    return builder->driver->add(builder, key, row, err);
}

enum status online_builder_finish(struct online_builder **builder, int64_t newest_us,
                                  struct error *err)
{
    struct online_builder *finished = *builder;

    *builder = NULL;
    return finished->driver->finish(finished, newest_us, err);
}

void online_builder_discard(struct online_builder **builder)
{
    if (*builder != NULL)
        (*builder)->driver->discard(*builder);
    *builder = NULL;
}

enum status online_store_discard(struct online_store *store, struct str generation,
                                 struct error *err)
{
    return store->driver->discard_all(store, generation, err);
}

enum status online_store_publish(struct online_store *store,
                                 const struct online_publication *items, size_t count,
                                 struct error *err)
{
    return store->driver->publish(store, items, count, err);
}

enum status online_store_keep(struct online_store *store, const struct str *views, size_t count,
                              struct error *err)
{
    if (store->driver->keep(store, views, count, err) != STATUS_OK)
        return error_wrap(err, "remove views from the online store");
    return STATUS_OK;
}
