/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a training set holds in memory beside DuckDB, counted before it is taken: to be told that a
 * limit is too low beats being killed for it.
 */
#include "features/offline/training_set_engine.h"

uint64_t engine_memory_max(const struct engine *engine)
{
    return ROWS_SHARE(job_limits(engine->job)->memory_bytes);
}

/* Of columns that column_make() makes. */
static uint64_t slots_memory(const struct engine *engine)
{
    const struct training_set_spec *spec = engine->spec;
    uint64_t row = 0;

    for (size_t i = 0; i < spec->view_count; i++) {
        for (size_t k = 0; k < spec->views[i].feature_count; k++)
            row += column_width(spec->views[i].features[k].type) + 1;
    }
    for (size_t i = 0; i < spec->expression_count; i++)
        row += column_width(spec->expressions[i].type) + 1;
    return row * engine->rows.count;
}

static uint64_t set_memory(const struct key_set *set)
{
    const struct row_order *questions = &set->questions;

    return key_table_memory(set->table) +
           ((uint64_t)questions->key_count + questions->starts[questions->key_count]) *
               sizeof(uint32_t);
}

uint64_t engine_memory(const struct engine *engine)
{
    uint64_t bytes = entity_rows_memory(engine->spec, &engine->rows) + slots_memory(engine);

    for (size_t i = 0; i < engine->set_count; i++)
        bytes += set_memory(&engine->sets[i]);
    for (size_t i = 0; i < engine->text_count; i++)
        bytes += arena_size(engine->texts[i]);
    return bytes;
}

enum status engine_check_memory(const struct engine *engine, struct error *err)
{
    uint64_t wanted = engine_memory(engine), most = engine_memory_max(engine);

    if (wanted <= most)
        return STATUS_OK;
    return error_set(
        err, STATUS_LIMIT,
        "%zu entity rows and their %zu features need %llu MiB in memory, of the "
        "jobs' limit of %llu MiB they may take %llu; raise the limit (job.memory), "
        "ask for fewer rows at a time, or for a service with fewer features",
        engine->rows.count, engine->spec->slot_count, (unsigned long long)(wanted >> 20),
        (unsigned long long)(job_limits(engine->job)->memory_bytes >> 20),
        (unsigned long long)(most >> 20));
}
