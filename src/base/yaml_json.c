/* SPDX-License-Identifier: Apache-2.0 */
/* A tree of yaml.h as JSON and back, without a scalar's spelling being lost. */
#include "base/yaml.h"

static size_t skip_digits(struct str s, size_t at)
{
    while (at < s.len && s.data[at] >= '0' && s.data[at] <= '9')
        at++;
    return at;
}

/* RFC 8259's grammar: "007", "+1" and ".5" stay text. */
static bool is_json_number(struct str s)
{
    size_t at = s.len > 0 && s.data[0] == '-';
    size_t end = skip_digits(s, at);

    if (end == at || (s.data[at] == '0' && end > at + 1))
        return false;
    if (end < s.len && s.data[end] == '.') {
        at = end + 1;
        end = skip_digits(s, at);
        if (end == at)
            return false;
    }
    if (end < s.len && (s.data[end] == 'e' || s.data[end] == 'E')) {
        at = end + 1;
        if (at < s.len && (s.data[at] == '-' || s.data[at] == '+'))
            at++;
        end = skip_digits(s, at);
        if (end == at)
            return false;
    }
    return end == s.len;
}

static yyjson_mut_val *scalar_to_json(yyjson_mut_doc *doc, const struct yaml_node *node)
{
    if (!node->quoted && str_equal(node->text, STR("true")))
        return yyjson_mut_bool(doc, true);
    if (!node->quoted && str_equal(node->text, STR("false")))
        return yyjson_mut_bool(doc, false);
    if (!node->quoted && is_json_number(node->text))
        return yyjson_mut_rawncpy(doc, node->text.data, node->text.len);
    return yyjson_mut_strncpy(doc, node->text.data, node->text.len);
}

yyjson_mut_val *yaml_to_json(yyjson_mut_doc *doc, const struct yaml_node *node)
{
    yyjson_mut_val *json;

    switch (node->kind) {
    case YAML_NULL:
        break;
    case YAML_SCALAR:
        return scalar_to_json(doc, node);
    case YAML_SEQUENCE:
        json = yyjson_mut_arr(doc);
        for (size_t i = 0; i < node->count; i++)
            yyjson_mut_arr_append(json, yaml_to_json(doc, &node->items[i]));
        return json;
    case YAML_MAPPING:
        json = yyjson_mut_obj(doc);
        for (size_t i = 0; i < node->count; i++)
            yyjson_mut_obj_add(
                json, yyjson_mut_strncpy(doc, node->keys[i].text.data, node->keys[i].text.len),
                yaml_to_json(doc, &node->items[i]));
        return json;
    }
    return yyjson_mut_null(doc);
}

struct reader {
    struct arena *arena;
    struct str file;
    int line;
    int depth;
    bool too_deep;
};

static struct yaml_node scalar_from(const struct reader *reader, struct str text, bool quoted)
{
    return (struct yaml_node){ .kind = YAML_SCALAR,
                               .quoted = quoted,
                               .file = reader->file,
                               .line = reader->line,
                               .column = 1,
                               .text = arena_str(reader->arena, text) };
}

static struct yaml_node node_from(struct reader *reader, yyjson_val *json);

static void sequence_from(struct reader *reader, yyjson_val *json, struct yaml_node *node)
{
    size_t i, count;
    yyjson_val *item;

    node->kind = YAML_SEQUENCE;
    node->count = yyjson_arr_size(json);
    node->items = ARENA_ARRAY(reader->arena, struct yaml_node, node->count);
    yyjson_arr_foreach(json, i, count, item) node->items[i] = node_from(reader, item);
}

static void mapping_from(struct reader *reader, yyjson_val *json, struct yaml_node *node)
{
    size_t i, count;
    yyjson_val *key, *item;

    node->kind = YAML_MAPPING;
    node->count = yyjson_obj_size(json);
    node->items = ARENA_ARRAY(reader->arena, struct yaml_node, node->count);
    node->keys = ARENA_ARRAY(reader->arena, struct yaml_node, node->count);
    yyjson_obj_foreach(json, i, count, key, item)
    {
        node->keys[i] = scalar_from(reader, json_str(key), true);
        node->items[i] = node_from(reader, item);
    }
}

static struct yaml_node node_from(struct reader *reader, yyjson_val *json)
{
    struct yaml_node node = {
        .kind = YAML_NULL, .file = reader->file, .line = reader->line, .column = 1
    };

    if (yyjson_is_str(json))
        return scalar_from(reader, json_str(json), true);
    if (yyjson_is_bool(json))
        return scalar_from(reader, yyjson_get_bool(json) ? STR("true") : STR("false"), false);
    if (yyjson_is_raw(json))
        return scalar_from(reader, (struct str){ yyjson_get_raw(json), yyjson_get_len(json) },
                           false);
    if (reader->depth == YAML_DEPTH_MAX + 1) {
        reader->too_deep = true;
        return node;
    }
    reader->depth++;
    if (yyjson_is_arr(json))
        sequence_from(reader, json, &node);
    else if (yyjson_is_obj(json))
        mapping_from(reader, json, &node);
    reader->depth--;
    return node;
}

enum status yaml_from_json(struct arena *arena, struct str file_name, int line, struct str json,
                           struct yaml_node **out, struct error *err)
{
    struct reader reader = { .arena = arena,
                             .file = arena_str(arena, file_name),
                             .line = line };
    yyjson_doc *doc = yyjson_read(json.data, json.len, YYJSON_READ_NUMBER_AS_RAW);
    struct yaml_node root;

    if (doc == NULL)
        return error_set(err, STATUS_INVALID, STR_FMT ":%d: this is not JSON",
                         STR_ARG(file_name), line);
    root = node_from(&reader, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    if (reader.too_deep)
        return error_set(err, STATUS_INVALID, STR_FMT ":%d: nested too deeply",
                         STR_ARG(file_name), line);
    *out = ARENA_NEW(arena, struct yaml_node);
    **out = root;
    return STATUS_OK;
}
