/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml.h"

#include "base/clock.h"
#include "base/hash.h"

#include <libfyaml.h>

struct loader {
    struct arena *arena;
    struct str file;
    struct str text;
    struct fy_parser *parser;
    struct fy_diag *diag;
};

static enum status fail_at(struct str file, int line, int column, struct error *err,
                           const char *what)
{
    return error_set(err, STATUS_INVALID, STR_FMT ":%d:%d: %s", STR_ARG(file), line, column,
                     what);
}

/* Line `wanted` (from 1) of the text, without its end. */
static struct str line_of(struct str text, int wanted)
{
    struct str line = STR_EMPTY;

    for (int i = 0; i < wanted; i++) {
        if (!str_split(&text, '\n', &line))
            return STR_EMPTY;
    }
    return line;
}

/* The column (from 1) of a tab in the line's indentation, or 0. */
static int tab_in_indent(struct str line)
{
    for (size_t i = 0; i < line.len && (line.data[i] == ' ' || line.data[i] == '\t'); i++) {
        if (line.data[i] == '\t')
            return (int)i + 1;
    }
    return 0;
}

/* The parser's own words, but for the mistake that people really make. */
static enum status parse_failed(struct loader *loader, struct error *err)
{
    void *at = NULL;
    const struct fy_diag_error *first = fy_diag_errors_iterate(loader->diag, &at);
    int line;

    if (first == NULL)
        return error_set(err, STATUS_INVALID, STR_FMT ": this is not YAML",
                         STR_ARG(loader->file));
    line = first->line < 1 ? 1 : first->line;
    /* A tab that ends a text too early is found in the line behind it. */
    for (int i = line; i <= line + 1; i++) {
        int tab = tab_in_indent(line_of(loader->text, i));

        if (tab > 0)
            return fail_at(loader->file, i, tab, err, "tabs may not indent; use spaces");
    }
    return fail_at(loader->file, line, first->column < 1 ? 1 : first->column, err,
                   first->msg == NULL ? "this is not YAML" : first->msg);
}

static struct yaml_node *node_new(struct loader *loader, enum yaml_kind kind,
                                  const struct fy_event *event)
{
    struct yaml_node *node = ARENA_NEW(loader->arena, struct yaml_node);
    const struct fy_mark *mark = fy_event_start_mark((struct fy_event *)(uintptr_t)event);

    node->kind = kind;
    node->file = loader->file;
    node->line = mark == NULL ? 1 : mark->line + 1;
    node->column = mark == NULL ? 1 : mark->column + 1;
    return node;
}

static bool reads_as_null(struct str text)
{
    return text.len == 0 || str_equal(text, STR("~")) || str_equal(text, STR("null"));
}

static enum status refuse(const struct yaml_node *node, struct error *err, const char *what)
{
    return fail_at(node->file, node->line, node->column, err, what);
}

static enum status scalar_of(struct loader *loader, struct fy_event *event,
                             struct yaml_node *node, struct error *err)
{
    size_t len = 0;
    const char *text;

    if (event->scalar.anchor != NULL)
        return refuse(node, err, "anchors are not supported; write the value out");
    if (event->scalar.tag != NULL)
        return refuse(node, err, "tags are not supported; leave the '!…' out");
    if (event->scalar.value != NULL) {
        text = fy_token_get_text(event->scalar.value, &len);
        if (text == NULL)
            return refuse(node, err, "this text cannot be read");
        node->text = arena_str(loader->arena, (struct str){ text, len });
        node->quoted = fy_token_scalar_style(event->scalar.value) != FYSS_PLAIN;
    }
    node->kind = !node->quoted && reads_as_null(node->text) ? YAML_NULL : YAML_SCALAR;
    return STATUS_OK;
}

static enum status next_event(struct loader *loader, struct fy_event **event, struct error *err)
{
    *event = fy_parser_parse(loader->parser);
    return *event == NULL ? status_of_failure(parse_failed(loader, err)) : STATUS_OK;
}

static enum status read_node(struct loader *loader, struct fy_event *event, int depth,
                             struct yaml_node *node, struct error *err);

