/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the features of a project are: entities, sources, views, services, as
 * the YAML files of features/ define them, checked and linked. A `struct
 * definitions` is one immutable snapshot: every pointer in it leads into the
 * same snapshot and lives as long as a reference to it is held. Any thread may
 * read it.
 *
 * definition_load.h makes snapshots from files, apply.h keeps the recorded one.
 */
#include "base/arena.h"
#include "base/value.h"
#include "features/aggregate.h"
#include "features/expression.h"

struct definitions;

/* Where something is written, for messages: file is relative to the project. */
struct place {
    struct str file;
    int line, column;
};

struct field {
    struct str name;
    enum value_type type;
};

/* What people say about a definition; all optional. */
struct notes {
    struct str description;
    struct str owner;
    struct str tags; /* a JSON object, or empty */
};

struct entity {
    struct str name;
    struct field *keys; /* one, or several for a composite one */
    size_t key_count;
    struct notes notes;
    struct place place;
};

enum source_kind {
    SOURCE_FILES, /* text is a path inside the project, may hold * and ? */
    SOURCE_SQL,   /* text is a SELECT over other sources by their names */
};

struct source_column {
    struct str name;
    struct str native; /* the type in its engine's words: "DECIMAL(10,2)" */
    bool is_usable;    /* whether it has a type of ours; if not, SQL may still use it */
    enum value_type type;
};

struct source {
    struct str name;
    enum source_kind kind;
    struct str text;
    struct place text_place;
    struct str time;         /* column of the event time; empty: only for SQL and entity rows */
    struct str created;      /* column of the created time, or empty */
    struct field *overrides; /* `types:`, column by column; they win over the file's own */
    size_t override_count;
    struct source_column *columns; /* all that a row has, overrides applied */
    size_t column_count;
    const struct source **reads; /* the sources that its SQL names */
    size_t read_count;
    struct str fingerprint; /* of its text, and of its files when they were last looked at */
    struct str hash; /* changes with anything that decides its rows: itself and what it reads */
    struct notes notes;
    struct place place;
};

struct aggregation {
    enum aggregate_function function;
    struct str input;           /* a column of the source; empty for count: "*" */
    enum value_type input_type; /* TYPE_INT64 for count: "*" */
    int64_t window_us;          /* 0: everything before the query time */
    int64_t hop_us; /* how far the tail moves at once; 0 when window_us is 0 or exact */
    int64_t delay_us;
    bool exact;
    bool include_current;
};

struct feature;
struct view;

/* What an expression reads: a request field of its own view, or a stored feature of another. */
struct expression_input {
    bool is_request;
    size_t field;                  /* is_request: index into view->request_fields */
    const struct feature *feature; /* otherwise */
};

struct feature {
    struct str name;
    enum value_type type;
    const struct view *view;
    size_t index;      /* in view->features */
    struct str column; /* of a VIEW_COLUMNS view: the source's column, equal to the name */
    struct aggregation aggregation;      /* of a VIEW_AGGREGATE view */
    const struct expression *expression; /* of a VIEW_REQUEST view */
    struct expression_input *inputs;     /* in the order of expression_inputs() */
    size_t input_count;
    struct str description;
    struct place place;
};

enum view_kind {
    VIEW_COLUMNS,   /* the newest row of the source, within ttl */
    VIEW_AGGREGATE, /* windows over the source */
    VIEW_REQUEST,   /* computed per request; no entity, no source */
};

struct view {
    struct str name;
    enum view_kind kind;
    const struct entity *entity; /* NULL for VIEW_REQUEST */
    const struct source *source; /* NULL for VIEW_REQUEST */
    int64_t ttl_us;              /* 0: no limit */
    struct feature *features;
    size_t feature_count;
    struct field *request_fields; /* of VIEW_REQUEST */
    size_t request_field_count;
    struct str
        hash; /* changes with anything that decides what is stored: itself, entity, source */
    struct notes notes;
    struct place place;
};

/*
 * The plan of a service: what a reader of its features has to do, worked out once. Values are
 * computed in slots: first the stored features of all views, view by view, then the expressions
 * in their order. An output is one slot. A slot that no output shows is only read by expressions.
 */
