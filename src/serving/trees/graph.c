/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/protobuf.h"
#include "serving/trees/trees_internal.h"

#define PARTS_MAX 8 /* nodes of the graph, and names of each of its lists */

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
    struct names inputs, outputs, initializers;
    struct names ones; /* the initializers that are the number 1 */
};

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
    if (data.len == sizeof(float) && protobuf_float(data.data) == 1.0F &&
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

bool trees_find_ensemble(struct arena *scratch, struct str file, struct trees *out,
                         struct str *body)
{
    struct graph *graph = ARENA_NEW(scratch, struct graph);
    const struct node *ensemble;

    if (!read_model(graph, file))
        return false;
    ensemble = find_ensemble(graph);
    if (ensemble == NULL || !takes_input(graph, ensemble))
        return false;
    out->classifies = str_equal(ensemble->op, STR("TreeEnsembleClassifier"));
    if (!out->classifies && !str_equal(ensemble->op, STR("TreeEnsembleRegressor")))
        return false;
    *body = ensemble->body;
    return trace_outputs(graph, ensemble, out);
}
