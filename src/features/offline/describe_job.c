/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/offline_internal.h"

/*
 * {"project", "sources": […]} -> {"sources": {name: {"columns": [{"name", "native", "type"?}]}}}.
 * Fails at the first source that cannot be read.
 */

static void add_columns(yyjson_mut_doc *doc, yyjson_mut_val *answer,
                        const struct offline_column *columns, size_t count)
{
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(doc, answer, "columns");

    for (size_t i = 0; i < count; i++) {
        yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, array);

        json_add_str(doc, object, "name", columns[i].name);
        json_add_str(doc, object, "native", columns[i].duckdb);
        if (columns[i].is_known)
            yyjson_mut_obj_add_str(doc, object, "type", value_type_name(columns[i].type));
    }
}

static enum status describe_all(struct offline *offline, struct arena *arena,
                                const struct source_spec *sources, size_t count,
                                yyjson_mut_doc *doc, yyjson_mut_val *answers, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        yyjson_mut_val *answer = yyjson_mut_obj(doc);
        struct offline_column *columns;
        size_t column_count;

        TRY(offline_describe(offline, arena, &sources[i], &columns, &column_count, err));
        add_columns(doc, answer, columns, column_count);
        yyjson_mut_obj_add(answers,
                           yyjson_mut_strncpy(doc, sources[i].name.data, sources[i].name.len),
                           answer);
    }
    return STATUS_OK;
}

static enum status run(struct job *job, struct arena *arena, const yyjson_val *spec,
                       struct str *result, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(arena);
    yyjson_mut_val *answer = yyjson_mut_obj(doc), *answers;
    struct source_spec *sources;
    struct offline *offline;
    struct str project;
    yyjson_val *array = NULL;
    enum status status;
    size_t count;

    TRY(json_need_str(spec, "project", &project, err));
    TRY(json_want_array(spec, "sources", &array, err));
    TRY(source_specs_parse(arena, array, &sources, &count, err));
    TRY(offline_open(arena, arena_cstr(arena, project), NULL, 0, job_limits(job), &offline,
                     err));
    answers = yyjson_mut_obj_add_obj(doc, answer, "sources");
    status = offline_add_sources(offline, sources, count, err);
    if (status == STATUS_OK)
        status = describe_all(offline, arena, sources, count, doc, answers, err);
    offline_close(&offline);
    TRY(status);
    *result = json_mut_write(arena, answer);
    return STATUS_OK;
}

const struct job_kind offline_describe_job = { "describe", run };
