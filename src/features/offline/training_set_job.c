/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "features/offline/training_set_engine.h"
#include "features/training_set.h"

static enum status compute(struct engine *engine, struct error *err)
{
    const struct training_set_spec *spec = engine->spec;

    job_progress(engine->job, "open sources", 0, spec->source_count);
    TRY(offline_add_sources(engine->offline, spec->sources, spec->source_count, err));
    TRY(entity_rows_read(engine->offline, engine->arena, spec, engine->job, &engine->rows,
                         err));
    TRY(engine_prepare(engine, err));
    TRY(engine_stored(engine, err));
    TRY(engine_expressions(engine, err));
    return engine_stage(engine, err);
}

static enum status open_engine(struct engine *engine, struct error *err)
{
    const struct training_set_spec *spec = engine->spec;
    struct str also[] = { training_set_temporary(engine->arena, spec), spec->entities_path };

    return offline_open(engine->arena, arena_cstr(engine->arena, spec->project), also,
                        spec->entities_path.len > 0 ? 2 : 1, job_limits(engine->job),
                        &engine->offline, err);
}

enum status training_set_run(struct job *job, struct arena *arena, const yyjson_val *json,
                             const struct training_set_stage *stage, struct str *result,
                             struct error *err)
{
    uint64_t started = clock_monotonic_ns(), bytes = 0;
    struct training_set_spec spec;
    struct engine engine = { .arena = arena, .job = job, .spec = &spec, .stage = stage };
    struct str fingerprint = STR_EMPTY;
    enum status status;

    TRY(training_set_spec_parse(arena, json, &spec, err));
    TRY(open_engine(&engine, err));
    status = engine_hash_files(&engine, json, err);
    if (status == STATUS_OK)
        status = compute(&engine, err);
    if (status == STATUS_OK)
        status = engine_fingerprint(&engine, &fingerprint, err);
    if (status == STATUS_OK)
        status = engine_write(&engine, &bytes, err);
    if (status == STATUS_OK)
        *result = arena_printf(
            arena,
            "{\"rows\":%zu,\"columns\":%zu,\"bytes\":%llu,"
            "\"seconds\":%.3f,\"fingerprint\":\"" STR_FMT "\",\"fallbacks\":%zu}",
            engine.rows.count, engine.column_count, (unsigned long long)bytes,
            (double)(clock_monotonic_ns() - started) / 1e9, STR_ARG(fingerprint),
            stage == NULL || stage->fallbacks == NULL ? 0 : atomic_load(stage->fallbacks));
    engine_free(&engine);
    return status;
}

static enum status run(struct job *job, struct arena *arena, const yyjson_val *json,
                       struct str *result, struct error *err)
{
    return training_set_run(job, arena, json, NULL, result, err);
}

const struct job_kind training_set_job = { "training-set", run };
