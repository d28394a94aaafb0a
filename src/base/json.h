/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * JSON by yyjson, with our limits and our errors. Documents live in an arena;
 * reading uses yyjson's own functions on the values. Writing: the yyjson
 * mutable API with json_mut_doc(), or straight into a buffer with the
 * json_write_ functions where every nanosecond is counted.
 */
#include "base/arena.h"
#include "base/buffer.h"
#include "base/status.h"
#include "base/value.h"

#include <yyjson.h>

#define JSON_DEPTH_MAX 100

/*
 * Strict RFC 8259. Refuses nesting deeper than JSON_DEPTH_MAX, repeated keys
 * in one object, and invalid UTF-8; the message says line and column. The text
 * need not outlive the call.
 */
MUST_USE enum status json_parse(struct arena *arena, struct str text, yyjson_val **out,
                                struct error *err);
/* The same, but takes the NaN, Infinity and -Infinity that Python writes; they become reals. */
MUST_USE enum status json_parse_python(struct arena *arena, struct str text, yyjson_val **out,
                                       struct error *err);
/* A document to build in; it dies with the arena. */
yyjson_mut_doc *json_mut_doc(struct arena *arena);
struct str json_mut_write(struct arena *arena, const yyjson_mut_val *value);
struct str json_mut_write_pretty(struct arena *arena, const yyjson_mut_val *value);
struct str json_write(struct arena *arena, const yyjson_val *value);

struct str json_str(const yyjson_val *value);                    /* empty if it is no string */
yyjson_val *json_find(const yyjson_val *object, struct str key); /* NULL if absent */

/*
 * Fields of an object, by name. "need": a missing one is INVALID; "want": a
 * missing or null one leaves *out as it is. A wrong type is INVALID; the
 * message names the field.
 */
MUST_USE enum status json_need_str(const yyjson_val *object, const char *key, struct str *out,
                                   struct error *err);
MUST_USE enum status json_want_str(const yyjson_val *object, const char *key, struct str *out,
                                   struct error *err);
MUST_USE enum status json_need_object(const yyjson_val *object, const char *key,
                                      yyjson_val **out, struct error *err);
MUST_USE enum status json_want_object(const yyjson_val *object, const char *key,
                                      yyjson_val **out, struct error *err);
MUST_USE enum status json_want_array(const yyjson_val *object, const char *key,
                                     yyjson_val **out, struct error *err);
MUST_USE enum status json_want_bool(const yyjson_val *object, const char *key, bool *out,
                                    struct error *err);
MUST_USE enum status json_want_int64(const yyjson_val *object, const char *key, int64_t *out,
                                     struct error *err);
/* Anything but the known keys is INVALID, with the nearest known one. */
MUST_USE enum status json_only_keys(const yyjson_val *object, const struct str *known,
                                    size_t count, struct error *err);

/* One of our values from JSON, as design.md's "Types and text" has it ("NaN", RFC 3339 times, bytes in base64). */
MUST_USE enum status json_to_value(struct arena *arena, const yyjson_val *json,
                                   enum value_type type, struct value *out, struct error *err);
yyjson_mut_val *json_from_value(yyjson_mut_doc *doc, struct value value);

/* Adds a copied string. */
void json_add_str(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                  struct str value);

/* Straight into a buffer, no document: quoted and escaped; shortest floats; a value of ours. */
void json_write_str(struct buffer *out, struct str s);
void json_write_double(struct buffer *out, double number); /* NaN and infinities as strings */
void json_write_float(struct buffer *out, float number);
void json_write_int64(struct buffer *out, int64_t number);
void json_write_value(struct buffer *out, struct value value);
