#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Endpoints whose files change under the model that they serve, and rows for which the fallback answers."""
import csv
import json
import sys
import time
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "support"))
sys.path.insert(0, str(TESTS))
from model_case import FILES, ModelCase, asked  # noqa: E402
from support.raw_http import Client, request  # noqa: E402


class Changes(ModelCase):
    """What an apply does to an endpoint that serves."""
    shared = False

    def change(self, name, before, after):
        path = self.path / name
        text = path.read_text()
        self.assertIn(before, text)
        path.write_text(text.replace(before, after))

    def applied(self, *words, arguments=()):
        done = self.project.run("apply", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def not_applied(self, *words, command="apply"):
        done = self.project.run(command)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def restart(self):
        self.project.stop()
        self.project.serve()

    def test_another_model_never_answers_under_its_name(self):
        self.served("good")
        self.served("good", "spare")
        for name in ("plain", "spare"):
            self.change(f"endpoints/{name}.yaml", "model: m", "model: n")
        self.applied("endpoints/plain.yaml:1:1: warning: 'plain' now wants 'n'; nothing of it is deployed",
                     "answers 503", "answers with its fallback")
        for _ in ("at once", "and after a start"):
            self.refused(503, ["no model is deployed"], "/api/v1/endpoints/plain/predict", asked(1, 2))
            answer = self.predict(asked(1, 2), "spare")
            self.assertEqual((answer["model"], answer["version"], answer["fallback"]), ("n", None, "no_model"))
            shown = self.good("/api/v1/endpoints/plain")
            self.assertEqual((shown["model"], shown["status"], shown.get("version")), ("n", "no model", None))
            self.assertEqual(self.ask("/v2/models/m")[0], 404)
            self.restart()
        for name in ("plain", "spare"):
            self.change(f"endpoints/{name}.yaml", "model: n", "model: m")
        self.project.must("apply")
        answer = self.predict(asked(1, 2))
        self.assertEqual((answer["model"], answer["version"], answer["prediction"]), ("m", 1, {"score": 3}))

    def test_an_apply_that_takes_a_feature_away_from_a_model(self):
        self.served("good")
        self.change("features/all.yaml", "first:", "third:")
        words = ["endpoints/plain.yaml:1:1", "'first'", "version 1 of 'm'", "--force", "nothing was recorded"]
        self.not_applied(*words, command="validate")
        self.not_applied(*words)
        self.restart()
        self.assertEqual(self.predict(asked(1, 2))["prediction"], {"score": 3})
        self.project.stop()
        self.not_applied(*words)  # a command by itself knows it as well
        self.project.serve()
        self.applied("warning: endpoint 'plain'", "'first'", arguments=["--force"])
        self.assertEqual(self.predict(asked(1, 2))["prediction"], {"score": 3})
        self.assertIn("'first'", self.good("/api/v1/endpoints/plain")["out_of_date"])
        self.assertIn("out of date", self.project.must("status"))
        self.change("features/all.yaml", "second:", "fourth:")
        self.applied("warning: endpoint 'plain'")  # it is broken already: no reason to refuse the rest
        self.served("renamed")
        self.assertEqual(self.predict(asked(1, 2))["prediction"], {"score": 3})
        self.assertNotIn("out_of_date", self.good("/api/v1/endpoints/plain"))
        self.restart()
        self.assertEqual(self.predict(asked(1, 2))["version"], 2)


class Deploying(ModelCase):
    """What is told of a deployment is what happens."""
    files = {**FILES, "pipelines/out/pipeline.yaml": """\
pipeline: out
params: {version: 1}
steps:
  out: {deploy: {endpoint: plain, model: m, version: params.version}}
"""}
    shared = False

    def history(self):
        return [item["version"] for item in self.good("/api/v1/endpoints/plain/deployments")["deployments"]]

    def approved(self, name):
        """A version that could be deployed at once; the refusal is of an endpoint that is none."""
        self.assertEqual(self.deploy(name, "none")[0], 404)
        return self.versions[name]

    def test_its_steps_are_told(self):
        version = self.approved("good")
        told = list(self.project.events("/api/v1/endpoints/plain/deploy", {"version": version}))
        self.assertEqual([data["phase"] for event, data in told[:-1]], ["try", "load", "warm up", "switch"])
        self.assertEqual((told[-1][0], told[-1][1]["version"]), ("result", version))
        done = self.project.run("models", "deploy", "m", "7", "--endpoint", "plain")
        self.assertEqual(done.returncode, 3, done.stderr)

    def test_who_has_left_changes_nothing(self):
        slow, good = self.approved("slow"), self.approved("good")
        self.served("good")
        with self.assertRaises(TimeoutError):
            self.ask("/api/v1/endpoints/plain/deploy", {"version": slow}, timeout=0.3)
        self.served("good")  # waits for its turn, so the other one is over
        self.assertEqual(self.history(), [good, good])
        self.served("slow")
        self.assertEqual(self.history(), [slow, good, good])

    def test_a_step_of_an_execution_that_was_stopped(self):
        slow = self.approved("slow")
        execution = self.project.execute("out", version=slow)
        time.sleep(0.3)
        self.good(f"/api/v1/executions/{execution}/stop", {})
        self.served("good")
        self.assertEqual(self.history(), [self.versions["good"]])

    def test_a_file_that_is_not_what_was_approved(self):
        self.served("good", "spare")
        blobs = [path for path in self.path.glob(".onggi/blobs/*/*") if path.read_bytes() == self.models["good"].read_bytes()]
        self.assertEqual(len(blobs), 1)
        whole = blobs[0].read_bytes()
        blobs[0].chmod(0o600)
        blobs[0].write_bytes(whole.replace(b"ReduceSum", b"ReduceMax"))
        self.assertEqual(self.predict(asked(1, 2), "spare")["prediction"], {"score": 3})  # from memory
        self.refused(500, "changed since it was registered", "/api/v1/endpoints/spare/score",
                     {"entities_sql": "SELECT 1.0 AS a, 2.0 AS b, TIMESTAMP '2020-01-01' AS t", "time": "t"})
        self.project.stop()
        self.project.serve()
        self.assertEqual(self.predict(asked(1, 2), "spare")["fallback"], "no_model")
        self.assertIn("has changed since it was registered", self.project.log())
        code, answer = self.ask("/v2/health/ready")
        self.assertEqual((code, answer["ready"]), (503, False))
        self.assertIn("1 deployed model is not served", answer["error"])
        self.refused(500, "changed since it was registered", "/api/v1/endpoints/spare/deploy", {"version": 1})
        blobs[0].write_bytes(whole)
        self.served("good", "spare")
        self.assertEqual(self.predict(asked(1, 2), "spare")["prediction"], {"score": 3})
        self.assertEqual(self.good("/v2/health/ready"), {"ready": True})


ROWS = {
    **FILES,
    "features/all.yaml": """\
view: asked
request: {a: float64, b: float64, n: int64}
features:
  first:  {expr: "a"}
  second: {expr: "b"}
  many:   {expr: "n"}
---
service: asked
features: [asked]
""",
    "endpoints/plain.yaml": """\
endpoint: plain
service: asked
model: m
decision: {look: "many * 1000 > 5", pass: true}
timeout: 5s
""",
    "endpoints/spare.yaml": """\
endpoint: spare
service: asked
model: m
decision: {block: "score >= 0.8", look: "many * 1000 > 5", pass: true}
fallback: {score: 0.9}
timeout: 5s
""",
    "endpoints/calm.yaml": """\
endpoint: calm
service: asked
model: m
decision: {look: "many * 1000 > 5", block: "score >= 0.8", pass: true}
fallback: {score: 0.9}
timeout: 5s
""",
    "endpoints/named.yaml": """\
endpoint: named
service: asked
model: m
decision: {look: "many * 1000 > 5", pass: true}
fallback: {decision: look}
timeout: 5s
""",
}
LARGE = (1 << 63) - 1


def row(a=0, b=0, n=0):
    return {"request": {"a": a, "b": b, "n": n}}


class Rows(ModelCase):
    """The fallback answers for the rows that need it, and for no others."""
    files = ROWS

    def told(self, endpoint, *rows):
        """(decision, fallback) of each row, asked for together; asked for alone it is the same."""
        answers = self.predict({"rows": list(rows)}, endpoint)["rows"]
        for one, answer in zip(rows, answers):
            alone = self.predict(one, endpoint)
            self.assertEqual((alone["prediction"], alone["decision"], alone.get("fallback")),
                             (answer["prediction"], answer["decision"], answer.get("fallback")))
        return [(answer["decision"], answer.get("fallback")) for answer in answers]

    def test_a_rule_that_cannot_be_worked_out(self):
        for endpoint in ("plain", "spare", "calm", "named"):
            self.served("good", endpoint)
        rows = [row(0.1), row(0.1, n=LARGE), row(0.1, n=1)]
        self.assertEqual(self.told("spare", *rows), [("pass", None), ("block", "rule_error"), ("look", None)])
        # Where the rules fail for the fallback's score, too, nothing is decided, unless the fallback says it.
        self.assertEqual(self.told("calm", *rows), [("pass", None), (None, "rule_error"), ("look", None)])
        self.assertEqual(self.told("named", *rows), [("pass", None), ("look", "rule_error"), ("look", None)])
        self.refused(400, ["rows[1]", "no fallback", "decision 'look'"], "/api/v1/endpoints/plain/predict", {"rows": rows})
        self.refused(400, ["no fallback", "decision 'look'"], "/api/v1/endpoints/plain/predict", rows[1])

    def test_a_score_that_is_no_number(self):
        for endpoint in ("plain", "spare"):
            self.served("good", endpoint)
        rows = [row(0.1), row(None), row(0.2)]
        self.assertEqual(self.told("spare", *rows), [("pass", None), ("block", "nan_score"), ("pass", None)])
        self.assertEqual(self.told("plain", *rows), [("pass", None)] * 3)

    def test_a_row_that_the_model_fails_at(self):
        for endpoint in ("plain", "spare"):
            self.served("table", endpoint)
        rows = [row(0), row(7), row(1), row(None)]
        told = self.told("spare", *rows)
        self.assertEqual(told[:3], [("pass", None), ("block", "model_error"), ("pass", None)])
        self.assertEqual(told[3][0], "block")
        scores = [each["prediction"] for each in self.predict({"rows": rows[:3]}, "spare")["rows"]]
        self.assertEqual(scores, [{"score": 0.25}, {"score": 0.9}, {"score": 0.5}])
        self.refused(400, ["rows[1]", "out of data bounds"], "/api/v1/endpoints/plain/predict", {"rows": rows})

    def test_a_null_for_a_whole_number(self):
        for endpoint in ("plain", "spare"):
            self.served("whole", endpoint)
        rows = [row(n=0), row(n=None), row(n=3)]
        self.assertEqual(self.told("spare", *rows), [("pass", None), ("block", "null_input"), ("block", None)])
        self.refused(400, ["rows[1]", "'many'"], "/api/v1/endpoints/plain/predict", {"rows": rows})

    def test_what_fell_back_is_counted_and_told(self):
        self.served("table", "spare")
        before, logged = self.counted("model_error"), len(self.project.log())
        self.predict({"rows": [row(0), row(7), row(8)]}, "spare")
        self.predict(row(9), "spare")
        self.assertEqual(self.counted("model_error"), before + 3)
        last = self.good("/api/v1/endpoints/spare")["last_fallback"]
        self.assertEqual(last["reason"], "model_error")
        self.assertIn("out of data bounds", last["why"])
        told = self.project.log()[logged:]
        self.assertIn("endpoint 'spare' answered 2 rows with its fallback (model_error): ", told)
        self.assertEqual(told.count("with its fallback (model_error)"), 1)  # a minute has not passed

    def counted(self, reason):
        for line in self.project.read("/metrics").decode().splitlines():
            if line.startswith(f'onggi_predict_fallbacks_total{{endpoint="spare",reason="{reason}"}}'):
                return float(line.split()[-1])
        return 0

    def test_the_same_in_a_batch(self):
        for endpoint in ("plain", "spare"):
            self.served("table", endpoint)
        rows = ("SELECT (i % 100 = 7)::INT * 7.0 AS a, 0.0 AS b, CASE WHEN i % 100 = 9 THEN 9223372036854775807 ELSE 0 END AS n,"
                " TIMESTAMP '2020-01-01' AS t FROM range(1000) t(i)")
        answer = self.good("/api/v1/endpoints/spare/score", {"entities_sql": rows, "format": "csv", "time": "t"})
        for i, line in enumerate(csv.DictReader(self.project.read(f"/api/v1/results/{answer['id']}").decode().splitlines())):
            wanted = {7: ("0.9", "block", "model_error"), 9: ("0.9", "block", "rule_error")}.get(i % 100, ("0.25", "pass", ""))
            self.assertEqual((line["score"], line["decision"], line["fallback"]), wanted, i)
        self.refused(400, ["row 8", "no fallback", "out of data bounds"], "/api/v1/endpoints/plain/score",
                     {"entities_sql": rows, "time": "t"})


class Crowd(ModelCase):
    """More who wait for a worker than there is room for: to them, too, the fallback answers."""
    files = {**FILES, "onggi.yaml": f"python: {sys.executable}\nserver: {{threads: 1, workers: 1}}\n"}
    waiting = 1024

    def test_who_finds_no_place_in_the_queue_gets_the_fallback(self):
        self.served("moody", "spare")
        body = json.dumps({"rows": [asked(1000)] * 9}).encode()  # so many are not asked on the loop
        clients = [Client(int(self.project.url.rsplit(":", 1)[1]), 60) for _ in range(self.waiting + 100)]
        for client in clients:
            client.send(request("POST", "/api/v1/endpoints/spare/predict", "Content-Type: application/json", body=body))
        for client in clients:
            reply = client.reply()
            self.assertEqual(reply.code, 200, reply)
            self.assertEqual({(row["decision"], row["fallback"]) for row in json.loads(reply.body)["rows"]},
                             {("block", "timeout")})
            client.socket.close()


if __name__ == "__main__":
    unittest.main()
