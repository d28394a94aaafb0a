/* SPDX-License-Identifier: Apache-2.0 */
#include "server/library_check.h"

#include "base/str.h"

#include <dlfcn.h>
#include <onnxruntime_c_api.h>
#include <stdio.h>

static const char *duckdb_version(void *symbol)
{
    const char *(*version)(void);

    memcpy(&version, &symbol, sizeof(version));
    return version();
}

static const char *onnxruntime_version(void *symbol)
{
    const OrtApiBase *(*base)(void);

    memcpy(&base, &symbol, sizeof(base));
    return base()->GetVersionString();
}

static const struct {
    const char *name, *file, *symbol;
    const char *(*version)(void *symbol);
} libraries[] = {
    { "duckdb", "libduckdb.so", "duckdb_library_version", duckdb_version },
    { "onnxruntime", "libonnxruntime.so.1", "OrtGetApiBase", onnxruntime_version },
};

int library_check_main(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(libraries); i++) {
        void *handle, *symbol;

        if (strcmp(name, libraries[i].name) != 0)
            continue;
        handle = dlopen(libraries[i].file, RTLD_LAZY | RTLD_LOCAL);
        symbol = handle == NULL ? NULL : dlsym(handle, libraries[i].symbol);
        if (symbol == NULL) {
            printf("%s\n", dlerror());
            return 1;
        }
        printf("%s\n", libraries[i].version(symbol));
        return 0;
    }
    printf("there is no library '%s'\n", name);
    return 2;
}
