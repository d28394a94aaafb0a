/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/pipeline.h"

#include "base/file.h"
#include "base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define FILE_MAX ((size_t)4 << 20)
#define CODE_FILE_MAX ((size_t)16 << 20)
#define CODE_BYTES_MAX ((size_t)64 << 20)
#define CODE_DEPTH_MAX 16

static struct str pipeline_folder(struct arena *arena, struct str project, struct str name)
{
    return arena_printf(arena, STR_FMT "/pipelines/" STR_FMT, STR_ARG(project), STR_ARG(name));
}

/* The file of a pipeline, relative to the project; NULL if it has none. */
static const char *pipeline_file(struct arena *arena, struct str project, struct str name)
{
    static const char *const names[] = { "pipeline.yaml", "pipeline.asl.json" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct str relative = arena_printf(arena, "pipelines/" STR_FMT "/%s", STR_ARG(name),
                                           names[i]);
        struct str path = arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(project),
                                       STR_ARG(relative));

        if (file_exists(path.data))
            return relative.data;
    }
    return NULL;
}

enum status pipeline_list(struct arena *arena, struct str project, struct str **names,
                          size_t *count, struct error *err)
{
    struct str folder = arena_printf(arena, STR_FMT "/pipelines", STR_ARG(project)),
               *found = NULL;
    size_t found_count = 0;
    enum status status = folder_list(arena, folder.data, &found, &found_count, err);

    *count = 0;
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    *names = found;
    for (size_t i = 0; i < found_count; i++)
        if (str_is_name(found[i]) && pipeline_file(arena, project, found[i]) != NULL)
            found[(*count)++] = found[i];
    return STATUS_OK;
}

static enum status not_found(struct arena *arena, struct str project, struct str name,
                             struct error *err)
{
    struct str *names = NULL, near;
    size_t count;

    TRY(pipeline_list(arena, project, &names, &count, err));
    near = str_nearest(name, names, count);
    if (near.len > 0)
        return error_set(err, STATUS_NOT_FOUND,
                         "there is no pipeline '" STR_FMT "'; did you mean '" STR_FMT "'?",
                         STR_ARG(name), STR_ARG(near));
    return error_set(err, STATUS_NOT_FOUND,
                     "there is no pipeline '" STR_FMT "' (pipelines/" STR_FMT "/pipeline.yaml)",
                     STR_ARG(name), STR_ARG(name));
}

struct first_fault {
    struct error err;
    bool set;
};

static void keep_first(void *context, const struct error *err)
{
    struct first_fault *first = context;

    if (!first->set)
        *first = (struct first_fault){ *err, true };
}

static enum status compile_one(struct arena *arena, const struct yaml_node *document,
                               struct str name, struct pipeline *out, struct error *err)
{
    struct first_fault first = { .set = false };

    if (!pipeline_compile(arena, document, keep_first, &first, out)) {
        *err = first.err;
        return err->status;
    }
    if (out->name.len == 0)
        out->name = name; /* ASL names itself by its folder */
    if (str_equal(out->name, name))
        return STATUS_OK;
    return yaml_error(document, STATUS_INVALID, err,
                      "pipeline '" STR_FMT "' is in the folder of '" STR_FMT
                      "'; they must have one name",
                      STR_ARG(out->name), STR_ARG(name));
}

static enum status read_document(struct arena *arena, const char *file, struct str text,
                                 struct yaml_node **out, struct error *err)
{
    yyjson_val *json;
    size_t count;

    if (str_ends(str_from(file), STR(".json"))) {
        /* Strictly as JSON first: YAML would refuse its tabs, and take what is no JSON. */
        if (json_parse(arena, text, &json, err) != STATUS_OK)
            return error_wrap(err, "%s", file);
        return yaml_from_json(arena, str_from(file), 1, json_write(arena, json), out, err);
    }
    TRY(yaml_parse(arena, str_from(file), text, out, &count, err));
    if (count == 1)
        return STATUS_OK;
    return error_set(err, STATUS_INVALID, "%s: expected one pipeline, found %zu", file, count);
}

enum status pipeline_load(struct arena *arena, struct str project, struct str name,
                          struct pipeline *out, struct error *err)
{
    struct yaml_node *document;
    const char *file;
    struct str text, path;

