/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/json_path.h"

#include "base/buffer.h"

#define PATH_STEPS_MAX 100

struct path_reader {
    struct arena *arena;
    struct str text;
    size_t at;
    struct json_path *path;
    size_t capacity;
    struct error *err;
};

static char peek(const struct path_reader *reader)
{
    return reader->at < reader->text.len ? reader->text.data[reader->at] : '\0';
}

static enum status path_error(const struct path_reader *reader, const char *what)
{
    return error_set(reader->err, STATUS_INVALID,
                     "'" STR_FMT "' is no path: %s at character %zu", STR_ARG(reader->text),
                     what, reader->at + 1);
}

static enum status push(struct path_reader *reader, struct path_step step)
{
    struct json_path *path = reader->path;

    if (path->count == PATH_STEPS_MAX)
        return path_error(reader, "more than 100 steps");
    ARENA_PUSH(reader->arena, path->steps, path->count, reader->capacity) = step;
    if (step.kind == PATH_WILDCARD || step.kind == PATH_SLICE)
        path->definite = false;
    return STATUS_OK;
}

static enum status read_dotted(struct path_reader *reader)
{
    size_t start = ++reader->at;

    if (peek(reader) == '.')
        return path_error(reader, "'..' is not understood yet");
    if (peek(reader) == '*') {
        reader->at++;
        return push(reader, (struct path_step){ .kind = PATH_WILDCARD });
    }
    while (reader->at < reader->text.len && strchr(".[]'\"()* ", peek(reader)) == NULL)
        reader->at++;
    if (reader->at == start)
        return path_error(reader, "a name is missing");
    return push(reader,
                (struct path_step){ .kind = PATH_NAME,
                                    .name = str_slice(reader->text, start, reader->at) });
}

/* Only the quote itself is escaped; any other backslash is part of the name. */
static enum status read_quoted(struct path_reader *reader, char quote)
{
    char *name = arena_alloc(reader->arena, reader->text.len);
    size_t len = 0;

    for (reader->at++; peek(reader) != quote; reader->at++) {
        if (reader->at >= reader->text.len)
            return path_error(reader, "the quote is not closed");
        if (peek(reader) == '\\' && reader->at + 1 < reader->text.len &&
            reader->text.data[reader->at + 1] == quote)
            reader->at++;
        name[len++] = peek(reader);
    }
    reader->at++;
    return push(reader, (struct path_step){ .kind = PATH_NAME, .name = { name, len } });
}

static enum status read_integer(struct path_reader *reader, bool *there, int64_t *out)
{
    size_t start = reader->at;

    if (peek(reader) == '-')
        reader->at++;
    while (peek(reader) >= '0' && peek(reader) <= '9')
        reader->at++;
    *there = reader->at > start;
    if (*there && !str_to_int64(str_slice(reader->text, start, reader->at), out))
        return path_error(reader, "expected a whole number");
    return STATUS_OK;
}

static enum status read_index_or_slice(struct path_reader *reader)
{
    struct path_step step = { .kind = PATH_INDEX };

    TRY(read_integer(reader, &step.has_from, &step.from));
    if (peek(reader) == ':') {
        reader->at++;
        step.kind = PATH_SLICE;
        TRY(read_integer(reader, &step.has_to, &step.to));
    } else if (!step.has_from) {
        return path_error(reader, "expected a name in quotes, an index, '*' or a slice");
    }
    return push(reader, step);
}

static enum status read_bracket(struct path_reader *reader)
{
    reader->at++;
    if (peek(reader) == '\'' || peek(reader) == '"') {
        TRY(read_quoted(reader, peek(reader)));
    } else if (peek(reader) == '*') {
        reader->at++;
        TRY(push(reader, (struct path_step){ .kind = PATH_WILDCARD }));
    } else if (peek(reader) == '?') {
        return path_error(reader, "filters are not understood yet");
    } else {
        TRY(read_index_or_slice(reader));
    }
    if (peek(reader) != ']')
        return path_error(reader, "expected ']'");
    reader->at++;
    return STATUS_OK;
}

enum status json_path_parse(struct arena *arena, struct str text, struct json_path *out,
                            struct error *err)
{
    struct json_path path = { .text = arena_str(arena, text), .definite = true };
    struct path_reader reader = { arena, path.text, 1, &path, 0, err };

