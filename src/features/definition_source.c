/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: which ones an SQL reads, and whether the columns that a source names are there. */
#include "features/definition_internal.h"

#include "base/hash.h"

/* In any case of letters, as SQL has it. */
static bool is_among(struct str name, const struct str *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal_nocase(words[i], name))
            return true;
    }
    return false;
}

static void find_reads(struct build *build, struct source *source)
{
    struct definitions *defs = build->definitions;
    struct arena *scratch;
    struct str *words;
    size_t count, capacity = 0;

    if (source->kind != SOURCE_SQL)
        return;
    scratch = arena_new();
    words = definition_sql_tables(scratch, source->text, &count);
    for (size_t i = 0; i < defs->source_count; i++) {
        const struct source *other = &defs->sources[i];

        if (other != source && is_among(other->name, words, count))
            ARENA_PUSH(build->arena, source->reads, source->read_count, capacity) = other;
    }
    arena_free(scratch);
}

/* --- the order of sources, and circles ------------------------------------- */

/*
 * Tarjan's walk: sources that reach one another come out together, and what a source reads comes
 * out before it. The way is kept here and not on the stack, which a long chain would exhaust.
 */
struct node {
    size_t number;   /* 1 for the first one met, and so on; 0: not yet met */
    size_t low;      /* the first met of those on the pile that it reaches */
    size_t next;     /* the read that is looked at next */
    size_t caller;   /* the node that the walk came from */
    bool is_waiting; /* on the pile */
};

