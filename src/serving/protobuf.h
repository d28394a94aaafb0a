/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Protobuf messages, field by field: protobuf.dev/programming-guides/encoding. Views, no copies. */
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct protobuf_reader {
    const unsigned char *at;
    const unsigned char *end;
};

enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct protobuf_field {
    uint64_t number;
    enum wire wire;
    uint64_t integer; /* WIRE_VARINT */
    struct str bytes; /* all others; those of fixed width as they stand, little-endian */
};

struct protobuf_reader protobuf_reader_of(struct str bytes);
/* False when the bytes are no field; ask for the end with in->at == in->end first. */
bool protobuf_next(struct protobuf_reader *in, struct protobuf_field *out);
/* For packed lists. */
bool protobuf_varint(struct protobuf_reader *in, uint64_t *out);
/* Of four bytes. */
float protobuf_float(const char *bytes);
