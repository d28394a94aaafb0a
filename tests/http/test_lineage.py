#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a model version says of its origin: it is what happened, whoever would like it to be something else."""
import contextlib
import hashlib
import json
import os
import sqlite3
import sys
import time
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "support"))
import onggi  # noqa: E402

VIEW = """\
entity: shop
key: shop
type: string
---
source: sales
path: data/sales.csv
time: moment
---
source: unused
path: data/sales.csv
time: moment
---
view: takings
entity: shop
source: sales
features:
  count_1d: {count: "*", window: %s}
---
service: now
time: moment
features: [takings]
"""
TRAIN = """\
import json, os, sys
sys.path.insert(0, os.environ["TINY_ONNX"])
import tiny_onnx
tiny_onnx.logistic(os.environ["SM_MODEL_DIR"] + "/model.onnx", ["count_1d"], [0.1], -1)
metrics = json.loads(os.environ.get("SM_HP_METRICS") or '{"auc": 0.5}')
with open(os.environ["SM_OUTPUT_DATA_DIR"] + "/metrics.json", "w") as file:
    json.dump({name: float(value) if value in ("nan", "inf") else value for name, value in metrics.items()}, file)
"""
DATA = {"Type": "Task", "Resource": "onggi:training_set", "ResultPath": "$.data", "Next": "Train",
        "Parameters": {"service": "now", "entities_sql": "SELECT moment, shop FROM sales"}}


def script(step_to, result="train", **parameters):
    return {"Type": "Task", "Resource": "onggi:script", "ResultPath": f"$.{result}", "Next": step_to,
            "Parameters": {"script": "train.py", "out": ["model"], **parameters}}


def register(model, result="train", **parameters):
    return {"Type": "Task", "Resource": "onggi:register",
            "Parameters": {"model": model, "from.$": f"$.{result}.model", "metrics.$": f"$.{result}.metrics", **parameters}}


MACHINES = {
    "plain": {"StartAt": "Data", "States": {"Data": DATA, "Train": script("Register"), "Register": {**register("plain"), "End": True}}},
    # Trains until the loop's own counter, the training set that is there, tells it to stop.
    "again": {"StartAt": "Train", "States": {
        "Train": script("Seen", args={"depth.$": "$.depth"}),
        "Seen": {"Type": "Choice", "Choices": [{"Variable": "$.depth", "NumericEquals": 2, "Next": "Register"}], "Default": "Deeper"},
        "Deeper": {"Type": "Pass", "Result": 2, "ResultPath": "$.depth", "Next": "Train"},
        "Register": {**register("again", params={"note": "mine", "Train.depth": 7}), "End": True}}},
    "both": {"StartAt": "Train", "States": {
        "Train": script("First", args={"metrics": {"auc": 0.25}}),
        "First": {**register("both"), "ResultPath": "$.first", "Next": "More"},
        "More": script("Second", "more", args={"metrics": {"auc": 0.75}}),
        "Second": {**register("both", "more"), "End": True}}},
    "odd": {"StartAt": "Train", "States": {
        "Train": script("Register", args={"metrics": {"auc": "nan", "loss": "inf", "curve": [1, 2], "note": "x", "n": 3}}),
        "Register": {**register("odd"), "End": True}}},
    "mended": {"StartAt": "Train", "States": {
        "Train": script("Check"),
        "Check": {"Type": "Task", "Resource": "onggi:script", "ResultPath": "$.check", "Parameters": {"script": "check.sh"},
                  "Next": "Register"},
        "Register": {**register("mended"), "End": True}}},
}


