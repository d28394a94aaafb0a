/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * How a snapshot comes about: every document becomes a draft, drafts are read
 * into entities, sources, views and services, then linked in that order. What
 * depends on a broken one is left unchecked, so that one mistake gives one
 * message.
 */
#include "features/definition_load.h"

#include <stdatomic.h>

/*
 * Of one view, and of one service. Rows of the online store count them in 16 bits, and some of what
 * is done with them grows with the square.
 */
#define FEATURES_MAX 10000
/* Of all kinds in a project; they are looked up one by one. */
#define DEFINITIONS_MAX 10000

struct definitions {
    atomic_int references;
    struct arena *arena;
    struct str project;
    int64_t revision;
    struct entity *entities;
    size_t entity_count;
    struct source *sources;
    size_t source_count;
    struct view *views;
    size_t view_count;
    struct service *services;
    size_t service_count;
    struct definition_item *items;
    size_t item_count;
};

struct draft {
    struct definition_item item;
    const struct yaml_node *node;
    bool is_broken;
    void *object; /* the struct entity, source, view or service; NULL for other kinds */
};

struct build {
    struct arena *arena; /* the snapshot's */
    struct definitions *definitions;
    struct definition_errors *errors;
    struct draft *drafts;
    size_t draft_count, draft_capacity;
    struct source **source_order; /* each behind those that it reads; by build_link_sources */
    size_t source_order_count;
};

/* Empty, with one reference and its own arena. */
struct definitions *definitions_new(struct str project);

/* The reports of a build: into its errors, and the draft is broken. draft may be NULL. */
void build_error(struct build *build, struct draft *draft, const struct yaml_node *node,
                 const char *format, ...) PRINTF_LIKE(4, 5);
/* The same for a yaml_ call's failure: build_note(build, draft, yaml_want_…(…, &err), &err). */
void build_note(struct build *build, struct draft *draft, enum status status,
                const struct error *err);

/* A new draft, unless its name is bad or taken. */
void build_add(struct build *build, struct str kind, struct str name,
               const struct yaml_node *document);
/* NULL if there is none. */
struct draft *build_find(const struct build *build, const char *kind, struct str name);
/*
 * What a key of a document names. NULL after a message when there is no such thing, and without
 * one when it is broken itself.
 */
const void *build_reference(struct build *build, struct draft *draft,
                            const struct yaml_node *node, const char *kind);

/* definition_parse.c: all documents of ours into structs; nothing is linked yet. */
void build_parse(struct build *build);
/*
 * definition_sql.c: the words of an SQL that stand where a table can, without quotes. They point
 * into the SQL.
 */
struct str *definition_sql_tables(struct arena *arena, struct str sql, size_t *count);
/* definition_source.c: which sources an SQL names, in which order; circles are errors. */
void build_link_sources(struct build *build);
/* The columns are known now: are time, created and the overrides among them? Sets the hashes. */
void build_check_sources(struct build *build);
/* NULL after a message: no such column, or one of a type that features cannot have. */
const struct source_column *build_need_column(struct build *build, struct draft *draft,
                                              const struct source *source,
                                              const struct yaml_node *node);
/* definition_view.c: entities, sources, columns, types, expressions. */
void build_link_views(struct build *build);
/* definition_plan.c: services and their plans. */
void build_link_services(struct build *build);

/* Hex, short enough to read: the start of a SHA-256. */
struct str definition_hash(struct arena *arena, struct str text);
/* False after a message. */
bool build_check_name(struct build *build, struct draft *draft, const struct yaml_node *node);

/* definition_files.c: every document of the project's files as a draft. */
MUST_USE enum status build_read_files(struct build *build,
                                      const struct definition_kind *const *kinds,
                                      struct error *err);
/* Are there files where the sources say? */
void build_check_files(struct build *build);
/* What the files of a source are right now; what it reads must have its fingerprint already. */
struct str source_fingerprint(struct arena *arena, const struct definitions *definitions,
                              const struct source *source);

/* What is kept of a snapshot in the metadata, and enough to make it again without any file. */
struct recorded_columns {
    struct str source;
    struct str fingerprint;
    struct str json; /* as definition_columns_json() writes them */
};
struct definition_record {
    int64_t revision;
    struct definition_item *items;
    size_t item_count;
    struct recorded_columns *columns;
    size_t column_count;
};
struct str definition_columns_json(struct arena *arena, const struct source *source);
/* The project is an absolute path. */
MUST_USE enum status definitions_restore(struct str project,
                                         const struct definition_record *record,
                                         struct definitions **out, struct error *err);
