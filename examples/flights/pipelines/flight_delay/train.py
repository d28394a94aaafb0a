# SPDX-License-Identifier: Apache-2.0
"""Trains the model, and beside it the small one that knows no history; hands both on."""

import argparse
import json
import os
import time
from pathlib import Path

import onnx
import onnxmltools
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

import flight_data

INPUT_NAME = "features"


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--max_depth", type=int, default=6)
    parser.add_argument("--learning_rate", type=float, default=0.2)
    parser.add_argument("--min_child_weight", type=float, default=50)
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args()


class Progress(xgboost.callback.TrainingCallback):
    """One line for every tenth of the trees: enough to see that it moves."""

    def __init__(self, trees):
        self.trees, self.every, self.start = trees, max(1, trees // 10), time.monotonic()

    def after_iteration(self, model, epoch, evals_log):
        done = epoch + 1
        if done % self.every == 0:
            print(f"  {done}/{self.trees} trees, {time.monotonic() - self.start:.1f} s", flush=True)
        return False


def fit(table, names, arguments):
    model = xgboost.XGBClassifier(
        n_estimators=arguments.trees,
        max_depth=arguments.max_depth,
        learning_rate=arguments.learning_rate,
        min_child_weight=arguments.min_child_weight,
        random_state=arguments.seed,
        objective="binary:logistic",
        tree_method="hist",
        n_jobs=int(os.environ.get("SM_NUM_CPUS", os.cpu_count())),
        callbacks=[Progress(arguments.trees)],
    )
    print(f"training on {table.num_rows:,} rows x {len(names)} features", flush=True)
    return model.fit(flight_data.matrix(table, names), flight_data.labels(table))


def save_native(model, names, folder):
    """XGBoost's own format, with the names that its numbered columns stand for."""
    model.set_params(callbacks=None)
    model.save_model(folder / "model.ubj")
    (folder / "features.json").write_text(
        json.dumps({"input": INPUT_NAME, "features": names}, indent=2) + "\n"
    )


def save_onnx(model, names, path):
    """One float matrix in, label and probabilities out. A server feeds it by these names."""
    shape = FloatTensorType([None, len(names)])
    # The converter's own name for a graph is random: the same training would give another hash.
    graph = onnxmltools.convert_xgboost(
        model, name="model", initial_types=[(INPUT_NAME, shape)], target_opset=15
    )
    entry = graph.metadata_props.add()
    entry.key, entry.value = "features", json.dumps(names)
    onnx.save(graph, path)


def main():
    arguments = parse_arguments()
    table = flight_data.read_folder(flight_data.channel("train"))
    model_folder = Path(os.environ["SM_MODEL_DIR"])
    names = flight_data.feature_names(table)

    model = fit(table, names, arguments)
    save_native(model, names, model_folder)
    save_onnx(model, names, model_folder / "model.onnx")
    (model_folder / "training.json").write_text(json.dumps(vars(arguments), indent=2) + "\n")
    print(f"model.onnx: {(model_folder / 'model.onnx').stat().st_size:,} bytes", flush=True)

    known = list(flight_data.REQUEST_FEATURES)
    save_native(fit(table, known, arguments), known, flight_data.output_folder("baseline"))


if __name__ == "__main__":
    main()
