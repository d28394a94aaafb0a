/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files that compile the short form share. */
#include "workflow/pipeline.h"

struct step_kind {
    struct str word;        /* of the short form */
    const char *resource;   /* NULL for a gate */
    struct str main_output; /* what the bare name of such a step means; empty: nothing */
    const struct str *keys; /* that its mapping may have; NULL: its value is one word */
    size_t key_count;
    const struct str *references; /* keys whose value names a step's output */
    size_t reference_count;
    struct str needed; /* the key it cannot do without */
};

struct compiled_step {
    struct str name;
    const struct step_kind *kind;
    const struct yaml_node *node;
    const struct yaml_node *out; /* of a script; or NULL */
};

struct compiler {
    struct arena *arena;
    yyjson_mut_doc *doc;
    pipeline_fault fault;
    void *context;
    bool failed;
    struct pipeline *pipeline;
    struct compiled_step *steps; /* those before the one being compiled */
    size_t step_count, step_capacity;
    yyjson_mut_val *states;
};

void compile_fault(struct compiler *compiler, const struct yaml_node *node, const char *format,
                   ...) PRINTF_LIKE(3, 4);
/* A failure that tells its place already. */
void compile_take(struct compiler *compiler, const struct error *err);

/* "prepare.train" as "$.prepare.train", if there is such an output before this step. */
bool compile_reference(struct compiler *compiler, const struct yaml_node *node, struct str text,
                       struct str *path);
/* A value in which "${name}" stands for what it names. Adds key or key.$ to the object. */
void compile_value(struct compiler *compiler, yyjson_mut_val *object, struct str key,
                   const struct yaml_node *node);
/* Adds "key.$" with what the node names. */
void compile_named(struct compiler *compiler, yyjson_mut_val *object, struct str key,
                   const struct yaml_node *node);
/* A rule of Choice, or NULL after a fault. *cause is an intrinsic that tells why it did not hold. */
yyjson_mut_val *compile_when(struct compiler *compiler, const struct yaml_node *node,
                             struct str gate, struct str *cause);
/* NULL, or what is wrong with it. */
const char *cron_fault(struct str text);
