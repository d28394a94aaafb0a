/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The short form of a pipeline, as people write it, and the ASL it becomes.
 * A pipeline is the folder pipelines/NAME with pipeline.yaml, or with ASL in
 * pipeline.asl.json, and the code of its steps. docs/pipelines.md tells all.
 */
#include "base/arena.h"
#include "base/json.h"
#include "base/status.h"
#include "base/yaml.h"

struct pipeline_step {
    struct str name;
    struct str resource; /* "onggi:script"; "Choice" for a gate */
};

struct pipeline {
    struct str name;
    struct str file;     /* relative to the project */
    struct str schedule; /* cron text, checked; empty if none */
    yyjson_val
        *params; /* names with their defaults, null where one is to be given; NULL: it is ASL */
    struct pipeline_step *steps;
    size_t step_count;
    struct str definition; /* ASL */
};

/* Gets everything that is wrong, one by one, each message with file:line:column in front. */
typedef void (*pipeline_fault)(void *context, const struct error *err);

/*
 * One document: of the short form, or of ASL, which is known by its StartAt. False if it has
 * faults. *out lives in the arena, as far as it came.
 */
bool pipeline_compile(struct arena *arena, const struct yaml_node *document,
                      pipeline_fault fault, void *context, struct pipeline *out);
/* From its folder. NOT_FOUND names the nearest pipeline there is. */
MUST_USE enum status pipeline_load(struct arena *arena, struct str project, struct str name,
                                   struct pipeline *out, struct error *err);
MUST_USE enum status pipeline_list(struct arena *arena, struct str project, struct str **names,
                                   size_t *count, struct error *err);
/*
 * The execution's input from the params given: checked, converted to the defaults' types,
 * completed; {"params": {…}, "code": {"sha256"}}. That of ASL is the params as they are.
 */
MUST_USE enum status pipeline_input(struct arena *arena, const struct pipeline *pipeline,
                                    struct str params, struct str code_hash, struct str *input,
                                    struct error *err);
/*
 * A pipeline's folder as it is now, copied for one execution and read-only from then on; *hash is
 * of names, contents and which files can be run. On disk when it returns, with the folder above.
 */
MUST_USE enum status pipeline_copy_code(struct arena *arena, struct str project,
                                        struct str name, struct str target, struct str *hash,
                                        struct error *err);
