/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * For those who write an intrinsic function. Where the States Language and what Step Functions
 * does differ, these do as Step Functions does: it cuts fractions off, drops empty pieces of a
 * split, reads any Base64, and calls each mistake States.Runtime.
 */
#include "workflow/template.h"

struct intrinsic {
    struct str name;
    size_t args_min, args_max;
    /* On failure sets the fault's cause; the caller tells in which expression. */
    bool (*call)(const struct scope *scope, yyjson_mut_val **args, size_t count,
                 yyjson_mut_val **out, struct fault *fault);
};

#define INTRINSIC_ARGS_MAX 100
#define INTRINSIC_TEXT_MAX 10000 /* characters to encode, decode or hash */

extern const struct intrinsic list_intrinsics[], text_intrinsics[];
extern const size_t list_intrinsic_count, text_intrinsic_count;

/* "Invalid arguments in States.Name"; always false, for `return`. */
bool intrinsic_refuse(const struct scope *scope, struct fault *fault, const char *name);
#define intrinsic_refuse(...) false_of_failure((intrinsic_refuse)(__VA_ARGS__))
struct str intrinsic_text(yyjson_mut_val *value); /* empty if it is no string */
