#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the online store answers for random projects, compared with the oracle: values and statuses."""

import random
import struct
import sys
import tempfile
import unittest
from datetime import datetime, timedelta, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "brute"))
import onggi  # noqa: E402

try:
    import oracle
    from random_case import DELAYS, HOPS, WINDOWS, Case
except ImportError:
    Case = None

SEEDS = range(11, 15)
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
NAMED = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def rfc3339(micros):
    return (EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")


def is_float32(view, name):
    if view.columns:
        return name == "g"
    feature = next(feature for feature in view.features if feature.name == name)
    return feature.column == "g" and feature.function in ("min", "max", "first", "last")


def same(view, name, wanted, got):
    if isinstance(wanted, float):
        got = NAMED.get(got, got)
        if not isinstance(got, (int, float)) or isinstance(got, bool):
            return False
        if wanted != wanted:
            return got != got
        # JSON writes a float32 with as many digits as a float32 needs.
        form = "<f" if is_float32(view, name) else "<d"
        return struct.pack(form, wanted) == struct.pack(form, got)
    return type(wanted) is type(got) and wanted == got


class Questions:
    """Every pair of known keys, each at a few times that no event of theirs is later than."""

    def __init__(self, case, seed):
        chance = random.Random(seed)
        pairs = sorted({(row["customer_id"], row["shop"]) for row in case.entity_rows
                        if None not in (row["customer_id"], row["shop"])})
        self.rows = []
        for customer, shop in pairs:
            row = {"customer_id": customer, "shop": shop}
            newest = max([self.newest(view, row) for view, _, _ in case.views])
            self.rows += [row | {"now": newest + chance.choice(choices)} for choices in
                          ([0], [1], WINDOWS, DELAYS, HOPS, [chance.randrange(60 * oracle.DAY)])]

    @staticmethod
    def newest(view, row):
        rows = oracle.rows_of(view, [row[name] for name in view.keys], 0)
        return rows[-1][view.time] if rows else 0

    def body(self):
        keys = {name: [row[name] for row in self.rows] for name in ("customer_id", "shop")}
        return {"service": "everything", "entities": keys,
                "request": {"now": [rfc3339(row["now"]) for row in self.rows]}}


def differences(case, seed, questions, answer):
    """(cells compared, what differs)"""
    cells, wrong = 0, []
    for row, got, statuses in zip(questions.rows, answer["rows"], answer["statuses"]):
        place = 0
        for view, _, _ in case.views:
            key = [row[name] for name in view.keys]
            wanted = zip(view.outputs(), oracle.values(view, key, row["now"]),
                         oracle.statuses(view, key, row["now"]))
            for name, value, status in wanted:
                cells += 1
                if status != statuses[place] or not same(view, name, value, got[place]):
                    wrong.append(f"seed {seed}, {row}: {view.name}.{name} is {got[place]!r} "
                                 f"({statuses[place]}), should be {value!r} ({status})")
                place += 1
    return cells, wrong


@unittest.skipIf(Case is None, "pyarrow is missing: dev/setup makes build/venv/test")
@unittest.skipUnless(onggi.BINARY, "ONGGI_BINARY does not name the binary to test")
class Online(unittest.TestCase):
    def served(self, seed, ask):
        """Materialises the case of the seed and asks its server."""
        case = Case(seed)
        with tempfile.TemporaryDirectory() as folder:
            case.write(folder)
            project = onggi.Project(folder)
            project.must("apply")
            project.must("features", "materialize")
            try:
                project.serve()
                return ask(case, project)
            finally:
                project.stop()

    def compare(self, seed):
        def ask(case, project):
            questions = Questions(case, seed)
            answer = project.post("/api/v1/features/get", questions.body())
            self.assertEqual(len(answer["rows"]), len(questions.rows))
            return differences(case, seed, questions, answer)
        return self.served(seed, ask)

    def test_no_value_and_no_status_differs(self):
        cells, wrong = 0, []
        for seed in SEEDS:
            more, different = self.compare(seed)
            cells, wrong = cells + more, wrong + different
        print(f"{cells} values, {len(wrong)} differ", flush=True)
        self.assertEqual(wrong[:10], [])

    def test_a_time_before_the_newest_row_never_sees_it(self):
        def ask(case, project):
            view = case.views[0][0]
            for customer in (1, 2, 3):
                newest = Questions.newest(view, {"customer_id": customer})
                answer = project.post("/api/v1/features/get", {
                    "service": "everything", "request": {"now": [rfc3339(newest - 1)]},
                    "entities": {"customer_id": [customer], "shop": ["a"]}})
                columns = len(view.columns)
                self.assertEqual(answer["rows"][0][:columns], [None] * columns)
                self.assertEqual(answer["statuses"][0][:columns], ["TOO_EARLY"] * columns)
        self.served(21, ask)


if __name__ == "__main__":
    unittest.main()
