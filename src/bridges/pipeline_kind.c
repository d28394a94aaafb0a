/* SPDX-License-Identifier: Apache-2.0 */
#include "bridges/pipeline_kind.h"

#include "workflow/pipeline.h"

static void on_fault(void *context, const struct error *err)
{
    definition_error_take(context, err);
}

/* A training set's service must be defined: better said here than an hour into a run. */
static void check_services(const struct definitions *definitions,
                           const struct yaml_node *document, struct definition_errors *errors)
{
    const struct yaml_node *steps = yaml_find(document, "steps");

    for (size_t i = 0; steps != NULL && steps->kind == YAML_MAPPING && i < steps->count; i++) {
        const struct yaml_node *set = yaml_find(&steps->items[i], "training_set");
        const struct yaml_node *name = set == NULL ? NULL : yaml_find(set, "service");
        const struct service *service;
        struct error err;

        if (name != NULL && name->kind == YAML_SCALAR &&
            definitions_service_get(definitions, name->text, &service, &err) != STATUS_OK)
            definition_error_at(errors, name, "%s", err.message);
    }
}

static void check(const struct definitions *definitions, struct str name,
                  const struct yaml_node *document, struct definition_errors *errors)
{
    struct pipeline pipeline;

    (void)name;
    if (pipeline_compile(errors->arena, document, on_fault, errors, &pipeline))
        check_services(definitions, document, errors);
}

static const char *const patterns[] = { "pipelines/*/pipeline.yaml",
                                        "pipelines/*/pipeline.asl.json", NULL };

const struct definition_kind pipeline_definition_kind = {
    .name = "pipeline",
    .patterns = patterns,
    .check = check,
};
