/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Replies that grow while they are sent: a worker writes, the loop sends, and
 * the worker waits while too much of it is under way.
 */
#include "net/loop.h"

extern const struct stream_sink turn_sink;

/* On the loop: sends what is pending; ends the turn when all has left and the worker is done. */
void stream_pump(struct connection *connection);
/* What was under way has left. */
void stream_sent(struct turn *turn);
/* On the worker, after the handler: the last chunk. */
void stream_finish(struct turn *turn);
/* Wakes a worker that waits for room. */
void stream_wake(struct turn *turn);
void stream_init(struct stream *stream);
void stream_reset(struct stream *stream); /* for the next turn */
void stream_fini(struct stream *stream);
