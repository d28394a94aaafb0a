/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Replies onto a connection. */
#include "net/connection.h"

/*
 * The request cannot be taken, or not any longer: answers and closes. A worker that has the
 * turn keeps it and finds out that nobody waits.
 */
void outgoing_refuse(struct connection *connection, int code, const char *why);
/* "100 Continue". */
void outgoing_continue(struct connection *connection);
