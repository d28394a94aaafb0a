/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A look at an ONNX file before anything executes it: a model is a stranger's
 * program. Reads the protobuf itself (onnx/onnx.proto of the ONNX project) and
 * refuses what could reach beyond the file or is malformed.
 */
#include "base/arena.h"
#include "base/status.h"

#define MODEL_FILE_MAX ((size_t)2 << 30) /* protobuf's own limit */

struct model_file {
    int64_t ir_version;
    int64_t opset;    /* of the default domain; 0 if absent */
    int64_t opset_ml; /* of ai.onnx.ml; 0 if absent */
    size_t nodes;     /* in all graphs */
    struct str producer;
    /* From the metadata: a JSON list of the input features in order, or empty. */
    struct str features;
};

/*
 * INVALID with a sentence for: not ONNX, cut off, external data, nested too deep, operators of an
 * unknown domain. Strings are views into bytes.
 */
MUST_USE enum status model_file_check(struct str bytes, struct model_file *out,
                                      struct error *err);
