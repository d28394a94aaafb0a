/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The proxy turns "what does the model say about this customer?" into one
 * call: it looks up features, computes the request's own, runs the model and
 * applies the rules. When the model cannot answer in time the endpoint's
 * fallback does.
 *
 * Endpoints come from the recorded definitions, models from deployments. Both
 * change while requests are answered; a request goes by what it found when it
 * began, so none is lost.
 */
#include "features/apply.h"
#include "features/feature_store.h"
#include "net/http.h"
#include "proxy/endpoint.h"
#include "serving/serving.h"

struct proxy;

/* The store must outlive the proxy. Any thread may call what follows. */
struct proxy *proxy_new(struct feature_store *store);
void proxy_free(struct proxy **proxy);

/*
 * Takes over the endpoints of these definitions. Models stay deployed. An endpoint that no
 * longer fits its model answers as before, its `update` says why, and so does the log; the next
 * deployment takes it over. The others get what is theirs. One that wants another model has none.
 */
void proxy_sync(struct proxy *proxy, const struct definitions *definitions);
/* Whether the endpoint, as these definitions have it, could serve the model. */
MUST_USE enum status proxy_check(const struct definitions *definitions, struct str endpoint,
                                 struct model *model, struct error *err);
/* Called when the model fits and nothing has changed yet; a failure leaves all as it was. */
typedef enum status (*proxy_before_deploy)(void *context, struct error *err);
/*
 * From the next request on the endpoint answers with this model. NOT_FOUND for an unknown
 * endpoint; INVALID if the two do not fit: then it answers as before. `before` may be NULL.
 */
MUST_USE enum status proxy_deploy(struct proxy *proxy, struct str endpoint, struct model *model,
                                  proxy_before_deploy before, void *context, struct error *err);

/* A reference, to be given back. NOT_FOUND names the nearest. */
MUST_USE enum status proxy_acquire(struct proxy *proxy, struct str name, struct endpoint **out,
                                   struct error *err);
void proxy_release(struct proxy *proxy, struct endpoint *endpoint);
/* References to all, sorted by name; each to be given back. */
size_t proxy_list(struct proxy *proxy, struct arena *arena, struct endpoint ***out);

/* GET /api/v1/endpoints[/{name}], POST …/predict; the context is a struct proxy. */
extern const struct door proxy_door;
