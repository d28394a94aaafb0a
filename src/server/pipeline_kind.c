/* SPDX-License-Identifier: Apache-2.0 */
#include "server/pipeline_kind.h"

#include "workflow/pipeline.h"

static void on_fault(void *context, const struct error *err)
{
    definition_error_take(context, err);
}

static void check_pipeline(const struct definitions *definitions, struct str name,
                           const struct yaml_node *document, struct definition_errors *errors)
{
    struct arena *arena = arena_new();
    struct pipeline pipeline;

    (void)definitions;
    (void)name;
    /* A file of ASL is checked when it is read to run: its mistakes have JSON paths, not lines. */
    if (yaml_find(document, "pipeline") != NULL)
        pipeline_compile(arena, document, on_fault, errors, &pipeline);
    arena_free(arena);
}

static const char *const patterns[] = { "pipelines/*/pipeline.yaml",
                                        "pipelines/*/pipeline.asl.json", NULL };

const struct definition_kind pipeline_definition_kind = { "pipeline", patterns, check_pipeline };
