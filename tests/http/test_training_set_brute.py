#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Training sets of random projects, compared cell by cell and bit by bit with the oracle."""

import struct
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "brute"))
import onggi  # noqa: E402

try:
    import pyarrow.parquet as pq

    from oracle import values
    from random_case import Case, arrow_table
except ImportError:
    pq = None

SEEDS = range(1, 5)


def bits(value):
    """Equal bits mean equal values; a NaN is a NaN whatever its payload, and is not a null."""
    if isinstance(value, float):
        return "NaN" if value != value else struct.pack("<d", value)
    return type(value).__name__, value


def rows(path):
    """Dicts, with times as microseconds."""
    table = pq.read_table(path)
    for index, field in enumerate(table.schema):
        if str(field.type).startswith("timestamp"):
            micros = table.column(index).cast("timestamp[us]").cast("int64")
            table = table.set_column(index, field.name, micros)
    return table.to_pylist()


def difference(case, seed, place, name, wanted, got):
    return (f"seed {seed}, row {place} ({case.entity_rows[place]}): {name} is {got!r}, "
            f"should be {wanted!r}")


def differences(case, seed, set_rows, as_known):
    """(cells compared, what differs). The set has the entity rows first, unchanged and in order."""
    cells, wrong = 0, []
    for place, (row, got) in enumerate(zip(case.entity_rows, set_rows)):
        wanted = dict(row)
        for view, _, _ in case.views:
            key = [row[name] for name in view.keys]
            names = [f"{view.name}__{name}" for name in view.outputs()]
            wanted |= zip(names, values(view, key, row["now"], as_known))
        if list(wanted) != list(got):
            return cells, [f"seed {seed}: columns are {list(got)}, should be {list(wanted)}"]
        cells += len(wanted)
        wrong += [difference(case, seed, place, name, wanted[name], got[name])
                  for name in wanted if bits(wanted[name]) != bits(got[name])]
    return cells, wrong


@unittest.skipIf(pq is None, "pyarrow is missing: dev/setup makes build/venv/test")
@unittest.skipUnless(onggi.BINARY, "ONGGI_BINARY does not name the binary to test")
class TrainingSet(unittest.TestCase):
    def build(self, folder, *options):
        project = onggi.Project(folder)
        project.must("features", "training-set", "--service", "everything", "--entities",
                     "entities.parquet", "--out", "set.parquet", "--full-names", *options)
        return rows(Path(folder) / "set.parquet")

    def check(self, as_known):
        cells, wrong = 0, []
        for seed in SEEDS:
            case = Case(seed)
            with tempfile.TemporaryDirectory() as folder:
                case.write(folder)
                onggi.Project(folder).must("apply")
                got = self.build(folder, *(["--as-known"] if as_known else []))
            self.assertEqual(len(got), len(case.entity_rows), f"rows of seed {seed}")
            more, different = differences(case, seed, got, as_known)
            cells, wrong = cells + more, wrong + different
        print(f"{cells} cells, {len(wrong)} differ{' (as known)' if as_known else ''}", flush=True)
        self.assertEqual(wrong[:10], [])

    def test_no_cell_differs(self):
        self.check(as_known=False)

    def test_no_cell_differs_as_known(self):
        self.check(as_known=True)

    def test_a_sum_beyond_int64_is_an_error_that_names_the_feature(self):
        case = Case(1)
        case.sources["events"][:] = [row | {"big": 2**62, "customer_id": 1, "at": 0}
                                     for row in case.sources["events"][:4]]
        with tempfile.TemporaryDirectory() as folder:
            case.write(folder)
            (Path(folder) / "features" / "case.yaml").write_text(
                f"entity: customer\nkey: customer_id\ntype: int64\n---\n{case.source_yaml('events')}"
                "---\nview: v\nentity: customer\nsource: events\n"
                "features:\n  too_much: {sum: big}\n---\nservice: s\ntime: now\nfeatures: [v]\n")
            pq.write_table(arrow_table([{"customer_id": 1, "now": 10}],
                                       {"customer_id": "int64", "now": "timestamp"}),
                           Path(folder) / "entities.parquet")
            project = onggi.Project(folder)
            project.must("apply")
            done = project.run("features", "training-set", "--service", "s", "--entities",
                               "entities.parquet", "--out", "set.parquet")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("v.too_much", done.stderr)
            self.assertFalse((Path(folder) / "set.parquet").exists())


if __name__ == "__main__":
    unittest.main()
