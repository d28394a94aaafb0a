/* SPDX-License-Identifier: Apache-2.0 */
#include "support/onnx_writer.h"

enum wire { VARINT = 0, BYTES = 2 };
/* AttributeProto.AttributeType */
enum attribute {
    ATTR_INT = 2,
    ATTR_STRING = 3,
    ATTR_GRAPH = 5,
    ATTR_FLOATS = 6,
    ATTR_INTS = 7,
    ATTR_STRINGS = 8
};

#define VARINT_MAX 10
#define PARTS(...) ONNX_JOIN(arena, __VA_ARGS__)

/* --- protobuf ------------------------------------------------------------- */

struct str onnx_join(struct arena *arena, const struct str *parts, size_t count)
{
    size_t len = 0;
    char *data;

    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    data = arena_alloc(arena, len);
    len = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(data + len, parts[i].data, parts[i].len);
        len += parts[i].len;
    }
    return (struct str){ data, len };
}

static size_t put_varint(char *at, uint64_t value)
{
    size_t len = 0;

    do {
        unsigned char rest = value >= 0x80 ? 0x80 : 0;

        at[len++] = (char)((value & 0x7F) | rest);
        value >>= 7;
    } while (value != 0);
    return len;
}

static struct str integer(struct arena *arena, unsigned field, int64_t value)
{
    char *at = arena_alloc(arena, 2 * VARINT_MAX);
    size_t len = put_varint(at, field << 3 | VARINT);

    len += put_varint(at + len, (uint64_t)value);
    return (struct str){ at, len };
}

static struct str message(struct arena *arena, unsigned field, struct str content)
{
    char *at = arena_alloc(arena, 2 * VARINT_MAX + content.len);
    size_t len = put_varint(at, field << 3 | BYTES);

    len += put_varint(at + len, content.len);
    memcpy(at + len, content.data, content.len);
    return (struct str){ at, len + content.len };
}

static struct str text(struct arena *arena, unsigned field, const char *value)
{
    return message(arena, field, str_from(value));
}

static struct str packed(struct arena *arena, unsigned field, const int64_t *values,
                         size_t count)
{
    char *at = arena_alloc(arena, count * VARINT_MAX);
    size_t len = 0;

    for (size_t i = 0; i < count; i++)
        len += put_varint(at + len, (uint64_t)values[i]);
    return message(arena, field, (struct str){ at, len });
}

static struct str raw(struct arena *arena, unsigned field, const void *values, size_t bytes)
{
    return message(arena, field, (struct str){ values, bytes });
}

/* --- AttributeProto: name 1, type 20; a node holds it as 5 ----------------- */

static struct str attribute(struct arena *arena, const char *name, enum attribute type,
                            struct str value)
{
    return message(arena, 5, PARTS(text(arena, 1, name), value, integer(arena, 20, type)));
}

struct str onnx_attr_int(struct arena *arena, const char *name, int64_t value)
{
    return attribute(arena, name, ATTR_INT, integer(arena, 3, value));
}

struct str onnx_attr_text(struct arena *arena, const char *name, const char *value)
{
    return attribute(arena, name, ATTR_STRING, text(arena, 4, value));
}

struct str onnx_attr_ints(struct arena *arena, const char *name, const int64_t *values,
                          size_t count)
{
    return attribute(arena, name, ATTR_INTS, packed(arena, 8, values, count));
}

struct str onnx_attr_floats(struct arena *arena, const char *name, const float *values,
                            size_t count)
{
    return attribute(arena, name, ATTR_FLOATS, raw(arena, 7, values, count * sizeof(float)));
}

struct str onnx_attr_texts(struct arena *arena, const char *name, const char *const *texts,
                           size_t count)
{
    struct str *parts = ARENA_ARRAY(arena, struct str, count);

    for (size_t i = 0; i < count; i++)
        parts[i] = text(arena, 9, texts[i]);
    return attribute(arena, name, ATTR_STRINGS, onnx_join(arena, parts, count));
}

struct str onnx_attr_graph(struct arena *arena, const char *name, struct str graph)
{
    return attribute(arena, name, ATTR_GRAPH, message(arena, 6, graph));
}

/* --- GraphProto: node 1, name 2, initializer 5, input 11, output 12 ------- */

