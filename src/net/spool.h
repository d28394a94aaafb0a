/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Bodies too large for memory: written to a temporary file while they arrive, beside the loop. */
#include "net/loop.h"

MUST_USE enum status spool_new(struct connection *connection, struct spool **out,
                               struct error *err);
/* Copies the bytes. Stops the connection's reading while the disk is behind. */
void spool_write(struct spool *spool, struct str bytes);
/* Whether all has been written. */
bool spool_is_idle(const struct spool *spool);
const char *spool_path(const struct spool *spool);
/* Removes the file, beside the loop; a write under way ends first. */
void spool_free(struct spool **spool);
/* Removes what processes that are gone have left in the folder. */
void spool_sweep(const char *folder);
