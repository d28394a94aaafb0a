/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what yaml.c parsed: fields by name and type, with the place in every message. */
#include "base/clock.h"
#include "base/yaml.h"

enum status(yaml_error)(const struct yaml_node *node, enum status status, struct error *err,
                        const char *format, ...)
{
    char message[sizeof(err->message)];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return error_set(err, status, STR_FMT ":%d:%d: %s", STR_ARG(node->file), node->line,
                     node->column, message);
}

const char *yaml_kind_name(const struct yaml_node *node)
{
    static const char *const names[] = {
        [YAML_NULL] = "nothing",
        [YAML_SCALAR] = "text",
        [YAML_SEQUENCE] = "a list",
        [YAML_MAPPING] = "a mapping",
    };

    return names[node->kind];
}

const struct yaml_node *yaml_find_str(const struct yaml_node *map, struct str key)
{
    if (map->kind != YAML_MAPPING)
        return NULL;
    for (size_t i = 0; i < map->count; i++) {
        if (str_equal(map->keys[i].text, key))
            return &map->items[i];
    }
    return NULL;
}

const struct yaml_node *yaml_find(const struct yaml_node *map, const char *key)
{
    return yaml_find_str(map, str_from(key));
}

enum status yaml_is_map(const struct yaml_node *node, struct error *err)
{
    if (node->kind == YAML_MAPPING)
        return STATUS_OK;
    return yaml_error(node, STATUS_INVALID, err, "expected a mapping (key: value), found %s",
                      yaml_kind_name(node));
}

static bool is_among(struct str key, const struct str *known, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(key, known[i]))
            return true;
    }
    return false;
}

enum status yaml_only_keys(const struct yaml_node *map, const struct str *known, size_t count,
                           struct error *err)
{
    TRY(yaml_is_map(map, err));
    for (size_t i = 0; i < map->count; i++) {
        const struct yaml_node *key = &map->keys[i];
        struct str shown = str_slice(key->text, 0, 80);
        struct str near;

        if (is_among(key->text, known, count))
            continue;
        near = str_nearest(key->text, known, count);
        if (near.len > 0)
            return yaml_error(key, STATUS_INVALID, err,
                              "unknown key '" STR_FMT "'; did you mean '" STR_FMT "'?",
                              STR_ARG(shown), STR_ARG(near));
        return yaml_error(key, STATUS_INVALID, err, "unknown key '" STR_FMT "'",
                          STR_ARG(shown));
    }
    return STATUS_OK;
}

enum status yaml_need(const struct yaml_node *map, const char *key,
                      const struct yaml_node **out, struct error *err)
{
    const struct yaml_node *node;

    TRY(yaml_is_map(map, err));
    node = yaml_find(map, key);
    if (node == NULL)
        return yaml_error(map, STATUS_INVALID, err, "'%s' is missing", key);
    if (node->kind == YAML_NULL)
        return yaml_error(node, STATUS_INVALID, err, "'%s' is empty", key);
    *out = node;
    return STATUS_OK;
}

/* Sets *out to NULL when there is nothing to read. */
static enum status want_scalar(const struct yaml_node *map, const char *key,
                               const char *expected, const struct yaml_node **out,
                               struct error *err)
{
    const struct yaml_node *node = yaml_find(map, key);

    *out = NULL;
    if (node == NULL || node->kind == YAML_NULL)
        return STATUS_OK;
    if (node->kind != YAML_SCALAR)
        return yaml_error(node, STATUS_INVALID, err, "'%s': expected %s, found %s", key,
                          expected, yaml_kind_name(node));
    *out = node;
    return STATUS_OK;
}

static enum status unreadable(const struct yaml_node *node, const char *key,
                              const char *expected, struct error *err)
{
    return yaml_error(node, STATUS_INVALID, err, "'%s': expected %s, found '" STR_FMT "'", key,
                      expected, STR_ARG(str_slice(node->text, 0, 80)));
}

enum status yaml_want_str(const struct yaml_node *map, const char *key, struct str *out,
                          struct error *err)
{
    const struct yaml_node *node;

    TRY(want_scalar(map, key, "text", &node, err));
    if (node != NULL)
        *out = node->text;
    return STATUS_OK;
}

enum status yaml_need_str(const struct yaml_node *map, const char *key, struct str *out,
                          struct error *err)
{
    const struct yaml_node *node;

    TRY(yaml_need(map, key, &node, err));
    if (node->kind == YAML_SCALAR && node->text.len == 0)
        return yaml_error(node, STATUS_INVALID, err, "'%s' is empty", key);
    return yaml_want_str(map, key, out, err);
}

static bool parse_bool(struct str text, bool *out)
{
    *out = str_equal(text, STR("true"));
    return *out || str_equal(text, STR("false"));
}

enum status yaml_want_bool(const struct yaml_node *map, const char *key, bool *out,
                           struct error *err)
{
    static const char expected[] = "true or false";
    const struct yaml_node *node;
    bool value;

    TRY(want_scalar(map, key, expected, &node, err));
    if (node == NULL)
        return STATUS_OK;
    if (node->quoted || !parse_bool(node->text, &value))
        return unreadable(node, key, expected, err);
    *out = value;
    return STATUS_OK;
}

enum status yaml_want_int64(const struct yaml_node *map, const char *key, int64_t *out,
                            struct error *err)
{
    static const char expected[] = "a whole number";
    const struct yaml_node *node;
    int64_t value;

    TRY(want_scalar(map, key, expected, &node, err));
    if (node == NULL)
        return STATUS_OK;
    if (node->quoted || !str_to_int64(node->text, &value))
        return unreadable(node, key, expected, err);
    *out = value;
    return STATUS_OK;
}

enum status yaml_want_double(const struct yaml_node *map, const char *key, double *out,
                             struct error *err)
{
    static const char expected[] = "a number";
    const struct yaml_node *node;
    double value;

    TRY(want_scalar(map, key, expected, &node, err));
    if (node == NULL)
        return STATUS_OK;
    if (node->quoted || !str_to_double(node->text, &value))
        return unreadable(node, key, expected, err);
    *out = value;
    return STATUS_OK;
}

enum status yaml_want_duration_us(const struct yaml_node *map, const char *key, int64_t *out,
                                  struct error *err)
{
    static const char expected[] = "a duration like 90d, 12h, 5m, 30s or 250ms";
    const struct yaml_node *node;
    int64_t value;

    TRY(want_scalar(map, key, expected, &node, err));
    if (node == NULL)
        return STATUS_OK;
    if (!duration_parse_us(node->text, &value))
        return unreadable(node, key, expected, err);
    *out = value;
    return STATUS_OK;
}

enum status yaml_to_value(struct arena *arena, const struct yaml_node *node,
                          enum value_type type, struct value *out, struct error *err)
{
    struct error cause;

    if (node->kind == YAML_NULL) {
        *out = value_null(type);
        return STATUS_OK;
    }
    if (node->kind != YAML_SCALAR)
        return yaml_error(node, STATUS_INVALID, err, "expected %s, found %s",
                          value_type_name(type), yaml_kind_name(node));
    if (value_parse(arena, type, node->text, out, &cause) != STATUS_OK)
        return yaml_error(node, cause.status, err, "%s", cause.message);
    return STATUS_OK;
}