    if (text.len == 0 || text.data[0] != '$') {
        reader.at = 0;
        return path_error(&reader, "it must begin with '$'");
    }
    if (peek(&reader) == '$') {
        path.of_context = true;
        reader.at++;
    } else if (reader.at < text.len && peek(&reader) != '.' && peek(&reader) != '[') {
        return path_error(&reader, "expected '.' or '[' (variables are not understood yet)");
    }
    while (reader.at < text.len) {
        if (peek(&reader) == '.')
            TRY(read_dotted(&reader));
        else if (peek(&reader) == '[')
            TRY(read_bracket(&reader));
        else
            return path_error(&reader, "expected '.' or '['");
    }
    *out = path;
    return STATUS_OK;
}

static yyjson_mut_val *item_at(yyjson_mut_val *list, int64_t index)
{
    int64_t count = (int64_t)yyjson_mut_arr_size(list);

    if (index < 0)
        index += count;
    return index < 0 ? NULL : yyjson_mut_arr_get(list, (size_t)index);
}

static yyjson_mut_val *child(const struct path_step *step, yyjson_mut_val *value)
{
    if (step->kind == PATH_NAME)
        return yyjson_mut_obj_getn(value, step->name.data, step->name.len);
    return item_at(value, step->from);
}

static int64_t slice_bound(bool given, int64_t bound, int64_t otherwise, int64_t count)
{
    if (!given)
        return otherwise;
    if (bound < 0)
        bound += count;
    return bound < 0 ? 0 : bound > count ? count : bound;
}

static void collect(const struct json_path *path, size_t at, yyjson_mut_doc *doc,
                    yyjson_mut_val *value, yyjson_mut_val *found);

static void collect_slice(const struct json_path *path, size_t at, yyjson_mut_doc *doc,
                          yyjson_mut_val *list, yyjson_mut_val *found)
{
    const struct path_step *step = &path->steps[at];
    int64_t count = (int64_t)yyjson_mut_arr_size(list);
    int64_t from = slice_bound(step->has_from, step->from, 0, count);
    int64_t to = slice_bound(step->has_to, step->to, count, count);

    for (int64_t i = from; i < to; i++)
        collect(path, at + 1, doc, yyjson_mut_arr_get(list, (size_t)i), found);
}

static void collect_all(const struct json_path *path, size_t at, yyjson_mut_doc *doc,
                        yyjson_mut_val *value, yyjson_mut_val *found)
{
    yyjson_mut_val *key, *item;
    size_t i, count;

    if (yyjson_mut_is_arr(value))
        yyjson_mut_arr_foreach(value, i, count, item) collect(path, at + 1, doc, item, found);
    else if (yyjson_mut_is_obj(value))
        yyjson_mut_obj_foreach(value, i, count, key, item)
            collect(path, at + 1, doc, item, found);
}

/* The recursion is as deep as the path has steps: PATH_STEPS_MAX at most. */
static void collect(const struct json_path *path, size_t at, yyjson_mut_doc *doc,
                    yyjson_mut_val *value, yyjson_mut_val *found)
{
    if (value == NULL)
        return;
    if (at == path->count) {
        yyjson_mut_arr_append(found, yyjson_mut_val_mut_copy(doc, value));
        return;
    }
    switch (path->steps[at].kind) {
    case PATH_NAME:
    case PATH_INDEX:
        collect(path, at + 1, doc, child(&path->steps[at], value), found);
        break;
    case PATH_WILDCARD:
        collect_all(path, at, doc, value, found);
        break;
    case PATH_SLICE:
        collect_slice(path, at, doc, value, found);
        break;
    }
}

yyjson_mut_val *json_path_find(const struct json_path *path, yyjson_mut_doc *doc,
                               yyjson_mut_val *root)
{
    yyjson_mut_val *value = root;

    if (!path->definite) {
        yyjson_mut_val *found = yyjson_mut_arr(doc);

        collect(path, 0, doc, root, found);
        return found;
    }
    for (size_t i = 0; i < path->count && value != NULL; i++)
        value = child(&path->steps[i], value);
    return value;
}

