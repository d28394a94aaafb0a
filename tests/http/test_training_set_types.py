#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Types on their way through a training set: carried, changed without loss, or refused."""

import sys
import unittest
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from training_case import ROWS, TrainingCase, pa, table  # noqa: E402

ONE = "TIMESTAMP '2020-01-05' AS t, 0 AS id"


class Types(TrainingCase):
    # ---- `types:` of a source

    def typed(self, wanted, array, kind):
        """Column x of a Parquet file, read as the type."""
        self.gives({0: wanted}, {"data/a.parquet": table(id=[0], x=array)}, name=f"p{len(list(self.top.iterdir()))}",
                   more=f"types: {{x: {kind}}}")

    def not_typed(self, words, array, kind):
        """What does not fit is told when rows are read: before that nothing but types is known."""
        project = self.project({"data/a.parquet": table(id=[0], x=array)}, name=f"p{len(list(self.top.iterdir()))}",
                               more=f"types: {{x: {kind}}}")
        project.must("apply")
        self.not_asked(["source 'ev': column 'x' has ", *words], project)

    def test_what_fits_is_taken(self):
        self.typed(True, pa.array([1], pa.int64()), "bool")
        self.typed(0.5, pa.array([0.5], pa.float64()), "float32")
        self.typed(2.0**53, pa.array([2**53], pa.int64()), "float64")
        self.typed(1.25, pa.array([Decimal("1.25")]), "float64")
        self.typed(7, pa.array([7.0]), "int64")
        self.typed(7, pa.array([7], pa.uint64()), "int32")
        self.typed("[1, 2]", pa.array([[1, 2]]), "string")
        self.typed(True, pa.array(["true"]), "bool")
        self.typed(0.1, pa.array(["0.1"]), "float64")

    def test_what_would_lose_is_refused(self):
        self.not_typed(["7, which no bool holds without loss"], pa.array([7], pa.int64()), "bool")
        self.not_typed(["0.1, which no float32 holds without loss"], pa.array([0.1]), "float32")
        self.not_typed(["1e+300, which no float32 holds"], pa.array([1e300]), "float32")
        self.not_typed(["9007199254740993, which no float64 holds"], pa.array([2**53 + 1], pa.int64()), "float64")
        self.not_typed(["9223372036854775807, which no float64 holds"], pa.array([2**63 - 1], pa.int64()), "float64")
        self.not_typed(["7.5, which is not a whole number"], pa.array([7.5]), "int64")
        self.not_typed(["2147483648, which no int32 holds"], pa.array([2**31], pa.int64()), "int32")

    def test_nanoseconds_are_floored_on_both_sides_of_1970(self):
        self.typed(datetime(1969, 12, 31, 23, 59, 59, 999999), pa.array([-1], pa.timestamp("ns")), "timestamp")
        self.typed(datetime(1970, 1, 1, 0, 0, 0, 1), pa.array([1999], pa.timestamp("ns")), "timestamp")

    def test_a_csv_of_whole_numbers_is_a_column_of_floats(self):
        project = self.project({"data/a.csv": "id,t,x\n0,2020-01-01,7.5\n"})
        project.must("apply")
        (project.folder / "data/a.csv").write_text("id,t,x\n0,2020-01-01,7\n")
        self.assertEqual(self.build(project), {0: 7.0})
        (project.folder / "data/a.csv").write_text("id,t,x\n0,2020-01-01,9007199254740993\n")
        self.not_asked(["source 'ev': column 'x' has 9007199254740993, which no float64 holds"], project)

    # ---- times beyond what microseconds tell

    def test_the_far_future_is_not_the_past(self):
        for days in (213503982 + 18263, -213503982 - 18263, 2**31 - 1, -2**31 + 1):
            times = pa.array([18262, days], pa.int32()).cast(pa.date32())
            self.gives({0: 7}, {"data/a.parquet": table(id=[0, 0], x=[7, 8], t=times)}, name=f"p{days}")

    def test_infinity_is_no_time(self):
        sql = "SELECT 0 AS id, u.t, u.x FROM (VALUES (TIMESTAMP '2020-01-01', 7), ('-infinity', 8), ('infinity', 9)) u(t, x)"
        project = self.project({}, sql=sql)
        project.must("apply")
        self.assertEqual(self.build(project), {0: 7})
        self.assertEqual(self.set_of(project, "SELECT 0 AS id, 'infinity'::TIMESTAMP AS t")["x"].to_pylist(), [None])

    def test_what_is_created_at_infinity_is_never_known(self):
        sql = ("SELECT 0 AS id, TIMESTAMP '2020-01-01' AS t, u.c, u.x FROM (VALUES (TIMESTAMP '2020-01-02', 7), "
               "('-infinity', 8), ('infinity', 9), (NULL, 10)) u(c, x)")
        project = self.project({}, sql=sql, more="created: c")
        project.must("apply")
        self.assertEqual(self.build(project), {0: 9})
        self.assertEqual(self.set_of(project, ROWS, "--as-known")["x"].to_pylist()[0], 7)

    # ---- fields of a request

    def requested(self, kind):
        project = self.project({"data/a.parquet": table(id=[0], x=[1])}, name=kind, request=kind)
        project.must("apply")
        return project

    def test_whole_numbers_of_a_batch_are_floats(self):
        for kind in ("float64", "float32"):
            project = self.requested(kind)
            project.write("rows.csv", "id,t,y\n0,2020-01-05,1\n0,2020-01-05,\n")
            self.assertEqual(self.set_of(project, "rows.csv")["same"].to_pylist(), [1.0, None])
            self.assertEqual(self.set_of(project, f"SELECT {ONE}, 1.5::DECIMAL(5, 2) AS y")["same"].to_pylist(), [1.5])
            project.write("rows.csv", "id,t,y\n0,2020-01-05,9007199254740993\n")
            self.not_asked([f"entity rows: column 'y' has 9007199254740993, which no {kind} holds without loss"],
                           project, "rows.csv")
            project.write("rows.csv", "id,t,y\n0,2020-01-05,one\n")
            self.not_asked([f"request field: column 'y' is VARCHAR, wanted is {kind}; cast it in SQL"],
                           project, "rows.csv")

    # ---- columns of entity rows

    def carried(self, *columns):
        project = self.project({"data/a.parquet": table(id=[0], x=[1])}, name=f"p{len(list(self.top.iterdir()))}")
        project.must("apply")
        return self.set_of(project, f"SELECT {ONE}, {', '.join(columns)}")

    def test_entity_columns_come_out_as_they_are(self):
        got = self.carried("1::HUGEINT AS h", "2::UHUGEINT AS uh", "18446744073709551615::UBIGINT AS ub",
                           "1.25::DECIMAL(38, 2) AS dec", "TIME '10:00:00.123456' AS tm", "'b'::ENUM('a', 'b') AS en",
                           "[1, NULL] AS li", "{'a': 1} AS st", "DATE '2020-01-01' AS dt", "1::UTINYINT AS small",
                           "TIMESTAMP_NS '2020-01-01 00:00:00.123456789' AS ns", "'ab'::BLOB AS raw",
                           "-0.0::DOUBLE AS zero")
        types = {field.name: str(field.type) for field in got.schema}
        self.assertEqual({name: types[name] for name in ("h", "uh", "ub", "dec", "tm", "dt", "small", "ns", "raw")},
                         {"h": "int64", "uh": "int64", "ub": "uint64", "dec": "decimal128(38, 2)",
                          "tm": "time64[us]", "dt": "date32[day]", "small": "uint8", "ns": "timestamp[ns]",
                          "raw": "binary"})
        row = got.drop(["ns"]).to_pylist()[0]
        self.assertEqual({name: row[name] for name in ("h", "uh", "ub", "dec", "tm", "en", "li", "st", "dt")},
                         {"h": 1, "uh": 2, "ub": 2**64 - 1, "dec": Decimal("1.25"), "tm": time(10, 0, 0, 123456),
                          "en": "b", "li": [1, None], "st": {"a": 1}, "dt": date(2020, 1, 1)})
        self.assertEqual(str(row["zero"]), "-0.0")
        self.assertEqual(got["ns"].cast(pa.int64()).to_pylist()[0] % 1000, 789)

    def test_entity_columns_that_parquet_would_change(self):
        project = self.project({"data/a.parquet": table(id=[0], x=[1])})
        project.must("apply")
        for value, kind in (("INTERVAL '3.123456 seconds'", "INTERVAL"), ("'10:00:00+02'::TIMETZ", "TIME WITH TIME ZONE"),
                            ("'101'::BIT", "BIT"), ("[1::HUGEINT]", "HUGEINT[]"), ("union_value(a := 1)", "UNION"),
                            ("{'a': INTERVAL 1 DAY}", "STRUCT(a INTERVAL)")):
            self.not_asked([f"entity rows: column 'y' is {kind}", "which Parquet cannot hold as it is; cast it in SQL"],
                           project, f"SELECT {ONE}, {value} AS y")
            done = self.ask(project, f"SELECT {ONE}, {value} AS y", out="o.csv")
            self.assertEqual(done.returncode, 0, done.stderr)
        self.not_asked(["entity rows: column 'y' has 9223372036854775808, which no int64 holds without loss"],
                       project, f"SELECT {ONE}, 9223372036854775808::HUGEINT AS y")

    def test_a_sum_of_many_entity_rows_keeps_its_place(self):
        project = self.project({"data/a.parquet": table(id=[0], x=[1])})
        project.must("apply")
        got = self.set_of(project, "SELECT i AS id, i::HUGEINT AS h, TIMESTAMP '2020-01-05' AS t FROM range(300000) r(i)")
        self.assertEqual(got["h"].to_pylist(), list(range(300000)))
        self.assertEqual(got["id"].to_pylist(), list(range(300000)))


if __name__ == "__main__":
    unittest.main()