static struct str names(struct arena *arena, unsigned field, const char *list)
{
    struct str rest = str_from(list), name, all = STR_EMPTY;

    while (str_split(&rest, ' ', &name))
        all = PARTS(all, message(arena, field, name));
    return all;
}

struct str onnx_node(struct arena *arena, const char *op, const char *domain,
                     const char *inputs, const char *outputs, struct str attributes)
{
    return message(arena, 1,
                   PARTS(names(arena, 1, inputs), names(arena, 2, outputs), text(arena, 4, op),
                         attributes, text(arena, 7, domain)));
}

/* ValueInfoProto: name 1, type 2; TypeProto: tensor 1; its shape 2, dim 1: value 1, name 2 */
static struct str value_info(struct arena *arena, unsigned field, const char *name,
                             enum onnx_element type, const int64_t *dims, size_t rank)
{
    struct str shape = STR_EMPTY, tensor;

    for (size_t i = 0; i < rank; i++) {
        struct str dim = dims[i] == ONNX_ANY ? (i == 0 ? text(arena, 2, "N") : STR_EMPTY)
                                             : integer(arena, 1, dims[i]);

        shape = PARTS(shape, message(arena, 1, dim));
    }
    tensor = PARTS(integer(arena, 1, type), message(arena, 2, shape));
    return message(arena, field,
                   PARTS(text(arena, 1, name), message(arena, 2, message(arena, 1, tensor))));
}

struct str onnx_input(struct arena *arena, const char *name, enum onnx_element type,
                      const int64_t *dims, size_t rank)
{
    return value_info(arena, 11, name, type, dims, rank);
}

struct str onnx_output(struct arena *arena, const char *name, enum onnx_element type,
                       const int64_t *dims, size_t rank)
{
    return value_info(arena, 12, name, type, dims, rank);
}

/* TypeProto: sequence 4 of map 5 of key type 1 and value 2 */
struct str onnx_output_maps(struct arena *arena, const char *name)
{
    struct str value = message(arena, 1, integer(arena, 1, ONNX_FLOAT));
    struct str map = message(arena, 5,
                             PARTS(integer(arena, 1, ONNX_INT64), message(arena, 2, value)));
    struct str sequence = message(arena, 4, message(arena, 1, map));

    return message(arena, 12, PARTS(text(arena, 1, name), message(arena, 2, sequence)));
}

/* TensorProto: dims 1, data type 2, name 8, raw data 9 */
static struct str tensor(struct arena *arena, const char *name, enum onnx_element type,
                         const int64_t *dims, size_t rank, const void *values, size_t size)
{
    size_t count = 1;

    for (size_t i = 0; i < rank; i++)
        count *= (size_t)dims[i];
    return message(arena, 5,
                   PARTS(packed(arena, 1, dims, rank), integer(arena, 2, type),
                         text(arena, 8, name), raw(arena, 9, values, count * size)));
}

struct str onnx_floats(struct arena *arena, const char *name, const int64_t *dims, size_t rank,
                       const float *values)
{
    return tensor(arena, name, ONNX_FLOAT, dims, rank, values, sizeof(*values));
}

struct str onnx_int64s(struct arena *arena, const char *name, const int64_t *dims, size_t rank,
                       const int64_t *values)
{
    return tensor(arena, name, ONNX_INT64, dims, rank, values, sizeof(*values));
}

struct str onnx_external(struct arena *arena, const char *name, const char *location)
{
    struct str entry = PARTS(text(arena, 1, "location"), text(arena, 2, location));

    return message(arena, 5,
                   PARTS(integer(arena, 1, 1), integer(arena, 2, ONNX_FLOAT),
                         text(arena, 8, name), message(arena, 13, entry),
                         integer(arena, 14, 1)));
}

/* ModelProto: ir version 1, producer 2, graph 7, operator sets 8, metadata 14 */
struct str onnx_model(struct arena *arena, struct str graph, const char *features)
{
    struct str ml = PARTS(text(arena, 1, "ai.onnx.ml"), integer(arena, 2, 3));
    struct str metadata = STR_EMPTY;

