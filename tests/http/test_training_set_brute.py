#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Training sets of random projects, compared cell by cell and bit by bit with the oracle."""

import os
import struct
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "brute"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import onggi  # noqa: E402

try:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from random_case import Case, arrow_table
    from wide_case import WideCase
except ImportError:
    pq = None

SEEDS = range(1, 5)
WIDE_SEEDS = range(6)  # each unit of time and each form of entity rows
# What the job frees is overwritten, so that no text that was freed too early looks right.
os.environ.setdefault("MALLOC_PERTURB_", "165")


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
            steps = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": 0}[field.type.unit]
            micros = [None if cell is None else cell * steps if steps else cell // 1000
                      for cell in table.column(index).cast("int64").to_pylist()]
            table = table.set_column(index, field.name, pa.array(micros, pa.int64()))
    return table.to_pylist()


def difference(case, seed, place, name, wanted, got):
    return (f"seed {seed}, row {place} ({case.entity_rows[place]}): {name} is {got!r}, "
            f"should be {wanted!r}")


def differences(case, seed, set_rows, as_known):
    """(cells compared, what differs). The set has the entity rows first, unchanged and in order."""
    cells, wrong = 0, []
    for place, (row, got) in enumerate(zip(case.entity_rows, set_rows)):
        wanted = row | case.outputs(row, as_known)
        if list(wanted) != list(got):
            return cells, [f"seed {seed}: columns are {list(got)}, should be {list(wanted)}"]
        cells += len(wanted)
        wrong += [difference(case, seed, place, name, wanted[name], got[name])
                  for name in wanted if bits(wanted[name]) != bits(got[name])]
    return cells, wrong


@unittest.skipIf(pq is None, "pyarrow is missing: dev/setup makes build/venv/test")
@unittest.skipUnless(onggi.BINARY, "ONGGI_BINARY does not name the binary to test")
class TrainingSet(unittest.TestCase):
    def build(self, case, folder, *options):
        project = onggi.Project(folder)
        project.must("features", "training-set", "--service", "everything", *case.entity_options(),
                     "--out", "set.parquet", "--full-names", *options)
        return rows(Path(folder) / "set.parquet")

    def check(self, kind, seeds, as_known):
        cells, wrong = 0, []
        for seed in seeds:
            case = kind(seed)
            with tempfile.TemporaryDirectory() as folder:
                case.write(folder)
                onggi.Project(folder).must("apply")
                got = self.build(case, folder, *(["--as-known"] if as_known else []))
            self.assertEqual(len(got), len(case.entity_rows), f"rows of seed {seed}")
            more, different = differences(case, seed, got, as_known)
            cells, wrong = cells + more, wrong + different
        print(f"{cells} cells, {len(wrong)} differ{' (as known)' if as_known else ''}", flush=True)
        self.assertEqual(wrong[:10], [])

    def test_no_cell_differs(self):
        self.check(Case, SEEDS, as_known=False)

    def test_no_cell_differs_as_known(self):
        self.check(Case, SEEDS, as_known=True)

    def test_no_cell_differs_whatever_the_types(self):
        self.check(WideCase, WIDE_SEEDS, as_known=False)

    def test_no_cell_differs_whatever_the_types_as_known(self):
        self.check(WideCase, WIDE_SEEDS[:3], as_known=True)

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
