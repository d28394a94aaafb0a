/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What of a server may change while it serves: made beforehand, handed to each loop, the old one freed. */
#include "net/loop.h"

/*
 * Without the access log, which may fail to open. Raises the soft limit of open files; where the system
 * allows fewer than the connections need, there are fewer connections.
 */
struct settings *settings_new(const struct server_config *config);
/* With the access log, if it has one. */
void settings_free(struct settings **settings);
MUST_USE enum status settings_open_log(struct settings *settings, struct error *err);
