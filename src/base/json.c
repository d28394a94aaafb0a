/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/base64.h"
#include "base/clock.h"

#include <stdlib.h>

/* yyjson's allocator on an arena: what it frees, the arena keeps until its end. */
static void *json_malloc(void *context, size_t size)
{
    return arena_alloc_raw(context, size);
}

static void *json_realloc(void *context, void *memory, size_t old_size, size_t size)
{
    return size <= old_size ? memory : arena_extend(context, memory, old_size, size);
}

static void json_free(void *context, void *memory)
{
    (void)context;
    (void)memory;
}

static yyjson_alc arena_allocator(struct arena *arena)
{
    return (yyjson_alc){ json_malloc, json_realloc, json_free, arena };
}

static void line_and_column(struct str text, size_t at, size_t *line, size_t *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < at && i < text.len; i++) {
        ++*column;
        if (text.data[i] == '\n') {
            ++*line;
            *column = 1;
        }
    }
}

static enum status fail_at(struct str text, size_t at, const char *what, struct error *err)
{
    size_t line, column;

    line_and_column(text, at, &line, &column);
    return error_set(err, STATUS_INVALID, "JSON line %zu column %zu: %s", line, column, what);
}

/* Depth before parsing: one pass over the bytes, so that no recursion later can run away. */
static bool depth_is_fine(struct str text, size_t *at)
{
    size_t depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '[' || c == '{') {
            *at = i;
            if (++depth > JSON_DEPTH_MAX)
                return false;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return true;
}

/*
 * A value takes many times the bytes of its text, so what a large text becomes counts before it does.
 * The reader makes room for half as many again as there are.
 */
static enum status want_room(const struct arena *arena, struct str text, struct error *err)
{
    size_t values = 1, bytes;

    if (text.len < ARENA_LARGE)
        return STATUS_OK;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        values += c == ',' || c == ':' || c == '[' || c == '{';
    }
    bytes = text.len + values * sizeof(yyjson_val) * 3 / 2;
    if (arena_may_take(arena, bytes))
        return STATUS_OK;
    return error_set(
        err, STATUS_UNAVAILABLE,
        "JSON: %zu values would take %zu MiB, and too much is held by large requests "
        "already; send less at a time, or try again later",
        values, bytes >> 20);
}

