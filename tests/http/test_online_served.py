#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is served when a definition has changed, how much at once, and under which keys."""

import json
import sys
import threading
import time
import unittest
from base64 import b64encode
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import onggi  # noqa: E402
from test_online_errors import GET, SALES  # noqa: E402

STALE = """\
entity: shop
key: shop
type: string
---
source: raw
path: data/sales.csv
---
source: sales
sql: SELECT * FROM raw WHERE amount > 0
time: at
---
view: takings
entity: shop
source: sales
features:
  count: {count: "*"}
---
service: now
time: at
features: [takings]
"""


class ChangedSources(onggi.ProjectCase):
    """What a view is made from decides whether its rows are served, not its own text alone."""
    files = {"onggi.yaml": "", "features/all.yaml": STALE, "data/sales.csv": SALES,
             "data/other.csv": "at,late,shop,amount\n2020-01-01,2020-01-02,north,9\n"}

    def values(self):
        return self.good(GET, {"service": "now", "entities": {"shop": ["north"]},
                               "request": {"at": ["2020-01-03T12:00:00Z"]}})["rows"]

    def test_every_change_of_a_source_wants_a_materialisation(self):
        self.project.must("apply")
        self.project.must("features", "materialize")
        self.project.serve()
        self.assertEqual(self.values(), [[2]])
        text = STALE
        for old, new, count in (("amount > 0", "amount > 5", 1),
                                ("data/sales.csv", "data/other.csv", 1),
                                ("time: at\n---\nview", "time: late\n---\nview", 1),
                                ("data/other.csv\n", "data/other.csv\ntypes: {amount: float64}\n", 1),
                                ("time: late\n", "time: late\ncreated: at\n", 1)):
            self.assertIn(old, text)
            text = text.replace(old, new)
            (self.path / "features" / "all.yaml").write_text(text)
            self.assertEqual(self.good("/api/v1/validate", {})["materialize"], ["takings"], new)
            self.assertEqual(self.good("/api/v1/apply", {})["materialize"], ["takings"], new)
            self.refused(503, ["'takings'", "changed", "materialize --view takings"], GET,
                         {"service": "now", "entities": {"shop": ["north"]},
                          "request": {"at": ["2020-01-03T12:00:00Z"]}})
            self.good("/api/v1/features/materialize", {})
            self.assertEqual(self.values(), [[count]], new)

    def test_what_does_not_decide_the_rows_leaves_them_served(self):
        self.project.must("apply")
        self.project.must("features", "materialize")
        self.project.serve()
        for new in ("time: at\ndescription: sold\n---\nview", "time: at\nowner: me\n---\nsource: amount\n"
                    "path: data/other.csv\n---\nview"):  # 'amount' is a column of the SQL as well
            text = STALE.replace("time: at\n---\nview", new)
            (self.path / "features" / "all.yaml").write_text(text)
            self.assertEqual(self.good("/api/v1/apply", {})["materialize"], [])
            self.assertEqual(self.values(), [[2]])

    def test_a_plan_says_so_in_words(self):
        self.project.must("apply")
        (self.path / "features" / "all.yaml").write_text(STALE.replace("> 0", "> 1"))
        self.assertIn("view 'takings' wants 'onggi features materialize'", self.project.run("apply").stderr)


WIDE = """\
entity: shop
key: shop
type: string
---
source: sales
path: data/sales.csv
time: at
---
view: takings
entity: shop
source: sales
features:
""" + "".join(f"  w{i}: {{avg: amount, window: {i + 1}h}}\n" for i in range(200)) + """\
---
view: note
entity: shop
source: sales
columns: [clerk]
---
service: wide
features: [takings]
---
service: text
features: [note]
"""


class MuchWork(onggi.ProjectCase):
    """What a request costs goes by what it asks for, not by how long it is."""
    files = {"onggi.yaml": "", "features/all.yaml": WIDE,
             "data/sales.csv": SALES + f"2020-01-01T11:00:00Z,large,1,{'x' * 100000}\n"}
    serving = True

    @classmethod
    def prepare(cls, project):
        project.must("apply")
        project.must("features", "materialize")

    @staticmethod
    def asked(service, shop, rows):
        return json.dumps({"service": service, "entities": {"shop": [shop] * rows}}, separators=(",", ":"))

    def test_more_than_may_be_answered_at_once(self):
        self.refused(413, ["5001 rows of 200 features", "1000000 values"], GET, self.asked("wide", "north", 5001))
        self.refused(413, ["text", "64 MiB"], GET, self.asked("text", "large", 800))
        self.assertEqual(len(self.good(GET, self.asked("text", "large", 20))["rows"]), 20)

    def test_a_short_body_that_asks_for_much_does_not_hold_the_loops(self):
        body = self.asked("wide", "n", 4000).encode()
        self.assertLess(len(body), 16 << 10)
        took = []

        def ask():
            began = time.monotonic()
            self.good(GET, body)
            took.append(time.monotonic() - began)

        asking = threading.Thread(target=ask)
        asking.start()
        waited = []
        while asking.is_alive():  # each time on a connection of its own, so that each loop is met
            began = time.monotonic()
            self.project.read("/healthz")
            waited.append(time.monotonic() - began)
        asking.join()
        self.assertLess(max(waited), took[0] / 2, (took, len(waited)))


KEYS = """\
entity: text
key: text
type: string
---
entity: blob
key: blob
type: bytes
---
source: rows
sql: |
  SELECT TIMESTAMP '2020-01-01' AS at, text, number, from_hex(hex) AS blob
  FROM (VALUES ('', 1, ''), (chr(0), 2, '00'), (chr(0) || chr(0), 3, '0000'), ('a', 4, 'FF00FE')) t(text, number, hex)
time: at
---
view: by_text
entity: text
source: rows
columns: [number]
---
view: by_blob
entity: blob
source: rows
features: {newest: {last: blob}, count: {count: "*"}}
---
service: texts
features: [by_text]
---
service: blobs
features: [by_blob]
"""


class Keys(onggi.ProjectCase):
    files = {"onggi.yaml": "", "features/all.yaml": KEYS}
    serving = True

    @classmethod
    def prepare(cls, project):
        project.must("apply")
        project.must("features", "materialize")

    def test_blank_texts_are_different_entities(self):
        answer = self.good(GET, {"service": "texts", "entities": {"text": ["", "\0", "\0\0", "a", "\0\0\0"]}})
        self.assertEqual(answer["rows"], [[1], [2], [3], [4], [None]])

    def test_bytes_go_there_and_back(self):
        blobs = [b64encode(blob).decode() for blob in (b"", b"\0", b"\0\0", b"\xff\0\xfe")]
        answer = self.good(GET, {"service": "blobs", "entities": {"blob": blobs}})
        self.assertEqual(answer["rows"], [[blob, 1] for blob in blobs])
        answer = self.good(GET, {"service": "blobs", "entities": {"blob": ["_wD-"]}})
        self.assertEqual(answer["rows"], [["/wD+", 1]])
        self.refused(400, ["row 2", "entities.blob", "expected bytes in base64"], GET,
                     {"service": "blobs", "entities": {"blob": ["AA==", "\u00ff"]}})


if __name__ == "__main__":
    unittest.main()
