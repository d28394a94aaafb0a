/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/training_set_engine.h"

void engine_features(const struct engine *engine, struct table *out)
{
    const struct training_set_spec *spec = engine->spec;

    table_init(out, engine->arena, spec->output_count);
    out->rows = engine->rows.count;
    for (size_t i = 0; i < spec->output_count; i++) {
        out->names[i] = spec->outputs[i].name;
        out->columns[i] = engine->slots[spec->outputs[i].slot];
    }
}

static void request_table(const struct engine *engine, struct table *out)
{
    const struct training_set_spec *spec = engine->spec;

    table_init(out, engine->arena, spec->request_count);
    out->rows = engine->rows.count;
    for (size_t i = 0; i < spec->request_count; i++) {
        out->names[i] = spec->request[i].name;
        out->columns[i] = engine->rows.request[i];
    }
}

enum status engine_stage(struct engine *engine, struct error *err)
{
    const struct training_set_stage *stage = engine->stage;
    struct table features, request;

    if (stage == NULL)
        return STATUS_OK;
    engine_features(engine, &features);
    request_table(engine, &request);
    return stage->run(stage->context, engine->job, &features, &request, &engine->made, err);
}
