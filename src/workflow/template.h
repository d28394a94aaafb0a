/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Payload templates: JSON in which a key that ends in ".$" has a path or an
 * intrinsic function for its value. Checked when a definition is read,
 * evaluated when a state runs.
 */
#include "workflow/fault.h"
#include "workflow/json_path.h"
#include "workflow/variables.h"

/* What an evaluation sees; made anew for each. */
struct scope {
    struct arena *arena;
    yyjson_mut_doc *doc;
    yyjson_mut_val *input;   /* what "$" means */
    yyjson_mut_val *context; /* what "$$" means */
    const struct variables *variables;
};

/*
 * Whether evaluating went on for long enough: a definition of a few kilobytes could otherwise copy
 * a large input thousands of times. Sets the fault.
 */
bool scope_is_full(const struct scope *scope, struct fault *fault);
/* Where a path begins; NULL if it names a variable that is not there. */
yyjson_mut_val *scope_root(const struct scope *scope, const struct json_path *path);

/* Nothing but JSON, paths and intrinsics that exist. The message tells where. */
MUST_USE enum status template_check(struct arena *arena, yyjson_val *template,
                                    struct error *err);
/* On failure sets *fault. The result belongs to scope->doc and is part of nothing else. */
MUST_USE bool template_eval(const struct scope *scope, yyjson_val *template,
                            yyjson_mut_val **out, struct fault *fault);

/* A path or an intrinsic, as after "x.$" or in CausePath; field is for the message. */
MUST_USE enum status expression_check(struct arena *arena, struct str text, struct error *err);
MUST_USE bool expression_value(const struct scope *scope, struct str field, struct str text,
                               yyjson_mut_val **out, struct fault *fault);
/* The same in a field that selects, such as TimeoutSecondsPath: Step Functions has other words there. */
MUST_USE bool expression_select(const struct scope *scope, struct str text,
                                yyjson_mut_val **out, struct fault *fault);
/* A path alone. A definite one that finds nothing is a fault in the words of Step Functions. */
MUST_USE bool path_value(const struct scope *scope, struct str field,
                         const struct json_path *path, yyjson_mut_val **out,
                         struct fault *fault);

/* A path of InputPath, OutputPath and their kin: the fault tells where it ends. */
MUST_USE bool path_select(const struct scope *scope, const struct json_path *path,
                          yyjson_mut_val **out, struct fault *fault);

/* Sets the fault; always false, for `return`. */
bool fault_set(const struct scope *scope, struct fault *fault, struct str error,
               const char *format, ...) PRINTF_LIKE(4, 5);
#define fault_set(...) false_of_failure((fault_set)(__VA_ARGS__))
