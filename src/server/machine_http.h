/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* GET /api/v1/status and /api/v1/doctor: the whole project on one screen, and what ails the machine. */
#include "cli/project.h"
#include "net/router.h"
#include "server/config.h"
#include "server/users.h"

struct machine {
    struct router *router; /* status asks the other doors */
    const struct project *project;
    const struct config *config; /* of the start */
    struct users *users;         /* of now */
    struct str url;              /* empty: no server, a command asks */
    /* For the doctor alone, who also looks at a machine without a project (its folder is NULL): */
    const char *problem; /* why the project cannot be opened; NULL: it can */
};

/* The context is a struct machine. */
extern const struct door machine_door;

/* The handler of /api/v1/doctor. */
enum status doctor_answer(struct request *req, struct response *res, struct error *err);
