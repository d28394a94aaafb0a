#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Features of now, asked wrongly: each a status and a sentence; and what is served meanwhile."""

import http.client
import json
import os
import signal
import sys
import threading
import time
import unittest
from base64 import b64encode
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import jobs  # noqa: E402
import onggi  # noqa: E402

DEFINITIONS = """\
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
  count_1d: {count: "*", window: 1d}
  sum_1d:   {sum: amount, window: 1d}
---
view: price
entity: shop
source: sales
ttl: 2d
columns: [amount, clerk]
---
view: asked
request: {at: timestamp, offered: int64}
features:
  twice: {expr: "offered * 2"}
---
service: now
time: at
features: [takings, price, asked]
"""

SALES = """\
at,shop,amount,clerk
2020-01-01T10:00:00Z,north,5,ann
2020-01-01T11:00:00Z,north,7,
2020-01-01T11:00:00Z,south,9,bob
"""

GET = "/api/v1/features/get"


def question(**changes):
    body = {"service": "now", "entities": {"shop": ["north"]},
            "request": {"at": ["2020-01-01T12:00:00Z"], "offered": [4]}}
    body.update(changes)
    return body


class OnlineErrors(onggi.ProjectCase):
    files = {"onggi.yaml": "", "features/all.yaml": DEFINITIONS, "data/sales.csv": SALES}
    serving = True

    @classmethod
    def prepare(cls, project):
        project.must("apply")

    def refused(self, code, words, body, path=GET):
        return super().refused(code, words, path, body)

    def materialize(self, **body):
        code, answer = self.ask("/api/v1/features/materialize", body)
        self.assertEqual(code, 200, answer)
        return answer

    def values(self):
        code, answer = self.ask(GET, question())
        self.assertEqual(code, 200, answer)
        return answer["rows"][0]

    def test_before_the_first_materialisation(self):
        self.refused(503, ["never materialised", "onggi features materialize"], question())

    def test_what_is_answered(self):
        result = self.materialize()
        self.assertEqual(result["rows"], 3)
        self.assertEqual(result["entities"], 4)
        code, answer = self.ask(GET, question(
            entities={"shop": ["north", "south", "west", None]},
            request={"at": ["2020-01-01T12:00:00Z", "2020-01-05T12:00:00Z",
                            "2020-01-01T12:00:00Z", "2020-01-01T12:00:00Z"],
                     "offered": [4, None, 1, 2]}))
        self.assertEqual(code, 200, answer)
        self.assertEqual(answer["features"],
                         ["count_1d", "sum_1d", "amount", "clerk", "twice"])
        self.assertEqual(answer["rows"], [[2, 12, 7, None, 8], [0, None, None, None, None],
                                          [0, None, None, None, 2], [0, None, None, None, 4]])
        self.assertEqual(answer["statuses"][0],
                         ["PRESENT", "PRESENT", "PRESENT", "NULL_VALUE", "PRESENT"])
        self.assertEqual(answer["statuses"][1], ["PRESENT", "NULL_VALUE", "OUTSIDE_MAX_AGE",
                                                 "OUTSIDE_MAX_AGE", "NULL_VALUE"])
        self.assertEqual(answer["statuses"][2], ["NOT_FOUND"] * 4 + ["PRESENT"])
        self.assertEqual(answer["statuses"][3], ["NOT_FOUND"] * 4 + ["PRESENT"])
        self.assertEqual(answer["event_times"][0][0], "2020-01-01T11:00:00Z")
        self.assertIsNone(answer["event_times"][2][0])

    def test_a_time_before_the_newest_event(self):
        self.materialize()
        code, answer = self.ask(GET, question(request={"at": ["2020-01-01T10:30:00Z"],
                                                       "offered": [1]}))
        self.assertEqual(code, 200, answer)
        self.assertEqual(answer["statuses"][0][:4], ["TOO_EARLY"] * 4)
        self.assertEqual(answer["rows"][0][:4], [None] * 4)

    def test_names(self):
        self.materialize()
        self.refused(400, ["'nwo'", "did you mean 'now'"], question(service="nwo"))
        self.refused(400, ["entities", "'shpo'", "did you mean 'shop'"],
                     question(entities={"shpo": ["north"]}))
        self.refused(400, ["entities", "'shop' (string) is missing"], question(entities={}))
        self.refused(400, ["request", "'offerd'", "did you mean 'offered'"],
                     question(request={"at": ["2020-01-02"], "offerd": [1]}))
        self.refused(400, ["request", "'offered' (int64) is missing"],
                     question(request={"at": ["2020-01-02"]}))
        self.refused(400, ["service"], {"entities": {}})
        self.refused(400, ["did you mean 'entities'"], question(entitys={}))

    def test_types_and_shapes(self):
        self.materialize()
        self.refused(400, ["entities.shop", "array"], question(entities={"shop": "north"}))
        self.refused(400, ["entities.shop"], question(entities={"shop": [5]}))
        self.refused(400, ["request.offered"],
                     question(request={"at": ["2020-01-02"], "offered": ["NaN"]}))
        self.refused(400, ["request.at"], question(request={"at": ["noon"], "offered": [1]}))
        self.refused(400, ["request.at", "null"], question(request={"at": [None], "offered": [1]}))
        self.refused(400, ["request.offered", "2 values", "has 1"],
                     question(request={"at": ["2020-01-02"], "offered": [1, 2]}))
        self.refused(400, ["entities"], question(entities=[1]))
        self.refused(400, [], b"{")
        self.refused(400, ["asked.twice"],
                     question(request={"at": ["2020-01-02"], "offered": [2 ** 62]}))

    def test_too_much(self):
        self.materialize()
        many = question(entities={"shop": ["north"] * 10001},
                        request={"at": ["2020-01-02"] * 10001, "offered": [1] * 10001})
        self.refused(413, ["10001 rows", "10000"], many)
        most = question(entities={"shop": ["north"] * 10000},
                        request={"at": ["2020-01-01T12:00:00Z"] * 10000, "offered": [4] * 10000})
        code, answer = self.ask(GET, most)
        self.assertEqual(code, 200)
        self.assertEqual(answer["rows"], [[2, 12, 7, None, 8]] * 10000)

    def test_materialising_wrongly(self):
        path = "/api/v1/features/materialize"
        self.refused(400, ["'taking'", "did you mean 'takings'"], {"views": ["taking"]}, path)
        self.refused(400, ["'asked'", "computed"], {"views": ["asked"]}, path)
        self.refused(400, ["twice"], {"views": ["price", "price"]}, path)
        self.refused(400, ["'from'"], {"from": "2020-01-02", "to": "2020-01-01"}, path)
        self.refused(400, ["noon"], {"from": "noon"}, path)
        self.refused(400, ["did you mean 'views'"], {"view": []}, path)

    def test_bounds(self):
        self.materialize(to="2020-01-01T11:00:00Z")
        self.assertEqual(self.values()[:4], [1, 5, 5, "ann"])
        self.materialize(**{"from": "2020-01-01T11:00:00Z"})
        self.assertEqual(self.values()[:4], [1, 7, 7, None])

    def test_a_failure_leaves_what_is_served(self):
        self.materialize()
        before = self.values()
        (self.path / "data" / "sales.csv").rename(self.path / "data" / "gone.csv")
        code, answer = self.ask("/api/v1/features/materialize", {})
        self.assertGreaterEqual(code, 400)
        self.assertIn("sales", answer["error"]["message"])
        self.assertEqual(self.values(), before)

    def test_a_changed_definition_wants_a_materialisation(self):
        self.materialize()
        text = DEFINITIONS.replace("columns: [amount, clerk]", "columns: [clerk, amount]")
        (self.path / "features" / "all.yaml").write_text(text)
        self.ask("/api/v1/apply", {})
        self.refused(503, ["'price'", "changed", "materialize --view price"], question())
        self.materialize(views=["price"])
        self.assertEqual(self.values()[2:4], [None, 7])

    def test_a_removed_view_leaves_the_disk(self):
        self.materialize()
        online = self.path / ".onggi" / "online"
        (online / "price.0000000007").mkdir()  # a materialisation was killed here
        text = DEFINITIONS.replace("view: price", "view: cost").replace("price, ", "")
        (self.path / "features" / "all.yaml").write_text(text)
        self.assertTrue(self.ask("/api/v1/apply", {})[1]["applied"])
        self.assertEqual(sorted(path.name for path in online.glob("*.*")),
                         ["manifest.json", "takings.0000000001"])
        self.assertEqual(self.values()[:2], [2, 12])

        (self.path / "features" / "all.yaml").write_text(DEFINITIONS)
        self.ask("/api/v1/apply", {})
        self.refused(503, ["never materialised", "materialize"], question())
        self.materialize(views=["price"])
        self.assertEqual(self.values()[:3], [2, 12, 7])
        self.assertTrue((online / "price.0000000008").exists())

    def test_no_read_is_lost_while_generations_change(self):
        self.materialize()
        expected, wrong, stop = self.values(), [], threading.Event()

        def read():
            while not stop.is_set():
                code, answer = self.ask(GET, question())
                if code != 200 or answer["rows"][0] != expected:
                    wrong.append((code, answer))

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for _ in range(4):
            self.materialize()
        stop.set()
        for reader in readers:
            reader.join()
        self.assertEqual(wrong[:3], [])
        folders = [name for name in os.listdir(self.path / ".onggi" / "online") if "." in name]
        self.assertEqual(len(folders), 3, folders)  # two views and manifest.json

    def test_a_job_that_is_killed_leaves_what_is_served(self):
        self.materialize()
        before = self.values()
        rows = "".join(f"2020-01-01T09:00:{i % 60:02}Z,s{i % 997},{i},x\n" for i in range(600000))
        (self.path / "data" / "sales.csv").write_text(SALES + rows)
        answers = []
        asking = threading.Thread(target=lambda: answers.append(
            self.ask("/api/v1/features/materialize", {})))
        asking.start()
        job = jobs.await_one(self.path, "materialize")
        self.assertIsNotNone(job)
        os.kill(job, signal.SIGKILL)
        asking.join()
        self.assertEqual(answers[0][0], 503, answers)
        self.assertIn("killed by signal 9", answers[0][1]["error"]["message"])
        self.assertEqual(self.values(), before)
        self.materialize()
        self.assertEqual(self.values()[:2], before[:2])

    def ask_and_stop(self, **body):
        """A materialisation whose job stands still: (the job, the thread that asks, what it is answered)."""
        others, answers = jobs.find(self.path, "materialize"), []
        asking = threading.Thread(target=lambda: answers.append(
            self.ask("/api/v1/features/materialize", body)))
        asking.start()
        job = jobs.await_one(self.path, "materialize", but=others)
        self.assertIsNotNone(job)
        os.kill(job, signal.SIGSTOP)
        self.addCleanup(asking.join)
        self.addCleanup(lambda: job in jobs.find(self.path, "materialize") and os.kill(job, signal.SIGKILL))
        return job, asking, answers

    def test_of_two_jobs_the_one_that_began_later_wins(self):
        job, asking, answers = self.ask_and_stop()
        self.materialize(to="2020-01-01T11:00:00Z")
        os.kill(job, signal.SIGCONT)
        asking.join()
        self.assertEqual(answers[0][0], 409, answers)
        self.assertIn("materialised again in the meantime; the newer values stay",
                      answers[0][1]["error"]["message"])
        self.assertNotIn(str(self.path), answers[0][1]["error"]["message"])
        self.assertEqual(self.values()[:4], [1, 5, 5, "ann"])
        online = self.path / ".onggi" / "online"
        self.assertEqual(sorted(path.name for path in online.glob("*.0*")),
                         ["price.0000000002", "takings.0000000002"])

    def test_a_job_at_work_keeps_its_folders(self):
        rows = "".join(f"2020-01-01T09:00:{i % 60:02}Z,s{i},{i},x\n" for i in range(300000))
        self.project.write("data/sales.csv", SALES + rows)
        answers, online = [], self.path / ".onggi" / "online"
        asking = threading.Thread(target=lambda: answers.append(
            self.ask("/api/v1/features/materialize", {})))
        asking.start()
        deadline = time.monotonic() + 60
        while not list(online.glob("*.0000000001")) and time.monotonic() < deadline:
            time.sleep(0.001)
        found = jobs.find(self.path, "materialize")
        self.assertEqual(len(found), 1)
        os.kill(found[0], signal.SIGSTOP)
        building = list(online.glob("*.0000000001"))
        self.assertTrue(building)
        self.project.write("data/sales.csv", SALES)
        self.materialize()
        still = list(online.glob("*.0000000001"))
        os.kill(found[0], signal.SIGCONT)
        asking.join()
        self.assertEqual(answers[0][0], 409, answers)
        self.assertEqual(still, building)
        self.assertEqual(list(online.glob("*.0000000001")), [])
        self.assertEqual(self.values()[:4], [2, 12, 7, None])

    def test_a_job_that_is_killed_while_it_builds_leaves_nothing(self):
        self.materialize()
        rows = "".join(f"2020-01-01T09:00:{i % 60:02}Z,s{i},{i},x\n" for i in range(300000))
        self.project.write("data/sales.csv", SALES + rows)
        answers, online = [], self.path / ".onggi" / "online"
        asking = threading.Thread(target=lambda: answers.append(
            self.ask("/api/v1/features/materialize", {})))
        asking.start()
        deadline = time.monotonic() + 60
        while not list(online.glob("*.0000000002")) and time.monotonic() < deadline:
            time.sleep(0.001)
        os.kill(jobs.await_one(self.path, "materialize"), signal.SIGKILL)
        asking.join()
        self.assertEqual(answers[0][0], 503, answers)
        self.assertEqual(sorted(path.name for path in online.glob("*.0*")),
                         ["price.0000000001", "takings.0000000001"])
        self.assertEqual(self.values()[:4], [2, 12, 7, None])

    def test_a_server_that_is_killed_in_the_middle_serves_what_was_there(self):
        self.materialize()
        before = self.values()
        rows = "".join(f"2020-01-01T09:00:{i % 60:02}Z,s{i % 997},{i},x\n" for i in range(600000))
        self.project.write("data/sales.csv", SALES + rows)
        asking = threading.Thread(target=self.ask_in_vain)
        asking.start()
        job = jobs.await_one(self.path, "materialize")
        self.assertIsNotNone(job)
        time.sleep(0.3)  # well into its work
        self.assertEqual(jobs.find(self.path, "materialize"), [job])
        self.project.kill()
        asking.join()
        self.assertTrue(jobs.await_none(self.path, "materialize"))  # it ended with its server

        self.project.serve()
        self.assertEqual(self.values(), before)
        self.materialize()
        self.assertEqual(self.values()[:2], before[:2])
        online = self.path / ".onggi" / "online"
        self.assertEqual(len(list(online.glob("*.0*"))), 2, list(online.glob("*")))  # nothing half built
        self.assertEqual([path.name for path in (self.path / ".onggi" / "tmp").glob("job-*")], [])

    def ask_in_vain(self):
        try:
            self.ask("/api/v1/features/materialize", {})
        except (OSError, http.client.HTTPException):
            pass


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
