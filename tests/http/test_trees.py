#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trees as XGBoost and scikit-learn export them: walked by us, with the runtime's answers and the libraries' own."""
import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "support"))
import onggi  # noqa: E402
from model_case import ModelCase, tensor  # noqa: E402

PYTHON = TESTS.parent / "build" / "venv" / "flights" / "bin" / "python"
# Trains on a thousand rows, writes the models into the folder and prints what the libraries say of a hundred others.
TRAIN = r"""
import json, sys
import numpy, onnx, onnxmltools, xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType as Matrix
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor, RandomForestClassifier

folder = sys.argv[1]
draw = numpy.random.default_rng(3)
rows = draw.normal(size=(1100, 2)).astype("float32")
holes = draw.random(rows.shape) < 0.1
value = rows[:, 0] * rows[:, 1] + 0.2 * draw.normal(size=1100)
label = (value > 0).astype(int)
asked = numpy.where(holes, numpy.nan, rows).astype("float32")
train, ask = slice(0, 1000), slice(1000, 1100)
answers = {}

def keep(name, model, graph, rows, score):
    entry = graph.metadata_props.add()
    entry.key, entry.value = "features", json.dumps(["first", "second"])
    onnx.save(graph, f"{folder}/{name}.onnx")
    answers[name] = {"rows": rows[ask].tolist(), "score": numpy.asarray(score(rows[ask])).tolist()}

for name, kind, wanted in (("xgboost", xgboost.XGBClassifier, label), ("xgboost_number", xgboost.XGBRegressor, value)):
    model = kind(n_estimators=60, max_depth=5, random_state=3).fit(asked[train], wanted[train])
    keep(name, model, onnxmltools.convert_xgboost(model, initial_types=[("x", FloatTensorType([None, 2]))], target_opset=15),
         asked, (lambda rows, model=model: model.predict_proba(rows)[:, 1]) if wanted is label else model.predict)
for name, model, wanted in (("boosting", GradientBoostingClassifier(n_estimators=40, random_state=3), label),
                            ("boosting_number", GradientBoostingRegressor(n_estimators=40, random_state=3), value),
                            ("forest", RandomForestClassifier(30, max_depth=8, random_state=3), label)):
    model.fit(rows[train], wanted[train])
    options = {id(model): {"zipmap": False}} if wanted is label else None
    keep(name, model, convert_sklearn(model, initial_types=[("x", Matrix([None, 2]))], options=options, target_opset=15),
         rows, (lambda rows, model=model: model.predict_proba(rows)[:, 1]) if wanted is label else model.predict)
print(json.dumps(answers))
"""


@unittest.skipUnless(PYTHON.exists(), "build/venv/flights is missing: dev/setup makes it")
class Trees(ModelCase):
    @classmethod
    def prepare(cls, project):
        super().prepare(project)
        done = subprocess.run([PYTHON, "-W", "ignore", "-c", TRAIN, cls.path], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        cls.answers = json.loads(done.stdout.splitlines()[-1])
        cls.models.update({name: cls.path / f"{name}.onnx" for name in cls.answers})

    def questions(self, name):
        return [{"request": {"a": None if row[0] != row[0] else row[0], "b": None if row[1] != row[1] else row[1]}}
                for row in self.answers[name]["rows"]]

    def everything(self, name):
        """All that the model says of the rows: alone, together, and as tensors."""
        rows = [["NaN" if each != each else each for each in row] for row in self.answers[name]["rows"]]
        alone = [self.predict(question)["prediction"] for question in self.questions(name)]
        together = [row["prediction"] for row in self.predict({"rows": self.questions(name)})["rows"]]
        self.assertEqual(alone, together, name)
        return alone, self.good("/v2/models/m/infer", tensor(rows))["outputs"]

    def check(self, name):
        """What it says, and that this is what the library says."""
        said = self.everything(name)
        for row, wanted in zip(said[0], self.answers[name]["score"]):
            self.assertAlmostEqual(row["score"], wanted, 5, name)
        return said

    def runs(self):
        return self.good("/api/v1/endpoints/plain")["model_runs"]

    def test_the_answers_are_the_runtimes(self):
        walked = {}
        for name in self.answers:
            self.served(name)
            self.assertEqual(self.runs(), "as trees", name)
            walked[name] = self.check(name)
        self.assertRegex(self.project.must("endpoints", "show", "plain"), r"speed .* as trees")
        os.environ["ONGGI_TREES"] = "runtime"
        self.addCleanup(self.restart)
        self.addCleanup(os.environ.pop, "ONGGI_TREES")
        self.restart()
        for name in self.answers:
            self.served(name)
            self.assertEqual(self.runs(), "in ONNX Runtime", name)
            self.assertEqual(self.check(name), walked[name], name)

    def restart(self):
        self.project.stop()
        self.project.serve()

    def test_a_wish_that_is_none(self):
        other = onggi.Project(self.path / "other", {"onggi.yaml": "\n"})
        done = other.run("endpoints", "list", env={"ONGGI_TREES": "off"})
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("ONGGI_TREES is 'off': expected runtime", done.stderr)

    def test_what_is_no_forest_runs_in_the_runtime(self):
        self.served("good")
        self.assertEqual(self.runs(), "in ONNX Runtime")


if __name__ == "__main__":
    unittest.main()
