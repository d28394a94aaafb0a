/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The log of what went wrong or changed, one line each on stderr, with time
 * and level; JSON lines when the server is told so. Any thread may log; a line
 * is one write. Text from strangers is escaped, so that it cannot forge lines.
 */
#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level level);   /* LOG_INFO at start */
void log_force_level(enum log_level level); /* from then on log_set_level does nothing */
/* "debug", "info", "warn", "error". */
bool log_level_parse(struct str name, enum log_level *out);
void log_set_json(bool json);
/* log_warn("proxy: replica %s is away; trying %s", …): the folder first, then what follows. */
void log_write(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