    if (!str_is_name(name))
        return error_set(err, STATUS_INVALID, "'" STR_FMT "' is no name of a pipeline",
                         STR_ARG(name));
    file = pipeline_file(arena, project, name);
    if (file == NULL)
        return not_found(arena, project, name, err);
    path = arena_printf(arena, STR_FMT "/%s", STR_ARG(project), file);
    TRY(file_read(arena, path.data, FILE_MAX, &text, err));
    TRY(read_document(arena, file, text, &document, err));
    TRY(compile_one(arena, document, arena_str(arena, name), out, err));
    out->file = str_from(file);
    return STATUS_OK;
}

static enum status unknown_param(struct arena *arena, yyjson_val *params, struct str name,
                                 struct error *err)
{
    struct str *known = ARENA_ARRAY(arena, struct str, yyjson_obj_size(params)), near;
    yyjson_val *key, *value;
    size_t i, count;

    yyjson_obj_foreach(params, i, count, key, value) known[i] = json_str(key);
    near = str_nearest(name, known, yyjson_obj_size(params));
    if (near.len == 0)
        return error_set(err, STATUS_INVALID, "the pipeline has no parameter '" STR_FMT "'",
                         STR_ARG(name));
    return error_set(err, STATUS_INVALID,
                     "the pipeline has no parameter '" STR_FMT "'; did you mean '" STR_FMT "'?",
                     STR_ARG(name), STR_ARG(near));
}

/* Command lines give texts: a number or a boolean is read from one where the default is one. */
static enum status converted(struct arena *arena, yyjson_mut_doc *doc, struct str name,
                             yyjson_val *given, yyjson_val *otherwise, yyjson_mut_val **out,
                             struct error *err)
{
    bool wants_number = yyjson_is_num(otherwise), wants_bool = yyjson_is_bool(otherwise);
    yyjson_val *read = given;

    if ((wants_number || wants_bool) && yyjson_is_str(given) &&
        json_parse(arena, json_str(given), &read, err) != STATUS_OK)
        read = given;
    if ((wants_number && !yyjson_is_num(read)) || (wants_bool && !yyjson_is_bool(read)) ||
        yyjson_is_ctn(read))
        return error_set(err, STATUS_INVALID, "parameter '" STR_FMT "': expected %s",
                         STR_ARG(name),
                         wants_number ? "a number"
                         : wants_bool ? "true or false"
                                      : "one value");
    /* A text stays one, also where it looks like a number. */
    if (yyjson_is_str(otherwise) && !yyjson_is_str(read)) {
        struct str text = json_write(arena, read);

        *out = yyjson_mut_strncpy(doc, text.data, text.len);
        return STATUS_OK;
    }
    *out = yyjson_val_mut_copy(doc, read);
    return STATUS_OK;
}

static enum status complete(struct arena *arena, const struct pipeline *pipeline,
                            yyjson_val *given, yyjson_mut_doc *doc, yyjson_mut_val *out,
                            struct error *err)
{
    yyjson_val *key, *value;
    size_t i, count;

    yyjson_obj_foreach(given, i, count, key, value)
    {
        if (json_find(pipeline->params, json_str(key)) == NULL)
            return unknown_param(arena, pipeline->params, json_str(key), err);
    }
    yyjson_obj_foreach(pipeline->params, i, count, key, value)
    {
        struct str name = json_str(key);
        yyjson_val *mine = json_find(given, name);
        yyjson_mut_val *made;

        if (mine == NULL && yyjson_is_null(value))
            return error_set(err, STATUS_INVALID,
                             "parameter '" STR_FMT
                             "' has no default; give it with --param " STR_FMT "=…",
                             STR_ARG(name), STR_ARG(name));
        TRY(converted(arena, doc, name, mine == NULL ? value : mine, value, &made, err));
        yyjson_mut_obj_add(out, yyjson_mut_strncpy(doc, name.data, name.len), made);
    }
    return STATUS_OK;
}

enum status pipeline_input(struct arena *arena, const struct pipeline *pipeline,
                           struct str params, struct str code_hash, struct str *input,
                           struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(arena);
    yyjson_mut_val *object = yyjson_mut_obj(doc), *values, *code;
    yyjson_val *given;

    if (params.len == 0)
        params = STR("{}");
    if (json_parse(arena, params, &given, err) != STATUS_OK)
        return error_wrap(err, "params");
    if (!yyjson_is_obj(given))
        return error_set(err, STATUS_INVALID, "params: expected an object");
    if (pipeline->params == NULL) {
        *input = json_write(arena, given);
        return STATUS_OK;
    }
    values = yyjson_mut_obj_add_obj(doc, object, "params");
    TRY(complete(arena, pipeline, given, doc, values, err));
    code = yyjson_mut_obj_add_obj(doc, object, "code");
    json_add_str(doc, code, "sha256", code_hash);
    *input = json_mut_write(arena, object);
    return STATUS_OK;
}

