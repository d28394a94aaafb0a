/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* For those who write a blob driver; callers include blob.h. */
#include "blob/blob.h"

struct blob_driver {
    const char *name; /* the word before ':' in a location */
    /* On failure nothing is left open. */
    enum status (*open)(struct str location, struct blob_store **out, struct error *err);
    void (*close)(struct blob_store *store);
    enum status (*put)(struct blob_store *store, struct str content, struct blob *out,
                       struct error *err);
    enum status (*put_file)(struct blob_store *store, const char *path, struct blob *out,
                            struct error *err);
    /* The hash has been checked to be one. NOT_FOUND if there is no such blob. */
    enum status (*path)(struct blob_store *store, struct arena *arena, struct str hash,
                        char **out, struct error *err);
    /* Likewise. blob_damaged() if the bytes are not those of the hash. */
    enum status (*verify)(struct blob_store *store, struct str hash, struct error *err);
};

struct blob_store {
    const struct blob_driver *driver;
};

enum status blob_damaged(struct str hash, struct error *err);

extern const struct blob_driver blob_folder;
