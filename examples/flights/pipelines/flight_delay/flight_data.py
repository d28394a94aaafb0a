# SPDX-License-Identifier: Apache-2.0
"""What the three scripts must agree on: the columns, and how a folder of Parquet becomes a "
"matrix."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

LABEL = "late"
# What the pipeline asked about. Every other column of the training set is a feature.
ROW_COLUMNS = ("date", "origin", "destination", "distance", LABEL)
# What is known of a flight without any history: the baseline learns from these alone.
REQUEST_FEATURES = ("hour", "weekday", "miles")


def channel(name):
    """The folder of an input, by SageMaker's name for it."""
    return Path(os.environ["SM_CHANNEL_" + name.upper()])


def output_folder(name=""):
    """Where outputs go; a named output of the pipeline is the folder of its name."""
    folder = Path(os.environ["SM_OUTPUT_DATA_DIR"], name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def parquet_files(folder):
    files = sorted(Path(folder).rglob("*.parquet"))
    if not files:
        raise SystemExit(f"no Parquet file in {folder}")
    return files


def read_folder(folder, columns=None):
    return pa.concat_tables(
        [pq.read_table(file, columns=columns) for file in parquet_files(folder)]
    )


def feature_names(table):
    """In the service's order, which is the order of the model's input."""
    return [name for name in table.column_names if name not in ROW_COLUMNS]


def matrix(table, names):
    """Rows by features, float32; a null is NaN, which XGBoost and ONNX take for 'missing'."""
    values = np.empty((table.num_rows, len(names)), dtype=np.float32)
    for index, name in enumerate(names):
        values[:, index] = table.column(name).to_numpy()
    return values


def labels(table):
    return table.column(LABEL).to_numpy().astype(np.float32)


def fingerprint(path):
    """SHA-256 of a file, or of a folder's Parquet files in the order of their names."""
    digest = hashlib.sha256()
    for file in [path] if Path(path).is_file() else parquet_files(path):
        with open(file, "rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
    return digest.hexdigest()