struct plan_view {
    const struct view *view; /* VIEW_COLUMNS or VIEW_AGGREGATE */
    size_t *keys;            /* view->entity->keys[i] is plan->keys[keys[i]] */
    const struct feature **features;
    size_t feature_count;
    size_t first_slot; /* of features[0]; the others follow */
};

struct plan_input {
    bool is_request;
    size_t index; /* into plan->request_fields, or a slot */
};

struct plan_expression {
    const struct feature *feature;
    struct plan_input *inputs; /* feature->input_count of them */
    size_t slot;
};

struct plan_output {
    struct str name;      /* "amount_avg_7d" */
    struct str full_name; /* "customer_activity__amount_avg_7d" */
    enum value_type type;
    const struct feature *feature;
    size_t slot;
};

struct plan {
    struct field *keys; /* the union of the views' entity keys, in the order first met */
    size_t key_count;
    struct field
        *request_fields; /* the union of the request views' fields, and the service's time */
    size_t request_field_count;
    bool has_time;
    size_t time_field; /* if has_time: which request field is "now" */
    struct plan_view *views;
    size_t view_count;
    struct plan_expression *expressions;
    size_t expression_count;
    struct plan_output *outputs; /* in the order of the service's `features` */
    size_t output_count;
    size_t slot_count;
    /*
     * The first output whose short name another has as well, in whatever case of letters, or NULL;
     * full names tell them apart.
     */
    const struct plan_output *clash;
};

struct service {
    struct str name;
    struct str time; /* the request field that is "now"; empty: the wall clock */
    struct plan plan;
    struct str hash; /* changes with anything that decides its outputs */
    struct notes notes;
    struct place place;
};

/* An item of another subsystem (pipeline, endpoint), or one of ours, as it was written. */
struct definition_item {
    struct str kind; /* "entity", "source", "view", "service", "pipeline", "endpoint" */
    struct str name;
    struct place place;
    struct str json; /* the document, canonical: equal text means an equal definition */
};

const struct definitions *definitions_ref(const struct definitions *definitions);
/* Sets *definitions to NULL; a NULL one is fine. */
void definitions_unref(const struct definitions **definitions);

/* The folder of the project, absolute. */
struct str definitions_project(const struct definitions *definitions);
/* Grows by one with every apply that changed something; 0 when nothing was ever applied. */
int64_t definitions_revision(const struct definitions *definitions);

/* In the order of files and documents. */
const struct entity *definitions_entities(const struct definitions *definitions, size_t *count);
const struct source *definitions_sources(const struct definitions *definitions, size_t *count);
const struct view *definitions_views(const struct definitions *definitions, size_t *count);
const struct service *definitions_services(const struct definitions *definitions,
                                           size_t *count);
const struct definition_item *definitions_items(const struct definitions *definitions,
                                                size_t *count);

const struct entity *definitions_entity_find(const struct definitions *definitions,
                                             struct str name);
const struct source *definitions_source_find(const struct definitions *definitions,
                                             struct str name);
const struct view *definitions_view_find(const struct definitions *definitions,
                                         struct str name);
const struct service *definitions_service_find(const struct definitions *definitions,
                                               struct str name);
const struct definition_item *definitions_item_find(const struct definitions *definitions,
                                                    struct str kind, struct str name);
/* NOT_FOUND: "there is no service 'fraud_v2'; did you mean 'fraud_v1'?" */
MUST_USE enum status definitions_item_get(const struct definitions *definitions,
                                          struct str kind, struct str name,
                                          const struct definition_item **out,
                                          struct error *err);
MUST_USE enum status definitions_service_get(const struct definitions *definitions,
                                             struct str name, const struct service **out,
                                             struct error *err);
MUST_USE enum status definitions_view_get(const struct definitions *definitions,
                                          struct str name, const struct view **out,
                                          struct error *err);
const struct feature *view_feature_find(const struct view *view, struct str name);
const struct source_column *source_column_find(const struct source *source, struct str name);

/* How far the tail of a window moves at once: 1 d from 12 d on, 1 h from 12 h on, else 5 min. */
int64_t window_hop_us(int64_t window_us);
