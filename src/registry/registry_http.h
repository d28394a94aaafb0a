/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The registry's doors under /api/v1; the context is a struct registry. */
#include "net/http.h"

extern const struct door registry_door;
