/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Changing the list of users in the text of onggi.yaml, and nothing else in it. */
#include "base/arena.h"
#include "base/status.h"

/* `line` is the new item without its dash: "{name: anna, …}". */
MUST_USE enum status users_text_add(struct arena *arena, struct str text, struct str line,
                                    struct str *out, struct error *err);
/* index counts items of the list. */
MUST_USE enum status users_text_remove(struct arena *arena, struct str text, size_t index,
                                       struct str *out, struct error *err);
