/* SPDX-License-Identifier: Apache-2.0 */
#include "bridges/training_definition.h"

#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct recorder {
    struct arena *arena;
    yyjson_mut_doc *doc;
    const struct definitions *definitions;
    yyjson_mut_val *kinds;   /* kind to name to document */
    yyjson_mut_val *sources; /* name to hash */
};

/* False if it is there already, or was never recorded. */
static bool add_item(struct recorder *recorder, const char *kind, struct str name)
{
    const struct definition_item *item = definitions_item_find(recorder->definitions,
                                                               str_from(kind), name);
    yyjson_mut_val *names = yyjson_mut_obj_get(recorder->kinds, kind);

    if (names == NULL)
        names = yyjson_mut_obj_add_obj(recorder->doc, recorder->kinds, kind);
    if (item == NULL || yyjson_mut_obj_getn(names, name.data, name.len) != NULL)
        return false;
    yyjson_mut_obj_add(names, yyjson_mut_strncpy(recorder->doc, name.data, name.len),
                       yyjson_mut_rawncpy(recorder->doc, item->json.data, item->json.len));
    return true;
}

/* With all that its SQL reads; what reads itself is refused when it is defined. */
static void add_source(struct recorder *recorder, const struct source *source)
{
    if (!add_item(recorder, "source", source->name))
        return;
    json_add_str(recorder->doc, recorder->sources, arena_cstr(recorder->arena, source->name),
                 source->hash);
    for (size_t i = 0; i < source->read_count; i++)
        add_source(recorder, source->reads[i]);
}

static void add_view(struct recorder *recorder, const struct view *view)
{
    if (!add_item(recorder, "view", view->name) || view->kind == VIEW_REQUEST)
        return;
    (void)add_item(recorder, "entity", view->entity->name);
    add_source(recorder, view->source);
}

/* A word that means something else in the SQL only adds a definition that was not needed. */
static bool mentions(struct str sql, struct str name)
{
    for (size_t at = 0; at + name.len <= sql.len; at++)
        if (str_equal_nocase(str_slice(sql, at, at + name.len), name))
            return true;
    return false;
}

static void add_definitions(struct recorder *recorder, const struct service *service,
                            struct str entities_sql)
{
    const struct plan *plan = &service->plan;
    const struct source *sources;
    size_t count;

    (void)add_item(recorder, "service", service->name);
    for (size_t i = 0; i < plan->view_count; i++)
        add_view(recorder, plan->views[i].view);
    for (size_t i = 0; i < plan->expression_count; i++)
        add_view(recorder, plan->expressions[i].feature->view);
    sources = definitions_sources(recorder->definitions, &count);
    for (size_t i = 0; i < count; i++)
        if (mentions(entities_sql, sources[i].name))
            add_source(recorder, &sources[i]);
}

static void add_columns(struct recorder *recorder, yyjson_mut_val *root,
                        const struct plan *plan, bool full_names)
{
    yyjson_mut_val *columns = yyjson_mut_obj_add_arr(recorder->doc, root, "columns");

    for (size_t i = 0; i < plan->output_count; i++) {
        const struct plan_output *output = &plan->outputs[i];
        yyjson_mut_val *column = yyjson_mut_arr_add_obj(recorder->doc, columns);

        json_add_str(recorder->doc, column, "name",
                     full_names ? output->full_name : output->name);
        json_add_str(recorder->doc, column, "feature", output->full_name);
        yyjson_mut_obj_add_str(recorder->doc, column, "type", value_type_name(output->type));
    }
}

static enum status hash_file(struct arena *arena, const char *path, struct str *out,
                             struct error *err)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char piece[65536], hex[SHA256_HEX_LEN + 1];
    struct sha256 *hash;
    ssize_t n;

    if (file < 0)
        return error_errno(err, errno, "open '%s'", path);
    hash = sha256_new();
    while ((n = read(file, piece, sizeof(piece))) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            sha256_add(hash, piece, (size_t)n);
    sha256_end(hash, hex);
    *out = arena_str(arena, str_from(hex));
    if (n < 0)
        error_errno(err, errno, "read '%s'", path);
    close(file);
    return n < 0 ? err->status : STATUS_OK;
}

static enum status add_question(struct recorder *recorder, yyjson_mut_val *root,
                                const struct training_set_request *request, struct error *err)
{
    yyjson_mut_doc *doc = recorder->doc;
    struct str hash;

    json_add_str(doc, root, "time", request->time);
    yyjson_mut_obj_add_bool(doc, root, "as_known", request->as_known);
    yyjson_mut_obj_add_bool(doc, root, "full_names", request->full_names);
    if (request->entities == NULL) {
        json_add_str(doc, root, "entities_sql", request->entities_sql);
        return STATUS_OK;
    }
    TRY(hash_file(recorder->arena, request->entities, &hash, err));
    json_add_str(doc, root, "entities_sha256", hash);
    return STATUS_OK;
}

enum status training_definition_put(struct arena *arena, struct blob_store *blobs,
                                    const struct definitions *definitions,
                                    const struct training_set_request *request,
                                    struct str *hash, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    struct recorder recorder = { arena, doc, definitions, yyjson_mut_obj(doc),
                                 yyjson_mut_obj(doc) };
    const struct service *service;
    struct blob blob;

    TRY(definitions_service_get(definitions, request->service, &service, err));
    json_add_str(doc, root, "service", service->name);
    TRY(add_question(&recorder, root, request, err));
    add_columns(&recorder, root, &service->plan, request->full_names);
    add_definitions(&recorder, service, request->entities_sql);
    yyjson_mut_obj_add_val(doc, root, "definitions", recorder.kinds);
    yyjson_mut_obj_add_val(doc, root, "sources", recorder.sources);
    if (blob_put(blobs, json_mut_write(arena, root), &blob, err) != STATUS_OK)
        return error_wrap(err, "keep the definition of the training set");
    *hash = arena_str(arena, str_from(blob.hash));
    return STATUS_OK;
}
