/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Window state: the row that the online store keeps of one entity in a view of
 * windowed aggregates, and what is read from it. docs/online-store.md draws it.
 *
 * A window is asked for at times at or after the entity's newest event, so
 * without a delay its head lies behind all events: only the tail moves. The
 * row therefore keeps suffixes: for each tile, as wide as the hop, the partial
 * aggregate of everything from the tile's start up to the newest event. A
 * window of any length is one search for its tail and one merge, whatever the
 * aggregate, min as quickly as sum. Events at the newest instant itself stand
 * apart, because a query at that very instant excludes them.
 *
 * With a delay the head moves through the past. Then each tile, and each
 * instant that a head can still reach, keeps its own partial, and a window
 * merges those between its tail and its head.
 *
 * Features share tiles where hop and delay are equal, and share partials where
 * the input is equal too. Every partial can be merged, so that an event can be
 * added later: to all suffixes that begin before it.
 */
#include "base/buffer.h"
#include "features/aggregate.h"
#include "features/column.h"
#include "features/definition.h"

/* What a row consists of; immutable, any thread may use it. */
struct window_layout;

/* One aggregation for each feature of a view, in its order. Everything lives in the arena. */
struct window_layout *window_layout_new(struct arena *arena, const struct aggregation *features,
                                        size_t count);
/* Equal text, equal rows: stored with a generation to be compared by its readers. */
struct str window_layout_text(const struct window_layout *layout);

struct window_input {
    struct str name; /* column of the source */
    enum value_type type;
};
/* The columns that building needs. */
const struct window_input *window_layout_inputs(const struct window_layout *layout,
                                                size_t *count);

/* --- building ------------------------------------------------------------- */

/* Columns of a source, in memory. */
struct window_events {
    const struct column *inputs; /* as window_layout_inputs tells */
    const int64_t *times_us;
    const int64_t *created_us; /* or CREATED_NULL */
};

/*
 * Appends the row of one entity: `count` ≥ 1 rows of the events, by ascending time; among equal
 * times any order. What row r of the events is in the order of the source is r itself.
 */
void window_state_build(const struct window_layout *layout, struct arena *scratch,
                        const struct window_events *events, const uint32_t *rows, size_t count,
                        struct buffer *out);

/* --- reading -------------------------------------------------------------- */

struct window_span; /* which entries a window covers */

struct window_read {
    const struct window_layout *layout;
    struct arena *arena;
    struct str row;
    int64_t newest_us; /* the entity's newest event; a query must not be earlier */
    int64_t query_us;
    struct window_span *spans; /* by range, found when first wanted */
};

/* INTERNAL if the row is not one of this layout. The row must stay as long as the values are used. */
MUST_USE enum status window_state_open(const struct window_layout *layout, struct arena *arena,
                                       struct str row, int64_t query_us,
                                       struct window_read *out, struct error *err);
/* The value of a feature, by its index in the layout. Text points into the row. */
MUST_USE enum status window_state_get(struct window_read *read, size_t feature,
                                      struct value *out, struct error *err);
/* Its value for an entity of which nothing is known: 0 for a count, else null. */
struct value window_state_nothing(const struct window_layout *layout, size_t feature);
