/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Who has the port that we want: a message that says "in use" and no more sends people searching. */
#include "base/arena.h"
#include "base/status.h"

/* Always CONFLICT; names the process where the system lets us see it, and says what to do. */
enum status port_in_use(struct arena *arena, struct str address, uint16_t port,
                        struct error *err);
