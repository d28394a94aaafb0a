#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the online store answers for random projects, compared with the oracle: values and statuses."""

import random
import struct
import sys
import tempfile
import unittest
from base64 import b64encode
from datetime import datetime, timedelta, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "brute"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import onggi  # noqa: E402

try:
    import oracle
    from random_case import DELAYS, HOPS, WINDOWS, Case
    from wide_case import COLUMNS, REQUEST, WideCase
except ImportError:
    Case = None

SEEDS = range(11, 15)
WIDE_SEEDS = range(40, 43)
KEYS_MAX = 40
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
NAMED = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def rfc3339(micros):
    whole, dot, rest = (EPOCH + timedelta(microseconds=micros)).isoformat()[:-6].partition(".")
    return whole + (dot + rest).rstrip("0") + "Z"


def as_json(kind, value):
    if value is None:
        return None
    return rfc3339(value) if kind == "timestamp" else b64encode(value).decode() if kind == "bytes" else value


def types_of(case):
    """The type of each output that JSON does not tell from another one: float32 and instants."""
    kinds = {"g": "float32"} | ({name: kind for name, (kind, _) in COLUMNS.items()}
                                if isinstance(case, WideCase) else {})
    types = {}
    for view, _, _ in case.views:
        types |= {f"{view.name}__{name}": kinds.get(name) for name in view.columns}
        types |= {f"{view.name}__{feature.name}": kinds.get(feature.column) for feature in view.features
                  if feature.function in ("min", "max", "first", "last")}
    return types


def same(kind, wanted, got):
    if isinstance(wanted, float):
        got = NAMED.get(got, got)
        if not isinstance(got, (int, float)) or isinstance(got, bool):
            return False
        if wanted != wanted:
            return got != got
        # JSON writes a float32 with as many digits as a float32 needs.
        form = "<f" if kind == "float32" else "<d"
        return struct.pack(form, wanted) == struct.pack(form, got)
    wanted = as_json(kind, wanted)
    return type(wanted) is type(got) and wanted == got


class Questions:
    """Known keys, as they stand together in the entity rows, at times that no event of theirs is later than."""

    def __init__(self, case, seed):
        chance = random.Random(seed)
        self.case = case
        asked = {tuple(row[name] for name in case.key_types): row for row in case.entity_rows}
        self.rows = []
        for keys in sorted((keys for keys in asked if None not in keys), key=repr)[:KEYS_MAX]:
            row = asked[keys]
            newest = max([self.newest(view, row) for view, _, _ in case.views])
            self.rows += [row | {"now": newest + chance.choice(choices)} for choices in
                          ([0], [1], WINDOWS, DELAYS, HOPS, [chance.randrange(60 * oracle.DAY)])]

    @staticmethod
    def newest(view, row):
        rows = oracle.rows_of(view, [row[name] for name in view.keys], 0)
        return rows[-1][view.time] if rows else 0

    def body(self):
        def column(kind, name):
            return [as_json(kind, row[name]) for row in self.rows]
        keys = {name: column(kind, name) for name, kind in self.case.key_types.items()}
        fields = {name: column(REQUEST[name], name) for name in self.case.request_fields}
        return {"service": "everything", "entities": keys,
                "request": fields | {"now": column("timestamp", "now")}}


def differences(case, seed, questions, answer):
    """(cells compared, what differs)"""
    cells, wrong, types = 0, [], types_of(case)
    for row, got, statuses in zip(questions.rows, answer["rows"], answer["statuses"]):
        told = case.statuses(row)
        for place, (name, value) in enumerate(case.outputs(row).items()):
            cells += 1
            if told[name] != statuses[place] or not same(types.get(name), value, got[place]):
                wrong.append(f"seed {seed}, {row}: {name} is {got[place]!r} "
                             f"({statuses[place]}), should be {value!r} ({told[name]})")
    return cells, wrong


@unittest.skipIf(Case is None, "pyarrow is missing: dev/setup makes build/venv/test")
@unittest.skipUnless(onggi.BINARY, "ONGGI_BINARY does not name the binary to test")
class Online(unittest.TestCase):
    def served(self, case, ask):
        """Materialises the case and asks its server."""
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

    def compare(self, kind, seed):
        def ask(case, project):
            questions = Questions(case, seed)
            answer = project.post("/api/v1/features/get", questions.body())
            self.assertEqual(len(answer["rows"]), len(questions.rows))
            return differences(case, seed, questions, answer)
        return self.served(kind(seed), ask)

    def check(self, kind, seeds):
        cells, wrong = 0, []
        for seed in seeds:
            more, different = self.compare(kind, seed)
            cells, wrong = cells + more, wrong + different
        print(f"{cells} values, {len(wrong)} differ", flush=True)
        self.assertEqual(wrong[:10], [])

    def test_no_value_and_no_status_differs(self):
        self.check(Case, SEEDS)

    def test_no_value_differs_whatever_the_types(self):
        self.check(WideCase, WIDE_SEEDS)

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
        self.served(Case(21), ask)


if __name__ == "__main__":
    unittest.main()
