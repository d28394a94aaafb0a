/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Requests out of a connection's bytes: head, then body, then off to the handler. */
#include "net/connection.h"

/*
 * Answers as many requests as the bytes hold, one after the other; stops at one whose reply takes time. Returns
 * how many bytes are done with; the rest must come again with what follows.
 */
size_t incoming_consume(struct connection *connection, struct str bytes);
