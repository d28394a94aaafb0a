/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* For those who write a driver. Callers include online.h. */
#include "features/online/online.h"

struct online_driver {
    const char *name; /* the word before ':' in a location */
    /* location without that word. On failure nothing is left open. */
    enum status (*open)(struct str location, struct online_store **out, struct error *err);
    void (*close)(struct online_store *store);
    enum status (*view)(struct online_store *store, struct str name, struct online_view **out,
                        struct error *err);

    /*
     * Another number after each publication. Does not return in the midst of one, so that snapshots
     * that were begun between two equal answers go together.
     */
    uint64_t (*version)(struct online_store *store);
    enum status (*begin)(struct online_view *view, struct online_snapshot *out,
                         struct error *err);
    void (*end)(struct online_snapshot *snapshot);
    enum status (*find)(struct online_snapshot *snapshot, struct arena *arena,
                        const struct str *keys, size_t count, struct str *rows,
                        struct error *err);

    enum status (*reserve)(struct online_store *store, struct arena *arena,
                           struct str *generation, struct error *err);
    enum status (*build)(struct online_store *store, struct str view, struct str generation,
                         struct str layout, struct online_builder **out, struct error *err);
    enum status (*add)(struct online_builder *builder, struct str key, struct str row,
                       struct error *err);
    /* Frees the builder whatever comes of it. */
    enum status (*finish)(struct online_builder *builder, int64_t newest_us, struct error *err);
    void (*discard)(struct online_builder *builder);
    enum status (*discard_all)(struct online_store *store, struct str generation,
                               struct error *err);
    enum status (*publish)(struct online_store *store, const struct online_publication *items,
                           size_t count, struct error *err);
    enum status (*keep)(struct online_store *store, const struct str *views, size_t count,
                        struct error *err);
};

/* Each driver's struct begins with the one that belongs to it. */
struct online_store {
    const struct online_driver *driver;
};
struct online_view {
    const struct online_driver *driver;
};
struct online_builder {
    const struct online_driver *driver;
};

extern const struct online_driver online_lmdb;
