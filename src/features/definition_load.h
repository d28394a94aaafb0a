/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * From files to a snapshot: reads the YAML files of features/ and the files of
 * other kinds, checks every name, type and reference, and collects all that is
 * wrong, each with its place, instead of stopping at the first.
 */
#include "base/yaml.h"
#include "features/definition.h"

/* All that is wrong, at most this many. */
#define DEFINITION_ERRORS_MAX 50

struct definition_error {
    struct place place; /* line 0: the file as a whole */
    struct str message;
};

struct definition_errors {
    struct arena *arena; /* set by the caller; messages live there */
    struct definition_error *items;
    size_t count, capacity;
    size_t left_out; /* beyond DEFINITION_ERRORS_MAX */
};

void definition_error_add(struct definition_errors *errors, struct place place,
                          const char *format, ...) PRINTF_LIKE(3, 4);
void definition_error_at(struct definition_errors *errors, const struct yaml_node *node,
                         const char *format, ...) PRINTF_LIKE(3, 4);
/* Takes over a message "file:line:column: …" as the yaml_ functions write it. */
void definition_error_take(struct definition_errors *errors, const struct error *err);
/* The first few as one message, for callers that can show only one. */
enum status definition_errors_set(const struct definition_errors *errors, struct error *err);

/*
 * What columns a source has: asked of the offline store, which alone can open the files. Fills
 * out[i] for sources[i]; one that cannot be read gets a message there and is no failure of the
 * call.
 */
struct source_question {
    const struct definitions *all; /* has every source, since SQL names others */
    const struct source *const *sources;
    size_t count;
    /* Whether nobody waits for the answer any more; may be NULL. */
    bool (*is_cancelled)(void *context);
    void *context;
};
struct source_description {
    struct source_column *columns; /* in the arena */
    size_t count;
    struct str error; /* empty: fine */
};
typedef enum status (*source_describe)(void *context, struct arena *arena,
                                       const struct source_question *question,
                                       struct source_description *out, struct error *err);

/*
 * A kind of definition that another subsystem owns. Its files are found by patterns relative to
 * the project ('*' and '?' as in file_glob). Of a .yaml file each document is one item, named by
 * the value of the key that is the kind's name (`pipeline: fraud`). A .json file is one item,
 * named by its folder.
 */
struct definition_kind {
    const char *name;            /* "pipeline" */
    const char *const *patterns; /* below the project, the last one NULL */
    /*
     * Adds what is wrong with the document. `definitions` are those of features/, already linked
     * and free of errors, so that references to services and sources can be checked; items of
     * the other kinds can be looked up in them as well (their names at least are sound).
     */
    void (*check)(const struct definitions *definitions, struct str name,
                  const struct yaml_node *document, struct definition_errors *errors);
};

struct definition_input {
    const char *project;
    const struct definition_kind *const *kinds; /* NULL-terminated; may be NULL */
    source_describe describe;
    void *describe_context;
    /* Of the source_question; both may be NULL. */
    bool (*is_cancelled)(void *context);
    void *cancel_context;
    /* Whose columns are taken where a source's files did not change since; or NULL. */
    const struct definitions *recorded;
};

/*
 * OK with *out set when nothing is wrong; INVALID with `errors` filled (and err as a summary) when
 * something is; another status when it could not be tried. A project without features/ is fine,
 * and empty.
 */
MUST_USE enum status definitions_load(const struct definition_input *input,
                                      struct definition_errors *errors,
                                      struct definitions **out, struct error *err);
