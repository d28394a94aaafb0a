/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * JSONPath as the States Language uses it: names in dots or brackets, indexes
 * (negative ones from the end), several of either with commas, wildcards,
 * slices, filters like [?(@.age > 3)], and ".." for all below. "$" begins at
 * the input, "$$" at the context object, "$name" at a variable. A path of single
 * names and indexes is definite: it finds one value or none. Any other finds a
 * list, perhaps an empty one. Several names at the end of a definite path find
 * an object of those that are there.
 */
#include "base/arena.h"
#include "base/json.h"
#include "base/status.h"

enum path_root { PATH_OF_INPUT, PATH_OF_CONTEXT, PATH_OF_VARIABLE };

enum path_step_kind {
    PATH_NAME,
    PATH_INDEX,
    PATH_WILDCARD,
    PATH_SLICE,
    PATH_UNION,   /* several names, or several indexes */
    PATH_FILTER,  /* the items for which it holds */
    PATH_DESCENT, /* "..": here and at all places below */
};

struct path_filter;

struct path_step {
    enum path_step_kind kind;
    struct str name;
    int64_t from, to; /* an index is `from`; a slice from ≤ i < to */
    bool has_from, has_to;
    struct path_step *choices; /* of a union */
    size_t choice_count;
    struct path_filter *filter;
};

struct json_path {
    struct str text;
    enum path_root root;
    struct str variable; /* its name, of PATH_OF_VARIABLE */
    bool definite;
    struct path_step *steps;
    size_t count;
};

MUST_USE enum status json_path_parse(struct arena *arena, struct str text,
                                     struct json_path *out, struct error *err);
/* Whether it leads to one place, as a Reference Path must: single names and indexes from "$". */
bool json_path_is_reference(const struct json_path *path);
/*
 * NULL if a definite path finds nothing. What a definite path finds is part of root: copy it
 * before putting it anywhere. A list is new, made in doc.
 */
yyjson_mut_val *json_path_find(const struct json_path *path, yyjson_mut_doc *doc,
                               yyjson_mut_val *root);
/* Why a definite path finds nothing below root, in the words of the library that Step Functions uses. */
struct str json_path_failure(const struct json_path *path, struct arena *arena,
                             yyjson_mut_val *root);
/*
 * Puts value where a path of names leads, making objects on the way; indexes must be there.
 * Returns the new root, or NULL if something on the way is neither object nor list.
 */
yyjson_mut_val *json_path_put(const struct json_path *path, yyjson_mut_doc *doc,
                              yyjson_mut_val *root, yyjson_mut_val *value);