    if (features != NULL)
        metadata = message(arena, 14,
                           PARTS(text(arena, 1, "features"), text(arena, 2, features)));
    return PARTS(integer(arena, 1, 8), text(arena, 2, "onggi-test"),
                 message(arena, 7, PARTS(text(arena, 2, "g"), graph)),
                 message(arena, 8, integer(arena, 2, 15)), message(arena, 8, ml), metadata);
}

/* --- whole models --------------------------------------------------------- */

static double random_unit(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 11) * 0x1p-52 - 1;
}

/* Tree nodes by level: the children of i are 2i + 1 and 2i + 2. */
struct trees {
    size_t node_count, leaf_count;
    int64_t *tree, *node, *feature, *yes, *no;
    float *value;
    const char **mode;
    int64_t *leaf_tree, *leaf_node, *leaf_class;
    float *leaf_weight;
};

static struct trees grow(struct arena *arena, int64_t features, int64_t count, int64_t depth)
{
    size_t inner = ((size_t)1 << depth) - 1, nodes = 2 * inner + 1, all = nodes * (size_t)count;
    struct trees t = { 0 };
    uint64_t random = 7;

    t.tree = ARENA_ARRAY(arena, int64_t, all), t.node = ARENA_ARRAY(arena, int64_t, all);
    t.feature = ARENA_ARRAY(arena, int64_t, all), t.yes = ARENA_ARRAY(arena, int64_t, all);
    t.no = ARENA_ARRAY(arena, int64_t, all), t.value = ARENA_ARRAY(arena, float, all);
    t.mode = ARENA_ARRAY(arena, const char *, all);
    t.leaf_tree = ARENA_ARRAY(arena, int64_t, all),
    t.leaf_node = ARENA_ARRAY(arena, int64_t, all);
    t.leaf_class = ARENA_ARRAY(arena, int64_t, all),
    t.leaf_weight = ARENA_ARRAY(arena, float, all);
    for (size_t i = 0; i < all; i++) {
        size_t node = i % nodes, k = t.node_count++;

        t.tree[k] = (int64_t)(i / nodes), t.node[k] = (int64_t)node;
        t.mode[k] = node < inner ? "BRANCH_LT" : "LEAF";
        if (node < inner) {
            t.feature[k] = (int64_t)((random >> 33) % (uint64_t)features);
            t.value[k] = (float)random_unit(&random);
            t.yes[k] = (int64_t)(2 * node + 1), t.no[k] = (int64_t)(2 * node + 2);
            continue;
        }
        t.leaf_tree[t.leaf_count] = t.tree[k], t.leaf_node[t.leaf_count] = t.node[k];
        t.leaf_weight[t.leaf_count++] = (float)(random_unit(&random) / (double)count * 4);
    }
    return t;
}

static struct str tree_attributes(struct arena *arena, const struct trees *t)
{
    static const int64_t labels[] = { 0, 1 };
    size_t n = t->node_count, leaves = t->leaf_count;

    return PARTS(onnx_attr_ints(arena, "nodes_treeids", t->tree, n),
                 onnx_attr_ints(arena, "nodes_nodeids", t->node, n),
                 onnx_attr_ints(arena, "nodes_featureids", t->feature, n),
                 onnx_attr_texts(arena, "nodes_modes", t->mode, n),
                 onnx_attr_floats(arena, "nodes_values", t->value, n),
                 onnx_attr_ints(arena, "nodes_truenodeids", t->yes, n),
                 onnx_attr_ints(arena, "nodes_falsenodeids", t->no, n),
                 onnx_attr_ints(arena, "class_treeids", t->leaf_tree, leaves),
                 onnx_attr_ints(arena, "class_nodeids", t->leaf_node, leaves),
                 onnx_attr_ints(arena, "class_ids", t->leaf_class, leaves),
                 onnx_attr_floats(arena, "class_weights", t->leaf_weight, leaves),
                 onnx_attr_ints(arena, "classlabels_int64s", labels, ARRAY_LEN(labels)),
                 onnx_attr_text(arena, "post_transform", "LOGISTIC"));
}