/* $['a'][0]: as far as the first `count` steps. */
static struct str steps_text(const struct json_path *path, struct arena *arena, size_t count)
{
    struct buffer text = { .arena = arena };

    buffer_append_byte(&text, '$');
    for (size_t i = 0; i < count; i++) {
        const struct path_step *step = &path->steps[i];

        if (step->kind == PATH_NAME)
            buffer_printf(&text, "['" STR_FMT "']", STR_ARG(step->name));
        else
            buffer_printf(&text, "[%lld]", (long long)step->from);
    }
    return buffer_str(&text);
}

static struct str step_failure(const struct json_path *path, struct arena *arena, size_t at,
                               yyjson_mut_val *value)
{
    struct str upto = steps_text(path, arena, at + 1);

    if (path->steps[at].kind == PATH_NAME && yyjson_mut_is_obj(value))
        return arena_printf(arena, "%s" STR_FMT,
                            at + 1 == path->count ? "No results for path: "
                                                  : "Missing property in path ",
                            STR_ARG(upto));
    if (path->steps[at].kind == PATH_NAME)
        return arena_printf(
            arena, "Expected to find an object with property ['" STR_FMT "'] in path " STR_FMT,
            STR_ARG(path->steps[at].name), STR_ARG(steps_text(path, arena, at)));
    if (yyjson_mut_is_arr(value))
        return arena_printf(arena, "Index out of bounds when evaluating path " STR_FMT,
                            STR_ARG(upto));
    return arena_printf(
        arena, "Filter: [%lld] can only be applied to arrays. Current context is: " STR_FMT,
        (long long)path->steps[at].from, STR_ARG(json_mut_write(arena, value)));
}

struct str json_path_failure(const struct json_path *path, struct arena *arena,
                             yyjson_mut_val *root)
{
    yyjson_mut_val *value = root;

    for (size_t i = 0; i < path->count; i++) {
        yyjson_mut_val *next = child(&path->steps[i], value);

        if (next == NULL)
            return step_failure(path, arena, i, value);
        value = next;
    }
    return STR("No results");
}

static yyjson_mut_val *name_key(yyjson_mut_doc *doc, struct str name)
{
    return yyjson_mut_strncpy(doc, name.data, name.len);
}

/* The child to go on with; where an object has none, a new object. */
static yyjson_mut_val *child_or_new(const struct path_step *step, yyjson_mut_doc *doc,
                                    yyjson_mut_val *parent)
{
    yyjson_mut_val *value = child(step, parent);

    if (value != NULL || step->kind != PATH_NAME || !yyjson_mut_is_obj(parent))
        return value;
    value = yyjson_mut_obj(doc);
    yyjson_mut_obj_add(parent, name_key(doc, step->name), value);
    return value;
}

static bool put_child(const struct path_step *step, yyjson_mut_doc *doc, yyjson_mut_val *parent,
                      yyjson_mut_val *value)
{
    int64_t count;

    if (step->kind == PATH_NAME) {
        if (!yyjson_mut_is_obj(parent))
            return false;
        if (yyjson_mut_obj_getn(parent, step->name.data, step->name.len) != NULL)
            return yyjson_mut_obj_replace(parent, name_key(doc, step->name), value);
        return yyjson_mut_obj_add(parent, name_key(doc, step->name), value);
    }
    count = (int64_t)yyjson_mut_arr_size(parent);
    if (!yyjson_mut_is_arr(parent) || step->from < -count || step->from >= count)
        return false;
    return yyjson_mut_arr_replace(parent,
                                  (size_t)(step->from < 0 ? step->from + count : step->from),
                                  value) != NULL;
}

yyjson_mut_val *json_path_put(const struct json_path *path, yyjson_mut_doc *doc,
                              yyjson_mut_val *root, yyjson_mut_val *value)
{
    yyjson_mut_val *parent = root;

    if (path->count == 0)
        return value;
    for (size_t i = 0; i + 1 < path->count && parent != NULL; i++)
        parent = child_or_new(&path->steps[i], doc, parent);
    if (parent == NULL || !put_child(&path->steps[path->count - 1], doc, parent, value))
        return NULL;
    return root;
}
