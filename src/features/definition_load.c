/* SPDX-License-Identifier: Apache-2.0 */
#include "features/definition_internal.h"

#include <stdlib.h>

struct str definition_columns_json(struct arena *arena, const struct source *source)
{
    yyjson_mut_doc *doc = json_mut_doc(arena);
    yyjson_mut_val *array = yyjson_mut_arr(doc);

    for (size_t i = 0; i < source->column_count; i++) {
        const struct source_column *column = &source->columns[i];
        yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, array);

        json_add_str(doc, object, "name", column->name);
        json_add_str(doc, object, "native", column->native);
        if (column->is_usable)
            yyjson_mut_obj_add_str(doc, object, "type", value_type_name(column->type));
    }
    return json_mut_write(arena, array);
}

static void copy_columns(struct build *build, struct source *source,
                         const struct source_column *columns, size_t count)
{
    source->columns = ARENA_ARRAY(build->arena, struct source_column, count);
    source->column_count = count;
    for (size_t i = 0; i < count; i++) {
        source->columns[i] = columns[i];
        source->columns[i].name = arena_str(build->arena, columns[i].name);
        source->columns[i].native = arena_str(build->arena, columns[i].native);
    }
}

/* Files that did not change since have the columns that are recorded. */
static bool take_recorded(struct build *build, struct source *source,
                          const struct definitions *recorded)
{
    const struct source *before = recorded == NULL
                                      ? NULL
                                      : definitions_source_find(recorded, source->name);

    if (before == NULL || !str_equal(before->fingerprint, source->fingerprint))
        return false;
    copy_columns(build, source, before->columns, before->column_count);
    return true;
}

/* DuckDB's words for a table that is none of the sources, as ours. */
static struct str retold(struct build *build, struct str message)
{
    static const struct str start = STR_INIT("Table with name ");
    const char *found = memmem(message.data, message.len, start.data, start.len);
    struct definitions *defs = build->definitions;
    struct str *names = ARENA_ARRAY(build->arena, struct str, defs->source_count);
    struct str rest, name, near;

    if (found == NULL)
        return message;
    rest = str_slice(message, (size_t)(found - message.data) + start.len, message.len);
    name = str_slice(rest, 0, str_index(rest, ' '));
    for (size_t i = 0; i < defs->source_count; i++)
        names[i] = defs->sources[i].name;
    near = str_nearest(name, names, defs->source_count);
    if (near.len == 0)
        return arena_printf(build->arena, "there is no source '" STR_FMT "'", STR_ARG(name));
    return arena_printf(build->arena,
                        "there is no source '" STR_FMT "'; did you mean '" STR_FMT "'?",
                        STR_ARG(name), STR_ARG(near));
}

/* What is wrong with a source that it reads has been told, for that one comes before it. */
static bool reads_broken(const struct build *build, const struct source *source)
{
    for (size_t r = 0; r < source->read_count; r++) {
        if (build_find(build, "source", source->reads[r]->name)->is_broken)
            return true;
    }
    return false;
}

static enum status ask_columns(struct build *build, const struct definition_input *input,
                               const struct source **asked, size_t count, struct error *err)
{
    const struct source_question question = { build->definitions, asked, count,
                                              input->is_cancelled, input->cancel_context };
    struct source_description *found = ARENA_ARRAY(build->arena, struct source_description,
                                                   count);

    if (input->describe == NULL)
        return error_set(err, STATUS_UNAVAILABLE, "nothing here can read the files of sources");
    TRY(input->describe(input->describe_context, build->arena, &question, found, err));
    for (size_t i = 0; i < count; i++) {
        struct draft *draft = build_find(build, "source", asked[i]->name);

        copy_columns(build, draft->object, found[i].columns, found[i].count);
        if (found[i].error.len == 0)
            continue;
        draft->is_broken = true;
        if (!reads_broken(build, asked[i]))
            definition_error_add(build->errors, asked[i]->text_place, STR_FMT,
                                 STR_ARG(retold(build, found[i].error)));
    }
    return STATUS_OK;
}

static enum status find_columns(struct build *build, const struct definition_input *input,
                                struct error *err)
{
    struct definitions *defs = build->definitions;
    const struct source **asked = ARENA_ARRAY(build->arena, const struct source *,
                                              defs->source_count);
    size_t count = 0;

    for (size_t i = 0; i < build->source_order_count; i++) {
        struct source *source = build->source_order[i];

        if (build_find(build, "source", source->name)->is_broken)
            continue;
        source->fingerprint = source_fingerprint(build->arena, defs, source);
        if (!take_recorded(build, source, input->recorded))
            asked[count++] = source;
    }
    return count == 0 ? STATUS_OK : ask_columns(build, input, asked, count, err);
}

