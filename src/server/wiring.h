/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The parts of a project, opened and put behind one router. The server and a
 * command without a server use the same wiring, so they answer alike.
 */
#include "cli/project.h"
#include "net/router.h"
#include "server/config.h"

struct users;
struct wiring;

struct wiring_config {
    const struct project *project;
    const struct config *config;
    struct str url;   /* of the server; empty in a command */
    unsigned threads; /* that may run models at the same time */
};

/* The config must outlive the wiring. */
MUST_USE enum status wiring_open(const struct wiring_config *config, struct wiring **out,
                                 struct error *err);
/* Sets *wiring to NULL; a NULL one is fine. */
void wiring_close(struct wiring **wiring);

struct router *wiring_router(struct wiring *wiring);
struct users *wiring_users(struct wiring *wiring);
/* Loads the models that are deployed; an endpoint that cannot get its own answers with its fallback. */
void wiring_load_models(struct wiring *wiring);
/* Whether all models that are deployed are served. Any thread. */
bool wiring_serves_all(struct wiring *wiring, struct error *why);
/* What the Open Inference door says of the server; set before the first request. */
void wiring_set_readiness(struct wiring *wiring,
                          bool (*callback)(void *context, struct error *why), void *context);
/* Goes on with what a crash or a stop interrupted. CONFLICT while another process does. */
MUST_USE enum status wiring_resume(struct wiring *wiring, struct error *err);
