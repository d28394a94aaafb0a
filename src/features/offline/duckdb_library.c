/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/duckdb_library.h"

#include <dlfcn.h>

#define FILE_NAME "libduckdb.so"

static struct duckdb_library library;

static enum status load(struct duckdb_library *out, struct error *err)
{
    /* Its symbols stay its own; the program's search path has the folder beside it. */
    void *handle = dlopen(FILE_NAME, RTLD_NOW | RTLD_LOCAL);

    if (handle == NULL)
        return error_set(
            err, STATUS_UNAVAILABLE,
            "DuckDB could not be loaded (%s); it belongs into the folder lib beside "
            "the program, dev/setup brings it",
            dlerror());
    /* POSIX has dlsym return functions as object pointers; the copy is how it says to take them. */
#define LOAD(name) \
    { \
        void *symbol = dlsym(handle, "duckdb_" #name); \
        if (symbol == NULL) \
            return error_set(err, STATUS_UNAVAILABLE, \
                             FILE_NAME " has no duckdb_" #name \
                                       "; version 1.5 or later is needed"); \
        memcpy(&out->name, &symbol, sizeof(symbol)); \
    }
    DUCKDB_FUNCTIONS(LOAD) /* NOLINT(cppcheck-resourceLeak): it stays loaded */
#undef LOAD
    return STATUS_OK; /* NOLINT(cppcheck-resourceLeak): it stays loaded */
}

enum status duckdb_library_get(const struct duckdb_library **out, struct error *err)
{
    if (library.open_ext == NULL)
        TRY(load(&library, err));
    *out = &library;
    return STATUS_OK;
}
