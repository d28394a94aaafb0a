#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fingerprints: equal ones mean equal training sets, whatever SQL does and files do meanwhile."""

import json
import sys
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from training_case import ROWS, TrainingCase, table  # noqa: E402

FICKLE = ("random()", "uuid()::VARCHAR", "now()::VARCHAR", "current_timestamp::VARCHAR", "gen_random_uuid()::VARCHAR")


class Fingerprints(TrainingCase):
    def fingerprint(self, project, rows=ROWS):
        done = self.ask(project, rows, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)["fingerprint"]

    def test_equal_rows_have_equal_ones(self):
        files = {"data/a.parquet": table(id=[0, 1], x=[1, 2])}
        one, two = self.project(files, name="one"), self.project(files, name="two")
        for project in (one, two):
            project.must("apply")
        rows = "SELECT id, t, x AS label FROM ev"
        self.assertEqual(self.fingerprint(one, rows), self.fingerprint(two, rows))
        self.assertNotEqual(self.fingerprint(one, rows), self.fingerprint(two, "SELECT id, t, x + 1 AS label FROM ev"))

    def test_entity_rows_that_are_others_each_time(self):
        project = self.project({"data/a.parquet": table(id=[0], x=[1])})
        project.must("apply")
        for word in FICKLE:
            rows = f"SELECT i AS id, TIMESTAMP '2020-01-05' AS t, {word} AS label FROM range(6) r(i)"
            self.assertNotEqual(self.fingerprint(project, rows), self.fingerprint(project, rows), word)

    def test_sources_that_are_others_each_time(self):
        for place, word in enumerate(FICKLE):
            project = self.project({}, name=f"p{place}",
                                   sql=f"SELECT i AS id, TIMESTAMP '2020-01-01' AS t, {word} AS x FROM range(6) r(i)")
            project.must("apply")
            self.assertNotEqual(self.fingerprint(project), self.fingerprint(project), word)

    def test_a_join_is_the_same_each_time(self):
        """Many rows of one time, by several threads: which is the last must not depend on who was faster."""
        sql = ("SELECT a.i % 3 AS id, TIMESTAMP '2020-01-01' AS t, sum(a.i * b.i)::BIGINT AS x FROM range(40000) a(i) "
               "JOIN range(20) b(i) ON a.i % 20 = b.i GROUP BY a.i % 3, a.i % 997")
        project = self.project({}, sql=sql)
        project.must("apply")
        got, prints = [], set()
        for _ in range(4):
            got.append(self.build(project))
            prints.add(self.fingerprint(project))
        sums = {}
        for i in range(40000):
            key = (i % 3, i % 997)
            sums[key] = sums.get(key, 0) + i * (i % 20)
        wanted = {key: max(total for (k, _), total in sums.items() if k == key) for key in range(3)}
        self.assertEqual(got, [wanted] * 4)
        self.assertEqual(len(prints), 1)

    def test_a_file_that_changes_meanwhile(self):
        slow = ("SELECT 0 AS id, TIMESTAMP '2020-01-05' AS t, sum(i * j) AS label "
                "FROM range(10000) a(i), range(100000) b(j)")
        project = self.project({"data/a.parquet": table(id=[0], x=[1])})
        project.must("apply")
        over = threading.Event()

        def write():
            while not over.wait(0.2):
                (project.folder / "data" / "a.parquet").touch()

        thread = threading.Thread(target=write)
        thread.start()
        try:
            self.not_asked(["file data/a.parquet changed while it was read; ask again"], project, slow)
        finally:
            over.set()
            thread.join()
        self.assertFalse((project.folder / "o.parquet").exists())
        self.assertEqual(self.build(project), {0: 1})


if __name__ == "__main__":
    unittest.main()
