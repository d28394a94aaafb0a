/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What we look at in a CSV file ourselves. DuckDB guesses how a file is written, and a broken line makes
 * it guess something else instead of failing: rows vanish. So it is told, and asked for types only.
 */
#include "base/status.h"
#include "base/str.h"

/* ',', ';', '|' or a tab: what the first line has most of. ',' where it has none. */
char csv_delimiter_of(struct str line);
/* Of the file's first line; ',' where it cannot be read. */
char csv_delimiter(const char *path);

struct csv_look {
    char delimiter;
    bool has_rows; /* something stands behind the first line */
};
/* A file that cannot be read looks as if it had rows: reading it says why it cannot. */
struct csv_look csv_look(const char *path);
/*
 * Why the file cannot be read by lines of as many values as the first one has: "line 3 has 5 values,
 * the first line 3". False if nothing is found.
 */
bool csv_find_mistake(const char *path, char delimiter, char *text, size_t size);
