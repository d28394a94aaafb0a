/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One value of the types that features, requests and models share. Null is
 * not NaN. Times are UTC instants in microseconds since 1970.
 */
#include "base/arena.h"
#include "base/status.h"

enum value_type {
    TYPE_BOOL,
    TYPE_INT32,
    TYPE_INT64,
    TYPE_FLOAT32,
    TYPE_FLOAT64,
    TYPE_STRING,
    TYPE_BYTES,
    TYPE_TIMESTAMP,
};
#define VALUE_TYPE_COUNT 8

struct value {
    enum value_type type;
    bool is_null;
    union {
        bool boolean;
        int64_t integer; /* int32, int64, and microseconds of a timestamp */
        double number;   /* float32 (exactly representable) and float64 */
        struct str text; /* string (UTF-8) and bytes */
    };
};

/* "bool", "int32", …, "timestamp". */
const char *value_type_name(enum value_type type);
bool value_type_parse(struct str name, enum value_type *out);
bool value_type_is_number(enum value_type type); /* the two ints and the two floats */

struct value value_null(enum value_type type);
/* Same type, both null or equal; NaN equals NaN, -0 does not equal 0: the parity checks need bits. */
bool value_identical(struct value a, struct value b);

/*
 * Text to value: "12", "1.5", "true", RFC 3339 times; bytes are taken as they
 * are. The message says what was expected and what was met, without context.
 */
MUST_USE enum status value_parse(struct arena *arena, enum value_type type, struct str text,
                                 struct value *out, struct error *err);
/* As people read it: null is "null", times are RFC 3339, floats the shortest that read back. */
struct str value_format(struct arena *arena, struct value value);
/* Lossless conversions only: int32 to int64, ints to float64 up to 2^53, float64 to int64 when whole. */
MUST_USE enum status value_convert(struct value value, enum value_type type, struct value *out,
                                   struct error *err);
