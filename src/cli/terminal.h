/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a terminal makes of text: how wide it shows, and which characters it
 * would obey instead of showing them. Names, reasons and messages are written
 * by others; shown here they must not move the cursor or begin a line.
 */
#include "base/arena.h"

/* Columns that a terminal uses for it: wide and combining characters count as they show. */
size_t text_width(struct str text);
/* The beginning of it that takes no more than so many columns. */
struct str text_cut(struct str text, size_t columns);

/*
 * With \n, \t, \x1b, \u202e in the place of control characters, of those that turn the direction of
 * writing, and of bytes that are no UTF-8. A text without any is returned as it is.
 */
struct str text_on_line(struct arena *arena, struct str text);
/* The same, but line ends and tabs stay. */
struct str text_of_lines(struct arena *arena, struct str text);

/* Whether the file is a terminal that can take a line back. */
bool terminal_moves(int fd);
/* At least 20; 80 where it does not say. */
size_t terminal_columns(int fd);
