# SPDX-License-Identifier: Apache-2.0
"""Models behind real endpoints: a project whose one pipeline registers any of a few odd models."""
import sys

import onggi
import tiny_onnx
from tiny_onnx import FLOAT, INT64, node, number, whole_attribute

# One line of the endpoint's service; the pipeline registers the file that its parameter names.
FILES = {
    "onggi.yaml": f"python: {sys.executable}\nserver: {{threads: 1}}\n",
    "features/all.yaml": """\
view: asked
request: {a: float64, b: float64}
features:
  first:  {expr: "a"}
  second: {expr: "b"}
---
service: asked
features: [asked]
""",
    "endpoints/plain.yaml": "endpoint: plain\nservice: asked\nmodel: m\ntimeout: 5s\n",
    "endpoints/spare.yaml": """\
endpoint: spare
service: asked
model: m
decision: {block: "score >= 0.8", pass: true}
fallback: {score: 0.9}
timeout: 200ms
""",
    "pipelines/m/pipeline.yaml": """\
pipeline: m
params: {file: good}
steps:
  train: {script: train.py, args: {file: "${params.file}"}, out: [model]}
  register: {register: {model: m, from: train.model}}
""",
    "pipelines/m/train.py": """\
import os, shutil, sys
shutil.copy(sys.argv[sys.argv.index("--file") + 1], os.environ["SM_MODEL_DIR"] + "/model.onnx")
""",
}
BOTH = ["first", "second"]
MATRIX = [("x", FLOAT, ["N", 2])]


def endless_body():
    """A loop's body that gives back what it was given."""
    return tiny_onnx.graph_attribute(
        "body", node("Identity", ["go"], "go_on"), node("Identity", ["v"], "w"), tiny_onnx.message(2, "body"),
        tiny_onnx.message(11, *tiny_onnx.info("i", INT64, [])), tiny_onnx.message(11, *tiny_onnx.info("go", 9, [])),
        tiny_onnx.message(11, *tiny_onnx.info("v", FLOAT, ["N", 2])),
        tiny_onnx.message(12, *tiny_onnx.info("go_on", 9, [])), tiny_onnx.message(12, *tiny_onnx.info("w", FLOAT, ["N", 2])))


def sum_of_row(source, name):
    axes = tiny_onnx.message(5, tiny_onnx.integer(1, 1), tiny_onnx.integer(2, INT64), tiny_onnx.message(8, "axes"),
                             tiny_onnx.message(9, (1).to_bytes(8, "little")))
    return node("ReduceSum", [source, "axes"], name), axes


