/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the job "training-set" is told, as JSON (written by training_set.c): a
 * service worked out into slots, and where its data is. The job needs no
 * definitions beside it.
 *
 * {"project", "out", "format": "parquet"|"csv", "as_known", "time": column,
 *  "entities": {"path"} or {"sql"},
 *  "sources": […], each after those that its SQL reads,
 *  "keys": [{"name", "type"}], "request": [{"name", "type"}],
 *  "views": [{"name", "source": index, "keys": [index], "ttl_us", "features": [
 *      {"name", "type", "column"} or {"name", "type", "function", "input", "input_type",
 *       "window_us", "hop_us", "delay_us", "include_current"}]}],
 *  "expressions": [{"name", "type", "text", "slot", "inputs": [
 *      {"name", "type", "request": bool, "index"}]}],
 *  "reads_request": bool, "slots": count, "outputs": [{"name", "slot"}]}
 */
#include "features/aggregate.h"
#include "features/offline/offline.h"

struct spec_field {
    struct str name;
    enum value_type type;
};

struct spec_feature {
    struct str name;
    enum value_type type;
    bool is_column;
    struct str input; /* column of the source; empty for count: "*" */
    struct aggregate_spec aggregate;
    int64_t window_us, hop_us, delay_us;
    bool include_current;
};

struct spec_view {
    struct str name;
    size_t source;
    size_t *keys; /* indices into the spec's keys */
    size_t key_count;
    int64_t ttl_us;
    struct spec_feature *features;
    size_t feature_count;
    size_t first_slot;
};

struct spec_input {
    struct str name; /* as the expression's text has it */
    enum value_type type;
    bool is_request;
    size_t index; /* into request, or a slot */
};

struct spec_expression {
    struct str name;
    enum value_type type;
    struct str text;
    struct spec_input *inputs;
    size_t input_count;
    size_t slot;
};

struct spec_output {
    struct str name;
    size_t slot;
};

struct training_set_spec {
    struct str project;
    struct str out;
    bool is_csv;
    bool as_known;
    struct str time;
    struct str entities_path, entities_sql; /* one of them */
    struct source_spec *sources;
    size_t source_count;
    struct spec_field *keys;
    size_t key_count;
    struct spec_field *request;
    size_t request_count;
    bool reads_request; /* all of its fields, not only those that expressions read */
    struct spec_view *views;
    size_t view_count;
    struct spec_expression *expressions;
    size_t expression_count;
    size_t slot_count;
    struct spec_output *outputs;
    size_t output_count;
};

/* Strings point into the JSON, which must outlive the spec. */
MUST_USE enum status training_set_spec_parse(struct arena *arena, const yyjson_val *json,
                                             struct training_set_spec *out, struct error *err);
