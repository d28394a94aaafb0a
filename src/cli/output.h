/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What people see: tables with aligned columns on stdout, progress and
 * messages on stderr. With --json stdout holds the answer and nothing else.
 */
#include "cli/cli.h"

/* Rows of cells; a cell that is a number is put to the right. */
struct table {
    struct arena *arena;
    struct str *cells;
    size_t count, capacity;
    size_t columns;
};

/* Titles end with NULL. */
struct table *table_new(struct arena *arena, const char *const *titles);
void table_cell(struct table *table, struct str text);
void table_cellf(struct table *table, const char *format, ...) PRINTF_LIKE(2, 3);
void table_print(const struct table *table);
/*
 * Text of a JSON value as a person reads it: no quotes, shortest numbers, "-" for null. One line: what
 * others wrote into it cannot look like a line of ours.
 */
struct str json_text(struct arena *arena, yyjson_val *value);
struct str json_field_text(struct arena *arena, yyjson_val *object, const char *key);
/* The same for printf: NUL-terminated, in the command's arena. */
const char *cli_text(struct cli *cli, yyjson_val *value);
const char *cli_field(struct cli *cli, yyjson_val *object, const char *key);
double json_field_number(yyjson_val *object, const char *key);
/* 1234567 as "1,234,567"; seconds as "0.8 s", "1 m 20 s"; bytes as "3.2 MB". */
struct str text_count(struct arena *arena, int64_t count);
struct str text_seconds(struct arena *arena, double seconds);
struct str text_bytes(struct arena *arena, int64_t bytes);

void print_json(struct cli *cli, yyjson_val *value);
void print_json_mut(struct cli *cli, const yyjson_mut_val *value);
void print_json_pretty(struct cli *cli, yyjson_val *value);
void print_text(struct str text); /* as it is */
void print_log(
    struct str text); /* of a script: as it is, but a terminal gets no commands of it */
/* Lines on stdout and on stderr. Line ends and tabs stay, other control characters are shown. */
void print_line(const char *format, ...) PRINTF_LIKE(1, 2);
void print_note(const char *format, ...) PRINTF_LIKE(1, 2);

void output_flush(void);
/* Whether somebody still takes what is printed: not behind `… | head` that has seen enough. */
bool output_is_wanted(void);
/* Ends a command whose reader is gone, without a word. */
MUST_USE enum status output_is_unwanted(struct cli *cli, struct error *err);
/* Brings stdout out; the errno of the first write that failed, 0 if none did. */
int output_finish(void);
