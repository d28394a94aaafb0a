/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A history as people look at it: steps, one after the other, and how each of them fares. */
#include "workflow/workflow.h"

struct step_view;
/* A step that an event has changed; its texts live in the views' arena. */
typedef void (*step_changed)(void *context, const struct step_view *view);

struct step_view {
    struct str name;
    const char *status;        /* "RUNNING", "SUCCEEDED", "FAILED", "RETRYING" */
    unsigned attempt;          /* from 1 */
    int64_t start_us, stop_us; /* stop_us 0: it runs */
    int64_t rows;              /* that its result tells of; -1: it does not */
    struct str message;        /* of a failure */
};

struct step_views {
    struct arena *arena; /* what is shown, nothing of the events themselves */
    struct step_view *items;
    size_t count, capacity;
    int64_t last_event;
    step_changed changed; /* may be NULL */
    void *changed_context;
};

/* Takes in the events behind last_event, at most so many; *count tells how many there were. */
MUST_USE enum status step_views_read(struct step_views *views, struct workflow *workflow,
                                     struct str id, size_t limit, size_t *count,
                                     struct error *err);
/* Forgets all steps but the last, which alone can still change. */
void step_views_forget(struct step_views *views);
yyjson_mut_val *step_view_json(yyjson_mut_doc *doc, const struct step_view *view,
                               const char *key, int64_t now_us);
void json_add_time(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                   int64_t time_us);
void json_add_seconds(yyjson_mut_doc *doc, yyjson_mut_val *object, int64_t from_us,
                      int64_t to_us);
