# SPDX-License-Identifier: Apache-2.0
"""Writes a logistic regression as ONNX, byte by byte (onnx/onnx.proto): tests need a model, not a library."""
import json
import struct


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def integer(field, number):
    return varint(field << 3) + varint(number)


def message(field, *parts):
    body = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    return varint(field << 3 | 2) + varint(len(body)) + body


def tensor(name, dims, floats):
    return (b"".join(integer(1, dim) for dim in dims) + integer(2, 1) + message(8, name) +
            message(9, struct.pack(f"<{len(floats)}f", *floats)))


def value_info(field, name, columns, element=1):
    dims = message(1, message(2, "N")) + message(1, integer(1, columns))
    return message(field, message(1, name), message(2, message(1, integer(1, element), message(2, dims))))


def node(operator, inputs, output, *attributes):
    return message(1, *(message(1, name) for name in inputs), message(2, output), message(4, operator), *attributes)


def logistic(path, features, weights, bias, external=False, whole=False):
    """probability = 1 / (1 + exp(-(features . weights + bias))), one input named `features`: float32, or int64."""
    weight = tensor("weight", [len(weights), 1], weights)
    if external:
        weight += message(13, message(1, "location"), message(2, "weights.bin")) + integer(14, 1)
    to_float32 = message(5, message(1, "to"), integer(3, 1), integer(20, 2))
    graph = (node("Cast", ["features"], "numbers", to_float32) + node("MatMul", ["numbers", "weight"], "product") + node("Add", ["product", "bias"], "logit") +
             node("Sigmoid", ["logit"], "probability") + message(2, "logistic") + message(5, weight) +
             message(5, tensor("bias", [1], [bias])) + value_info(11, "features", len(features), 7 if whole else 1) +
             value_info(12, "probability", 1))
    model = (integer(1, 8) + message(7, graph) + message(8, message(1, ""), integer(2, 13)) +
             message(14, message(1, "features"), message(2, json.dumps(features))))
    with open(path, "wb") as file:
        file.write(model)


FLOAT, INT64 = 1, 7


def info(name, element, dims):
    """ValueInfoProto without its field number; a dimension is a number or a name."""
    shape = b"".join(message(1, message(2, dim) if isinstance(dim, str) else integer(1, dim)) for dim in dims)
    return message(1, name), message(2, message(1, integer(1, element), message(2, shape)))


def whole_attribute(name, number):
    return message(5, message(1, name), integer(3, number), integer(20, 2))


def graph_attribute(name, *parts):
    return message(5, message(1, name), message(6, *parts), integer(20, 5))


def number(name, element, value):
    """An initializer without dimensions."""
    size = {FLOAT: "<f", INT64: "<q", 9: "<?"}[element]
    return message(5, integer(2, element), message(8, name), message(9, struct.pack(size, value)))


def function(name, domain, inputs, outputs, *nodes):
    """For model(): what its nodes of this operator and domain do. A node's tag is another one here."""
    return (message(25, message(1, name), *(message(4, each) for each in inputs), *(message(5, each) for each in outputs),
                    *(b"\x3a" + each[1:] for each in nodes), message(9, message(1, ""), integer(2, 13)), message(10, domain)) +
            message(8, message(1, domain), integer(2, 1)))


def model(path, nodes, inputs, outputs, initializers=(), features=None, functions=b""):
    """Nodes and initializers as the functions above give them; inputs and outputs are (name, element, dims)."""
    graph = b"".join([*nodes, message(2, "graph"), *initializers,
                      *(message(11, *info(*each)) for each in inputs), *(message(12, *info(*each)) for each in outputs)])
    parts = [integer(1, 8), message(7, graph), message(8, message(1, ""), integer(2, 13)), functions]
    if features is not None:
        parts.append(message(14, message(1, "features"), message(2, json.dumps(features))))
    with open(path, "wb") as file:
        file.write(b"".join(parts))
