# SPDX-License-Identifier: Apache-2.0
"""Splits the training set by date: to learn from, to choose the threshold on, to judge by."""

import argparse
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import flight_data


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--valid_from", type=datetime.fromisoformat, default="2001-05-01")
    parser.add_argument("--test_from", type=datetime.fromisoformat, default="2001-06-01")
    return parser.parse_args()


def as_model_input(table):
    """Features as float32, which is what the model sees online too; the rest as it is."""
    for name in flight_data.feature_names(table):
        index = table.column_names.index(name)
        table = table.set_column(index, name, table.column(name).cast(pa.float32()))
    return table


def split(table, valid_from, test_from):
    # Never at random: flights of one evening share their weather, and half of a storm in the
    # training rows would tell the model about the other half.
    date = table.column("date").cast(pa.timestamp("us"))
    before_valid = pc.less(date, pa.scalar(valid_from, pa.timestamp("us")))
    before_test = pc.less(date, pa.scalar(test_from, pa.timestamp("us")))
    return {
        "train": table.filter(before_valid),
        "valid": table.filter(pc.and_not(before_test, before_valid)),
        "test": table.filter(pc.invert(before_test)),
    }


def write_part(name, part):
    if part.num_rows == 0:
        raise SystemExit(f"no row is left for '{name}': look at valid_from and test_from")
    pq.write_table(part, flight_data.output_folder(name) / "part.parquet", compression="snappy")
    dates = pc.min_max(part.column("date")).as_py()
    late = pc.mean(part.column(flight_data.LABEL).cast(pa.int8())).as_py()
    print(
        f"{name:5} {part.num_rows:>9,} rows  {dates['min']:%d %b} to {dates['max']:%d %b}  "
        f"{late:.1%} late",
        flush=True,
    )


def main():
    arguments = parse_arguments()
    table = flight_data.read_folder(flight_data.channel("all"))
    print(
        f"read  {table.num_rows:>9,} rows, {len(flight_data.feature_names(table))} features",
        flush=True,
    )
    table = as_model_input(table)
    for name, part in split(table, arguments.valid_from, arguments.test_from).items():
        write_part(name, part)


if __name__ == "__main__":
    main()
