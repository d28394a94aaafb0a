/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* OpenAPI 3.1 from the route tables: what is served is what is described. */
#include "net/route_table.h"

struct str openapi_write(struct arena *arena, const struct mounted *first);
