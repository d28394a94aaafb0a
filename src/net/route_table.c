/* SPDX-License-Identifier: Apache-2.0 */
#include "net/route_table.h"

#include <stdio.h>
#include <stdlib.h>

enum segment_kind {
    SEGMENT_LITERAL,
    SEGMENT_PARAM,
    SEGMENT_REST,
};

struct node {
    enum segment_kind kind;
    struct str text; /* the literal, or what stands behind the parameter */
    struct mounted *methods;
    struct node *children; /* literals, then parameters by length of text, then the rest */
    struct node *next;
};

struct route_table {
    struct arena *arena;
    struct node root;
    struct mounted *first;
    struct mounted **last;
};

struct route_table *route_table_new(struct arena *arena)
{
    struct route_table *table = ARENA_NEW(arena, struct route_table);

    table->arena = arena;
    table->last = &table->first;
    return table;
}

static _Noreturn void malformed(const struct route *route, const char *why)
{
    fprintf(stderr, "onggi: route %s %s: %s\n", route->method, route->path, why);
    abort();
}

/* Literal before parameter before rest; of parameters, the longer text first. */
static bool goes_before(const struct node *a, const struct node *b)
{
    return a->kind != b->kind ? a->kind < b->kind : a->text.len > b->text.len;
}

static struct node *child_put(struct arena *arena, struct node *parent, enum segment_kind kind,
                              struct str text)
{
    struct node *made = ARENA_NEW(arena, struct node);
    struct node **at = &parent->children;

    made->kind = kind;
    made->text = text;
    for (; *at != NULL; at = &(*at)->next)
        if ((*at)->kind == kind && str_equal((*at)->text, text))
            return *at;
    for (at = &parent->children; *at != NULL && !goes_before(made, *at); at = &(*at)->next)
        continue;
    made->next = *at;
    *at = made;
    return made;
}

/* One segment of a pattern; the name of its parameter goes to the route. */
static struct node *segment_put(struct route_table *table, struct node *parent,
                                struct mounted *mounted, struct str segment)
{
    size_t end = str_index(segment, '}');
    struct str name;
    enum segment_kind kind = SEGMENT_PARAM;

    if (segment.len == 0 || segment.data[0] != '{')
        return child_put(table->arena, parent, SEGMENT_LITERAL, segment);
    if (end == segment.len || mounted->param_count == PATH_PARAMS_MAX)
        malformed(mounted->route, "a parameter does not end, or there are too many");
    name = str_slice(segment, 1, end);
    if (str_ends(name, STR("*"))) {
        kind = SEGMENT_REST;
        name.len--;
    }
    mounted->param_names[mounted->param_count++] = name;
    return child_put(table->arena, parent, kind, str_slice(segment, end + 1, segment.len));
}

static void check(const struct route *route)
{
    if (route->path[0] != '/')
        malformed(route, "the path begins with '/'");
    if (route->permission < PERMIT_ANYONE || route->permission > PERMIT_ADMIN)
        malformed(route, "it names no permission");
    if (route->handler == NULL)
        malformed(route, "it has no handler");
}

struct mounted *route_table_add(struct route_table *table, const struct door *door,
                                const struct route *route, void *context)
{
    struct mounted *mounted = ARENA_NEW(table->arena, struct mounted);
    struct node *node = &table->root;
    struct str rest = str_from(route->path + 1), segment;
    struct mounted **at;

    check(route);
    mounted->route = route;
    mounted->door = door;
    mounted->context = context;
    while (str_split(&rest, '/', &segment))
        node = segment_put(table, node, mounted, segment);
    for (at = &node->methods; *at != NULL; at = &(*at)->next_method)
        if (strcmp((*at)->route->method, route->method) == 0)
            malformed(route, "it is taken already");
    *at = mounted;
    *table->last = mounted;
    table->last = &mounted->next;
    return mounted;
}

/* The value that this segment gives a parameter with that text behind it. */
static bool param_takes(const struct node *node, struct str segment, struct str *value)
{
    if (segment.len <= node->text.len || !str_ends(segment, node->text))
        return false;
    *value = str_slice(segment, 0, segment.len - node->text.len);
    return true;
}

/* What is left of the decoded path; "" where the path ends before. */
static struct str rest_of(struct arena *arena, const struct url_target *target, size_t from)
{
    struct str rest = target->segments[from];

    for (size_t i = from + 1; i < target->segment_count; i++)
        rest = arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(rest),
                            STR_ARG(target->segments[i]));
    return rest;
}

/* A wrong turn is taken back: "/a/{x}/b" is found beside "/a/c". */
static const struct mounted *find_below(const struct node *node, struct exchange *exchange,
                                        size_t depth)
{
    const struct url_target *target = &exchange->target;
    size_t params = exchange->path_param_count;
    const struct mounted *found;

    if (depth == target->segment_count)
        return node->methods;
    for (const struct node *child = node->children; child != NULL; child = child->next) {
        struct str segment = target->segments[depth],
                   *value = &exchange->path_params[params].value;

        if (child->kind == SEGMENT_LITERAL && !str_equal(child->text, segment))
            continue;
        if (child->kind == SEGMENT_PARAM && !param_takes(child, segment, value))
            continue;
        exchange->path_param_count = params + (child->kind == SEGMENT_LITERAL ? 0 : 1);
        if (child->kind == SEGMENT_REST) {
            *value = rest_of(exchange->request.arena, target, depth);
            return child->methods;
        }
        found = find_below(child, exchange, depth + 1);
        if (found != NULL)
            return found;
    }
    exchange->path_param_count = params;
    return NULL;
}

const struct mounted *route_table_find(const struct route_table *table,
                                       struct exchange *exchange)
{
    exchange->path_param_count = 0;
    return find_below(&table->root, exchange, 0);
}

const struct mounted *route_table_first(const struct route_table *table)
{
    return table->first;
}
