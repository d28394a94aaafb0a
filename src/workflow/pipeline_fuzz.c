/* SPDX-License-Identifier: Apache-2.0 */
/* A short form as anybody might write it; what compiles must be sound ASL. */
#include "workflow/asl.h"
#include "workflow/pipeline.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *context, const struct error *err)
{
    (void)context;
    (void)err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new();
    struct yaml_node *documents;
    struct pipeline pipeline;
    struct machine *machine;
    struct error err;
    size_t count;

    if (yaml_parse(arena, STR("p.yaml"), (struct str){ (const char *)data, size }, &documents,
                   &count, &err) == STATUS_OK &&
        count > 0 && pipeline_compile(arena, &documents[0], ignore, NULL, &pipeline) &&
        machine_parse(arena, pipeline.definition, NULL, NULL, &machine, &err) != STATUS_OK)
        abort();
    arena_free(arena);
    return 0;
}
