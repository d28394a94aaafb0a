/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The rules of Choice states: comparisons of one variable, joined by And, Or and Not. */
#include "workflow/template.h"

enum rule_kind { RULE_AND, RULE_OR, RULE_NOT, RULE_TEST };

struct choice_test; /* an entry in the table of operators */

struct choice_rule {
    enum rule_kind kind;
    struct choice_rule *parts; /* of And, Or and Not */
    size_t part_count;
    struct str next;    /* of top-level rules */
    yyjson_val *assign; /* of those, too; or NULL */
    struct json_path variable;
    const struct choice_test *test;
    yyjson_val *operand;           /* a constant … */
    struct json_path operand_path; /* … or, for the …Path operators, where it is */
};

/* A top-level rule has Next, the ones inside have none. */
MUST_USE enum status choice_rule_parse(struct arena *arena, yyjson_val *json, bool top,
                                       struct choice_rule *out, struct error *err);
/* Sets *holds. A variable that is not there is a fault, except for IsPresent. */
MUST_USE bool choice_rule_holds(const struct scope *scope, const struct choice_rule *rule,
                                bool *holds, struct fault *fault);
