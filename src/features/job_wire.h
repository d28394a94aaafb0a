/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a job and its parent agree on. The parent gives on stdin
 * {"parent": pid, "memory_bytes", "threads", "spec": {…}}; the job answers on
 * its own pipe, a line each: {"phase", "done", "total"}, and in the end
 * {"result": …} or {"error": {"status", "message"}}. Whatever it or a library
 * prints on stderr is kept for the message in case of a crash.
 */
#include "features/job.h"

#define JOB_REPORT_FD 3

/* Fills what is 0. */
void job_limits_default(struct job_limits *limits);
