#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What files of a source may be: named, written and typed in many ways, and never changed on the way."""

import gzip
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from training_case import TrainingCase, onggi, pa, table  # noqa: E402


class Files(TrainingCase):
    # ---- types of several files

    def test_narrow_and_wide_numbers_become_the_wide_ones(self):
        self.gives({0: 7, 1: 2**40}, {"data/a.parquet": table(id=[0], x=pa.array([7], pa.int32())),
                                      "data/b.parquet": table(id=[1], x=pa.array([2**40], pa.int64()))})

    def test_floats_become_doubles(self):
        self.gives({0: 0.5, 1: 0.1, 2: 7.0},
                   {"data/a.parquet": table(id=[0], x=pa.array([0.5], pa.float32())),
                    "data/b.parquet": table(id=[1], x=pa.array([0.1], pa.float64())),
                    "data/c.parquet": table(x=pa.array([7], pa.int32()), id=[2])})

    def test_what_would_lose_is_refused(self):
        integers, doubles, texts = (table(id=[0], x=pa.array([7], pa.int64())), table(id=[1], x=[7.5]),
                                    table(id=[2], x=["7"]))
        self.is_refused(["column 'x' is BIGINT in data/a.parquet and DOUBLE in data/b.parquet"],
                        {"data/a.parquet": integers, "data/b.parquet": doubles})
        self.is_refused(["column 'x' is DOUBLE in data/a.parquet and BIGINT in data/c.parquet"],
                        {"data/a.parquet": doubles, "data/b.parquet": doubles, "data/c.parquet": integers})
        self.is_refused(["column 'x' is BIGINT in data/a.parquet and VARCHAR in data/b.parquet"],
                        {"data/a.parquet": integers, "data/b.parquet": texts}, name="q")

    def test_a_column_without_values_is_of_any_type(self):
        nothing, texts, numbers = pa.nulls(1), pa.array(["a"]), pa.array([7], pa.int64())
        self.gives({1: "a"}, {"data/a.parquet": table(id=[0], x=nothing), "data/b.parquet": table(id=[1], x=texts),
                              "data/c.parquet": table(id=[2], x=nothing)})
        self.gives({1: 7}, {"data/a.parquet": table(id=[0], x=nothing),
                            "data/b.parquet": table(id=[1], x=numbers.cast(pa.int32()))}, name="o")
        self.gives({0: 7, 2: 7}, {"data/a.parquet": table(id=[0], x=numbers),
                                  "data/b.parquet": table(id=[1], x=nothing.cast(pa.string())),
                                  "data/c.parquet": table(id=[2], x=numbers)}, name="q")
        self.gives({2: 7}, {"data/a.csv": "id,t,x\n0,2020-01-01,\n", "data/b.csv": "id,t,x\n1,2020-01-01,\n",
                            "data/c.csv": "id,t,x\n2,2020-01-01,7\n"}, name="r")
        self.is_refused(["column 'x' is BIGINT in data/b.parquet and VARCHAR in data/c.parquet"],
                        {"data/a.parquet": table(id=[0], x=nothing), "data/b.parquet": table(id=[1], x=numbers),
                         "data/c.parquet": table(id=[2], x=texts)}, name="s")

    def test_a_column_that_a_file_lacks(self):
        self.is_refused(["data/b.parquet has no column 'x', which data/a.parquet has"],
                        {"data/a.parquet": table(id=[0], x=[1]), "data/b.parquet": table(id=[0], x=[1]).drop(["x"])})
        self.is_refused(["data/b.csv has no column 'x', which data/a.csv has"],
                        {"data/a.csv": "id,t,x\n0,2020-01-01,1\n", "data/b.csv": "id,t\n0,2020-01-01\n"}, name="q")

    # ---- CSV

    def test_numbers_of_several_csvs_are_one_column(self):
        files = {f"data/{i:02}.csv": f"id,t,x\n{i % 6},2020-01-0{i // 6 + 1},{i}\n" for i in range(17)}
        self.gives({0: 12.0, 1: 13.0, 2: 14.0, 3: 15.0, 4: 16.0, 5: 17.5},
                   files | {"data/17.csv": "id,t,x\n5,2020-01-03,17.5\n"})

    def test_columns_of_csvs_go_by_name(self):
        self.gives({0: 10, 1: 11}, {"data/a.csv": "id,t,x,y\n0,2020-01-01,10,z\n",
                                    "data/b.csv": "id,y,t,x\n1,w,2020-01-01,11\n"})

    def test_the_last_line_of_the_last_file_counts(self):
        """Where files are read each alone their order still decides."""
        files = {"data/a.csv": "id,t,x,y\n0,2020-01-01,1,z\n", "data/b.csv": "id,y,t,x\n0,w,2020-01-01,2\n",
                 "data/c.csv": "id,t,x,y\n" + "".join(f"0,2020-01-01,{i},z\n" for i in range(20000))}
        self.gives({0: 19999}, files)

    def test_types_that_do_not_fit_name_the_file(self):
        self.is_refused(["column 'x' is BIGINT in data/a.csv and VARCHAR in data/b.csv", "`types:`"],
                        {"data/a.csv": "id,t,x\n0,2020-01-01,7\n", "data/b.csv": "id,t,x\n0,2020-01-01,seven\n"})

    def test_one_csv_is_written_in_another_way(self):
        comma, semicolon = "id,t,x\n0,2020-01-01,7\n", "id;t;x\n1;2020-01-01;8\n"
        told = ["data/b.csv separates its values by ';', data/a.csv by ','"]
        self.is_refused(told, {"data/a.csv": comma, "data/b.csv": semicolon})
        self.is_refused(["data/b.csv.gz separates its values by ';', data/a.csv.gz by ','"],
                        {"data/a.csv.gz": gzip.compress(comma.encode()),
                         "data/b.csv.gz": gzip.compress(semicolon.encode())}, name="q")

    def test_a_packed_csv_tells_its_delimiter_too(self):
        """Its rows have more commas than semicolons, which is what a guess would go by."""
        text = "id;t;x\n" + "".join(f"{i};2020-01-01;a,b,c,{i}\n" for i in range(3))
        self.gives({i: f"a,b,c,{i}" for i in range(3)}, {"data/a.csv.gz": gzip.compress(text.encode())})

    def test_a_csv_without_rows(self):
        header, rows = "id,t,x\n", "id,t,x\n1,2020-01-01,10\n"
        self.gives({1: 10}, {"data/a.csv": header, "data/b.csv": rows, "data/c.csv": "id;t;x\n"})
        self.gives({1: 10}, {"data/a.csv.gz": gzip.compress(header.encode()),
                             "data/b.csv.gz": gzip.compress(rows.encode())}, name="q")
        self.is_refused(["data/a.csv has no rows, which leaves open what column 'id' is", "`types:`"],
                        {"data/a.csv": header, "data/b.csv": header}, name="r")
        self.gives({}, {"data/a.csv": header}, name="typed", more="types: {id: int64, t: timestamp, x: int64}")

    # ---- names

    def test_names_are_no_patterns(self):
        names = ["a[1].csv", "a1.csv", "a*.csv", "a?.csv", "o'néil \".csv", "b\\c.csv"]
        self.gives(dict(enumerate(range(10, 16))), {f"data/{name}": f"id,t,x\n{i},2020-01-01,{10 + i}\n"
                                                    for i, name in enumerate(names)}, path="data/*.csv")

    def test_a_name_that_cannot_be_asked_for(self):
        self.is_refused(["file data/b\\[1].csv: a name with a backslash"],
                        {"data/b\\[1].csv": "id,t,x\n0,2020-01-01,1\n"})

    def test_a_projects_folder_is_no_pattern(self):
        for place, name in enumerate(["p[1]", "p1", "p*", "p?", "x=9", "a, 'b'"]):
            self.project({"data/a.csv": f"id,t,x\n0,2020-01-01,{place}\n"}, name=name).must("apply")
        for place, name in enumerate(["p[1]", "p1", "p*", "p?", "x=9", "a, 'b'"]):
            self.assertEqual(self.build(onggi.Project(self.top / name)), {0: place}, name)

    def test_folders_are_no_columns(self):
        self.gives({0: 7}, {"data/x=9/t=2021/a.parquet": table(id=[0], x=pa.array([7], pa.int64()))},
                   path="data/*/*/*.parquet", name="id=5")
        self.gives({0: 7}, {"data/x=9/a.csv": "id,t,x\n0,2020-01-01,7\n"}, path="data/*/*.csv", name="x=1")

    # ---- what is read without a source

    def test_sql_opens_no_files(self):
        project = self.project({"data/a.csv": "id,t,x\n0,2020-01-01,7\n", "labels.csv": "id,t\n0,2020-01-05\n"})
        project.must("apply")
        for place in ("labels.csv", project.folder / "labels.csv", "data/*.csv"):
            self.not_asked(["SQL opens no files itself: give '", "a source"], project,
                           f"SELECT id, t FROM '{place}'")


if __name__ == "__main__":
    unittest.main()
