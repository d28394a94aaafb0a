/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Replies that are files: sent by the kernel where it can, piece by piece where TLS stands between. */
#include "net/loop.h"

/*
 * Any thread, after the handler: opens the file, so that a failure can still be an answer. A small one is
 * read at once and leaves in one write with its head.
 */
void file_reply_open(struct turn *turn);
void file_reply_begin(struct connection *connection); /* head first */
void file_reply_next(struct connection *connection);  /* what was sent has left */
/*
 * What the turn's reply wants removed now that it has left; NULL: nothing. The turn is freed first: a file
 * that is open nowhere goes away beside the loop.
 */
struct removal *file_reply_removal(const struct turn *turn);
void file_reply_remove(struct loop *loop, struct removal *removal);
void file_reply_free(struct file_reply **file);
