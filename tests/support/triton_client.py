# SPDX-License-Identifier: Apache-2.0
"""What the real tritonclient makes of our door, as one line of JSON. Runs in build/venv/triton."""
import json
import sys

import numpy
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

client = InferenceServerClient(sys.argv[1])


def matrix(name="x", binary=False):
    rows = numpy.array([[1, 2], [3, 4]], numpy.float32)
    tensor = InferInput(name, rows.shape, "FP32")
    tensor.set_data_from_numpy(rows, binary_data=binary)
    return [tensor]


def failure(*arguments):
    try:
        client.infer(*arguments)
    except InferenceServerException as error:
        return error
    return None


named = client.infer("m", matrix(), outputs=[InferRequestedOutput("score", binary_data=False)], request_id="a-1")
unknown = failure("n", matrix())
print(json.dumps({
    "live": client.is_server_live(), "ready": client.is_server_ready(), "model": client.is_model_ready("m"),
    "other": client.is_model_ready("n"), "platform": client.get_model_metadata("m")["platform"],
    "shape": named.get_output("score")["shape"], "named": named.as_numpy("score").flatten().tolist(),
    # Without outputs the client asks for binary ones; it reads the JSON that it gets.
    "all": client.infer("m", matrix()).as_numpy("score").flatten().tolist(), "id": named.get_response()["id"],
    "unknown": [unknown.status(), unknown.message()[:25]], "misnamed": failure("m", matrix("y")).status(),
    "binary": failure("m", matrix(binary=True)).status()}))
