#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From a pipeline to decisions: register, approve, deploy, predict, roll back; and what bad input gets."""
import csv
import json
import math
import os
import sys
import threading
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "support"))
import onggi  # noqa: E402

FILES = {
    "onggi.yaml": "",
    "features/all.yaml": """\
entity: shop
key: shop
type: string
---
source: sales
path: data/sales.csv
time: moment
---
view: takings
entity: shop
source: sales
features:
  count_1d: {count: "*", window: 1d}
  avg_1d:   {avg: amount, window: 1d}
---
view: asked
request: {moment: timestamp, offered: int64}
features:
  hour:  {expr: "hour(moment)"}
  price: {expr: "offered"}
---
service: now
time: moment
features: [takings, asked]
""",
    "data/sales.csv": """\
moment,shop,amount
2020-01-01T10:00:00Z,north,5
2020-01-01T11:00:00Z,north,8
2020-01-01T11:00:00Z,south,9
""",
    "pipelines/small/pipeline.yaml": """\
pipeline: small
params: {bias: -0.5}
steps:
  data: {training_set: {service: now, entities_sql: "SELECT moment + INTERVAL 1 HOUR AS moment, shop, amount AS offered FROM sales"}}
  train: {script: train.py, in: {data: data}, args: {bias: "${params.bias}"}, out: [model]}
  gate: {when: "train.metrics.auc >= 0.7"}
  register: {register: {model: small, from: train.model, metrics: train.metrics}}
""",
    "pipelines/small/train.py": """\
import argparse, json, os, sys
sys.path.insert(0, os.environ["TINY_ONNX"])
import tiny_onnx
parser = argparse.ArgumentParser()
parser.add_argument("--bias", type=float)
bias = parser.parse_args().bias
assert os.listdir(os.environ["SM_CHANNEL_DATA"]) == ["data.parquet"]
features = ["count_1d", "avg_1d", "hour", "price"]
tiny_onnx.logistic(os.environ["SM_MODEL_DIR"] + "/model.onnx", features, [0.1, 0.2, 0.01, -0.05], bias)
with open(os.environ["SM_OUTPUT_DATA_DIR"] + "/metrics.json", "w") as file:
    json.dump({"auc": 0.8}, file)
with open(os.environ["SM_OUTPUT_DATA_DIR"] + "/report.html", "w") as file:
    file.write("<h1>report</h1>")
""",
    "pipelines/whole/pipeline.yaml": """\
pipeline: whole
steps:
  train: {script: train.py, out: [model]}
  register: {register: {model: whole, from: train.model}}
""",
    "pipelines/whole/train.py": """\
import os, sys
sys.path.insert(0, os.environ["TINY_ONNX"])
import tiny_onnx
tiny_onnx.logistic(os.environ["SM_MODEL_DIR"] + "/model.onnx", ["count_1d", "price"], [0.1, 0.25], -1, whole=True)
""",
    "endpoints/whole.yaml": """\
endpoint: whole
service: now
model: whole
decision: {look: "score >= 0.5", pass: true}
fallback: {score: 0.6}
""",
    "endpoints/cautious.yaml": """\
endpoint: cautious
service: now
model: whole
""",
    "endpoints/small.yaml": """\
endpoint: small
service: now
model: small
decision: {stop: "score >= 0.9 or offered > 1000", look: "score >= 0.5", pass: true}
fallback: {score: 0.6}
timeout: 5s
""",
    "endpoints/strict.yaml": """\
endpoint: strict
service: now
model: small
""",
}

QUESTION = {"entities": {"shop": "north"}, "request": {"moment": "2020-01-01T12:00:00Z", "offered": 4}}


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


