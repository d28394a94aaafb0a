/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Intrinsic functions of the States Language: the reader of calls like States.Format('{}', $.a). */
#include "workflow/template.h"

/* Whether the text is meant as a call rather than a path. */
bool intrinsic_is(struct str text);
MUST_USE enum status intrinsic_check(struct arena *arena, struct str text, struct error *err);
/* The value is new, in scope->doc. */
MUST_USE bool intrinsic_value(const struct scope *scope, struct str text, yyjson_mut_val **out,
                              struct fault *fault);
