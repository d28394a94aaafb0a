#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Training sets over HTTP: asked rightly, asked wrongly, and when the job comes to a bad end."""

import json
import os
import signal
import sys
import threading
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import onggi  # noqa: E402
from raw_http import wait_until  # noqa: E402

DEFINITIONS = """\
entity: shop
key: shop
type: string
---
source: sales
path: data/sales.csv
time: at
---
source: much
sql: SELECT 'north' AS shop, TIMESTAMP '2020-01-01' AS at, sum(i * j) AS amount
     FROM range(100000) a(i), range(1000000) b(j) GROUP BY i % 7
time: at
---
view: takings
entity: shop
source: sales
features:
  count_1d: {count: "*", window: 1d}
  sum_1d:   {sum: amount, window: 1d}
---
view: endless
entity: shop
source: much
features:
  total: {sum: amount}
---
service: now
time: at
features: [takings]
---
service: untimed
features: [takings]
---
source: typed
path: data/typed.csv
time: at
types: {at: timestamp, amount: int64}
---
view: typed_takings
entity: shop
source: typed
features:
  typed_sum: {sum: amount}
---
service: typed
time: at
features: [typed_takings]
---
service: forever
time: at
features: [endless]
"""

SALES = """\
at,shop,amount
2020-01-01T10:00:00Z,north,5
2020-01-01T11:00:00Z,north,7
2020-01-01T11:00:00Z,south,9
"""
ROWS = "label,shop,at\n1,north,2020-01-01T11:00:00Z\n0,south,2020-01-02T00:00:00Z\n2,,\n"
WANTED = [["1", "north", "1", "5"], ["0", "south", "1", "9"], ["2", "", "0", ""]]
DOOR = "/api/v1/features/training-set"