class Predict(onggi.ProjectCase):
    files = FILES
    shared = True

    @classmethod
    def prepare(cls, project):
        os.environ["TINY_ONNX"] = str(TESTS / "support")
        os.environ["ONGGI_PYTHON"] = sys.executable
        project.must("apply")
        project.serve()
        project.must("features", "materialize")
        project.must("pipeline", "run", "whole", "--follow")
        for bias in ("-0.5", "1.5", "0.5"):
            project.must("pipeline", "run", "small", "--param", f"bias={bias}", "--follow")

    def deploy(self, version, endpoint="small", model="small"):
        self.ask(f"/api/v1/models/{model}/versions/{version}/approve", {"reason": "the test says so"})
        code, answer = self.ask(f"/api/v1/endpoints/{endpoint}/deploy", {"version": version})
        self.assertEqual(code, 200, answer)
        return answer

    def test_1_nothing_deployed(self):
        code, answer = self.ask("/api/v1/endpoints/small/predict", QUESTION)
        self.assertEqual(code, 200, answer)
        self.assertEqual(answer["fallback"], "no_model")
        self.assertEqual(answer["prediction"], {"score": 0.6})
        self.assertEqual(answer["decision"], "look")
        self.refused(503, ["no model is deployed"], "/api/v1/endpoints/strict/predict", QUESTION)

    def test_2_only_what_was_approved(self):
        self.refused(409, ["not yet approved", "onggi models approve small 1"],
                     "/api/v1/endpoints/small/deploy", {"version": 1})
        self.refused(404, ["has no version 9"], "/api/v1/endpoints/small/deploy", {"version": 9})
        self.refused(400, ["a reason is needed"], "/api/v1/models/small/versions/1/approve", {"reason": " "})
        self.refused(404, ["did you mean 'small'"], "/api/v1/endpoints/smal/predict", QUESTION)

    def test_3_the_score_is_the_models(self):
        self.assertEqual(self.deploy(1)["version"], 1)
        code, answer = self.ask("/api/v1/endpoints/small/predict?explain=features", QUESTION)
        self.assertEqual(code, 200, answer)
        self.assertEqual(answer["features"], {"count_1d": 2, "avg_1d": 6.5, "hour": 12, "price": 4})
        wanted = sigmoid(2 * 0.1 + 6.5 * 0.2 + 12 * 0.01 - 4 * 0.05 - 0.5)
        self.assertAlmostEqual(answer["prediction"]["score"], wanted, places=6)
        self.assertEqual(answer["prediction"]["probability"], answer["prediction"]["score"])
        self.assertEqual((answer["endpoint"], answer["model"], answer["version"]), ("small", "small", 1))
        self.assertEqual(answer["decision"], "look")
        self.assertEqual(set(answer["timing_us"]), {"parse", "features", "model", "rules", "total"})

    def test_4_many_rows(self):
        rows = [QUESTION, {"entities": {"shop": "nowhere"}, "request": QUESTION["request"]},
                {"entities": {"shop": "south"}, "request": {"moment": "2020-01-01T12:00:00Z", "offered": 2000}}]
        code, answer = self.ask("/api/v1/endpoints/small/predict?explain=features", {"rows": rows * 20})
        self.assertEqual(code, 200, answer)
        self.assertEqual(len(answer["rows"]), 60)
        self.assertEqual(answer["rows"][1]["features"], {"count_1d": 0, "avg_1d": None, "hour": 12, "price": 4})
        # A null reaches the model as NaN, and so does its score reach us: the fallback decides.
        self.assertEqual((answer["rows"][1]["prediction"], answer["rows"][1]["decision"], answer["rows"][1]["fallback"]),
                         ({"score": 0.6}, "look", "nan_score"))
        self.assertEqual(answer["rows"][2]["decision"], "stop")
        self.assertEqual(answer["rows"][0], answer["rows"][57])

    def test_5_bad_questions(self):
        predict = "/api/v1/endpoints/small/predict"
        without = {"entities": {"shop": "north"}, "request": {"offered": 4}}
        self.refused(400, ["moment"], predict, without)
        self.refused(400, ["did you mean 'shop'"], predict, {**QUESTION, "entities": {"shp": "north"}})
        self.refused(400, ["offered", "int64"], predict,
                     {"entities": {"shop": "north"}, "request": {"moment": "2020-01-01T12:00:00Z", "offered": "x"}})
        self.refused(400, ["moment"], predict, {"entities": {"shop": "north"}, "request": {"moment": "noon", "offered": 1}})
        self.refused(400, ["JSON line 1"], predict, b"{")
        self.refused(400, ["twice"], predict, b'{"entities": {}, "entities": {}}')
        self.refused(400, ["'rows' is empty"], predict, {"rows": []})
        self.refused(400, ["rows[1]"], predict, {"rows": [QUESTION, without]})
        self.refused(400, ["explain"], predict + "?explain=all", QUESTION)
        self.refused(413, ["10001 rows"], predict, {"rows": [QUESTION] * 10001})
        code, _ = self.ask(predict, b"[" + b"1," * (6 << 20) + b"1]")
        self.assertEqual(code, 413)
        self.assertEqual(self.ask(predict, QUESTION)[0], 200)

    def test_6_deploying_under_load_loses_nothing(self):
        self.deploy(1)
        stop, seen, failures = threading.Event(), set(), []

        def ask():
            while not stop.is_set():
                code, answer = self.ask("/api/v1/endpoints/small/predict", QUESTION)
                if code != 200 or "fallback" in answer:
                    failures.append(answer)
                else:
                    seen.add((answer["version"], answer["prediction"]["score"]))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for version in (2, 1, 2):
            self.deploy(version)
            code, answer = self.ask("/api/v1/endpoints/small/predict", QUESTION)
            self.assertEqual((code, answer["version"]), (200, version))
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertLessEqual(len(seen), 2)  # each version always gives the same score

    def test_7_rollback_and_restart(self):
        self.deploy(1)
        self.deploy(2)
        code, answer = self.ask("/api/v1/endpoints/small/rollback", {})
        self.assertEqual((code, answer["version"]), (200, 1), answer)
        self.project.stop()
        self.project.serve()
        code, answer = self.ask("/api/v1/endpoints/small/predict", QUESTION)
        self.assertEqual((code, answer["version"]), (200, 1), answer)
        self.assertNotIn("fallback", answer)

    def served(self):
        """What the endpoint answers with: a version, or the fallback's reason."""
        code, answer = self.ask("/api/v1/endpoints/small/predict", QUESTION)
        self.assertEqual(code, 200, answer)
        return answer.get("fallback") or answer["version"]

    def decide(self, verb, version):
        code, answer = self.ask(f"/api/v1/models/small/versions/{version}/{verb}", {"reason": "the test says so"})
        self.assertEqual(code, 200, answer)
        return answer

    def test_70_each_rollback_goes_further_back(self):
        for version in (1, 2, 3):
            self.deploy(version)
        told = self.project.run("models", "rollback", "small")
        self.assertEqual((told.returncode, self.served()), (0, 2), told.stderr)
        self.assertIn("serves small version 2 again, no longer version 3", told.stderr)
        self.assertIn("one more rollback would bring version 1", told.stderr)
        code, answer = self.ask("/api/v1/endpoints/small/rollback", {})
        self.assertEqual((code, answer["version"], answer["from"]["version"]), (200, 1, 2), answer)
        self.assertEqual(self.served(), 1)
        code, answer = self.ask("/api/v1/endpoints/small/deployments")
        self.assertEqual([(item["version"], item["rollback"], item["by"]) for item in answer["deployments"][:5]],
                         [(1, True, "local"), (2, True, "local"), (3, False, "local"), (2, False, "local"),
                          (1, False, "local")])
        self.assertIn("rollback", self.project.must("models", "history", "small"))
        self.refused(404, ["did you mean 'small'"], "/api/v1/endpoints/smal/rollback", {})
        self.refused(404, ["nothing is deployed"], "/api/v1/endpoints/cautious/rollback", {})

    def test_71_a_rejection_stops_a_model_at_once(self):
        self.deploy(1)
        self.deploy(2)
        told = self.project.run("models", "reject", "small", "2", "--reason", "it drifts")
        self.assertEqual(told.returncode, 0, told.stderr)
        self.assertIn("endpoint small has stopped serving it", told.stderr)
        self.assertEqual(self.served(), "no_model")
        self.assertEqual(self.ask("/v2/models/small/versions/2/ready")[0], 404)
        self.refused(409, ["rejected"], "/api/v1/endpoints/small/deploy", {"version": 2})
        self.project.stop()
        self.project.serve()
        self.assertEqual(self.served(), "no_model")
        self.assertEqual(self.decide("approve", 2)["endpoints"], ["small"])
        self.assertEqual(self.served(), 2)
        self.decide("reject", 2)
        code, answer = self.ask("/api/v1/endpoints/small/rollback", {})
        self.assertEqual((code, answer["version"]), (200, 1), answer)
        self.assertEqual(self.decide("reject", 2)["endpoints"], [])
        self.assertEqual(self.served(), 1)

    def test_72_an_endpoint_that_is_there_again_serves_again(self):
        self.deploy(1)
        file = self.path / "endpoints/small.yaml"
        file.unlink()
        self.project.must("apply")
        self.assertEqual(self.ask("/api/v1/endpoints/small/predict", QUESTION)[0], 404)
        file.write_text(FILES["endpoints/small.yaml"])
        self.project.must("apply")
        self.assertEqual(self.served(), 1)

    def test_8_where_the_model_comes_from(self):
        code, answer = self.ask("/api/v1/models/small/versions/1")
        self.assertEqual(code, 200, answer)
        lineage = answer["lineage"]
        self.assertEqual(lineage["pipeline"], "small")
        self.assertEqual(len(lineage["code_sha256"]), 64)
        self.assertEqual(lineage["training_sets"][0]["rows"], 3)
        self.assertEqual(lineage["training_sets"][0]["service"], "now")
        self.assertEqual(len(lineage["training_sets"][0]["fingerprint"]), 64)
        self.assertEqual(answer["params"], {"train.bias": -0.5})
        self.assertEqual(answer["metrics"], {"auc": 0.8})
        code, run = self.ask("/api/v1/runs/" + answer["run"])
        self.assertEqual(run["status"], "FINISHED")
        self.assertEqual(sorted(item["path"] for item in run["artifacts"]),
                         ["model/model.onnx", "train/metrics.json", "train/report.html"])
        with self.project.open(f"/api/v1/runs/{answer['run']}/artifacts/train/report.html") as page:
            self.assertEqual(page.read(), b"<h1>report</h1>")
            self.assertIn("sandbox", page.headers["Content-Security-Policy"])

    def batch(self, rows, *arguments):
        """The result's rows, as dictionaries of texts."""
        source, result = self.path / "rows.csv", self.path / "scored.csv"
        source.write_text("".join(",".join(map(str, line)) + "\n"
                                  for line in [rows[0], *(row.values() for row in rows)]))
        done = self.project.run("predict", "small", "--entities", source, "--out", result, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.told = done.stderr
        with result.open(newline="") as file:
            return list(csv.DictReader(file))

    def test_91_a_batch_says_what_one_by_one_says(self):
        self.deploy(1)
        rows = [{"note": f"n{i}", "shop": ("north", "south", "nowhere")[i % 3],
                 "moment": f"2020-01-01T{12 + i % 7:02}:00:00Z", "offered": i * 3} for i in range(1500)]
        scored = self.batch(rows)
        self.assertEqual(list(scored[0]),
                         ["note", "shop", "moment", "offered", "score", "probability", "decision", "fallback"])
        self.assertEqual([row["note"] for row in scored], [row["note"] for row in rows])
        questions = [{"entities": {"shop": row["shop"]},
                      "request": {"moment": row["moment"], "offered": row["offered"]}} for row in rows]
        code, answer = self.ask("/api/v1/endpoints/small/predict", {"rows": questions})
        self.assertEqual(code, 200)
        for got, wanted in zip(scored, answer["rows"]):
            self.assertEqual(got["decision"], wanted["decision"])
            self.assertEqual(got["fallback"], wanted.get("fallback", ""))
            for name in ("score", "probability"):
                if name in wanted["prediction"]:
                    self.assertEqual(float(got[name]), wanted["prediction"][name])
                else:
                    self.assertEqual(got[name], "")
        self.assertEqual({row["fallback"] for row in scored}, {"", "nan_score"})
        self.assertIn(f"{sum(row['fallback'] != '' for row in scored)} of them answered by the fallback", self.told)
        self.assertEqual({row["decision"] for row in scored}, {"stop", "look", "pass"})

    def test_92_a_batch_knows_what_was_known_then(self):
        self.deploy(1)
        moments = [f"2020-01-0{day}T{hour:02}:30:00Z" for day in (1, 2) for hour in range(24)]
        scored = self.batch([{"shop": shop, "moment": moment, "offered": 4}
                             for moment in moments for shop in ("north", "south")])
        self.project.must("features", "training-set", "--service", "now", "--entities", self.path / "rows.csv",
                          "--out", self.path / "features.csv")
        with (self.path / "features.csv").open(newline="") as file:
            known = list(csv.DictReader(file))
        self.assertEqual(len({row["count_1d"] for row in known}), 3)
        for got, row in zip(scored, known):
            if row["avg_1d"] == "":
                self.assertEqual((got["score"], got["fallback"]), ("0.6", "nan_score"))
                continue
            wanted = sigmoid(int(row["count_1d"]) * 0.1 + float(row["avg_1d"]) * 0.2 + int(row["hour"]) * 0.01
                             - int(row["price"]) * 0.05 - 0.5)
            self.assertAlmostEqual(float(got["score"]), wanted, places=6)
        code, answer = self.ask("/api/v1/endpoints/small/score",
                                {"entities_sql": "SELECT moment, shop, 7 AS offered FROM sales", "format": "csv",
                                 "features": True})
        self.assertEqual(code, 200, answer)
        self.assertEqual((answer["endpoint"], answer["model"], answer["version"], answer["rows"]),
                         ("small", "small", 1, 3))
        first = self.project.read(f"/api/v1/results/{answer['id']}").decode().splitlines()[0].split(",")
        self.assertEqual(first, ["moment", "shop", "offered", "count_1d", "avg_1d", "hour", "price",
                                 "score", "probability", "decision", "fallback"])
        self.assertEqual(len(first), answer["columns"])

    def test_93_bad_batches(self):
        score = "/api/v1/endpoints/small/score"
        rows = "SELECT moment, shop, 7 AS offered FROM sales"
        self.refused(404, ["did you mean 'small'"], "/api/v1/endpoints/smal/score", {"entities_sql": rows})
        self.refused(503, ["no model is deployed", "--endpoint strict"], "/api/v1/endpoints/strict/score",
                     {"entities_sql": rows})
        self.refused(400, ["entity key", "shop"], score, {"entities_sql": "SELECT moment, 7 AS offered FROM sales"})
        self.refused(400, ["request field", "offered"], score, {"entities_sql": "SELECT moment, shop FROM sales"})
        self.refused(400, ["have a column 'score'"], score, {"entities_sql": rows.replace("7 ", "1 AS score, 7 ")})
        self.refused(400, ["service"], score, {"entities_sql": rows, "service": "now"})
        self.refused(400, ["entities_sql"], score, {})
        code, answer = self.ask(score, {"entities_sql": rows + " WHERE amount > 100"})
        self.assertEqual((code, answer.get("rows")), (200, 0), answer)
        done = self.project.run("predict", "small", "--entities", self.path / "no.csv", "--out", "x.csv")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no.csv", done.stderr)

    def test_94_a_null_that_the_model_cannot_take(self):
        for endpoint in ("whole", "cautious"):
            self.deploy(1, endpoint, "whole")
        rows = "SELECT TIMESTAMP '2020-01-01 12:00:00' AS moment, 'north' AS shop, {} AS offered FROM range(1000) t(i)"
        some = rows.format("nullif(i % 100, 7)")
        code, answer = self.ask("/api/v1/endpoints/whole/score", {"entities_sql": some, "format": "csv"})
        self.assertEqual(code, 200, answer)
        scored = list(csv.DictReader(self.project.read(f"/api/v1/results/{answer['id']}").decode().splitlines()))
        self.assertEqual((len(scored), answer["fallbacks"]), (1000, 10))
        for i, row in enumerate(scored):
            if i % 100 == 7:
                self.assertEqual((row["score"], row["probability"], row["decision"], row["fallback"]),
                                 ("0.6", "", "look", "null_input"))
            else:
                score = sigmoid(0.2 + 0.25 * (i % 100) - 1)
                self.assertAlmostEqual(float(row["score"]), score, places=6)
                self.assertEqual((row["decision"], row["fallback"]), ("look" if score >= 0.5 else "pass", ""))
        self.refused(400, ["row 8", "no fallback", "price"], "/api/v1/endpoints/cautious/score", {"entities_sql": some})

    def test_95_a_batch_as_a_step(self):
        folder = self.path / "pipelines" / "nightly"
        folder.mkdir()
        (folder / "pipeline.yaml").write_text("""\
pipeline: nightly
steps:
  predictions: {score: {endpoint: small, entities_sql: "SELECT moment, shop, 4 AS offered FROM sales"}}
""")
        self.project.must("apply")
        self.project.must("pipeline", "run", "nightly", "--follow")
        code, answer = self.ask("/api/v1/executions?pipeline=nightly")
        code, answer = self.ask("/api/v1/executions/" + answer["executions"][0]["id"])
        self.assertEqual((code, answer["status"]), (200, "SUCCEEDED"), answer)
        left = list(self.path.glob(".onggi/**/predictions*/**/data.parquet"))
        self.assertEqual(len(left), 1, answer)
        self.assertEqual(left[0].read_bytes()[:4], b"PAR1")

    def test_96_a_batch_in_parquet_is_the_same(self):
        self.deploy(1)
        rows = [{"shop": ("north", "south")[i % 2], "moment": f"2020-01-0{1 + i % 3}T13:00:00Z", "offered": i}
                for i in range(3000)]
        in_csv = self.batch(rows)
        # CSV to Parquet by the training set's door, which keeps the entity columns; then both ways of the batch.
        self.project.must("features", "training-set", "--service", "now", "--entities", self.path / "rows.csv",
                          "--out", self.path / "wide.parquet")
        self.declined(1, "count_1d", "predict", "small", "--entities", self.path / "wide.parquet", "--features",
                      "--out", self.path / "x.csv")
        self.project.must("predict", "small", "--entities", self.path / "wide.parquet", "--out", self.path / "out.csv")
        self.project.must("predict", "small", "--entities", self.path / "rows.csv", "--out", self.path / "out.parquet")
        self.assertEqual((self.path / "out.parquet").read_bytes()[-4:], b"PAR1")
        with (self.path / "out.csv").open(newline="") as file:
            in_parquet = list(csv.DictReader(file))
        for name in ("shop", "offered", "score", "probability", "decision", "fallback"):
            self.assertEqual([row[name] for row in in_parquet], [row[name] for row in in_csv], name)

    def test_97_bad_files_for_a_batch(self):
        self.deploy(1)
        good = "shop,moment,offered\nnorth,2020-01-01T12:00:00Z,4\n"
        for name, content, words in (
                ("short.csv", good + "south,2020-01-01T12:00:00Z\n", "line 3 has 2 values"),
                ("typed.csv", good + "south,2020-01-01T12:00:00Z,many\n", "offered"),
                ("when.csv", good.replace("2020-01-01T12:00:00Z", "noon"), "moment"),
                ("lacks.csv", "shop,offered\nnorth,4\n", "moment"),
                ("none.csv", "", "empty|CSV|column|shop"),
                ("cut.parquet", "PAR1 and nothing else", "magic bytes")):
            with self.subTest(name):
                self.project.write(name, content)
                done = self.project.run("predict", "small", "--entities", name, "--out", "bad.csv")
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertRegex(done.stderr, words)
                self.assertNotIn("onggi-body", done.stderr)
                self.assertFalse((self.path / "bad.csv").exists())
        self.assertEqual(self.ask("/api/v1/endpoints/small/predict", QUESTION)[0], 200)

    def test_98_bench(self):
        self.deploy(1)
        question = ["small", "shop=north", "moment=2020-01-01T12:00:00Z", "offered=4"]
        told = json.loads(self.project.must("bench", "predict", *question, "--seconds", "0.3", "--connections", "3",
                                            "--json"))
        self.assertGreater(told["requests"], 10)
        self.assertEqual(told["errors"], 0)
        self.assertLessEqual(told["p50_us"], told["p99_us"])
        self.assertLessEqual(told["p99_us"], told["max_us"])
        self.assertIn("decisions/s", self.project.must("bench", "predict", *question, "--seconds", "0.2"))
        self.project.write("requests.jsonl", (json.dumps(QUESTION) + "\n") * 3)
        told = json.loads(self.project.must("bench", "predict", "small", "--requests", "requests.jsonl", "--seconds",
                                            "0.2", "--json"))
        self.assertEqual(told["errors"], 0)
        self.project.write("requests.jsonl", "{}\n")
        done = self.project.run("bench", "predict", "small", "--requests", "requests.jsonl", "--seconds", "0.2")
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn("the last code was 400", done.stderr)
        self.declined(2, "--seconds: expected a number", "bench", "predict", *question, "--seconds", "-1")
        self.declined(1, "has no requests", "bench", "predict", "small", "--requests", "/dev/null")
        self.declined(3, "no endpoint", "bench", "predict", "nope", "a=1")

    def test_9_the_command_line(self):
        told = self.project.must("predict", "small", "shop=north", "moment=2020-01-01T12:00:00Z", "offered=4", "--json")
        self.assertEqual(json.loads(told)["decision"], self.ask("/api/v1/endpoints/small/predict", QUESTION)[1]["decision"])
        done = self.project.run("predict", "small", "shp=north")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("shop", done.stderr)

    def test_99_a_damaged_store_is_told_and_mended(self):
        self.deploy(1)
        self.deploy(1, "strict")
        self.project.stop()
        for path in self.path.glob(".onggi/online/takings.*/data.mdb"):
            os.truncate(path, 100)
        self.project.serve()
        code, answer = self.ask("/api/v1/endpoints/small/predict", QUESTION)
        self.assertEqual((code, answer.get("fallback")), (200, "features_unavailable"), answer)
        self.refused(503, ["takings", "onggi features materialize"], "/api/v1/endpoints/strict/predict", QUESTION)
        self.project.must("features", "materialize")
        code, answer = self.ask("/api/v1/endpoints/small/predict", QUESTION)
        self.assertEqual(code, 200, answer)
        self.assertNotIn("fallback", answer)


if __name__ == "__main__":
    unittest.main()
