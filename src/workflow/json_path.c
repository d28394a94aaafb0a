/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/json_path.h"

#include "base/buffer.h"
#include "workflow/json_path_filter.h"

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

/* An object of the names that are there. */
static yyjson_mut_val *merged(const struct path_step *step, yyjson_mut_doc *doc,
                              yyjson_mut_val *value)
{
    yyjson_mut_val *object = yyjson_mut_obj(doc);

    if (!yyjson_mut_is_obj(value))
        return NULL;
    for (size_t i = 0; i < step->choice_count; i++) {
        struct str name = step->choices[i].name;
        yyjson_mut_val *found = child(&step->choices[i], value);

        if (found != NULL && yyjson_mut_obj_getn(object, name.data, name.len) == NULL)
            yyjson_mut_obj_add(object, yyjson_mut_strncpy(doc, name.data, name.len),
                               yyjson_mut_val_mut_copy(doc, found));
    }
    return object;
}

struct collection {
    const struct json_path *path;
    yyjson_mut_doc *doc;
    yyjson_mut_val *root;
    yyjson_mut_val *found;
};

static void collect(const struct collection *c, size_t at, yyjson_mut_val *value);

static void collect_union(const struct collection *c, size_t at, yyjson_mut_val *value)
{
    const struct path_step *step = &c->path->steps[at];
    yyjson_mut_val *object;

    if (step->choices[0].kind == PATH_NAME && at + 1 == c->path->count) {
        object = merged(step, c->doc, value);
        if (object != NULL)
            yyjson_mut_arr_append(c->found, object);
        return;
    }
    for (size_t i = 0; i < step->choice_count; i++)
        collect(c, at + 1, child(&step->choices[i], value));
}

static void collect_slice(const struct collection *c, size_t at, yyjson_mut_val *list)
{
    const struct path_step *step = &c->path->steps[at];
    int64_t count = (int64_t)yyjson_mut_arr_size(list);
    int64_t from = slice_bound(step->has_from, step->from, 0, count);
    int64_t to = slice_bound(step->has_to, step->to, count, count);

    for (int64_t i = from; i < to; i++)
        collect(c, at + 1, yyjson_mut_arr_get(list, (size_t)i));
}

static void collect_all(const struct collection *c, size_t at, yyjson_mut_val *value)
{
    yyjson_mut_val *key, *item;
    size_t i, count;

    if (yyjson_mut_is_arr(value))
        yyjson_mut_arr_foreach(value, i, count, item) collect(c, at, item);
    else if (yyjson_mut_is_obj(value))
        yyjson_mut_obj_foreach(value, i, count, key, item) collect(c, at, item);
}

/* The value itself and all below it: as deep as JSON may be nested. */
static void collect_below(const struct collection *c, size_t at, yyjson_mut_val *value)
{
    yyjson_mut_val *key, *item;
    size_t i, count;

    collect(c, at, value);
    if (yyjson_mut_is_arr(value))
        yyjson_mut_arr_foreach(value, i, count, item) collect_below(c, at, item);
    else if (yyjson_mut_is_obj(value))
        yyjson_mut_obj_foreach(value, i, count, key, item) collect_below(c, at, item);
}

static void collect_filtered(const struct collection *c, size_t at, yyjson_mut_val *value)
{
    const struct path_filter *filter = c->path->steps[at].filter;
    yyjson_mut_val *item;
    size_t i, count;

    if (yyjson_mut_is_obj(value) && path_filter_holds(filter, c->root, value))
        collect(c, at + 1, value);
    if (yyjson_mut_is_arr(value))
        yyjson_mut_arr_foreach(value, i, count, item)
        {
            if (path_filter_holds(filter, c->root, item))
                collect(c, at + 1, item);
        }
}

/* The recursion is as deep as the path has steps: PATH_STEPS_MAX at most. */
static void collect(const struct collection *c, size_t at, yyjson_mut_val *value)
{
    const struct path_step *step = &c->path->steps[at];

    if (value == NULL)
        return;
    if (at == c->path->count) {
        yyjson_mut_arr_append(c->found, yyjson_mut_val_mut_copy(c->doc, value));
        return;
    }
    switch (step->kind) {
    case PATH_NAME:
    case PATH_INDEX:
        collect(c, at + 1, child(step, value));
        break;
    case PATH_UNION:
        collect_union(c, at, value);
        break;
    case PATH_WILDCARD:
        collect_all(c, at + 1, value);
        break;
    case PATH_SLICE:
        collect_slice(c, at, value);
        break;
    case PATH_DESCENT:
        collect_below(c, at + 1, value);
        break;
    case PATH_FILTER:
        collect_filtered(c, at, value);
        break;
    }
}

yyjson_mut_val *json_path_find(const struct json_path *path, yyjson_mut_doc *doc,
                               yyjson_mut_val *root)
{
    yyjson_mut_val *value = root;

    if (!path->definite) {
        struct collection c = { path, doc, root, yyjson_mut_arr(doc) };

        collect(&c, 0, root);
        return c.found;
    }
    for (size_t i = 0; i < path->count && value != NULL; i++)
        value = path->steps[i].kind == PATH_UNION ? merged(&path->steps[i], doc, value)
                                                  : child(&path->steps[i], value);
    return value;
}

static void append_step(struct buffer *text, const struct path_step *step)
{
    if (step->kind == PATH_NAME)
        buffer_printf(text, "['" STR_FMT "']", STR_ARG(step->name));
    else if (step->kind == PATH_INDEX)
        buffer_printf(text, "[%lld]", (long long)step->from);
    for (size_t i = 0; i < step->choice_count; i++)
        buffer_printf(text, "%s'" STR_FMT "'%s", i == 0 ? "[" : ",",
                      STR_ARG(step->choices[i].name), i + 1 == step->choice_count ? "]" : "");
}

static struct str step_text(struct arena *arena, const struct path_step *step)
{
    struct buffer text = { .arena = arena };

    append_step(&text, step);
    return buffer_str(&text);
}

/* $['a'][0]: as far as the first `count` steps. */
static struct str steps_text(const struct json_path *path, struct arena *arena, size_t count)
{
    struct buffer text = { .arena = arena };

    buffer_append_byte(&text, '$');
    for (size_t i = 0; i < count; i++)
        append_step(&text, &path->steps[i]);
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
    if (path->steps[at].kind != PATH_INDEX)
        return arena_printf(
            arena, "Expected to find an object with property " STR_FMT " in path " STR_FMT,
            STR_ARG(step_text(arena, &path->steps[at])), STR_ARG(steps_text(path, arena, at)));
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
        bool several = path->steps[i].kind == PATH_UNION;
        yyjson_mut_val *next = several ? NULL : child(&path->steps[i], value);

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
