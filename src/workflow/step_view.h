/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A history as people look at it: steps, one after the other, and how each of them fares. */
#include "workflow/workflow.h"

struct step_view {
    struct str name;
    const char *status;        /* "RUNNING", "SUCCEEDED", "FAILED", "RETRYING" */
    unsigned attempt;          /* from 1 */
    int64_t start_us, stop_us; /* stop_us 0: it runs */
    int64_t rows;              /* that its result tells of; -1: it does not */
    struct str message;        /* of a failure */
};

struct step_views {
    struct arena *arena;
    struct step_view *items;
    size_t count, capacity;
};

/* Takes in the next event. The step that it changed, or NULL. */
struct step_view *step_views_add(struct step_views *views, const struct workflow_event *event);
yyjson_mut_val *step_view_json(yyjson_mut_doc *doc, const struct step_view *view,
                               const char *key, int64_t now_us);
void json_add_time(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                   int64_t time_us);
void json_add_seconds(yyjson_mut_doc *doc, yyjson_mut_val *object, int64_t from_us,
                      int64_t to_us);
