/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: which ones an SQL reads, and whether the columns that a source names are there. */
#include "features/definition_internal.h"

#include "base/hash.h"

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_';
}

/*
 * Whether the name stands in the SQL as a word of its own, in any case, as SQL has it. That finds a
 * column of that name as well, which costs nothing but an order among the sources.
 */
static bool mentions(struct str sql, struct str name)
{
    for (size_t i = 0; i + name.len <= sql.len; i++) {
        if (str_equal_nocase(str_slice(sql, i, i + name.len), name) &&
            (i == 0 || !is_word(sql.data[i - 1])) &&
            (i + name.len == sql.len || !is_word(sql.data[i + name.len])))
            return true;
    }
    return false;
}

static void find_reads(struct build *build, struct source *source)
{
    struct definitions *defs = build->definitions;

    if (source->kind != SOURCE_SQL)
        return;
    source->reads = ARENA_ARRAY(build->arena, const struct source *, defs->source_count);
    for (size_t i = 0; i < defs->source_count; i++) {
        const struct source *other = &defs->sources[i];

        if (other != source && mentions(source->text, other->name))
            source->reads[source->read_count++] = other;
    }
}

/* Whether `from` reads `wanted`, directly or not. Every source is entered once. */
static bool reaches(const struct definitions *defs, const struct source *from,
                    const struct source *wanted, bool *seen)
{
    size_t index = (size_t)(from - defs->sources);

    if (seen[index])
        return false;
    seen[index] = true;
    for (size_t i = 0; i < from->read_count; i++) {
        if (from->reads[i] == wanted || reaches(defs, from->reads[i], wanted, seen))
            return true;
    }
    return false;
}

void build_link_sources(struct build *build)
{
    struct definitions *defs = build->definitions;

    for (size_t i = 0; i < defs->source_count; i++)
        find_reads(build, &defs->sources[i]);
    for (size_t i = 0; i < defs->source_count; i++) {
        struct source *source = &defs->sources[i];
        struct draft *draft = build_find(build, "source", source->name);
        bool *seen = ARENA_ARRAY(build->arena, bool, defs->source_count);

        if (reaches(defs, source, source, seen))
            build_error(build, draft, draft->node,
                        "source '" STR_FMT "' reads itself by way of other sources",
                        STR_ARG(source->name));
        for (size_t r = 0; r < source->read_count; r++) {
            if (build_find(build, "source", source->reads[r]->name)->is_broken)
                draft->is_broken = true;
        }
    }
}

static const struct source_column *need_column(struct build *build, struct draft *draft,
                                               const struct source *source,
                                               const struct yaml_node *node)
{
    const struct source_column *column = source_column_find(source, node->text);
    struct str *names = ARENA_ARRAY(build->arena, struct str, source->column_count);
    struct str near;

    if (column != NULL)
        return column;
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

/* What a source reads is checked before it, since its hash goes into the hash. */
static void check_source(struct build *build, struct source *source)
{
    struct draft *draft = build_find(build, "source", source->name);

    if (draft->is_broken || source->hash.len > 0)
        return;
    for (size_t i = 0; i < source->read_count; i++) {
        struct source *read = build_find(build, "source", source->reads[i]->name)->object;

        check_source(build, read);
    }
    apply_overrides(build, draft, source);
    check_time(build, draft, source, "time");
    check_time(build, draft, source, "created");
    hash_source(build, source);
}

void build_check_sources(struct build *build)
{
    for (size_t i = 0; i < build->definitions->source_count; i++)
        check_source(build, &build->definitions->sources[i]);
}
