/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * From an approved version to answers: takes the model file out of the
 * registry, loads it, and puts it behind an endpoint. The deployment is on
 * disk before the endpoint changes, so a restart serves what was last said.
 */
#include "net/http.h"
#include "proxy/proxy.h"
#include "registry/registry.h"
#include "serving/serving.h"

struct deployer;

/* Borrows all three. */
struct deployer *deployer_new(struct registry *registry, struct serving *serving,
                              struct proxy *proxy);
void deployer_free(struct deployer **deployer);

struct deployed {
    struct str endpoint;
    struct str model;
    int64_t version;
    double seconds;
    struct model_speed speed;
};

struct deploy_order {
    struct str endpoint;
    struct str model; /* empty: the endpoint's own; not of a rollback */
    int64_t version;  /* not of a rollback */
    struct str by;
    /* Optional: what is done now, "try", "load", "warm up", "switch". */
    void (*on_phase)(void *context, const char *phase);
    /* Optional: true once nobody waits for it. Then it fails, and nothing is recorded or changed. */
    bool (*is_cancelled)(void *context);
    void *context;
};

/*
 * Blocks for as long as loading and warming up take. CONFLICT unless the version is approved.
 * Strings of *out live in the arena.
 */
MUST_USE enum status deploy_version(struct deployer *deployer, struct arena *arena,
                                    const struct deploy_order *order, struct deployed *out,
                                    struct error *err);
/* One deployment back; `rollback` says from where, over what, and where the next would lead. */
MUST_USE enum status deploy_rollback(struct deployer *deployer, struct arena *arena,
                                     const struct deploy_order *order,
                                     struct rollback *rollback, struct deployed *out,
                                     struct error *err);
/*
 * After a decision is on disk: endpoints whose deployed version is no longer approved stop serving
 * it at once, and those whose version is approved again serve it again.
 */
void deploy_on_decision(struct deployer *deployer, struct str model, int64_t version,
                        enum version_status decided);
/* After definitions have changed: an endpoint that is there again serves again what was deployed to it. */
void deploy_missing(struct deployer *deployer);
/*
 * Before definitions are recorded: an endpoint that would no longer fit the model it serves is an
 * error, at the endpoint's place; one that was so before, or wants another model now, a warning.
 */
void deploy_review(struct deployer *deployer, const struct definitions *before,
                   const struct definitions *next, struct definition_errors *errors,
                   struct definition_errors *warnings);
/*
 * At start: loads what the registry says is deployed. An endpoint that cannot get its model
 * answers with its fallback; the log tells. Returns how many serve.
 */
size_t deploy_all(struct deployer *deployer);

/* Whether all that is deployed to endpoints there are is served. Cheap; any thread. */
bool deploy_is_complete(struct deployer *deployer, struct error *why);

/* POST /api/v1/endpoints/{endpoint}/deploy and /rollback, GET …/deployments; the context is the deployer. */
extern const struct door deployer_door;