struct copier {
    struct arena *arena;
    struct sha256 *hash;
    size_t bytes;
};

/* Names, lengths and whether a file can be run are hashed too: nothing else gives the same bytes. */
static void hash_file(struct copier *copier, struct str relative, struct str content,
                      bool executable)
{
    char length[32];

    snprintf(length, sizeof(length), ":%zu:%s", content.len, executable ? "x:" : "");
    sha256_add(copier->hash, relative.data, relative.len);
    sha256_add(copier->hash, length, strlen(length));
    sha256_add(copier->hash, content.data, content.len);
}

/* Read-only: all steps of the execution share it, and its hash is to stay true. */
static enum status make_read_only(const char *path, bool executable, struct error *err)
{
    if (chmod(path, executable ? 0555 : 0444) != 0)
        return error_errno(err, errno, "make '%s' read-only", path);
    return STATUS_OK;
}

static enum status copy_file(struct copier *copier, const char *from, const char *to,
                             struct str relative, bool executable, struct error *err)
{
    struct arena_mark mark = arena_mark(copier->arena);
    enum status status;
    struct str content;

    status = file_read(copier->arena, from, CODE_FILE_MAX, &content, err);
    if (status == STATUS_OK)
        copier->bytes += content.len;
    if (status == STATUS_OK && copier->bytes > CODE_BYTES_MAX)
        status = error_set(
            err, STATUS_LIMIT,
            "the pipeline's folder holds more than 64 MiB; data belongs elsewhere");
    if (status == STATUS_OK)
        status = file_write(to, content, err);
    if (status == STATUS_OK)
        status = make_read_only(to, executable, err);
    if (status == STATUS_OK)
        hash_file(copier, relative, content, executable);
    arena_rewind(copier->arena, mark);
    return status;
}

static bool is_left_out(struct str name)
{
    return name.data[0] == '.' || str_equal(name, STR("__pycache__"));
}

static enum status copy_folder(struct copier *copier, struct str from, struct str to,
                               struct str relative, unsigned depth, struct error *err)
{
    struct str *names;
    size_t count;

    if (depth > CODE_DEPTH_MAX)
        return error_set(err, STATUS_LIMIT, "folders are nested deeper than %d",
                         CODE_DEPTH_MAX);
    TRY(folder_create(to.data, err));
    TRY(folder_list(copier->arena, from.data, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        struct str source = arena_printf(copier->arena, STR_FMT "/" STR_FMT, STR_ARG(from),
                                         STR_ARG(names[i]));
        struct str target = arena_printf(copier->arena, STR_FMT "/" STR_FMT, STR_ARG(to),
                                         STR_ARG(names[i]));
        struct str inner = arena_printf(copier->arena, STR_FMT "/" STR_FMT, STR_ARG(relative),
                                        STR_ARG(names[i]));
        struct stat info;

        if (is_left_out(names[i]) || stat(source.data, &info) != 0)
            continue;
        if (S_ISDIR(info.st_mode))
            TRY(copy_folder(copier, source, target, inner, depth + 1, err));
        else if (S_ISREG(info.st_mode))
            TRY(copy_file(copier, source.data, target.data, inner,
                          (info.st_mode & S_IXUSR) != 0, err));
    }
    TRY(make_read_only(to.data, true, err));
    return folder_sync(to.data, err);
}

/* The names of the folder and of the one above, which is fresh too. */
static enum status sync_names(struct arena *arena, struct str folder, struct error *err)
{
    TRY(folder_sync(arena_printf(arena, STR_FMT "/..", STR_ARG(folder)).data, err));
    return folder_sync(arena_printf(arena, STR_FMT "/../..", STR_ARG(folder)).data, err);
}

enum status pipeline_copy_code(struct arena *arena, struct str project, struct str name,
                               struct str target, struct str *hash, struct error *err)
{
    struct copier copier = { arena, sha256_new(), 0 };
    char hex[SHA256_HEX_LEN + 1];
    enum status status = copy_folder(&copier, pipeline_folder(arena, project, name), target,
                                     STR_EMPTY, 0, err);

    if (status == STATUS_OK)
        status = sync_names(arena, target, err);
    sha256_end(copier.hash, hex);
    if (status != STATUS_OK)
        return error_wrap(err, "copy the code of pipeline '" STR_FMT "'", STR_ARG(name));
    *hash = arena_str(arena, str_from(hex));
    return STATUS_OK;
}