/* Takes the next event as a node; *ended instead if it closes the collection. */
static enum status read_next(struct loader *loader, enum fy_event_type end, int depth,
                             struct yaml_node *node, bool *ended, struct error *err)
{
    struct fy_event *event;
    enum status status = STATUS_OK;

    TRY(next_event(loader, &event, err));
    /* NOLINTNEXTLINE(-Wanalyzer-null-dereference): no event is a failure */
    *ended = event->type == end;
    if (!*ended)
        status = read_node(loader, event, depth + 1, node, err);
    fy_parser_event_free(loader->parser, event);
    return status;
}

static enum status read_sequence(struct loader *loader, int depth, struct yaml_node *node,
                                 struct error *err)
{
    size_t capacity = 0;

    for (;;) {
        struct yaml_node item;
        bool ended;

        TRY(read_next(loader, FYET_SEQUENCE_END, depth, &item, &ended, err));
        if (ended)
            return STATUS_OK;
        ARENA_PUSH(loader->arena, node->items, node->count, capacity) = item;
    }
}

static enum status check_key(const struct yaml_node *key, struct error *err)
{
    if (key->kind == YAML_NULL && key->text.len > 0)
        return STATUS_OK; /* "null" and "~" are names like others here */
    if (key->kind != YAML_SCALAR)
        return refuse(key, err, "a key must be one word of text");
    if (!key->quoted && str_equal(key->text, STR("<<")))
        return refuse(key, err, "merge keys are not supported; write the values out");
    return STATUS_OK;
}

/* By a table of hashes, since a stranger's mapping may be long. */
static enum status check_repeats(struct loader *loader, const struct yaml_node *map,
                                 struct error *err)
{
    struct arena_mark mark = arena_mark(loader->arena);
    size_t size = 16;
    uint32_t *slots;
    enum status status = STATUS_OK;

    while (size < map->count * 2)
        size *= 2;
    slots = ARENA_ARRAY(loader->arena, uint32_t, size);
    for (size_t i = 0; i < map->count && status == STATUS_OK; i++) {
        struct str key = map->keys[i].text;
        size_t at = hash64(key.data, key.len, 0) & (size - 1);

        while (slots[at] != 0 && !str_equal(map->keys[slots[at] - 1].text, key))
            at = (at + 1) & (size - 1);
        if (slots[at] != 0)
            status = yaml_error(&map->keys[i], STATUS_INVALID, err,
                                "'" STR_FMT "' is here twice; it is in line %d already",
                                STR_ARG(str_slice(key, 0, 80)), map->keys[slots[at] - 1].line);
        slots[at] = (uint32_t)i + 1;
    }
    arena_rewind(loader->arena, mark);
    return status;
}

static enum status read_mapping(struct loader *loader, int depth, struct yaml_node *node,
                                struct error *err)
{
    size_t key_capacity = 0, capacity = 0, values = 0;

    for (;;) {
        struct yaml_node key, value;
        bool ended;

        TRY(read_next(loader, FYET_MAPPING_END, depth, &key, &ended, err));
        if (ended)
            return check_repeats(loader, node, err);
        TRY(check_key(&key, err));
        key.kind = YAML_SCALAR;
        TRY(read_next(loader, FYET_NONE, depth, &value, &ended, err));
        ARENA_PUSH(loader->arena, node->keys, node->count, key_capacity) = key;
        ARENA_PUSH(loader->arena, node->items, values, capacity) = value;
    }
}

static enum status read_node(struct loader *loader, struct fy_event *event, int depth,
                             struct yaml_node *out, struct error *err)
{
    struct yaml_node *node = node_new(loader, YAML_NULL, event);
    const struct fy_token *anchor = NULL, *tag = NULL;

