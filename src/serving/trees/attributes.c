/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/protobuf.h"
#include "serving/trees/trees_internal.h"

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

static void add_int(struct list *out, uint64_t value)
{
    if (out->data != NULL)
        out->ints[out->count] = (int64_t)value;
    out->count++;
}

/* i 3, ints 8, packed or not. */
static bool take_ints(const struct protobuf_field *field, struct list *out)
{
    struct protobuf_reader in;
    uint64_t value;

    if (field->number != 3 && field->number != 8)
        return true;
    if (field->wire == WIRE_VARINT) {
        add_int(out, field->integer);
        return true;
    }
    if (field->wire != WIRE_BYTES)
        return false;
    in = protobuf_reader_of(field->bytes);
    while (in.at != in.end) {
        if (!protobuf_varint(&in, &value))
            return false;
        add_int(out, value);
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
            out->floats[out->count] = protobuf_float(field->bytes.data + i);
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
bool trees_read_attributes(struct arena *scratch, struct str body, struct attributes *out)
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