class TrainingSet(onggi.ProjectCase):
    files = {"onggi.yaml": "", "features/shop.yaml": DEFINITIONS, "data/sales.csv": SALES, "data/typed.csv": SALES}
    shared = True
    serving = True

    @classmethod
    def prepare(cls, project):
        project.must("apply")

    def fetch(self, path, body=None, content_type="text/csv"):
        """(status, bytes) of a POST with a body, else of a GET."""
        try:
            with self.project.open(path, body, content_type=content_type) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def refused(self, code, part, path, body, content_type="text/csv"):
        return super().refused(code, part, path, body, content_type=content_type)

    def json(self, **body):
        return json.dumps(body)

    def cells(self, text):
        """Every cell but the time, which is written in DuckDB's way."""
        lines = [line.split(",") for line in text.decode().splitlines()]
        self.assertEqual(lines[0], ["label", "shop", "at", "count_1d", "sum_1d"])
        return [line[:2] + line[3:] for line in lines[1:]]

    def test_a_result_is_fetched_once(self):
        status, answer = self.fetch(DOOR + "?service=now&format=csv", ROWS)
        result = json.loads(answer)
        self.assertEqual((status, result["rows"], result["columns"]), (200, 3, 5), answer)
        self.assertRegex(result["fingerprint"], "^[0-9a-f]{64}$")
        status, text = self.fetch("/api/v1/results/" + result["id"])
        self.assertEqual((status, len(text)), (200, result["bytes"]))
        self.assertEqual(self.cells(text), WANTED)
        # It goes once its last byte has left, which may be a moment after it has arrived here.
        self.assertTrue(wait_until(lambda: self.fetch("/api/v1/results/" + result["id"])[0] == 404))

    def test_results_are_not_a_way_to_other_files(self):
        for name in ("..%2F..%2F..%2Fonggi.yaml", "x", "%00", "../../meta.db"):
            self.assertIn(self.fetch("/api/v1/results/" + name)[0], (400, 404), name)

    def test_rows_may_be_sql(self):
        sql = 'SELECT 1 AS label, shop, "at" FROM sales WHERE shop = \'south\''
        status, answer = self.fetch(DOOR, self.json(service="now", entities_sql=sql, format="csv"),
                                  "application/json")
        self.assertEqual(status, 200, answer)
        text = self.fetch("/api/v1/results/" + json.loads(answer)["id"])[1]
        self.assertEqual(self.cells(text), [["1", "south", "0", ""]])

    def test_what_is_asked_wrongly(self):
        self.refused(400, "did you mean 'now'", DOOR + "?service=nov", ROWS)
        self.refused(400, "'service' is missing", DOOR, ROWS)
        self.refused(400, "--time", DOOR + "?service=untimed", ROWS)
        self.refused(400, "parquet or csv", DOOR + "?service=now&format=xls", ROWS)
        self.refused(400, "did you mean 'at'", DOOR + "?service=now&time=att", ROWS)
        self.refused(400, "as_known", DOOR + "?service=now&as_known=perhaps", ROWS)
        self.refused(400, "did you mean 'entities_sql'", DOOR,
                     self.json(service="now", entity_sql="SELECT 1"), "application/json")
        self.refused(400, "entity rows", DOOR, self.json(service="now", entities_sql="SELEC 1"),
                     "application/json")

    def test_rows_that_do_not_fit(self):
        path = DOOR + "?service=now"
        self.refused(400, "no column 'shop'; did you mean 'shops'", path,
                     ROWS.replace("shop", "shops"))
        self.refused(400, "'at' is VARCHAR", path, "shop,at\nnorth,yesterday\n")
        self.refused(400, "'shop' is BIGINT", path, "shop,at\n5,2020-01-01\n")
        self.refused(400, "--full-names", path, "shop,at,sum_1d\nnorth,2020-01-01,1\n")
        self.refused(400, "entity rows", path, b"PAR1 cut off")
        self.refused(400, "entity rows", path, b"\x00\xff\xfe" * 100)

    def test_a_source_that_broke_after_apply(self):
        sales = self.path / "data" / "sales.csv"
        try:
            sales.unlink()
            self.refused(400, "source 'sales': there is no file data/sales.csv",
                         DOOR + "?service=now", ROWS)
            sales.write_text("at,shop\n2020-01-01,north\n")
            self.refused(400, "source 'sales': there is no column 'amount'",
                         DOOR + "?service=now", ROWS)
        finally:
            sales.write_text(SALES)

    def test_a_broken_line_loses_no_row(self):
        sales = self.path / "data" / "sales.csv"
        lines = {"2020-01-01T12:00:00Z,north,7,8\n": "data/sales.csv: line 5 has 4 values, the first line has 3",
                 "2020-01-01T12:00:00Z\n": "data/sales.csv: line 5 has 1 value, the first line has 3",
                 "# 2020-01-01T12:00:00Z\n": "data/sales.csv: line 5 has 1 value, the first line has 3",
                 "2020-01-01T12:00:00Z,\"north,7\n": "data/sales.csv: a quote in line 5 is never closed",
                 "2020-01-01T12:00:00Z,\"no\"rth,7\n": "line 5 has text behind a closing quote",
                 "2020-01-01T12:00:00Z,north,seven\n": "column 'amount' is VARCHAR, wanted is int64"}
        try:
            for line, told in lines.items():
                sales.write_text(SALES + line)
                self.refused(400, told, DOOR + "?service=now", ROWS)
                self.refused(400, told, "/api/v1/features/materialize", "{\"views\": [\"takings\"]}",
                             "application/json")
        finally:
            sales.write_text(SALES)
        self.refused(400, "line 3 has 4 values", DOOR + "?service=now", "label,shop,at\n1,north,2020-01-01\n1,2,3,4\n")

    def test_a_cell_that_is_not_of_its_type(self):
        typed = self.path / "data" / "typed.csv"
        lines = {"never,north,7\n": 'invalid timestamp field format: "never"',
                 "2020-13-45,north,7\n": "2020-13-45",
                 "2020-01-01T12:00:00Z,north,seven\n": "CSV Error on Line: 5",
                 "2020-01-01T12:00:00Z,north,9223372036854775808\n": "Could not convert string"}
        try:
            for line, told in lines.items():
                typed.write_text(SALES + line)
                self.refused(400, told, DOOR + "?service=typed", ROWS)
        finally:
            typed.write_text(SALES)

    def test_other_ways_to_write_a_csv(self):
        sales = self.path / "data" / "sales.csv"
        try:
            for text in (SALES.replace(",", ";"), SALES.replace(",", "\t"), SALES.replace("\n", "\r\n"),
                         "\ufeff" + SALES, SALES.replace("north", '"north"') + "\n\n", SALES.rstrip("\n")):
                sales.write_bytes(text.encode())
                status, answer = self.fetch(DOOR + "?service=now&format=csv", ROWS)
                self.assertEqual(status, 200, answer)
                got = self.fetch("/api/v1/results/" + json.loads(answer)["id"])[1]
                self.assertEqual(self.cells(got), WANTED, text)
        finally:
            sales.write_text(SALES)

    def test_a_killed_job_takes_nobody_along(self):
        answers = []
        thread = threading.Thread(target=lambda: answers.append(
            self.fetch(DOOR + "?service=forever", ROWS)))
        thread.start()
        job = self.wait_for_job()
        os.kill(job, signal.SIGKILL)
        thread.join(30)
        status, body = answers[0]
        self.assertEqual(status, 503, body)
        self.assertIn("killed by signal 9", json.loads(body)["error"]["message"])
        self.assertEqual(self.fetch(DOOR + "?service=now", ROWS)[0], 200)

    def test_a_client_that_leaves_ends_its_job(self):
        request = urllib.request.Request(
            self.project.url + DOOR + "?service=forever", ROWS.encode(),
            {"Content-Type": "text/csv", "Accept": "text/event-stream"})
        reply = urllib.request.urlopen(request, timeout=60)
        job = self.wait_for_job()
        reply.close()
        for _ in range(100):
            if job not in self.jobs():
                return
            time.sleep(0.1)
        self.fail("the job goes on")

    def jobs(self):
        """Processes that work for this project."""
        found = []
        for name in os.listdir("/proc"):
            try:
                words = Path("/proc", name, "cmdline").read_bytes().split(b"\0")
                state = Path("/proc", name, "stat").read_text().rsplit(")", 1)[1].split()
            except (OSError, ValueError, IndexError):
                continue
            if words[1:3] == [b"job", b"training-set"] and state[0] != "Z":
                found.append(int(name))
        return [pid for pid in found if self.is_ours(pid)]

    def is_ours(self, pid):
        try:
            text = Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()
            parent = int(text[1])
            return Path("/proc", str(parent), "cwd").resolve() == self.path.resolve()
        except (OSError, ValueError, IndexError):
            return False

    def wait_for_job(self):
        for _ in range(300):
            jobs = self.jobs()
            if jobs:
                time.sleep(0.5)  # well into its work
                return jobs[0]
            time.sleep(0.05)
        self.fail("no job was started")
        return None


if __name__ == "__main__":
    unittest.main()