static void finish(struct build *build)
{
    struct definitions *defs = build->definitions;

    defs->items = ARENA_ARRAY(build->arena, struct definition_item, build->draft_count);
    for (size_t i = 0; i < build->draft_count; i++)
        defs->items[i] = build->drafts[i].item;
    defs->item_count = build->draft_count;
}

static void link_all(struct build *build)
{
    build_check_sources(build);
    build_link_views(build);
    build_link_services(build);
    finish(build);
}

static void check_kinds(struct build *build, const struct definition_kind *const *kinds)
{
    for (; kinds != NULL && *kinds != NULL; kinds++) {
        for (size_t i = 0; i < build->draft_count; i++) {
            const struct draft *draft = &build->drafts[i];

            if (str_equal(draft->item.kind, str_from((*kinds)->name)))
                (*kinds)->check(build->definitions, draft->item.name, draft->node,
                                build->errors);
        }
    }
}

static enum status build_all(struct build *build, const struct definition_input *input,
                             struct error *err)
{
    TRY(build_read_files(build, input->kinds, err));
    build_parse(build);
    build_check_files(build);
    build_link_sources(build);
    TRY(find_columns(build, input, err));
    link_all(build);
    if (build->errors->count == 0)
        check_kinds(build, input->kinds);
    return build->errors->count == 0 ? STATUS_OK : definition_errors_set(build->errors, err);
}

enum status definitions_load(const struct definition_input *input,
                             struct definition_errors *errors, struct definitions **out,
                             struct error *err)
{
    char *project = realpath(input->project, NULL);
    const struct definitions *unused;
    struct build build = { .errors = errors };
    enum status status;

    if (project == NULL)
        return error_set(err, STATUS_NOT_FOUND, "there is no folder '%s'", input->project);
    build.definitions = definitions_new(str_from(project));
    build.arena = build.definitions->arena;
    free(project);
    status = build_all(&build, input, err);
    if (status == STATUS_OK) {
        *out = build.definitions;
        return STATUS_OK;
    }
    unused = build.definitions;
    definitions_unref(&unused);
    return status;
}

/* --- from the record ---------------------------------------------------------- */

static enum status restore_columns(struct build *build, const struct definition_record *record,
                                   struct error *err)
{
    for (size_t i = 0; i < record->column_count; i++) {
        const struct recorded_columns *columns = &record->columns[i];
        struct draft *draft = build_find(build, "source", columns->source);
        struct source *source;
        yyjson_val *array, *item;
        size_t k, count;

        if (draft == NULL)
            continue;
        source = draft->object;
        source->fingerprint = arena_str(build->arena, columns->fingerprint);
        TRY(json_parse(build->arena, columns->json, &array, err));
        source->columns = ARENA_ARRAY(build->arena, struct source_column,
                                      yyjson_arr_size(array));
        source->column_count = yyjson_arr_size(array);
        yyjson_arr_foreach(array, k, count, item)
        {
            struct source_column *column = &source->columns[k];

            column->name = json_str(json_find(item, STR("name")));
            column->native = json_str(json_find(item, STR("native")));
            column->is_usable = value_type_parse(json_str(json_find(item, STR("type"))),
                                                 &column->type);
        }
    }
    return STATUS_OK;
}

static enum status restore_all(struct build *build, const struct definition_record *record,
                               struct error *err)
{
    for (size_t i = 0; i < record->item_count; i++) {
        const struct definition_item *item = &record->items[i];
        struct yaml_node *document;

        TRY(yaml_from_json(build->arena, item->place.file, item->place.line, item->json,
                           &document, err));
        build_add(build, arena_str(build->arena, item->kind),
                  arena_str(build->arena, item->name), document);
    }
    build_parse(build);
    build_link_sources(build);
    TRY(restore_columns(build, record, err));
    link_all(build);
    return build->errors->count == 0 ? STATUS_OK : definition_errors_set(build->errors, err);
}

enum status definitions_restore(struct str project, const struct definition_record *record,
                                struct definitions **out, struct error *err)
{
    struct definition_errors errors = { .arena = arena_new() };
    struct build build = { .errors = &errors, .definitions = definitions_new(project) };
    const struct definitions *unused = build.definitions;
    enum status status;

    build.arena = build.definitions->arena;
    build.definitions->revision = record->revision;
    status = restore_all(&build, record, err);
    arena_free(errors.arena);
    if (status == STATUS_OK)
        *out = build.definitions;
    else
        definitions_unref(&unused);
    return status;
}
