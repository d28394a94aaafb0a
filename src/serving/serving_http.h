/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The Open Inference Protocol under /v2; the context is a struct serving. */
#include "net/http.h"

extern const struct door serving_door;
