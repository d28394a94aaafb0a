/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees out of an ONNX file: field numbers are those of onnx/onnx.proto, attributes those of
 * ai.onnx.ml's TreeEnsembleClassifier and TreeEnsembleRegressor (onnx/docs/Operators-ml.md).
 * A model is a stranger's file, and everything that is not exactly what the walk wants is no
 * error here: the runtime takes it.
 */
#include "serving/protobuf.h"
#include "serving/trees.h"

#include <math.h>
#include <stdlib.h>

#define PARTS_MAX 8 /* nodes of the graph, and names of each of its lists */
#define TREE_NODES_MAX ((size_t)1 << 22)
#define FEATURE_MAX 10000

struct names {
    struct str at[PARTS_MAX];
    size_t count;
};

struct node {
    struct str op, domain, body;
    struct names inputs, outputs;
};

struct graph {
    struct node nodes[PARTS_MAX];
    size_t node_count;
    struct names inputs, outputs, initializers,
        ones; /* ones: initializers that are the number 1 */
};

/* --- the graph ------------------------------------------------------------ */

static bool add_name(struct names *names, struct str name)
{
    if (names->count == PARTS_MAX)
        return false;
    names->at[names->count++] = name;
    return true;
}

static bool has_name(const struct names *names, struct str name)
{
    for (size_t i = 0; i < names->count; i++)
        if (str_equal(names->at[i], name))
            return true;
    return false;
}

/* NodeProto: input 1, output 2, op_type 4, domain 7. */
static bool read_node(struct graph *graph, struct str bytes)
{
    struct protobuf_reader in = protobuf_reader_of(bytes);
    struct protobuf_field field = { 0 };
    struct node *node;

    if (graph->node_count == PARTS_MAX)
        return false;
    node = &graph->nodes[graph->node_count++];
    *node = (struct node){ .body = bytes };
    while (in.at != in.end) {
        if (!protobuf_next(&in, &field))
            return false;
        if (field.wire != WIRE_BYTES)
            continue;
        if (field.number == 4)
            node->op = field.bytes;
        else if (field.number == 7)
            node->domain = field.bytes;
        else if ((field.number == 1 && !add_name(&node->inputs, field.bytes)) ||
                 (field.number == 2 && !add_name(&node->outputs, field.bytes)))
            return false;
    }
    return true;
}

