/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One JSON line a request. The loops only append to memory; a thread writes
 * it out a few times a second. When the disk does not keep up, lines are
 * dropped and their number is logged: requests do not wait for their log.
 */
#include "net/loop.h"

/* A path, or "-" for stdout. */
MUST_USE enum status access_log_open(const char *path, struct access_log **out,
                                     struct error *err);
/* Writes what is there. */
void access_log_close(struct access_log **log);
/* The file is opened anew, for those who rotate it. */
void access_log_reopen(struct access_log *log);
void access_log_write(struct access_log *log, const struct turn *turn, int code,
                      uint64_t took_ns);