class Lineage(onggi.ProjectCase):
    files = {"onggi.yaml": f"python: {sys.executable}\n", "features/all.yaml": VIEW % "1d",
             "data/sales.csv": "moment,shop\n2020-01-01T10:00:00Z,north\n2020-01-01T11:00:00Z,south\n",
             **{f"pipelines/{name}/pipeline.asl.json": json.dumps(machine) for name, machine in MACHINES.items()},
             **{f"pipelines/{name}/train.py": TRAIN for name in MACHINES},
             "pipelines/mended/check.sh": 'test -e "$PROJECT_FLAG" || { sleep 0.2; exit 1; }\n',
             "endpoints/e.yaml": "endpoint: e\nservice: now\nmodel: plain\n"}
    shared = True

    @classmethod
    def prepare(cls, project):
        os.environ["TINY_ONNX"] = str(TESTS / "support")
        os.environ["PROJECT_FLAG"] = str(cls.path / "flag")
        project.must("apply")
        project.serve()

    def registered(self, model, version=1, **params):
        execution = self.project.execute(model, **params)
        done = self.project.wait(execution)
        self.assertEqual(done["status"], "SUCCEEDED", done)
        return execution, self.good(f"/api/v1/models/{model}/versions/{version}")

    def test_the_code_is_what_ran_not_what_the_caller_says(self):
        hashes = set()
        for number, params in enumerate(({}, {"code": {"sha256": "deadbeef-forged"}}), 1):
            _, version = self.registered("plain", number, **params)
            hashes.add(version["lineage"]["code_sha256"])
        self.assertEqual(len(hashes), 1)
        self.assertRegex(hashes.pop(), "^[0-9a-f]{64}$")

    def test_the_definition_outlives_the_next_apply(self):
        _, before = self.registered("plain", len(self.ask("/api/v1/models/plain")[1].get("versions", [])) + 1)
        self.project.write("features/all.yaml", VIEW % "2d")
        self.project.must("apply")
        _, after = self.registered("plain", before["version"] + 1)
        shown = json.loads(self.project.must("models", "show", "plain", str(before["version"]), "--json"))
        names = [each["lineage"]["training_sets"][0]["definition_sha256"] for each in (shown, after)]
        self.assertNotEqual(*names)
        old, new = shown["definitions"][names[0]], after["definitions"][names[1]]
        self.assertEqual(old["definitions"]["view"]["takings"]["features"]["count_1d"]["window"], "1d")
        self.assertEqual(new["definitions"]["view"]["takings"]["features"]["count_1d"]["window"], "2d")
        self.assertEqual(sorted(old["definitions"]), ["entity", "service", "source", "view"])
        self.assertEqual(list(old["definitions"]["source"]), ["sales"])
        self.assertEqual(old["entities_sql"], "SELECT moment, shop FROM sales")
        self.assertEqual(old["columns"], [{"name": "count_1d", "feature": "takings__count_1d", "type": "int64"}])
        # The hash is that of bytes which are still there; damaged ones are shown as none.
        kept = self.path / ".onggi/blobs" / names[0][:2] / names[0][2:]
        self.assertEqual(hashlib.sha256(kept.read_bytes()).hexdigest(), names[0])
        kept.chmod(0o644)
        kept.write_text("{}")
        self.assertEqual(self.good(f"/api/v1/models/plain/versions/{before['version']}")["definitions"], {names[0]: None})

    def test_a_step_that_succeeded_twice_counts_with_its_last_arguments(self):
        _, version = self.registered("again", depth=1)
        self.assertEqual([each["args"] for each in version["lineage"]["scripts"]], [{"depth": 1}, {"depth": 2}])
        # The register step's own parameters are part of the version, and have the last word.
        self.assertEqual(version["params"], {"Train.depth": 7, "note": "mine"})

    def test_two_register_steps_keep_their_evidence_apart(self):
        done = len(self.ask("/api/v1/models/both")[1].get("versions", []))
        execution, first = self.registered("both", done + 1)
        second = self.good(f"/api/v1/models/both/versions/{done + 2}")
        self.assertEqual((first["metrics"], second["metrics"]), ({"auc": 0.25}, {"auc": 0.75}))
        run = self.good(f"/api/v1/runs/{execution}")
        self.assertEqual(run["metrics"], {"First.auc": 0.25, "Second.auc": 0.75})
        paths = [each["path"] for each in run["artifacts"]]
        self.assertIn("First/model/model.onnx", paths)
        self.assertIn("Second/model/model.onnx", paths)

    def test_metrics_that_are_no_numbers(self):
        execution, version = self.registered("odd")
        self.assertEqual(version["metrics"], {"auc": "NaN", "loss": "Infinity", "n": 3})
        self.assertEqual(self.good(f"/api/v1/runs/{execution}")["metrics"], version["metrics"])
        log = self.project.read(f"/api/v1/executions/{execution}/logs/Register").decode()
        self.assertIn("metric 'curve' is left out", log)
        self.assertIn("metric 'note' is left out", log)
        log = self.project.read(f"/api/v1/executions/{execution}/logs/Train").decode()
        self.assertIn("metric 'auc' is NaN", log)

    def test_a_run_that_a_crash_cut_off_is_made_later(self):
        execution, _ = self.registered("both")
        self.project.stop()
        with contextlib.closing(sqlite3.connect(self.path / ".onggi/meta.db")) as database, database:
            for table, column in (("artifacts", "run"), ("runs", "id")):
                database.execute(f"DELETE FROM {table} WHERE {column} = ?", (execution,))
        self.project.serve()
        run = self.settled(execution, "FINISHED")
        self.assertEqual((run["name"], run["status"]), ("both", "FINISHED"))
        self.assertEqual(run["started"][:19], self.good(f"/api/v1/executions/{execution}")["started"][:19])

    def status(self, execution):
        return self.good(f"/api/v1/runs/{execution}")["status"]

    def settled(self, execution, status):
        """The run, once it is so: records follow the executions at a little distance."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            code, run = self.ask(f"/api/v1/runs/{execution}")
            if code == 200 and run["status"] == status:
                break
            time.sleep(0.05)
        return run

    def test_a_run_lives_again_when_its_execution_is_redriven(self):
        execution = self.project.execute("mended")
        self.assertEqual(self.project.wait(execution)["status"], "FAILED")
        self.assertEqual(self.status(execution), "FAILED")
        self.good(f"/api/v1/executions/{execution}/redrive", {})
        self.assertEqual(self.status(execution), "RUNNING")
        self.project.wait(execution)
        self.project.write("flag", "")
        self.good(f"/api/v1/executions/{execution}/redrive", {})
        self.assertEqual(self.project.wait(execution)["status"], "SUCCEEDED")
        self.assertEqual(self.settled(execution, "FINISHED")["status"], "FINISHED")


if __name__ == "__main__":
    unittest.main()
