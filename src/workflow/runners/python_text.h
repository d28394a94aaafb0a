/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* JSON values as Python writes them, byte for byte: that is what scripts get from SageMaker. */
#include "base/json.h"

/* str(value): None, True, ['a', 1.5], 1e-05. A text is itself. */
struct str python_str(struct arena *arena, const yyjson_val *value);
/* json.dumps(value, sort_keys=True, separators=(",", ":")): ASCII only. */
struct str python_json(struct arena *arena, const yyjson_val *value);
/* The values of an object in the order of their keys, as sorted() has it; *count of them. */
yyjson_val **python_sorted_keys(struct arena *arena, const yyjson_val *object, size_t *count);
