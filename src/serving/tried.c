/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/tried.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"

#include <sys/utsname.h>

#define TEXT_MAX 64

/* All that could make another trial end otherwise; the machine, for its processor's sake, by name. */
static const char *path_of(struct arena *arena, const struct tried *tried)
{
    struct utsname machine;
    struct str text;

    if (uname(&machine) != 0)
        return NULL;
    text = arena_printf(arena, STR_FMT "\n" STR_FMT "\n%s\n%zu\n%s\n%s\n" ONGGI_VERSION,
                        STR_ARG(tried->hash), STR_ARG(tried->signature), tried->runtime,
                        tried->limit_bytes, machine.nodename, machine.machine);
    return arena_printf(arena, "%s/" STR_FMT, tried->folder, STR_ARG(sha256_hex(arena, text)))
        .data;
}

static bool find(struct arena *arena, const struct tried *tried, size_t *memory_bytes)
{
    const char *path = path_of(arena, tried);
    struct error unknown;
    struct str text;
    int64_t bytes;

    if (path == NULL || file_read(arena, path, TEXT_MAX, &text, &unknown) != STATUS_OK ||
        !str_to_int64(text, &bytes) || bytes < 0)
        return false;
    *memory_bytes = (size_t)bytes;
    return true;
}

bool tried_find(const struct tried *tried, size_t *memory_bytes)
{
    struct arena *arena;
    bool found;

    if (tried->folder == NULL)
        return false;
    arena = arena_new();
    found = find(arena, tried, memory_bytes);
    arena_free(arena);
    return found;
}

static enum status add(struct arena *arena, const struct tried *tried, size_t memory_bytes,
                       struct error *err)
{
    const char *path = path_of(arena, tried);

    if (path == NULL)
        return STATUS_OK;
    TRY(folder_create(tried->folder, err));
    return file_write(path, arena_printf(arena, "%zu", memory_bytes), err);
}

void tried_add(const struct tried *tried, size_t memory_bytes)
{
    struct arena *arena;
    struct error err;

    if (tried->folder == NULL)
        return;
    arena = arena_new();
    if (add(arena, tried, memory_bytes, &err) != STATUS_OK)
        log_warn("serving: remember that a model was tried: %s; it is tried again at the next"
                 " start",
                 err.message);
    arena_free(arena);
}