def write_models(folder):
    """{name: path}"""
    total, axes = sum_of_row("x", "score")
    one = [("score", FLOAT, ["N", 1])]
    column = tiny_onnx.message(5, tiny_onnx.message(1, "axes"), tiny_onnx.integer(8, 0), tiny_onnx.integer(20, 7))
    no_dims = whole_attribute("keepdims", 0)
    once = sum_of_row("x", "score_once")[0]
    # (nodes, inputs, outputs, initializers, features, functions)
    models = {
        "good": ([total], MATRIX, one, [axes], BOTH),
        "mean": ([node("ReduceMean", ["x"], "score", no_dims)], MATRIX, [("score", FLOAT, [])], [], BOTH),
        "columns": ([node("ReduceMean", ["x"], "score", column)], MATRIX, [("score", FLOAT, ["M", 2])], [], BOTH),
        "misspelt": ([total], MATRIX, one, [axes], ["frist", "secnod"]),
        "renamed": ([total], MATRIX, one, [axes], ["third", "fourth"]),
        "whole": ([node("Cast", ["x"], "score", whole_attribute("to", FLOAT))], [("x", INT64, ["N", 1])], one, [], ["many"]),
        "functional": ([once, node("Twice", ["score_once"], "score", tiny_onnx.message(7, "mine"))], MATRIX, one, [axes], BOTH,
                       tiny_onnx.function("Twice", "mine", ["a"], ["b"], node("Add", ["a", "a"], "b"))),
        "missing": ([node("Thrice", ["x"], "score", tiny_onnx.message(7, "mine"))], MATRIX, one, [], BOTH,
                    tiny_onnx.function("Twice", "mine", ["a"], ["b"], node("Add", ["a", "a"], "b"))),
        # takes a while for each row, and so to load
        "slow": ([node("Loop", ["rounds", "yes", "x"], "y", endless_body()), node("ReduceSum", ["y", "axes"], "score")],
                 MATRIX, one, [number("rounds", INT64, 100000), number("yes", 9, True), axes], BOTH),
        "nameless": ([total], MATRIX, one, [axes], None),
        "two": ([node("Neg", ["x"], "y"), node("Abs", ["x"], "z")], MATRIX,
                [("y", FLOAT, ["N", 2]), ("z", FLOAT, ["N", 2])], [], BOTH),
        "three_rows": ([total], [("x", FLOAT, [3, 2])], [("score", FLOAT, [3, 1])], [axes], BOTH),
        "mute": ([total], MATRIX, [], [axes], BOTH),
        "inverse": ([node("Reciprocal", ["x"], "y")], MATRIX, [("y", FLOAT, ["N", 2])], [], BOTH),
        # score = table[first], which has two places
        "table": ([node("Cast", ["x"], "at", whole_attribute("to", INT64)), node("Gather", ["table", "at"], "score")],
                  [("x", FLOAT, ["N", 1])], one, [tiny_onnx.message(5, tiny_onnx.tensor("table", [2], [0.25, 0.5]))], ["first"]),
        # goes round a million times for each that `first` is beyond 10, which it never is when the model warms up
        "moody": ([node("ReduceMax", ["x"], "most", no_dims), node("Sub", ["most", "ten"], "over"),
                   node("Mul", ["over", "million"], "rounds"), node("Cast", ["rounds"], "n", whole_attribute("to", INT64)),
                   node("Loop", ["n", "yes", "x"], "y", endless_body()), node("ReduceSum", ["y", "axes"], "score")],
                  MATRIX, one, [number("ten", FLOAT, 10), number("million", FLOAT, 1e6), number("yes", 9, True), axes], BOTH),
    }
    for name, parts in models.items():
        tiny_onnx.model(folder / f"{name}.onnx", *parts)
    return {name: folder / f"{name}.onnx" for name in models}


def asked(a, b=0):
    return {"request": {"a": a, "b": b}}


def tensor(rows, name="x"):
    return {"inputs": [{"name": name, "datatype": "FP32", "shape": [len(rows), len(rows[0])],
                        "data": [each for row in rows for each in row]}]}


class ModelCase(onggi.ProjectCase):
    files = FILES
    shared = True

    @classmethod
    def prepare(cls, project):
        cls.versions = {}
        cls.models = write_models(cls.path)
        project.must("apply")
        project.serve()

    def deploy(self, name, endpoint="plain"):
        """(code, answer)"""
        if name not in self.versions:
            done = self.project.wait(self.project.execute("m", file=str(self.models[name])))
            self.assertEqual(done["status"], "SUCCEEDED", done)
            self.versions[name] = len(self.versions) + 1
            self.good(f"/api/v1/models/m/versions/{self.versions[name]}/approve", {"reason": "the test says so"})
        return self.ask(f"/api/v1/endpoints/{endpoint}/deploy", {"version": self.versions[name]})

    def served(self, name, endpoint="plain"):
        code, answer = self.deploy(name, endpoint)
        self.assertEqual(code, 200, answer)

    def assert_undeployable(self, name, endpoint, *words):
        code, answer = self.deploy(name, endpoint)
        self.assertEqual(code, 400, answer)
        for word in words:
            self.assertIn(word, answer["error"]["message"])

    def predict(self, question, endpoint="plain"):
        return self.good(f"/api/v1/endpoints/{endpoint}/predict", question)