struct str onnx_trees(struct arena *arena, int64_t features, int64_t trees, int64_t depth,
                      const char *feature_names)
{
    const struct trees grown = grow(arena, features, trees, depth);
    const int64_t in[] = { ONNX_ANY, features }, label[] = { ONNX_ANY },
                  out[] = { ONNX_ANY, 2 };

    return onnx_model(arena,
                      PARTS(onnx_node(arena, "TreeEnsembleClassifier", "ai.onnx.ml", "x",
                                      "label probabilities", tree_attributes(arena, &grown)),
                            onnx_input(arena, "x", ONNX_FLOAT, in, 2),
                            onnx_output(arena, "label", ONNX_INT64, label, 1),
                            onnx_output(arena, "probabilities", ONNX_FLOAT, out, 2)),
                      feature_names);
}

static struct str layer(struct arena *arena, size_t i, const int64_t dims[2], bool is_last,
                        uint64_t *random)
{
    float *weights = ARENA_ARRAY(arena, float, (size_t)(dims[0] * dims[1]));
    float *bias = ARENA_ARRAY(arena, float, (size_t)dims[1]);
    const char *in = i == 0 ? "x" : arena_printf(arena, "h%zu", i).data;
    const char *out = is_last ? "y" : arena_printf(arena, "h%zu", i + 1).data;
    const char *inner = arena_printf(arena, "g%zu", i).data;
    const char *w = arena_printf(arena, "w%zu", i).data,
               *b = arena_printf(arena, "b%zu", i).data;

    for (int64_t k = 0; k < dims[0] * dims[1]; k++)
        weights[k] = (float)random_unit(random);
    for (int64_t k = 0; k < dims[1]; k++)
        bias[k] = (float)random_unit(random);
    return PARTS(onnx_node(arena, "Gemm", "", arena_printf(arena, "%s %s %s", in, w, b).data,
                           inner, STR_EMPTY),
                 onnx_node(arena, is_last ? "Sigmoid" : "Relu", "", inner, out, STR_EMPTY),
                 onnx_floats(arena, w, dims, 2, weights),
                 onnx_floats(arena, b, &dims[1], 1, bias));
}

struct str onnx_network(struct arena *arena, const int64_t *widths, size_t count,
                        const char *feature_names)
{
    const int64_t in[] = { ONNX_ANY, widths[0] }, out[] = { ONNX_ANY, widths[count - 1] };
    struct str graph = STR_EMPTY;
    uint64_t random = 11;

    for (size_t i = 0; i + 1 < count; i++)
        graph = PARTS(graph, layer(arena, i, &widths[i], i + 2 == count, &random));
    return onnx_model(arena,
                      PARTS(graph, onnx_input(arena, "x", ONNX_FLOAT, in, 2),
                            onnx_output(arena, "y", ONNX_FLOAT, out, 2)),
                      feature_names);
}

/* A Loop whose condition stays true: its body adds 1 to what it carries. */
struct str onnx_endless(struct arena *arena, float limit)
{
    static const int64_t most = INT64_MAX;
    static const float one = 1;
    const int64_t column[] = { ONNX_ANY, 1 };
    struct str body = PARTS(
        text(arena, 2, "body"), onnx_node(arena, "Identity", "", "on", "still", STR_EMPTY),
        onnx_node(arena, "Add", "", "v one", "v_next", STR_EMPTY),
        onnx_floats(arena, "one", NULL, 0, &one), onnx_input(arena, "i", ONNX_INT64, NULL, 0),
        onnx_input(arena, "on", ONNX_BOOL, NULL, 0),
        onnx_input(arena, "v", ONNX_FLOAT, column, 2),
        onnx_output(arena, "still", ONNX_BOOL, NULL, 0),
        onnx_output(arena, "v_next", ONNX_FLOAT, column, 2));
    struct str start = PARTS(
        onnx_node(arena, "ReduceSum", "", "x", "sum", onnx_attr_int(arena, "keepdims", 0)),
        onnx_node(arena, "Greater", "", "sum limit", "begin", STR_EMPTY));

    return onnx_model(arena,
                      PARTS(start,
                            onnx_node(arena, "Loop", "", "most begin x", "y",
                                      onnx_attr_graph(arena, "body", body)),
                            onnx_int64s(arena, "most", NULL, 0, &most),
                            onnx_floats(arena, "limit", NULL, 0, &limit),
                            onnx_input(arena, "x", ONNX_FLOAT, column, 2),
                            onnx_output(arena, "y", ONNX_FLOAT, column, 2)),
                      NULL);
}
