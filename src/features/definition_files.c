/* SPDX-License-Identifier: Apache-2.0 */
/* What lies in the project: definition files into drafts, and the files of sources. */
#include "features/definition_internal.h"

#include "base/file.h"

#include <assert.h>
#include <errno.h>
#include <sys/stat.h>

/* A view has the keys 'entity' and 'source' as well, so it is looked for before them. */
static const struct str own_kinds[] = { STR_INIT("service"), STR_INIT("view"),
                                        STR_INIT("source"), STR_INIT("entity") };

static void add_own(struct build *build, const struct yaml_node *document)
{
    const struct yaml_node *name = NULL;
    struct str near;

    for (size_t i = 0; i < ARRAY_LEN(own_kinds) && document->kind == YAML_MAPPING; i++) {
        name = yaml_find_str(document, own_kinds[i]);
        if (name == NULL)
            continue;
        if (build_check_name(build, NULL, name))
            build_add(build, own_kinds[i], name->text, document);
        return;
    }
    if (document->kind == YAML_MAPPING && document->count > 0) {
        near = str_nearest(document->keys[0].text, own_kinds, ARRAY_LEN(own_kinds));
        if (near.len > 0) {
            build_error(build, NULL, &document->keys[0],
                        "unknown kind '" STR_FMT "'; did you mean '" STR_FMT "'?",
                        STR_ARG(str_slice(document->keys[0].text, 0, 80)), STR_ARG(near));
            return;
        }
    }
    build_error(build, NULL, document,
                "a definition begins with 'entity:', 'source:', 'view:' or 'service:'");
}

static void add_foreign(struct build *build, const struct definition_kind *kind,
                        const struct yaml_node *document)
{
    const struct yaml_node *name = yaml_find(document, kind->name);

    if (name == NULL)
        build_error(build, NULL, document, "'%s: NAME' is missing", kind->name);
    else if (build_check_name(build, NULL, name))
        build_add(build, str_from(kind->name), name->text, document);
}

/* The last part but one: the folder of "pipelines/fraud/pipeline.asl.json". */
static struct str folder_of(struct str path)
{
    struct str rest = path, piece, folder = STR_EMPTY, last = STR_EMPTY;

    while (str_split(&rest, '/', &piece)) {
        folder = last;
        last = piece;
    }
    return folder;
}

static enum status add_json(struct build *build, const struct definition_kind *kind,
                            struct str file, struct str text, struct error *err)
{
    struct yaml_node *document;
    struct yaml_node name = { .kind = YAML_SCALAR, .file = file, .line = 1, .column = 1 };
    yyjson_val *checked;

    assert(kind != NULL); /* our own patterns are YAML's */
    if (json_parse(build->arena, text, &checked, err) != STATUS_OK)
        return error_wrap(err, STR_FMT ":1:1", STR_ARG(file));
    TRY(yaml_from_json(build->arena, file, 1, text, &document, err));
    name.text = folder_of(file);
    if (build_check_name(build, NULL, &name))
        build_add(build, str_from(kind->name), name.text, document);
    return STATUS_OK;
}

/* What is wrong with the file goes into the errors; only a failure to read it at all does not. */
static enum status add_file(struct build *build, const struct definition_kind *kind,
                            const char *path, struct str file, struct error *err)
{
    struct yaml_node *documents = NULL;
    struct str text;
    struct error cause;
    size_t count = 0;
    enum status status;

    TRY(file_read(build->arena, path, YAML_SIZE_MAX, &text, err));
    if (str_ends(file, STR(".json")))
        status = add_json(build, kind, file, text, &cause);
    else
        status = yaml_parse(build->arena, file, text, &documents, &count, &cause);
    build_note(build, NULL, status, &cause);
    for (size_t i = 0; i < count; i++) {
        if (kind == NULL)
            add_own(build, &documents[i]);
        else
            add_foreign(build, kind, &documents[i]);
    }
    return STATUS_OK;
}

