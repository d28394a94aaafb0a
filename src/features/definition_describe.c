/* SPDX-License-Identifier: Apache-2.0 */
#include "features/definition_describe.h"

#include "features/job.h"
#include "features/source_spec.h"

struct asking {
    const struct job_limits *limits;
    struct arena *arena;
    const struct source_question *question;
};

static enum status take_column(struct arena *arena, const yyjson_val *json,
                               struct source_column *out, struct error *err)
{
    struct str name = STR_EMPTY, type = STR_EMPTY, native = STR_EMPTY;

    TRY(json_need_str(json, "name", &name, err));
    TRY(json_want_str(json, "type", &type, err));
    TRY(json_want_str(json, "native", &native, err));
    out->name = arena_str(arena, name);
    out->is_usable = value_type_parse(type, &out->type);
    out->native = arena_str(arena, native.len > 0 ? native : type);
    return STATUS_OK;
}

static enum status take_columns(struct arena *arena, const yyjson_val *source,
                                struct source_description *out, struct error *err)
{
    yyjson_val *columns = NULL, *column;
    size_t i, count;

    TRY(json_want_array(source, "columns", &columns, err));
    out->columns = ARENA_ARRAY(arena, struct source_column, yyjson_arr_size(columns));
    out->count = yyjson_arr_size(columns);
    yyjson_arr_foreach(columns, i, count, column)
    {
        TRY(take_column(arena, column, &out->columns[i], err));
    }
    return STATUS_OK;
}

static enum status ask(const struct asking *asking, const struct source *const *sources,
                       size_t count, yyjson_val **out, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(asking->arena);
    yyjson_mut_val *spec = yyjson_mut_obj(doc);
    struct job_spec job = { .name = "describe",
                            .is_cancelled = asking->question->is_cancelled,
                            .context = asking->question->context };
    struct str result;
    yyjson_val *answer;

    if (asking->limits != NULL)
        job.limits = *asking->limits;
    json_add_str(doc, spec, "project", definitions_project(asking->question->all));
    yyjson_mut_obj_add_val(doc, spec, "sources",
                           source_specs_json(doc, asking->arena, sources, count));
    job.spec = json_mut_write(asking->arena, spec);
    TRY(job_run(asking->arena, &job, &result, err));
    TRY(json_parse(asking->arena, result, &answer, err));
    return json_need_object(answer, "sources", out, err);
}

static enum status take_answer(const struct asking *asking, yyjson_val *answer,
                               const struct source *const *sources, size_t count,
                               struct source_description *out, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        const yyjson_val *found = json_find(answer, sources[i]->name);

        if (found == NULL)
            return error_set(err, STATUS_INTERNAL,
                             "the job said nothing of source '" STR_FMT "'",
                             STR_ARG(sources[i]->name));
        TRY(take_columns(asking->arena, found, &out[i], err));
    }
    return STATUS_OK;
}

/* A failure that lies in the source and not in the machinery. */
static bool is_the_sources_fault(enum status status)
{
    return status == STATUS_INVALID || status == STATUS_NOT_FOUND || status == STATUS_CONFLICT;
}

/* Something is wrong with one of several: one by one, to learn of each what. */
static enum status ask_each(const struct asking *asking, struct source_description *out,
                            struct error *err)
{
    const struct source_question *question = asking->question;

    for (size_t i = 0; i < question->count; i++) {
        const struct source *const *source = &question->sources[i];
        yyjson_val *answer;
        enum status status = ask(asking, source, 1, &answer, err);

        if (status == STATUS_OK)
            status = take_answer(asking, answer, source, 1, &out[i], err);
        if (status != STATUS_OK && !is_the_sources_fault(status))
            return status;
        if (status != STATUS_OK)
            out[i].error = arena_str(asking->arena, str_from(err->message));
    }
    return STATUS_OK;
}

enum status definition_describe_by_job(void *context, struct arena *arena,
                                       const struct source_question *question,
                                       struct source_description *out, struct error *err)
{
    struct asking asking = { .limits = context, .arena = arena, .question = question };
    yyjson_val *answer;
    enum status status = ask(&asking, question->sources, question->count, &answer, err);

    if (status == STATUS_OK)
        return take_answer(&asking, answer, question->sources, question->count, out, err);
    return is_the_sources_fault(status) ? ask_each(&asking, out, err) : status;
}
