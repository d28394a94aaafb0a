/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* /api/v1/pipelines and /api/v1/executions; the context is the struct workflow. */
#include "net/http.h"
#include "workflow/workflow.h"

extern const struct door workflow_door;

/* In workflow_follow.c: streams of what goes on. */
enum status on_follow_events(struct request *req, struct response *res, struct error *err);
enum status on_step_log(struct request *req, struct response *res, struct error *err);
/* One execution as a JSON object. */
yyjson_mut_val *execution_json(yyjson_mut_doc *doc, const struct execution_info *info);
