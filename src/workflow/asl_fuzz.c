/* SPDX-License-Identifier: Apache-2.0 */
/* A stranger's definition and input: read, and run until it waits or ends. */
#include "workflow/execution.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The definition, a NUL, the input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str whole = { (const char *)data, size };
    size_t end = str_index(whole, '\0');
    struct str input = end == size ? STR("{}") : str_slice(whole, end + 1, size);
    struct execution *execution = execution_new(STR("id"), STR("fuzz"), STR("local"));
    struct arena *arena = arena_new();
    struct error err;
    yyjson_val *json;

    if (json_parse(arena, input, &json, &err) == STATUS_OK &&
        execution_define(execution, str_slice(whole, 0, end), NULL, NULL, &err) == STATUS_OK) {
        execution_start(execution, input, 1000000);
        (void)execution_advance(execution, 2000000, 100, SIZE_MAX);
    }
    arena_free(arena);
    execution_free(execution);
    return 0;
}
