/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/model_file.h"

#include "serving/protobuf.h"

#define DEPTH_MAX 64
#define NODES_MAX 1000000

/* Of as many domains the functions of one model may be. */
#define FUNCTION_DOMAINS_MAX 64

struct check {
    struct model_file *file;
    struct error *err;
    struct str domains[FUNCTION_DOMAINS_MAX]; /* of the functions that the model brings along */
    size_t domain_count;
};

/* What a message holds that is worth a look; everything else is passed over. */
struct rule {
    uint64_t number;
    enum status (*visit)(struct check *check, const struct protobuf_field *field, int depth);
};

static enum status malformed(struct check *check)
{
    return error_set(check->err, STATUS_INVALID,
                     "the file is no ONNX model, or it is cut off or damaged");
}

static enum status walk(struct check *check, struct str bytes, const struct rule *rules,
                        size_t count, int depth)
{
    struct protobuf_reader in = protobuf_reader_of(bytes);
    struct protobuf_field field = { 0 };

    if (depth > DEPTH_MAX)
        return error_set(check->err, STATUS_INVALID, "graphs are nested deeper than %d",
                         DEPTH_MAX);
    while (in.at != in.end) {
        if (!protobuf_next(&in, &field))
            return malformed(check);
        for (size_t i = 0; i < count; i++)
            if (rules[i].number == field.number)
                TRY(rules[i].visit(check, &field, depth));
    }
    return STATUS_OK;
}

/* Sub-messages must come as bytes: another wire type under their number is damage. */
static enum status walk_message(struct check *check, const struct protobuf_field *field,
                                const struct rule *rules, size_t count, int depth)
{
    if (field->wire != WIRE_BYTES)
        return malformed(check);
    return walk(check, field->bytes, rules, count, depth + 1);
}

static enum status refuse_external(struct check *check)
{
    return error_set(check->err, STATUS_INVALID,
                     "the model keeps weights in other files; save it as one file"
                     " (onnx.save_model(model, path, save_as_external_data=False))");
}

static enum status on_data_location(struct check *check, const struct protobuf_field *field,
                                    int depth)
{
    (void)depth;
    return field->wire == WIRE_VARINT && field->integer == 0 ? STATUS_OK
                                                             : refuse_external(check);
}

static enum status on_external_data(struct check *check, const struct protobuf_field *field,
                                    int depth)
{
    (void)field;
    (void)depth;
    return refuse_external(check);
}

/* TensorProto: external_data 13, data_location 14. */
static enum status on_tensor(struct check *check, const struct protobuf_field *field, int depth)
{
    static const struct rule rules[] = { { 13, on_external_data }, { 14, on_data_location } };

    return walk_message(check, field, rules, ARRAY_LEN(rules), depth);
}

/* SparseTensorProto: values 1, indices 2. */
static enum status on_sparse_tensor(struct check *check, const struct protobuf_field *field,
                                    int depth)
{
    static const struct rule rules[] = { { 1, on_tensor }, { 2, on_tensor } };

    return walk_message(check, field, rules, ARRAY_LEN(rules), depth);
}

static enum status on_graph(struct check *check, const struct protobuf_field *field, int depth);

/* AttributeProto: t 5, g 6, tensors 10, graphs 11, sparse_tensor 22, sparse_tensors 23. */
static enum status on_attribute(struct check *check, const struct protobuf_field *field,
                                int depth)
{
    static const struct rule rules[] = { { 5, on_tensor },         { 6, on_graph },
                                         { 10, on_tensor },        { 11, on_graph },
                                         { 22, on_sparse_tensor }, { 23, on_sparse_tensor } };

    return walk_message(check, field, rules, ARRAY_LEN(rules), depth);
}

static bool is_among(struct str domain, const struct str *domains, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_equal(domain, domains[i]))
            return true;
    return false;
}

/*
 * Operators come from what ONNX Runtime has built in, and from functions that are written in the
 * model itself, in terms of them; nothing else is ever registered. A name that a function's domain
 * lacks the runtime refuses.
 */
static enum status check_domain(struct check *check, struct str domain)
{
    static const struct str known[] = { STR_INIT(""), STR_INIT("ai.onnx"),
                                        STR_INIT("ai.onnx.ml"), STR_INIT("com.microsoft") };

    if (is_among(domain, known, ARRAY_LEN(known)) ||
        is_among(domain, check->domains, check->domain_count))
        return STATUS_OK;
    return error_set(check->err, STATUS_INVALID,
                     "the model uses operators of '" STR_FMT "', which are neither built in nor"
                     " functions of the model",
                     STR_ARG(str_slice(domain, 0, 80)));
}

static enum status on_node_domain(struct check *check, const struct protobuf_field *field,
                                  int depth)
{
    (void)depth;
    if (field->wire != WIRE_BYTES)
        return malformed(check);
    return check_domain(check, field->bytes);
}

/* NodeProto: attribute 5, domain 7. */
static enum status on_node(struct check *check, const struct protobuf_field *field, int depth)
{
    static const struct rule rules[] = { { 5, on_attribute }, { 7, on_node_domain } };

    if (++check->file->nodes > NODES_MAX)
        return error_set(check->err, STATUS_LIMIT, "more than %d nodes", NODES_MAX);
    return walk_message(check, field, rules, ARRAY_LEN(rules), depth);
}

