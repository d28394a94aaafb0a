/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How a view lies in the online store: what materialisation writes and plans read. */
#include "features/definition.h"
#include "features/feature_store.h"
#include "features/online/online.h"
#include "features/window_state.h"

struct stored_view {
    const struct view *view;
    struct window_layout
        *windows; /* NULL: the row carries the view's columns, in their order */
    /*
     * What a generation must say so that this can read it: how its rows lie, and by which definition
     * they were made. Equal layouts, equal rows, as long as the files stay.
     */
    struct str layout;
};

/* The view must outlive it; what it needs besides lives in the arena. */
void stored_view_init(struct stored_view *stored, struct arena *arena, const struct view *view);

/* Some features of one view, of one entity at a time. */
struct stored_read {
    const struct stored_view *stored;
    const struct feature *const *features;
    size_t count;
};
/*
 * From the row of one entity (data NULL: it has none) as of query_us. One value, status and time
 * for each feature; text points into the row.
 */
MUST_USE enum status stored_view_read(const struct stored_read *read, struct arena *arena,
                                      struct str row, int64_t query_us, struct value *values,
                                      enum feature_status *statuses, int64_t *event_times_us,
                                      struct error *err);