static enum status add_pattern(struct build *build, const struct definition_kind *kind,
                               const char *pattern, struct error *err)
{
    struct str project = build->definitions->project;
    struct str *paths;
    size_t count;

    TRY(file_glob(build->arena, arena_cstr(build->arena, project), str_from(pattern), &paths,
                  &count, err));
    for (size_t i = 0; i < count; i++) {
        struct str file = str_slice(paths[i], project.len + 1, paths[i].len);

        if (add_file(build, kind, arena_cstr(build->arena, paths[i]), file, err) != STATUS_OK)
            return error_wrap(err, "read " STR_FMT, STR_ARG(file));
    }
    return STATUS_OK;
}

enum status build_read_files(struct build *build, const struct definition_kind *const *kinds,
                             struct error *err)
{
    TRY(add_pattern(build, NULL, "features/*.yaml", err));
    TRY(add_pattern(build, NULL, "features/*.yml", err));
    for (; kinds != NULL && *kinds != NULL; kinds++) {
        for (const char *const *pattern = (*kinds)->patterns; *pattern != NULL; pattern++)
            TRY(add_pattern(build, *kinds, *pattern, err));
    }
    return STATUS_OK;
}

/* The project's folder may be a link; what lies in it is taken as it is. */
static enum status list_files(struct arena *arena, const struct definitions *definitions,
                              const struct source *source, struct str **paths, size_t *count,
                              struct error *err)
{
    return file_glob(arena, arena_cstr(arena, definitions->project), source->text, paths, count,
                     err);
}

static void put_file(struct arena *arena, struct buffer *out, struct str path)
{
    struct stat info;

    if (stat(arena_cstr(arena, path), &info) != 0)
        return;
    buffer_printf(out, STR_FMT " %lld %lld.%09ld\n", STR_ARG(path), (long long)info.st_size,
                  (long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
}

static void put_source(struct arena *arena, const struct definitions *definitions,
                       const struct source *source, struct buffer *out)
{
    struct str *paths = NULL;
    size_t count = 0;
    struct error err;

    buffer_printf(out, STR_FMT " %d " STR_FMT "\n", STR_ARG(source->name), (int)source->kind,
                  STR_ARG(source->text));
    for (size_t i = 0; i < source->override_count; i++)
        buffer_printf(out, STR_FMT " %s\n", STR_ARG(source->overrides[i].name),
                      value_type_name(source->overrides[i].type));
    for (size_t i = 0; i < source->read_count; i++)
        buffer_printf(out, "reads " STR_FMT "\n", STR_ARG(source->reads[i]->fingerprint));
    if (source->kind == SOURCE_FILES &&
        list_files(arena, definitions, source, &paths, &count, &err) == STATUS_OK) {
        for (size_t i = 0; i < count; i++)
            put_file(arena, out, paths[i]);
    }
}

struct str source_fingerprint(struct arena *arena, const struct definitions *definitions,
                              const struct source *source)
{
    struct buffer text = { 0 };
    struct str hash;

    put_source(arena, definitions, source, &text);
    hash = definition_hash(arena, buffer_str(&text));
    buffer_free(&text);
    return hash;
}

void build_check_files(struct build *build)
{
    struct definitions *defs = build->definitions;

    for (size_t i = 0; i < defs->source_count; i++) {
        struct source *source = &defs->sources[i];
        struct draft *draft = build_find(build, "source", source->name);
        const struct yaml_node *path = yaml_find(draft->node, "path");
        struct str *paths;
        struct error err;
        size_t count = 0;

        if (draft->is_broken || source->kind != SOURCE_FILES)
            continue;
        if (list_files(build->arena, defs, source, &paths, &count, &err) != STATUS_OK)
            build_error(build, draft, path, "%s", err.message);
        else if (count == 0)
            build_error(build, draft, path, "there is no file '" STR_FMT "' in the project",
                        STR_ARG(source->text));
    }
}
