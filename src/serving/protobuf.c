/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/protobuf.h"

#include <string.h>

struct protobuf_reader protobuf_reader_of(struct str bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.data;

    return (struct protobuf_reader){ at, at + bytes.len };
}

bool protobuf_varint(struct protobuf_reader *in, uint64_t *out)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64 && in->at < in->end; shift += 7) {
        unsigned char byte = *in->at++;

        value |= (uint64_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool take(struct protobuf_reader *in, uint64_t len, struct str *out)
{
    if (len > (uint64_t)(in->end - in->at))
        return false;
    *out = (struct str){ (const char *)in->at, (size_t)len };
    in->at += len;
    return true;
}

bool protobuf_next(struct protobuf_reader *in, struct protobuf_field *out)
{
    uint64_t key, len;

    if (!protobuf_varint(in, &key) || key >> 3 == 0)
        return false;
    out->number = key >> 3;
    out->wire = (enum wire)(key & 7);
    switch (key & 7) {
    case WIRE_VARINT:
        return protobuf_varint(in, &out->integer);
    case WIRE_FIXED64:
        return take(in, 8, &out->bytes);
    case WIRE_BYTES:
        return protobuf_varint(in, &len) && take(in, len, &out->bytes);
    case WIRE_FIXED32:
        return take(in, 4, &out->bytes);
    default:
        return false;
    }
}

float protobuf_float(const char *bytes)
{
    uint32_t bits = 0;
    float value;

    for (unsigned i = 0; i < sizeof(bits); i++)
        bits |= (uint32_t)(unsigned char)bytes[i] << (8 * i);
    memcpy(&value, &bits, sizeof(value));
    return value;
}
