/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/trees/trees_internal.h"

#include <math.h>
#include <stdlib.h>

#define TREE_NODES_MAX ((size_t)1 << 22)
#define FEATURE_MAX 10000

/* --- what stands beside the trees ------------------------------------------ */

static bool is_text_or_absent(const struct list *list, struct str wanted)
{
    return list->count == 0 || (list->count == 1 && str_equal(list->texts[0], wanted));
}

/* Only one class has weights: then their sum is all that counts. */
static bool read_frame(struct arena *arena, const struct attributes *attributes,
                       struct trees *trees)
{
    const struct attributes *a = attributes;

    for (size_t i = 0; i < a->weight_class.count; i++)
        if (a->weight_class.ints[i] != 0)
            return false;
    if (!is_text_or_absent(&a->aggregate, STR("SUM")) || a->base.count > 1)
        return false;
    trees->base = a->base.count == 1 ? a->base.floats[0] : 0;
    trees->is_logistic = trees->classifies && a->transform.count == 1 &&
                         str_equal(a->transform.texts[0], STR("LOGISTIC"));
    if (!trees->is_logistic && !is_text_or_absent(&a->transform, STR("NONE")))
        return false;
    if (!trees->classifies)
        return a->target_count.count == 0 ||
               (a->target_count.count == 1 && a->target_count.ints[0] == 1);
    trees->is_positive = true;
    for (size_t i = 0; i < a->weight.count; i++)
        trees->is_positive &= !(a->weight.floats[i] < 0);
    if (a->label_texts.count == 2 && a->label_numbers.count == 0) {
        for (unsigned i = 0; i < 2; i++)
            trees->label_texts[i] = arena_str(arena, a->label_texts.texts[i]);
        return a->label_texts.texts[0].len > 0 && a->label_texts.texts[1].len > 0;
    }
    if (a->label_numbers.count != 2 || a->label_texts.count != 0)
        return false;
    memcpy(trees->label_numbers, a->label_numbers.ints, sizeof(trees->label_numbers));
    return true;
}

/* --- the trees ------------------------------------------------------------ */

/* The nodes of one tree stand together in the file, the root first. */
struct tree {
    int64_t id;
    size_t first, count;
    /* By the number of a node: 1 + where it stands among the tree's; 0: nowhere. */
    uint32_t *places;
    size_t place_count;
};

struct forest {
    const struct attributes *attributes;
    struct tree *trees;
    size_t count;
    const float **weights; /* of each node; NULL where it has none */
    bool *seen;
    bool is_strict; /* less, else less or equal */
    /* Being made: */
    struct tree_node *nodes;
    uint32_t *sources; /* of each: where it stands in the file */
    uint32_t *levels;
    size_t made;
};

static bool lists_match(const struct attributes *a)
{
    size_t nodes = a->tree.count, weights = a->weight.count;

    return nodes > 0 && nodes <= TREE_NODES_MAX && a->node.count == nodes &&
           a->feature.count == nodes && a->less.count == nodes && a->other.count == nodes &&
           a->limit.count == nodes && a->mode.count == nodes &&
           (a->nan_is_less.count == 0 || a->nan_is_less.count == nodes) &&
           a->weight_tree.count == weights && a->weight_node.count == weights &&
           a->weight_class.count == weights;
}

static bool is_leaf(const struct forest *forest, size_t at)
{
    return str_equal(forest->attributes->mode.texts[at], STR("LEAF"));
}

/* All inner nodes compare alike. */
static bool find_mode(struct forest *forest)
{
    const struct list *modes = &forest->attributes->mode;
    size_t strict = 0, weak = 0, leaves = 0;

    for (size_t i = 0; i < modes->count; i++) {
        strict += str_equal(modes->texts[i], STR("BRANCH_LT"));
        weak += str_equal(modes->texts[i], STR("BRANCH_LEQ"));
        leaves += is_leaf(forest, i);
    }
    forest->is_strict = weak == 0;
    return (strict == 0 || weak == 0) && strict + weak + leaves == modes->count;
}

static bool number_nodes(struct arena *scratch, const struct list *ids, struct tree *tree)
{
    tree->place_count = 2 * tree->count + 16;
    tree->places = ARENA_ARRAY(scratch, uint32_t, tree->place_count);
    for (size_t i = 0; i < tree->count; i++) {
        int64_t id = ids->ints[tree->first + i];

        if (id < 0 || (uint64_t)id >= tree->place_count || tree->places[id] != 0)
            return false;
        tree->places[id] = (uint32_t)i + 1;
    }
    return true;
}

static bool find_trees(struct arena *scratch, struct forest *forest)
{
    const struct list *ids = &forest->attributes->tree;
    size_t capacity = 0;

    for (size_t i = 0; i < ids->count; i++) {
        if (i == 0 || ids->ints[i] != ids->ints[i - 1]) {
            if (i > 0 && ids->ints[i] < ids->ints[i - 1])
                return false;
            ARENA_PUSH(scratch, forest->trees, forest->count,
                       capacity) = (struct tree){ .id = ids->ints[i], .first = i };
        }
        forest->trees[forest->count - 1].count++;
    }
    for (size_t i = 0; i < forest->count; i++)
        if (!number_nodes(scratch, &forest->attributes->node, &forest->trees[i]))
            return false;
    return true;
}

static int compare_tree(const void *id, const void *tree)
{
    int64_t left = *(const int64_t *)id, right = ((const struct tree *)tree)->id;

    return left < right ? -1 : left > right;
}

/* Where the node stands in the file. */
static bool find_node(const struct tree *tree, int64_t id, size_t *out)
{
    if (id < 0 || (uint64_t)id >= tree->place_count || tree->places[id] == 0)
        return false;
    *out = tree->first + tree->places[id] - 1;
    return true;
}