static int compare_keys(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

#define KEYS_BY_PAIRS 16

/* Small objects by comparing pairs, wide ones by sorting: a stranger chooses the width. */
static const char *repeated_key(struct arena *arena, yyjson_val *object)
{
    size_t count = yyjson_obj_size(object);
    struct str few[KEYS_BY_PAIRS];
    struct str *keys = count <= KEYS_BY_PAIRS ? few : ARENA_ARRAY(arena, struct str, count);
    size_t used = 0, index, max;
    yyjson_val *key, *value;

    yyjson_obj_foreach(object, index, max, key, value)
    {
        keys[used++] = json_str(key);
        if (count > KEYS_BY_PAIRS)
            continue;
        for (size_t i = 0; i + 1 < used; i++)
            if (str_equal(keys[i], keys[used - 1]))
                return keys[i].data;
    }
    if (count <= KEYS_BY_PAIRS)
        return NULL;
    qsort(keys, used, sizeof(*keys), compare_keys);
    for (size_t i = 1; i < used; i++)
        if (str_equal(keys[i - 1], keys[i]))
            return keys[i].data;
    return NULL;
}

/* Two readers that take different ones of two equal keys is how checks are passed by. */
static const char *find_repeated_key(struct arena *arena, yyjson_val *value)
{
    const char *found = yyjson_is_obj(value) ? repeated_key(arena, value) : NULL;
    size_t index, max;
    yyjson_val *key, *item;

    if (found != NULL)
        return found;
    if (yyjson_is_obj(value)) {
        yyjson_obj_foreach(value, index, max, key, item)
        {
            if (yyjson_is_ctn(item) && (found = find_repeated_key(arena, item)) != NULL)
                return found;
        }
    } else if (yyjson_is_arr(value)) {
        yyjson_arr_foreach(value, index, max, item)
        {
            if (!yyjson_is_ctn(item))
                continue;
            if ((found = find_repeated_key(arena, item)) != NULL)
                return found;
        }
    }
    return NULL;
}

static enum status parse(struct arena *arena, struct str text, yyjson_read_flag flags,
                         yyjson_val **out, struct error *err)
{
    yyjson_alc allocator = arena_allocator(arena);
    yyjson_read_err problem;
    const char *repeated;
    yyjson_doc *doc;
    size_t at = 0;

    if (text.len == 0)
        return error_set(err, STATUS_INVALID, "JSON expected, found nothing");
    if (!depth_is_fine(text, &at))
        return fail_at(text, at, "nested deeper than 100 levels", err);
    TRY(want_room(arena, text, err));
    /* Without the in-situ flag the reader copies and never writes to the text. */
    doc = yyjson_read_opts((char *)(uintptr_t)text.data, text.len, flags, &allocator, &problem);
    if (doc == NULL)
        return fail_at(text, problem.pos, problem.msg, err);
    repeated = find_repeated_key(arena, yyjson_doc_get_root(doc));
    if (repeated != NULL)
        return error_set(err, STATUS_INVALID,
                         "JSON: the key '%.100s' stands twice in one object", repeated);
    *out = yyjson_doc_get_root(doc);
    return STATUS_OK;
}

enum status json_parse(struct arena *arena, struct str text, yyjson_val **out,
                       struct error *err)
{
    return parse(arena, text, 0, out, err);
}

enum status json_parse_python(struct arena *arena, struct str text, yyjson_val **out,
                              struct error *err)
{
    return parse(arena, text, YYJSON_READ_ALLOW_INF_AND_NAN, out, err);
}

yyjson_mut_doc *json_mut_doc(struct arena *arena)
{
    yyjson_alc *allocator = ARENA_NEW(arena, yyjson_alc);

    *allocator = arena_allocator(arena);
    return yyjson_mut_doc_new(allocator);
}

static struct str write_mut(struct arena *arena, const yyjson_mut_val *value,
                            yyjson_write_flag flags)
{
    yyjson_alc allocator = arena_allocator(arena);
    size_t len = 0;
    char *text = yyjson_mut_val_write_opts(value, flags, &allocator, &len, NULL);

    return text == NULL ? STR("null") : (struct str){ text, len };
}

struct str json_mut_write(struct arena *arena, const yyjson_mut_val *value)
{
    return write_mut(arena, value, 0);
}

struct str json_mut_write_pretty(struct arena *arena, const yyjson_mut_val *value)
{
    return write_mut(arena, value, YYJSON_WRITE_PRETTY_TWO_SPACES);
}

struct str json_write(struct arena *arena, const yyjson_val *value)
{
    yyjson_alc allocator = arena_allocator(arena);
    size_t len = 0;
    char *text = yyjson_val_write_opts(value, 0, &allocator, &len, NULL);

    return text == NULL ? STR("null") : (struct str){ text, len };
}

struct str json_str(const yyjson_val *value)
{
    yyjson_val *v = (yyjson_val *)(uintptr_t)value; /* yyjson's getters are not const */

    if (!yyjson_is_str(v))
        return STR_EMPTY;
    return (struct str){ yyjson_get_str(v), yyjson_get_len(v) };
}

yyjson_val *json_find(const yyjson_val *object, struct str key)
{
    return yyjson_obj_getn((yyjson_val *)(uintptr_t)object, key.data, key.len);
}

static enum status wrong_type(const char *key, const char *expected, yyjson_val *found,
                              struct error *err)
{
    return error_set(err, STATUS_INVALID, "field '%s': expected %s, found %s", key, expected,
                     yyjson_get_type_desc(found));
}

static enum status missing(const char *key, struct error *err)
{
    return error_set(err, STATUS_INVALID, "field '%s' is missing", key);
}

/* The field, or NULL when it is absent or null. */
static yyjson_val *given(const yyjson_val *object, const char *key)
{
    yyjson_val *value = json_find(object, str_from(key));

    return yyjson_is_null(value) ? NULL : value;
}

enum status json_want_str(const yyjson_val *object, const char *key, struct str *out,
                          struct error *err)
{
    yyjson_val *value = given(object, key);

    if (value == NULL)
        return STATUS_OK;
    if (!yyjson_is_str(value))
        return wrong_type(key, "a string", value, err);
    *out = json_str(value);
    return STATUS_OK;
}

enum status json_need_str(const yyjson_val *object, const char *key, struct str *out,
                          struct error *err)
{
    if (given(object, key) == NULL)
        return missing(key, err);
    return json_want_str(object, key, out, err);
}

enum status json_want_object(const yyjson_val *object, const char *key, yyjson_val **out,
                             struct error *err)
{
    yyjson_val *value = given(object, key);

    if (value == NULL)
        return STATUS_OK;
    if (!yyjson_is_obj(value))
        return wrong_type(key, "an object", value, err);
    *out = value;
    return STATUS_OK;
}

enum status json_need_object(const yyjson_val *object, const char *key, yyjson_val **out,
                             struct error *err)
{
    if (given(object, key) == NULL)
        return missing(key, err);
    return json_want_object(object, key, out, err);
}

enum status json_want_array(const yyjson_val *object, const char *key, yyjson_val **out,
                            struct error *err)
{
    yyjson_val *value = given(object, key);

    if (value == NULL)
        return STATUS_OK;
    if (!yyjson_is_arr(value))
        return wrong_type(key, "an array", value, err);
    *out = value;
    return STATUS_OK;
}

enum status json_want_bool(const yyjson_val *object, const char *key, bool *out,
                           struct error *err)
{
    yyjson_val *value = given(object, key);

    if (value == NULL)
        return STATUS_OK;
    if (!yyjson_is_bool(value))
        return wrong_type(key, "true or false", value, err);
    *out = yyjson_get_bool(value);
    return STATUS_OK;
}

static bool integer_of(yyjson_val *json, int64_t *out)
{
    if (yyjson_is_sint(json)) {
        *out = yyjson_get_sint(json);
        return true;
    }
    if (yyjson_is_uint(json) && yyjson_get_uint(json) <= (uint64_t)INT64_MAX) {
        *out = (int64_t)yyjson_get_uint(json);
        return true;
    }
    return false;
}

enum status json_want_int64(const yyjson_val *object, const char *key, int64_t *out,
                            struct error *err)
{
    yyjson_val *value = given(object, key);

    if (value == NULL)
        return STATUS_OK;
    if (!integer_of(value, out))
        return wrong_type(key, "a whole number", value, err);
    return STATUS_OK;
}

enum status json_only_keys(const yyjson_val *object, const struct str *known, size_t count,
                           struct error *err)
{
    size_t index, max;
    yyjson_val *key, *value;

    yyjson_obj_foreach((yyjson_val *)(uintptr_t)object, index, max, key, value)
    {
        struct str name = json_str(key);
        struct str near;
        size_t i = 0;

        while (i < count && !str_equal(name, known[i]))
            i++;
        if (i < count)
            continue;
        near = str_nearest(name, known, count);
        if (near.len > 0)
            return error_set(err, STATUS_INVALID,
                             "unknown field '" STR_FMT "'; did you mean '" STR_FMT "'?",
                             STR_ARG(str_slice(name, 0, 80)), STR_ARG(near));
        return error_set(err, STATUS_INVALID, "unknown field '" STR_FMT "'",
                         STR_ARG(str_slice(name, 0, 80)));
    }
    return STATUS_OK;
}

static enum status not_a(enum value_type type, yyjson_val *json, struct error *err)
{
    return error_set(err, STATUS_INVALID, "expected %s, found %s", value_type_name(type),
                     yyjson_get_type_desc(json));
}

static bool number_of(yyjson_val *json, double *out)
{
    if (!yyjson_is_num(json))
        return false;
    *out = yyjson_get_num(json);
    return true;
}

enum status json_to_value(struct arena *arena, const yyjson_val *json_const,
                          enum value_type type, struct value *out, struct error *err)
{
    yyjson_val *json = (yyjson_val *)(uintptr_t)json_const;
    struct value value = { .type = type };

    if (yyjson_is_null(json)) {
        *out = value_null(type);
        return STATUS_OK;
    }
    switch (type) {
    case TYPE_BOOL:
        if (!yyjson_is_bool(json))
            return not_a(type, json, err);
        value.boolean = yyjson_get_bool(json);
        break;
    case TYPE_INT32:
    case TYPE_INT64:
        if (!integer_of(json, &value.integer))
            return not_a(type, json, err);
        if (type == TYPE_INT32 && value.integer != (int32_t)value.integer)
            return error_set(err, STATUS_INVALID, "%lld does not fit into int32",
                             (long long)value.integer);
        break;
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        if (yyjson_is_str(json))
            return value_parse(arena, type, json_str(json), out, err);
        if (!number_of(json, &value.number))
            return not_a(type, json, err);
        if (type == TYPE_FLOAT32)
            value.number = (double)(float)value.number;
        break;
    case TYPE_STRING:
        if (!yyjson_is_str(json))
            return not_a(type, json, err);
        value.text = json_str(json);
        break;
    case TYPE_BYTES:
        if (!yyjson_is_str(json))
            return not_a(type, json, err);
        if (!base64_decode(arena, json_str(json), &value.text))
            return error_set(err, STATUS_INVALID, "expected bytes in base64");
        break;
    case TYPE_TIMESTAMP:
        if (!yyjson_is_str(json))
            return not_a(type, json, err);
        return value_parse(arena, type, json_str(json), out, err);
    }
    *out = value;
    return STATUS_OK;
}

yyjson_mut_val *json_from_value(yyjson_mut_doc *doc, struct value value)
{
    struct buffer buffer = { 0 };
    yyjson_mut_val *json;

    if (value.is_null)
        return yyjson_mut_null(doc);
    if (value.type == TYPE_STRING)
        return yyjson_mut_strncpy(doc, value.text.data, value.text.len);
    json_write_value(&buffer, value);
    json = yyjson_mut_rawncpy(doc, buffer.data, buffer.len);
    buffer_free(&buffer);
    return json;
}

void json_add_str(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                  struct str value)
{
    yyjson_mut_obj_add_strncpy(doc, object, key, value.data == NULL ? "" : value.data,
                               value.len);
}