    if (depth > YAML_DEPTH_MAX)
        return refuse(node, err, "nested too deeply");
    switch (event->type) {
    case FYET_SCALAR:
        TRY(scalar_of(loader, event, node, err));
        break;
    case FYET_SEQUENCE_START:
        node->kind = YAML_SEQUENCE;
        anchor = event->sequence_start.anchor;
        tag = event->sequence_start.tag;
        break;
    case FYET_MAPPING_START:
        node->kind = YAML_MAPPING;
        anchor = event->mapping_start.anchor;
        tag = event->mapping_start.tag;
        break;
    case FYET_ALIAS:
        return refuse(node, err, "aliases are not supported; write the value out");
    default:
        return refuse(node, err, "a value is missing here");
    }
    if (anchor != NULL)
        return refuse(node, err, "anchors are not supported; write the value out");
    if (tag != NULL)
        return refuse(node, err, "tags are not supported; leave the '!…' out");
    if (node->kind == YAML_SEQUENCE)
        TRY(read_sequence(loader, depth, node, err));
    if (node->kind == YAML_MAPPING)
        TRY(read_mapping(loader, depth, node, err));
    *out = *node;
    return STATUS_OK;
}

/* Behind FYET_DOCUMENT_START: one node and the end of the document. */
static enum status read_document(struct loader *loader, struct yaml_node *out,
                                 struct error *err)
{
    bool ended;
    struct yaml_node unused;

    TRY(read_next(loader, FYET_DOCUMENT_END, 0, out, &ended, err));
    if (ended) {
        *out = (struct yaml_node){
            .kind = YAML_NULL, .file = loader->file, .line = 1, .column = 1
        };
        return STATUS_OK;
    }
    return read_next(loader, FYET_DOCUMENT_END, 0, &unused, &ended, err);
}

static enum status read_stream(struct loader *loader, struct yaml_node **documents,
                               size_t *count, struct error *err)
{
    size_t capacity = 0;
    bool more = true;

    while (more) {
        struct fy_event *event;
        struct yaml_node document = { .kind = YAML_NULL };
        enum status status = STATUS_OK;

        TRY(next_event(loader, &event, err));
        more = event->type != FYET_STREAM_END;
        if (event->type == FYET_DOCUMENT_START)
            status = read_document(loader, &document, err);
        fy_parser_event_free(loader->parser, event);
        TRY(status);
        if (document.kind != YAML_NULL)
            ARENA_PUSH(loader->arena, *documents, *count, capacity) = document;
    }
    return STATUS_OK;
}

/* What no YAML may hold; libfyaml would say it less plainly. */
static enum status check_text(struct str file, struct str text, struct error *err)
{
    int line = 1;
    struct str rest = text, piece;

    if (text.len > YAML_SIZE_MAX)
        return error_set(err, STATUS_LIMIT, STR_FMT ": larger than %zu MiB", STR_ARG(file),
                         YAML_SIZE_MAX >> 20);
    for (; str_split(&rest, '\n', &piece); line++) {
        if (!str_is_utf8(piece))
            return fail_at(file, line, 1, err, "this line is not UTF-8");
        if (memchr(piece.data, '\0', piece.len) != NULL)
            return fail_at(file, line, 1, err, "this line has a NUL byte");
    }
    return STATUS_OK;
}

enum status yaml_parse(struct arena *arena, struct str file_name, struct str text,
                       struct yaml_node **documents, size_t *count, struct error *err)
{
    struct loader loader = { .arena = arena,
                             .file = arena_str(arena, file_name),
                             .text = text };
    struct fy_diag_cfg diag_config = { .level = FYET_ERROR, .module_mask = ~0u };
    struct fy_parse_cfg config = { .flags = FYPCF_DEFAULT_PARSE | FYPCF_ALLOW_DUPLICATE_KEYS };
    struct yaml_node *found = NULL;
    size_t found_count = 0;
    enum status status;

    TRY(check_text(loader.file, text, err));
    loader.diag = fy_diag_create(&diag_config);
    if (loader.diag == NULL)
        return error_set(err, STATUS_INTERNAL, "out of memory for YAML");
    fy_diag_set_collect_errors(loader.diag, true);
    config.diag = loader.diag;
    loader.parser = fy_parser_create(&config);
    if (loader.parser == NULL || fy_parser_set_string(loader.parser, text.data, text.len) != 0)
        status = error_set(err, STATUS_INTERNAL, "out of memory for YAML");
    else
        status = read_stream(&loader, &found, &found_count, err);
    fy_parser_destroy(loader.parser);
    fy_diag_destroy(loader.diag);
    if (status != STATUS_OK)
        return status;
    *documents = found;
    *count = found_count;
    return STATUS_OK;
}
