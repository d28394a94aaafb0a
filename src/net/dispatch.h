/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The two halves of answering, for those who have an exchange: the server and router_call. */
#include "net/exchange.h"
#include "net/router.h"

/*
 * The head has arrived: finds the route, fills route, context, parameters and identity of the
 * request. False when the answer is known already, an error; it is in the response then.
 */
MUST_USE bool router_prepare(const struct router *router, struct exchange *exchange,
                             struct str method, struct str target);
/* Runs the route's handler, or the one given. What it reports as an error becomes the answer. */
void router_run(struct exchange *exchange, route_handler handler);
/* An error in the words of the door, or ours where there is none. */
void router_answer_error(struct exchange *exchange, int code, const struct error *err);