struct ordering {
    struct build *build;
    struct node *nodes; /* as the sources */
    size_t *pile;       /* met, but not yet put out */
    size_t pile_count, met;
    bool *is_in_circle;
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void meet(struct ordering *ordering, size_t index, size_t caller)
{
    ordering->met++;
    ordering->nodes[index] = (struct node){ ordering->met, ordering->met, 0, caller, true };
    ordering->pile[ordering->pile_count++] = index;
}

/* All that lie on the pile above the node reach it, and it reaches them. */
static void put_out(struct ordering *ordering, size_t index)
{
    struct build *build = ordering->build;
    bool is_circle = ordering->pile[ordering->pile_count - 1] != index;
    size_t member;

    do {
        member = ordering->pile[--ordering->pile_count];
        ordering->nodes[member].is_waiting = false;
        ordering->is_in_circle[member] = is_circle;
        build->source_order[build->source_order_count++] = &build->definitions->sources[member];
    } while (member != index);
}

/* The next node of the walk: one that it reads, or, when that is done, where it came from. */
static size_t step(struct ordering *ordering, size_t index)
{
    const struct definitions *defs = ordering->build->definitions;
    const struct source *source = &defs->sources[index];
    struct node *node = &ordering->nodes[index];

    while (node->next < source->read_count) {
        size_t read = (size_t)(source->reads[node->next++] - defs->sources);
        const struct node *other = &ordering->nodes[read];

        if (other->number == 0) {
            meet(ordering, read, index);
            return read;
        }
        if (other->is_waiting)
            node->low = least(node->low, other->number);
    }
    if (node->low == node->number)
        put_out(ordering, index);
    if (node->caller != SIZE_MAX)
        ordering->nodes[node->caller].low = least(ordering->nodes[node->caller].low, node->low);
    return node->caller;
}

static void order_sources(struct build *build, bool *is_in_circle)
{
    size_t count = build->definitions->source_count;
    struct arena *scratch = arena_new();
    struct ordering ordering = { .build = build,
                                 .nodes = ARENA_ARRAY(scratch, struct node, count),
                                 .pile = ARENA_ARRAY(scratch, size_t, count),
                                 .is_in_circle = is_in_circle };

    build->source_order = ARENA_ARRAY(build->arena, struct source *, count);
    for (size_t first = 0; first < count; first++) {
        if (ordering.nodes[first].number != 0)
            continue;
        meet(&ordering, first, SIZE_MAX);
        for (size_t at = first; at != SIZE_MAX;)
            at = step(&ordering, at);
    }
    arena_free(scratch);
}

static struct draft *draft_of(struct build *build, const struct source *source)
{
    return build_find(build, "source", source->name);
}

/* What a source reads stands before it in the order, so that one walk hands it up all the way. */
static void break_readers(struct build *build, struct draft *const *drafts)
{
    const struct source *sources = build->definitions->sources;

    for (size_t i = 0; i < build->source_order_count; i++) {
        const struct source *source = build->source_order[i];

        for (size_t r = 0; r < source->read_count; r++) {
            if (drafts[source->reads[r] - sources]->is_broken)
                drafts[source - sources]->is_broken = true;
        }
    }
}

/* SQL could not tell which one it means. */
static void check_names(struct build *build, struct draft *const *drafts)
{
    const struct definitions *defs = build->definitions;

    for (size_t i = 0; i < defs->source_count; i++) {
        for (size_t k = i + 1; k < defs->source_count; k++) {
            const struct source *one = &defs->sources[i], *other = &defs->sources[k];

            if (str_equal_nocase(one->name, other->name))
                build_error(build, drafts[k], drafts[k]->node,
                            "source '" STR_FMT "' and '" STR_FMT "' (" STR_FMT
                            ":%d) have one name for SQL, which knows no cases of letters",
                            STR_ARG(other->name), STR_ARG(one->name), STR_ARG(one->place.file),
                            one->place.line);
        }
    }
}

void build_link_sources(struct build *build)
{
    struct definitions *defs = build->definitions;
    struct arena *scratch = arena_new();
    bool *is_in_circle = ARENA_ARRAY(scratch, bool, defs->source_count);
    struct draft **drafts = arena_array(scratch, defs->source_count, sizeof(*drafts));

    for (size_t i = 0; i < defs->source_count; i++) {
        find_reads(build, &defs->sources[i]);
        drafts[i] = draft_of(build, &defs->sources[i]);
    }
    check_names(build, drafts);
    order_sources(build, is_in_circle);
    for (size_t i = 0; i < defs->source_count; i++) {
        if (is_in_circle[i])
            build_error(build, drafts[i], drafts[i]->node,
                        "source '" STR_FMT "' reads itself by way of other sources",
                        STR_ARG(defs->sources[i].name));
    }
    break_readers(build, drafts);
    arena_free(scratch);
}

static const struct source_column *need_column(struct build *build, struct draft *draft,
                                               const struct source *source,
                                               const struct yaml_node *node)
{
    const struct source_column *column = source_column_find(source, node->text);
    struct str *names, near;

    if (column != NULL)
        return column;
    names = ARENA_ARRAY(build->arena, struct str, source->column_count);
    for (size_t i = 0; i < source->column_count; i++)
        names[i] = source->columns[i].name;
    near = str_nearest(node->text, names, source->column_count);
    if (near.len > 0)
        build_error(
            build, draft, node,
            "source '" STR_FMT "' has no column '" STR_FMT "'; did you mean '" STR_FMT "'?",
            STR_ARG(source->name), STR_ARG(str_slice(node->text, 0, 80)), STR_ARG(near));
    else
        build_error(build, draft, node, "source '" STR_FMT "' has no column '" STR_FMT "'",
                    STR_ARG(source->name), STR_ARG(str_slice(node->text, 0, 80)));
    return NULL;
}

const struct source_column *build_need_column(struct build *build, struct draft *draft,
                                              const struct source *source,
                                              const struct yaml_node *node)
{
    const struct source_column *column = need_column(build, draft, source, node);

    if (column == NULL || column->is_usable)
        return column;
    build_error(build, draft, node,
                "column '" STR_FMT "' is %s, which no feature can have; convert it with SQL",
                STR_ARG(column->name), column->native.data);
    return NULL;
}

static void check_time(struct build *build, struct draft *draft, const struct source *source,
                       const char *key)
{
    const struct yaml_node *node = yaml_find(draft->node, key);
    const struct source_column *column;

    if (node == NULL || node->kind != YAML_SCALAR)
        return;
    column = build_need_column(build, draft, source, node);
    if (column != NULL && column->type != TYPE_TIMESTAMP)
        build_error(build, draft, node,
                    "'%s' wants a timestamp, but column '" STR_FMT "' is %s; `types: {" STR_FMT
                    ": timestamp}` converts it",
                    key, STR_ARG(column->name), value_type_name(column->type),
                    STR_ARG(column->name));
}

static void apply_overrides(struct build *build, struct draft *draft, struct source *source)
{
    const struct yaml_node *types = yaml_find(draft->node, "types");

    for (size_t i = 0; i < source->override_count; i++) {
        const struct source_column *column = need_column(build, draft, source, &types->keys[i]);

        if (column != NULL) {
            source->columns[column - source->columns].type = source->overrides[i].type;
            source->columns[column - source->columns].is_usable = true;
        }
    }
}

struct str definition_hash(struct arena *arena, struct str text)
{
    return str_slice(sha256_hex(arena, text), 0, 32);
}

/*
 * Without the columns: a new one makes no view stale, and the types of those that a view uses are
 * in the view's hash.
 */
static void hash_source(struct build *build, struct source *source)
{
    struct buffer text = { 0 };

    buffer_printf(&text, "%d\n" STR_FMT "\n" STR_FMT "\n" STR_FMT "\n", (int)source->kind,
                  STR_ARG(source->text), STR_ARG(source->time), STR_ARG(source->created));
    for (size_t i = 0; i < source->override_count; i++)
        buffer_printf(&text, STR_FMT " %s\n", STR_ARG(source->overrides[i].name),
                      value_type_name(source->overrides[i].type));
    for (size_t i = 0; i < source->read_count; i++)
        buffer_printf(&text, "reads " STR_FMT "\n", STR_ARG(source->reads[i]->hash));
    source->hash = definition_hash(build->arena, buffer_str(&text));
    buffer_free(&text);
}

void build_check_sources(struct build *build)
{
    /* In their order: the hash of what a source reads goes into its own. */
    for (size_t i = 0; i < build->source_order_count; i++) {
        struct source *source = build->source_order[i];
        struct draft *draft = draft_of(build, source);

        if (draft->is_broken)
            continue;
        apply_overrides(build, draft, source);
        check_time(build, draft, source, "time");
        check_time(build, draft, source, "created");
        hash_source(build, source);
    }
}