static float float_at(const char *bytes)
{
    uint32_t bits = 0;
    float value;

    for (unsigned i = 0; i < sizeof(bits); i++)
        bits |= (uint32_t)(unsigned char)bytes[i] << (8 * i);
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* TensorProto: float_data 4, name 8, raw_data 9. */
static bool read_initializer(struct graph *graph, struct str bytes)
{
    struct protobuf_reader in = protobuf_reader_of(bytes);
    struct protobuf_field field = { 0 };
    struct str name = STR_EMPTY, data = STR_EMPTY;

    while (in.at != in.end) {
        if (!protobuf_next(&in, &field))
            return false;
        if (field.number == 8 && field.wire == WIRE_BYTES)
            name = field.bytes;
        else if ((field.number == 4 || field.number == 9) && field.wire != WIRE_VARINT)
            data = field.bytes;
    }
    if (data.len == sizeof(float) && float_at(data.data) == 1.0F &&
        !add_name(&graph->ones, name))
        return false;
    return add_name(&graph->initializers, name);
}

/* ValueInfoProto: name 1. */
static bool read_value_name(struct names *names, struct str bytes)
{
    struct protobuf_reader in = protobuf_reader_of(bytes);
    struct protobuf_field field = { 0 };

    while (in.at != in.end) {
        if (!protobuf_next(&in, &field))
            return false;
        if (field.number == 1 && field.wire == WIRE_BYTES)
            return add_name(names, field.bytes);
    }
    return false;
}

/* GraphProto: node 1, initializer 5, input 11, output 12, sparse_initializer 15. */
static bool read_graph(struct graph *graph, struct str bytes)
{
    struct protobuf_reader in = protobuf_reader_of(bytes);
    struct protobuf_field field = { 0 };
    bool good = true;

    while (good && in.at != in.end) {
        if (!protobuf_next(&in, &field))
            return false;
        if (field.wire != WIRE_BYTES)
            continue;
        if (field.number == 1)
            good = read_node(graph, field.bytes);
        else if (field.number == 5)
            good = read_initializer(graph, field.bytes);
        else if (field.number == 11)
            good = read_value_name(&graph->inputs, field.bytes);
        else if (field.number == 12)
            good = read_value_name(&graph->outputs, field.bytes);
        else if (field.number == 15)
            good = false;
    }
    return good;
}

/* ModelProto: graph 7, functions 25. */
static bool read_model(struct graph *graph, struct str bytes)
{
    struct protobuf_reader in = protobuf_reader_of(bytes);
    struct protobuf_field field = { 0 };
    unsigned graphs = 0;

    while (in.at != in.end) {
        if (!protobuf_next(&in, &field) || field.number == 25)
            return false;
        if (field.number != 7)
            continue;
        if (field.wire != WIRE_BYTES || graphs++ > 0 || !read_graph(graph, field.bytes))
            return false;
    }
    return graphs == 1;
}

static const struct node *find_ensemble(const struct graph *graph)
{
    const struct node *found = NULL;

    for (size_t i = 0; i < graph->node_count; i++) {
        if (!str_equal(graph->nodes[i].domain, STR("ai.onnx.ml")))
            continue;
        if (found != NULL)
            return NULL;
        found = &graph->nodes[i];
    }
    return found;
}

/* The trees' own input is the only one that the caller brings. */
static bool takes_input(const struct graph *graph, const struct node *ensemble)
{
    size_t brought = 0;

    for (size_t i = 0; i < graph->inputs.count; i++)
        brought += !has_name(&graph->initializers, graph->inputs.at[i]);
    return brought == 1 && ensemble->inputs.count == 1 &&
           has_name(&graph->inputs, ensemble->inputs.at[0]) &&
           !has_name(&graph->initializers, ensemble->inputs.at[0]);
}

static const struct node *producer_of(const struct graph *graph, struct str name)
{
    for (size_t i = 0; i < graph->node_count; i++)
        if (has_name(&graph->nodes[i].outputs, name))
            return &graph->nodes[i];
    return NULL;
}

/* What converters put behind the trees and what changes nothing. A Cast that does shows in trees_agree(). */
static bool passes_on(const struct graph *graph, const struct node *node)
{
    if (node->domain.len > 0 && !str_equal(node->domain, STR("ai.onnx")))
        return false;
    if (str_equal(node->op, STR("Identity")) || str_equal(node->op, STR("Cast")))
        return node->inputs.count == 1;
    return str_equal(node->op, STR("Mul")) && node->inputs.count == 2 &&
           has_name(&graph->ones, node->inputs.at[1]);
}

/* Which output of the trees an output of the graph is. */
static bool trace_output(const struct graph *graph, const struct node *ensemble,
                         struct str name, size_t *out)
{
    for (unsigned steps = 0; steps <= PARTS_MAX; steps++) {
        const struct node *node = producer_of(graph, name);

        if (node == NULL)
            return false;
        if (node == ensemble) {
            *out = str_equal(name, ensemble->outputs.at[0]) ? 0 : 1;
            return true;
        }
        if (!passes_on(graph, node))
            return false;
        name = node->inputs.at[0];
    }
    return false;
}

static bool trace_outputs(const struct graph *graph, const struct node *ensemble,
                          struct trees *trees)
{
    if (graph->outputs.count == 0 || graph->outputs.count > ARRAY_LEN(trees->outputs) ||
        ensemble->outputs.count != (trees->classifies ? 2 : 1))
        return false;
    for (size_t i = 0; i < graph->outputs.count; i++) {
        size_t which;

        if (!trace_output(graph, ensemble, graph->outputs.at[i], &which))
            return false;
        trees->outputs[i] = trees->classifies && which == 0 ? TREES_LABEL : TREES_SCORES;
    }
    trees->output_count = graph->outputs.count;
    return true;
}

/* --- the attributes ------------------------------------------------------- */

struct list {
    union {
        void *data; /* NULL as long as the elements are only counted */
        int64_t *ints;
        float *floats;
        struct str *texts;
    };
    size_t count;
};

/* One list for all nodes of all trees, and one for all their weights. */
struct attributes {
    struct list tree, node, feature, less, other, nan_is_less; /* ints */
    struct list limit;                                         /* floats */
    struct list mode;                                          /* texts */
    struct list weight_tree, weight_node, weight_class;        /* ints */
    struct list weight, base;                                  /* floats */
    struct list label_numbers, target_count;                   /* ints */
    struct list label_texts, transform, aggregate;             /* texts */
};

enum list_kind { LIST_INTS, LIST_FLOATS, LIST_TEXTS, LIST_IGNORED };

struct attribute_name {
    struct str name;
    enum list_kind kind;
    size_t offset;
};

#define INTS(name, field) { STR_INIT(name), LIST_INTS, offsetof(struct attributes, field) }
#define FLOATS(name, field) { STR_INIT(name), LIST_FLOATS, offsetof(struct attributes, field) }
#define TEXTS(name, field) { STR_INIT(name), LIST_TEXTS, offsetof(struct attributes, field) }

static const struct attribute_name known[] = {
    INTS("nodes_treeids", tree),
    INTS("nodes_nodeids", node),
    INTS("nodes_featureids", feature),
    INTS("nodes_truenodeids", less),
    INTS("nodes_falsenodeids", other),
    INTS("nodes_missing_value_tracks_true", nan_is_less),
    FLOATS("nodes_values", limit),
    TEXTS("nodes_modes", mode),
    INTS("class_treeids", weight_tree),
    INTS("class_nodeids", weight_node),
    INTS("class_ids", weight_class),
    FLOATS("class_weights", weight),
    INTS("target_treeids", weight_tree),
    INTS("target_nodeids", weight_node),
    INTS("target_ids", weight_class),
    FLOATS("target_weights", weight),
    FLOATS("base_values", base),
    INTS("classlabels_int64s", label_numbers),
    TEXTS("classlabels_strings", label_texts),
    INTS("n_targets", target_count),
    TEXTS("post_transform", transform),
    TEXTS("aggregate_function", aggregate),
    { STR_INIT("nodes_hitrates"), LIST_IGNORED, 0 },
};

/* i 3, ints 8, packed or not. */
static bool take_ints(const struct protobuf_field *field, struct list *out)
{
    struct protobuf_reader in = protobuf_reader_of(field->bytes);
    uint64_t value = field->integer;

    if (field->number != 3 && field->number != 8)
        return true;
    if (field->wire == WIRE_VARINT) {
        if (out->data != NULL)
            out->ints[out->count] = (int64_t)value;
        out->count++;
        return true;
    }
    while (in.at != in.end) {
        if (field->wire != WIRE_BYTES || !protobuf_varint(&in, &value))
            return false;
        if (out->data != NULL)
            out->ints[out->count] = (int64_t)value;
        out->count++;
    }
    return true;
}

/* floats 7, packed or not. */
static bool take_floats(const struct protobuf_field *field, struct list *out)
{
    if (field->number != 7)
        return true;
    if (field->wire == WIRE_VARINT || field->bytes.len % sizeof(float) != 0)
        return false;
    for (size_t i = 0; i < field->bytes.len; i += sizeof(float)) {
        if (out->data != NULL)
            out->floats[out->count] = float_at(field->bytes.data + i);
        out->count++;
    }
    return true;
}

/* s 4, strings 9. */
static bool take_texts(const struct protobuf_field *field, struct list *out)
{
    if (field->number != 4 && field->number != 9)
        return true;
    if (field->wire != WIRE_BYTES)
        return false;
    if (out->data != NULL)
        out->texts[out->count] = field->bytes;
    out->count++;
    return true;
}

static bool take_list(struct str attribute, enum list_kind kind, struct list *out)
{
    struct protobuf_reader in = protobuf_reader_of(attribute);
    struct protobuf_field field = { 0 };
    bool good = true;

    while (good && in.at != in.end) {
        if (!protobuf_next(&in, &field))
            return false;
        if (kind == LIST_INTS)
            good = take_ints(&field, out);
        else if (kind == LIST_FLOATS)
            good = take_floats(&field, out);
        else
            good = take_texts(&field, out);
    }
    return good;
}

static bool read_list(struct arena *scratch, struct str attribute, enum list_kind kind,
                      struct list *out)
{
    static const size_t sizes[] = { [LIST_INTS] = sizeof(int64_t),
                                    [LIST_FLOATS] = sizeof(float),
                                    [LIST_TEXTS] = sizeof(struct str) };

    if (kind == LIST_IGNORED)
        return true;
    if (out->data != NULL) /* twice */
        return false;
    if (!take_list(attribute, kind, out))
        return false;
    *out = (struct list){ .data = arena_array(scratch, out->count, sizes[kind]) };
    return take_list(attribute, kind, out);
}

/* AttributeProto: name 1. */
static bool read_attribute(struct arena *scratch, struct str bytes, struct attributes *out)
{
    struct protobuf_reader in = protobuf_reader_of(bytes);
    struct protobuf_field field = { 0 };
    struct str name = STR_EMPTY;

    while (in.at != in.end) {
        if (!protobuf_next(&in, &field))
            return false;
        if (field.number == 1 && field.wire == WIRE_BYTES)
            name = field.bytes;
    }
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_equal(name, known[i].name))
            return read_list(scratch, bytes, known[i].kind,
                             (struct list *)(void *)((char *)out + known[i].offset));
    return false;
}

