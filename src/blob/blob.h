/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Bytes by the hash of their content: models, code, reports. What is put is
 * never changed, so a hash that was given out names the same bytes for ever.
 * Putting the same bytes again writes nothing, unless a disk or a hand has
 * damaged them: then they are made whole. One store may be used by many
 * threads and processes at once.
 */
#include "base/arena.h"
#include "base/hash.h"
#include "base/status.h"

struct blob_store; /* opaque: only its drivers see inside */

struct blob {
    char hash[SHA256_HEX_LEN + 1]; /* SHA-256 of the content, lower-case hex */
    int64_t size;                  /* bytes */
};

/* location is "driver:rest", as in "folder:.onggi/blobs"; the folder is made. */
MUST_USE enum status blob_store_open(struct str location, struct blob_store **out,
                                     struct error *err);
void blob_store_close(struct blob_store **store);

/* On disk when it returns. */
MUST_USE enum status blob_put(struct blob_store *store, struct str content, struct blob *out,
                              struct error *err);
/* A regular file, no link: scripts may leave anything under the name of a model. */
MUST_USE enum status blob_put_file(struct blob_store *store, const char *path, struct blob *out,
                                   struct error *err);
/* A local file with the content, readable as long as the store is open; do not write to it. */
MUST_USE enum status blob_path(struct blob_store *store, struct arena *arena, struct str hash,
                               char **out, struct error *err);
/* The bytes have been checked to be those of the hash; INTERNAL if they are damaged. */
MUST_USE enum status blob_get(struct blob_store *store, struct arena *arena, struct str hash,
                              size_t max, struct str *out, struct error *err);
/* Reads all of it. INTERNAL, saying how to mend it, if its bytes are not those of the hash. */
MUST_USE enum status blob_verify(struct blob_store *store, struct str hash, struct error *err);
