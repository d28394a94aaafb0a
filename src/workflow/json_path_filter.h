/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Filters of a JSONPath: [?(@.age > 3 && @.name in ['a','b'])]. "@" is the item in
 * question, "$" the document; both are followed by single names and indexes only,
 * so that a filter costs as much as there are items.
 */
#include "workflow/json_path.h"

/* *at stands on the '(' behind the '?', and is moved behind the ')'. */
MUST_USE enum status path_filter_parse(struct arena *arena, struct str text, size_t *at,
                                       struct path_filter **out, struct error *err);
bool path_filter_holds(const struct path_filter *filter, yyjson_mut_val *root,
                       yyjson_mut_val *item);