/* NodeProto: attribute 5. */
static bool read_attributes(struct arena *scratch, struct str body, struct attributes *out)
{
    struct protobuf_reader in = protobuf_reader_of(body);
    struct protobuf_field field = { 0 };

    while (in.at != in.end) {
        if (!protobuf_next(&in, &field))
            return false;
        if (field.number == 5 &&
            (field.wire != WIRE_BYTES || !read_attribute(scratch, field.bytes, out)))
            return false;
    }
    return true;
}

static bool is_text_or_absent(const struct list *list, struct str wanted)
{
    return list->count == 0 || (list->count == 1 && str_equal(list->texts[0], wanted));
}

/* What stands beside the trees. Only one class has weights: then their sum is all that counts. */
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
    uint32_t
        *places; /* by the number of a node: 1 + where it stands among the tree's; 0: nowhere */
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
    uint32_t *roots = ARENA_ARRAY(arena, uint32_t, groups *TREES_AT_ONCE);
    uint32_t *depths = ARENA_ARRAY(arena, uint32_t, groups);

    for (size_t i = 0; i < forest->count; i++) {
        uint32_t depth, *deepest = &depths[i / TREES_AT_ONCE];

        roots[i] = (uint32_t)forest->made;
        if (!place_tree(forest, &forest->trees[i], &depth))
            return false;
        *deepest = depth > *deepest ? depth : *deepest;
    }
    forest->nodes[forest->made] = (struct tree_node){ .child = (uint32_t)forest->made };
    for (size_t i = forest->count; i < groups * TREES_AT_ONCE; i++)
        roots[i] = (uint32_t)forest->made;
    out->nodes = forest->nodes;
    out->node_count = forest->made + 1;
    out->roots = roots;
    out->depths = depths;
    out->groups = groups;
    out->count = forest->count;
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
    struct graph *graph = ARENA_NEW(scratch, struct graph);
    struct attributes *attributes = ARENA_NEW(scratch, struct attributes);
    const struct node *ensemble;

    if (!read_model(graph, file))
        return false;
    ensemble = find_ensemble(graph);
    if (ensemble == NULL || !takes_input(graph, ensemble))
        return false;
    out->classifies = str_equal(ensemble->op, STR("TreeEnsembleClassifier"));
    if (!out->classifies && !str_equal(ensemble->op, STR("TreeEnsembleRegressor")))
        return false;
    return trace_outputs(graph, ensemble, out) &&
           read_attributes(scratch, ensemble->body, attributes) &&
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