static bool spread_weights(struct forest *forest)
{
    const struct attributes *a = forest->attributes;

    for (size_t i = 0; i < a->weight.count; i++) {
        const struct tree *tree = bsearch(&a->weight_tree.ints[i], forest->trees, forest->count,
                                          sizeof(*tree), compare_tree);
        size_t at;

        if (tree == NULL || !find_node(tree, a->weight_node.ints[i], &at) ||
            !is_leaf(forest, at) || forest->weights[at] != NULL)
            return false;
        forest->weights[at] = &a->weight.floats[i];
    }
    return true;
}

/* A node that is reached twice, or from itself, makes no tree. */
static bool add_child(struct forest *forest, const struct tree *tree, int64_t id, size_t parent)
{
    size_t at;

    if (!find_node(tree, id, &at) || forest->seen[at])
        return false;
    forest->seen[at] = true;
    forest->sources[forest->made] = (uint32_t)at;
    forest->levels[forest->made++] = forest->levels[parent] + 1;
    return true;
}

static bool place_leaf(struct forest *forest, size_t place, size_t at)
{
    if (forest->weights[at] == NULL)
        return false;
    forest->nodes[place] = (struct tree_node){ .value = *forest->weights[at],
                                               .child = (uint32_t)place };
    return true;
}

static bool place_branch(struct forest *forest, const struct tree *tree, size_t place,
                         size_t at)
{
    const struct attributes *a = forest->attributes;
    int64_t feature = a->feature.ints[at];
    float limit = a->limit.floats[at];

    if (feature < 0 || feature >= FEATURE_MAX || !isfinite(limit))
        return false;
    forest->nodes[place] = (struct tree_node){
        /* At most this is less than the next number. */
        .value = forest->is_strict ? limit : nextafterf(limit, INFINITY),
        .child = (uint32_t)forest->made,
        .feature = (uint16_t)feature,
        .span = 1,
        .nan_is_less = a->nan_is_less.count > 0 && a->nan_is_less.ints[at] == 1,
    };
    return add_child(forest, tree, a->less.ints[at], place) &&
           add_child(forest, tree, a->other.ints[at], place);
}

/* Level by level, so that children stand side by side. */
static bool place_tree(struct forest *forest, const struct tree *tree, uint32_t *depth)
{
    size_t first = forest->made;
    bool good = true;

    forest->seen[tree->first] = true;
    forest->sources[forest->made++] = (uint32_t)tree->first;
    for (size_t place = first; good && place < forest->made; place++) {
        size_t at = forest->sources[place];

        good = is_leaf(forest, at) ? place_leaf(forest, place, at)
                                   : place_branch(forest, tree, place, at);
    }
    *depth = forest->levels[forest->made - 1];
    return good && forest->made - first == tree->count;
}

static bool place_trees(struct arena *arena, struct forest *forest, struct trees *out)
{
    size_t groups = (forest->count + TREES_AT_ONCE - 1) / TREES_AT_ONCE;
    size_t places = groups * TREES_AT_ONCE;
    uint32_t *roots = ARENA_ARRAY(arena, uint32_t, places);
    uint32_t *depths = ARENA_ARRAY(arena, uint32_t, groups);

    for (size_t i = 0; i < forest->count; i++) {
        uint32_t depth, *deepest = &depths[i / TREES_AT_ONCE];

        roots[i] = (uint32_t)forest->made;
        if (!place_tree(forest, &forest->trees[i], &depth))
            return false;
        *deepest = depth > *deepest ? depth : *deepest;
    }
    forest->nodes[forest->made] = (struct tree_node){ .child = (uint32_t)forest->made };
    for (size_t i = forest->count; i < places; i++)
        roots[i] = (uint32_t)forest->made;
    out->nodes = forest->nodes;
    out->node_count = forest->made + 1;
    out->roots = roots;
    out->depths = depths;
    out->groups = groups;
    for (size_t i = 0; i < forest->made; i++)
        if (forest->nodes[i].span > 0 && forest->nodes[i].feature >= out->width)
            out->width = (size_t)forest->nodes[i].feature + 1;
    return true;
}

static bool read_trees(struct arena *arena, struct arena *scratch,
                       const struct attributes *attributes, struct trees *out)
{
    size_t count = attributes->tree.count;
    struct forest forest = { .attributes = attributes };

    if (!lists_match(attributes) || !find_mode(&forest) || !find_trees(scratch, &forest))
        return false;
    forest.weights = ARENA_ARRAY(scratch, const float *, count);
    forest.seen = ARENA_ARRAY(scratch, bool, count);
    forest.sources = ARENA_ARRAY(scratch, uint32_t, count);
    forest.levels = ARENA_ARRAY(scratch, uint32_t, count);
    forest.nodes = ARENA_ARRAY(arena, struct tree_node, count + 1);
    return spread_weights(&forest) && place_trees(arena, &forest, out);
}

static bool read_all(struct arena *arena, struct arena *scratch, struct str file,
                     struct trees *out)
{
    struct attributes *attributes = ARENA_NEW(scratch, struct attributes);
    struct str body;

    return trees_find_ensemble(scratch, file, out, &body) &&
           trees_read_attributes(scratch, body, attributes) &&
           read_frame(arena, attributes, out) && read_trees(arena, scratch, attributes, out);
}

struct trees *trees_read(struct arena *arena, struct str file)
{
    struct arena *scratch = arena_new();
    struct arena_mark mark = arena_mark(arena);
    struct trees *trees = ARENA_NEW(arena, struct trees);
    bool good = read_all(arena, scratch, file, trees);

    arena_free(scratch);
    if (good)
        return trees;
    arena_rewind(arena, mark);
    return NULL;
}
