/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Tensors as JSON: the bodies of the Open Inference Protocol's infer call
 * (kserve/open-inference-protocol, specification/protocol/inference_rest.md).
 */
#include "base/buffer.h"
#include "serving/serving.h"

struct infer_request {
    struct str id; /* empty if there was none */
    struct tensor *inputs;
    size_t input_count;
    size_t *outputs; /* indices of those wanted, in the order of asking */
    size_t output_count;
};

/*
 * What may be asked for is what the model gives: outputs. INVALID and LIMIT name the tensor.
 * Strings are views into what the arena holds.
 */
MUST_USE enum status infer_request_parse(struct arena *arena, struct str body,
                                         const struct tensor_spec *outputs, size_t output_count,
                                         struct infer_request *out, struct error *err);
/* outputs are the model's, all of them. INVALID for a string that is no UTF-8. */
MUST_USE enum status infer_reply_write(struct buffer *out, const struct model *model,
                                       const struct infer_request *request,
                                       const struct tensor *outputs, struct error *err);