/* GraphProto: node 1, initializer 5, sparse_initializer 15. */
static enum status on_graph(struct check *check, const struct protobuf_field *field, int depth)
{
    static const struct rule rules[] = { { 1, on_node },
                                         { 5, on_tensor },
                                         { 15, on_sparse_tensor } };

    return walk_message(check, field, rules, ARRAY_LEN(rules), depth);
}

static enum status on_ir_version(struct check *check, const struct protobuf_field *field,
                                 int depth)
{
    (void)depth;
    if (field->wire != WIRE_VARINT)
        return malformed(check);
    check->file->ir_version = (int64_t)field->integer;
    return STATUS_OK;
}

static enum status on_producer(struct check *check, const struct protobuf_field *field,
                               int depth)
{
    (void)depth;
    if (field->wire != WIRE_BYTES)
        return malformed(check);
    check->file->producer = field->bytes;
    return STATUS_OK;
}

/* OperatorSetIdProto: domain 1, version 2. */
static enum status on_opset(struct check *check, const struct protobuf_field *field, int depth)
{
    struct protobuf_reader in;
    struct str domain = STR_EMPTY;
    struct protobuf_field part = { 0 };
    uint64_t version = 0;

    (void)depth;
    if (field->wire != WIRE_BYTES)
        return malformed(check);
    in = protobuf_reader_of(field->bytes);
    while (in.at != in.end) {
        if (!protobuf_next(&in, &part))
            return malformed(check);
        if (part.number == 1 && part.wire == WIRE_BYTES)
            domain = part.bytes;
        else if (part.number == 2 && part.wire == WIRE_VARINT)
            version = part.integer;
    }
    if (domain.len == 0 || str_equal(domain, STR("ai.onnx")))
        check->file->opset = (int64_t)version;
    else if (str_equal(domain, STR("ai.onnx.ml")))
        check->file->opset_ml = (int64_t)version;
    return STATUS_OK;
}

/* StringStringEntryProto: key 1, value 2. */
static enum status on_metadata(struct check *check, const struct protobuf_field *field,
                               int depth)
{
    struct protobuf_reader in;
    struct str key = STR_EMPTY, value = STR_EMPTY;
    struct protobuf_field part = { 0 };

    (void)depth;
    if (field->wire != WIRE_BYTES)
        return malformed(check);
    in = protobuf_reader_of(field->bytes);
    while (in.at != in.end) {
        if (!protobuf_next(&in, &part))
            return malformed(check);
        if (part.wire == WIRE_BYTES && part.number == 1)
            key = part.bytes;
        else if (part.wire == WIRE_BYTES && part.number == 2)
            value = part.bytes;
    }
    if (str_equal(key, STR("features")))
        check->file->features = value;
    return STATUS_OK;
}

static enum status on_function(struct check *check, const struct protobuf_field *field,
                               int depth)
{
    static const struct rule rules[] = { { 7, on_node }, { 11, on_attribute } };

    return walk_message(check, field, rules, ARRAY_LEN(rules), depth);
}

static enum status on_function_domain(struct check *check, const struct protobuf_field *field,
                                      int depth)
{
    (void)depth;
    if (field->wire != WIRE_BYTES)
        return malformed(check);
    if (is_among(field->bytes, check->domains, check->domain_count))
        return STATUS_OK;
    if (check->domain_count == FUNCTION_DOMAINS_MAX)
        return error_set(check->err, STATUS_LIMIT,
                         "the model's functions are of more than %d domains",
                         FUNCTION_DOMAINS_MAX);
    check->domains[check->domain_count++] = field->bytes;
    return STATUS_OK;
}

/* FunctionProto: node 7, domain 10, attribute_proto 11. */
static enum status note_function(struct check *check, const struct protobuf_field *field,
                                 int depth)
{
    static const struct rule rules[] = { { 10, on_function_domain } };

    return walk_message(check, field, rules, ARRAY_LEN(rules), depth);
}

/* Functions may stand behind the graph that calls them. */
static enum status note_functions(struct check *check, struct str bytes)
{
    static const struct rule rules[] = { { 25, note_function } };

    return walk(check, bytes, rules, ARRAY_LEN(rules), 0);
}

/* ModelProto: ir_version 1, producer_name 2, graph 7, opset_import 8, metadata_props 14, functions 25. */
enum status model_file_check(struct str bytes, struct model_file *out, struct error *err)
{
    static const struct rule rules[] = { { 1, on_ir_version }, { 2, on_producer },
                                         { 7, on_graph },      { 8, on_opset },
                                         { 14, on_metadata },  { 25, on_function } };
    struct model_file file = { .producer = STR_EMPTY, .features = STR_EMPTY };
    struct check check = { .file = &file, .err = err };

    if (bytes.len > MODEL_FILE_MAX)
        return error_set(err, STATUS_LIMIT, "the model is larger than 2 GiB");
    if (bytes.len == 0)
        return malformed(&check);
    TRY(note_functions(&check, bytes));
    TRY(walk(&check, bytes, rules, ARRAY_LEN(rules), 0));
    if (file.ir_version < 3 || file.nodes == 0 || (file.opset == 0 && file.opset_ml == 0))
        return malformed(&check);
    *out = file;
    return STATUS_OK;
}
