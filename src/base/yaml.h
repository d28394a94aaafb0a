/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * YAML as a person writes definitions in it: a plain tree that knows where
 * each node stands. The strict core only: anchors, aliases, tags, merge keys,
 * complex and repeated keys are refused, and a scalar is text until somebody
 * asks for a number. Every message begins with file:line:column.
 *
 * Trees live in the arena they were parsed into and are read-only after that.
 */
#include "base/arena.h"
#include "base/json.h"
#include "base/status.h"
#include "base/value.h"

#define YAML_DEPTH_MAX 50
#define YAML_SIZE_MAX ((size_t)4 << 20)

enum yaml_kind { YAML_NULL, YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_node {
    enum yaml_kind kind;
    bool quoted;             /* a scalar in quotes or a block: text, whatever it looks like */
    struct str file;         /* as given to yaml_parse */
    int line, column;        /* of its first character, from 1, behind a quote or below a '|' */
    struct str text;         /* of a scalar */
    struct yaml_node *items; /* of a sequence; the values of a mapping */
    struct yaml_node *keys;  /* of a mapping: scalars, in the order of the file */
    size_t count;
};

/*
 * All documents of a text, empty ones left out. file_name is only for messages; it is copied.
 * INVALID for what is not our YAML, LIMIT beyond YAML_SIZE_MAX.
 */
MUST_USE enum status yaml_parse(struct arena *arena, struct str file_name, struct str text,
                                struct yaml_node **documents, size_t *count, struct error *err);

/* "file:line:column: " in front of the message. Returns the status given. */
enum status yaml_error(const struct yaml_node *node, enum status status, struct error *err,
                       const char *format, ...) PRINTF_LIKE(4, 5);
#define yaml_error(...) status_of_failure((yaml_error)(__VA_ARGS__))
/* "text", "nothing", "a list" or "a mapping": for "expected a list, found …". */
const char *yaml_kind_name(const struct yaml_node *node);

/* The value of a key; NULL if absent or if the map is none. A value left empty is a YAML_NULL node. */
const struct yaml_node *yaml_find(const struct yaml_node *map, const char *key);
const struct yaml_node *yaml_find_str(const struct yaml_node *map, struct str key);
/* INVALID for any other key, with the nearest known one. The map must be a mapping. */
MUST_USE enum status yaml_only_keys(const struct yaml_node *map, const struct str *known,
                                    size_t count, struct error *err);
MUST_USE enum status yaml_is_map(const struct yaml_node *node, struct error *err);

/*
 * Fields of a mapping. "need": a missing or empty one is INVALID; "want": a missing or empty one
 * leaves *out as it is. A value of another kind is INVALID and told with what was expected.
 */
MUST_USE enum status yaml_need(const struct yaml_node *map, const char *key,
                               const struct yaml_node **out, struct error *err);
MUST_USE enum status yaml_need_str(const struct yaml_node *map, const char *key,
                                   struct str *out, struct error *err);
MUST_USE enum status yaml_want_str(const struct yaml_node *map, const char *key,
                                   struct str *out, struct error *err);
MUST_USE enum status yaml_want_bool(const struct yaml_node *map, const char *key, bool *out,
                                    struct error *err);
MUST_USE enum status yaml_want_int64(const struct yaml_node *map, const char *key, int64_t *out,
                                     struct error *err);
MUST_USE enum status yaml_want_double(const struct yaml_node *map, const char *key, double *out,
                                      struct error *err);
/* "90d", "5m", "250ms" */
MUST_USE enum status yaml_want_duration_us(const struct yaml_node *map, const char *key,
                                           int64_t *out, struct error *err);
/* One scalar as a value of ours, as value_parse() reads it. */
MUST_USE enum status yaml_to_value(struct arena *arena, const struct yaml_node *node,
                                   enum value_type type, struct value *out, struct error *err);

/*
 * The tree as JSON, for keeping and comparing: plain scalars that read as JSON numbers or
 * booleans become such, digit by digit, all others strings. yaml_from_json() makes an equal tree
 * of it, faster than YAML is parsed; all its nodes stand at the place given.
 */
yyjson_mut_val *yaml_to_json(yyjson_mut_doc *doc, const struct yaml_node *node);
MUST_USE enum status yaml_from_json(struct arena *arena, struct str file_name, int line,
                                    struct str json, struct yaml_node **out, struct error *err);
