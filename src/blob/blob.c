/* SPDX-License-Identifier: Apache-2.0 */
#include "blob/blob.h"

#include "base/file.h"
#include "blob/blob_driver.h"

static const struct blob_driver *const drivers[] = { &blob_folder };

enum status blob_store_open(struct str location, struct blob_store **out, struct error *err)
{
    size_t colon = str_index(location, ':');
    struct str name = str_slice(location, 0, colon);

    for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
        if (str_equal(name, str_from(drivers[i]->name)))
            return drivers[i]->open(str_slice(location, colon + 1, location.len), out, err);
    return error_set(err, STATUS_INVALID,
                     "blobs: '" STR_FMT "' names no known store; expected folder:PATH",
                     STR_ARG(location));
}

void blob_store_close(struct blob_store **store)
{
    if (*store != NULL)
        (*store)->driver->close(*store);
    *store = NULL;
}

enum status blob_put(struct blob_store *store, struct str content, struct blob *out,
                     struct error *err)
{
    return store->driver->put(store, content, out, err);
}

enum status blob_put_file(struct blob_store *store, const char *path, struct blob *out,
                          struct error *err)
{
    return store->driver->put_file(store, path, out, err);
}

/* A hash becomes part of a path, so nothing else may pass for one. */
static bool is_hash(struct str hash)
{
    if (hash.len != SHA256_HEX_LEN)
        return false;
    for (size_t i = 0; i < hash.len; i++)
        if (strchr("0123456789abcdef", hash.data[i]) == NULL || hash.data[i] == '\0')
            return false;
    return true;
}

static enum status no_hash(struct str hash, struct error *err)
{
    return error_set(err, STATUS_INVALID, "'" STR_FMT "' is no SHA-256 hash",
                     STR_ARG(str_slice(hash, 0, 80)));
}

enum status blob_damaged(struct str hash, struct error *err)
{
    return error_set(err, STATUS_INTERNAL,
                     "blob " STR_FMT " is damaged: its bytes have another hash; put the same "
                     "content again, or restore it from a backup",
                     STR_ARG(hash));
}

enum status blob_path(struct blob_store *store, struct arena *arena, struct str hash,
                      char **out, struct error *err)
{
    if (!is_hash(hash))
        return no_hash(hash, err);
    return store->driver->path(store, arena, hash, out, err);
}

enum status blob_get(struct blob_store *store, struct arena *arena, struct str hash, size_t max,
                     struct str *out, struct error *err)
{
    struct str content;
    char *path;

    TRY(blob_path(store, arena, hash, &path, err));
    TRY(file_read(arena, path, max, &content, err));
    if (!str_equal(sha256_hex(arena, content), hash))
        return blob_damaged(hash, err);
    *out = content;
    return STATUS_OK;
}

enum status blob_verify(struct blob_store *store, struct str hash, struct error *err)
{
    if (!is_hash(hash))
        return no_hash(hash, err);
    return store->driver->verify(store, hash, err);
}
