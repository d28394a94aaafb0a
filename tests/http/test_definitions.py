#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Definitions from outside: validate, apply, look at them; and what mistakes are answered with."""

import json
import os
import signal
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import jobs  # noqa: E402
import onggi  # noqa: E402

DEFINITIONS = """\
entity: customer
key: customer_id
type: int64
---
source: payments
path: data/payments.csv
time: at
---
source: large
sql: SELECT *, amount > 50 AS is_large FROM payments
time: at
---
view: activity
entity: customer
source: large
owner: risk@example.com
description: what a customer pays
features:
  count_1d:    {count: "*", window: 1d}
  avg_7d:      {avg: amount, window: 7d}
  large_7d:    {avg: is_large, window: 7d}
  newest:      {last: shop}
---
view: shape
request: {amount: float64, at: timestamp}
features:
  ratio: {expr: "amount / activity.avg_7d"}
  night: {expr: "hour(at) <= 6"}
---
service: fraud
time: at
features: [activity.count_1d, shape]
"""

PAYMENTS = """\
at,customer_id,amount,shop
2020-01-01T10:00:00Z,1,12.5,north
2020-01-02T10:00:00Z,2,99.0,south
"""


class Definitions(onggi.ProjectCase):
    files = {"onggi.yaml": "", "data/payments.csv": PAYMENTS, "features/all.yaml": DEFINITIONS}

    def define(self, text):
        (self.path / "features" / "all.yaml").write_text(text)

    def answer(self, command):
        """(exit code, the JSON that the command prints)"""
        done = self.project.run(command, "--json")
        return done.returncode, json.loads(done.stdout)

    def changes(self, command):
        code, answer = self.answer(command)
        self.assertEqual(code, 0, answer)
        return [f"{c['change']}{c['kind']} {c['name']}" for c in answer["plan"]]

    def mistakes(self, text):
        self.define(text)
        done = self.project.run("validate")
        self.assertNotEqual(done.returncode, 0)
        return done.stderr

    def test_a_plan_is_shown_then_applied_then_empty(self):
        everything = ["+entity customer", "+source payments", "+source large", "+view activity",
                      "+view shape", "+service fraud"]
        self.assertEqual(self.changes("validate"), everything)
        self.assertEqual(self.changes("apply"), everything)
        self.assertEqual(self.changes("apply"), [])
        self.define(DEFINITIONS.replace("window: 1d", "window: 2d").replace("fraud", "fraud_v2"))
        self.assertEqual(self.changes("apply"),
                         ["~view activity", "+service fraud_v2", "-service fraud"])
        self.define(DEFINITIONS.replace("window: 1d", "window: 3d").replace("fraud", "fraud_v2"))
        self.assertIn("1 change; 'onggi apply' records them", self.project.run("validate").stderr)

    def test_types_come_from_the_files_and_outlive_them(self):
        self.project.must("apply")
        (self.path / "data" / "payments.csv").unlink()
        (self.path / "features" / "all.yaml").unlink()
        self.project.serve()
        status, view = self.ask("/api/v1/definitions/view/activity")
        self.assertEqual(status, 200)
        self.assertEqual({f["name"]: f["type"] for f in view["features"]},
                         {"count_1d": "int64", "avg_7d": "float64", "large_7d": "float64",
                          "newest": "string"})
        self.assertEqual(view["owner"], "risk@example.com")
        status, service = self.ask("/api/v1/definitions/service/fraud")
        self.assertEqual([f["name"] for f in service["features"]], ["count_1d", "ratio", "night"])
        self.assertEqual(service["entities"], [{"name": "customer_id", "type": "int64"}])
        self.assertEqual(service["request"], [{"name": "amount", "type": "float64"},
                                              {"name": "at", "type": "timestamp"}])
        self.assertEqual(service["time"], "at")

    def test_definitions_are_listed_and_found(self):
        self.project.must("apply")
        self.project.serve()
        names = lambda path: [d["name"] for d in self.ask(path)[1]["definitions"]]
        self.assertEqual(names("/api/v1/definitions?kind=view"), ["activity", "shape"])
        self.assertEqual(names("/api/v1/definitions?search=CUSTOMER%20pays"), ["activity"])
        self.assertEqual(names("/api/v1/definitions?name=fraud"), ["fraud"])
        status, answer = self.ask("/api/v1/definitions/view/activty")
        self.assertEqual(status, 404)
        self.assertIn("there is no view 'activty'; did you mean 'activity'?",
                      answer["error"]["message"])

    def test_all_mistakes_are_told_at_once_with_their_places(self):
        told = self.mistakes(DEFINITIONS.replace("avg: amount", "avg: amout")
                             .replace("key: customer_id", "kee: customer_id")
                             .replace("hour(at)", "hours(at)").replace("FROM payments", "FROM paymnts"))
        self.assertIn("features/all.yaml:2:1: unknown key 'kee'; did you mean 'key'?", told)
        self.assertIn("features/all.yaml:10:6: there is no source 'paymnts'; did you mean "
                      "'payments'?", told)
        self.assertIn("features/all.yaml:28:18: unknown function 'hours'; did you mean 'hour'?", told)

    def test_a_mistake_records_nothing(self):
        self.project.must("apply")
        self.define(DEFINITIONS.replace("avg: amount", "avg: amout"))
        code, answer = self.answer("apply")
        self.assertNotEqual(code, 0)
        self.assertFalse(answer["applied"])
        self.assertEqual(answer["errors"], [
            {"file": "features/all.yaml", "line": 20, "column": 22,
             "message": "source 'large' has no column 'amout'; did you mean 'amount'?"}])
        self.project.serve()
        self.assertEqual(self.ask("/api/v1/definitions/view/activity")[0], 200)

    def test_bad_yaml_and_bad_files(self):
        self.assertIn("features/all.yaml:2:1: tabs may not indent; use spaces",
                      self.mistakes("entity: a\n\tkey: b\n"))
        self.assertIn("features/all.yaml:3:1: 'key' is here twice",
                      self.mistakes("entity: a\nkey: b\nkey: c\n"))
        self.assertIn("features/all.yaml:2:7: there is no file 'data/none.parquet'",
                      self.mistakes("source: s\npath: data/none.parquet\n"))
        self.mistakes("source: s\npath: ../outside.csv\n")
        self.assertIn("features/all.yaml:2:7: 'sql' wants text, found nothing",
                      self.mistakes("source: s\nsql: ''\n"))
        self.assertIn("source 's': `types:` names column 'amonut', which is not there",
                      self.mistakes("source: s\npath: data/payments.csv\ntypes: {amonut: int64}\n"))
        self.assertIn("source 's': syntax error at or near \"TO\"; it has to be one SELECT",
                      self.mistakes("source: s\nsql: COPY s TO '/tmp/x'\n"))
        self.assertIn("source 's': SQL opens no files itself: give '/etc/passwd' a source",
                      self.mistakes("source: s\nsql: SELECT * FROM read_csv('/etc/passwd')\n"))
        (self.path / "data" / "cut.parquet").write_bytes(b"PAR1 and no more")
        self.assertIn("features/all.yaml:2:7: source 's':",
                      self.mistakes("source: s\npath: data/cut.parquet\n"))

    def test_a_key_of_another_type_than_its_column(self):
        for kind in ("bytes", "string", "timestamp", "bool"):
            self.assertIn(f"features/all.yaml:15:9: key 'customer_id' of entity 'customer' is {kind}, but it is "
                          "BIGINT in source 'large'", self.mistakes(DEFINITIONS.replace("int64\n", f"{kind}\n", 1)))
        shops = DEFINITIONS.replace("key: customer_id", "key: shop")
        self.assertIn("key 'shop' of entity 'customer' is bytes, but it is VARCHAR",
                      self.mistakes(shops.replace("int64\n", "bytes\n", 1)))

    def test_sources_in_a_circle(self):
        self.project.serve()
        self.define("source: x\nsql: SELECT * FROM a\n---\nsource: a\nsql: SELECT * FROM b\n---\n"
                    "source: b\nsql: SELECT * FROM a\n")
        for path in ("validate", "apply"):
            code, answer = self.ask(f"/api/v1/{path}", {})
            self.assertEqual(code, 200, answer)
            self.assertEqual([(e["file"], e["line"], e["message"]) for e in answer["errors"]],
                             [("features/all.yaml", 4, "source 'a' reads itself by way of other sources"),
                              ("features/all.yaml", 7, "source 'b' reads itself by way of other sources")])
        self.assertNotIn("crash", self.project.log())

    def test_an_interrupt_ends_the_job_too(self):
        for sign in (signal.SIGTERM, signal.SIGINT):
            process = self.project.start("validate")
            job = jobs.await_one(self.path, "describe")
            self.assertIsNotNone(job)
            os.kill(job, signal.SIGSTOP)  # it would never end by itself
            time.sleep(0.2)
            self.assertIsNone(process.poll(), "it ought to wait for its job")
            began = time.monotonic()
            process.send_signal(sign)
            process.communicate(timeout=30)
            self.assertLess(time.monotonic() - began, 2)
            self.assertEqual(process.returncode, 130)
            self.assertTrue(jobs.await_none(self.path, "describe"))

    def test_applying_on_a_running_server_takes_effect_at_once(self):
        self.project.must("apply")
        self.project.serve()
        self.define(DEFINITIONS.replace("service: fraud", "service: other"))
        answer = self.project.post("/api/v1/apply", {})
        self.assertTrue(answer["applied"])
        self.assertEqual(answer["revision"], 2)
        self.assertEqual(self.ask("/api/v1/definitions/service/other")[0], 200)
        self.assertEqual(self.ask("/api/v1/definitions/service/fraud")[0], 404)


if __name__ == "__main__":
    unittest.main()
