# SPDX-License-Identifier: Apache-2.0
"""Chooses the threshold on one part, judges on the next, and writes down what a decision needs."""

import argparse
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import xgboost
from onnx.reference import ReferenceEvaluator

import flight_data
import measures
import report


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cost_miss", type=float, default=3)
    parser.add_argument("--cost_alarm", type=float, default=1)
    parser.add_argument("--gate_auc", type=float, default=0.75)
    return parser.parse_args()


class Model:
    """A trained booster and the names of its inputs, as train.py left them in a folder."""

    def __init__(self, folder):
        self.names = json.loads((folder / "features.json").read_text())["features"]
        self.booster = xgboost.Booster(model_file=folder / "model.ubj")

    def score(self, table):
        return self.booster.inplace_predict(flight_data.matrix(table, self.names))


class Split:
    """The rows of one part with their labels and both models' scores."""

    def __init__(self, name, model, baseline):
        self.table = flight_data.read_folder(flight_data.channel(name))
        self.label = flight_data.labels(self.table)
        self.score = model.score(self.table)
        self.baseline = baseline.score(self.table)
        print(f"scored {self.table.num_rows:,} rows of '{name}'", flush=True)


def onnx_difference(model, table, folder, rows=2000):
    """Largest difference between the file that will serve and XGBoost itself."""
    sample = flight_data.matrix(table.slice(0, rows), model.names)
    graph = onnx.load(folder / "model.onnx")
    _, probabilities = ReferenceEvaluator(graph).run(None, {graph.graph.input[0].name: sample})
    return float(np.abs(probabilities[:, 1] - model.booster.inplace_predict(sample)).max())


def describe(folder):
    """What a reader must know of a part: how many rows, of when, how many late, which bytes."""
    table = flight_data.read_folder(folder, columns=["date", flight_data.LABEL])
    dates = table.column("date").to_numpy()
    return {
        "rows": table.num_rows,
        "from": str(dates.min())[:10],
        "to": str(dates.max())[:10],
        "late": float(flight_data.labels(table).mean()),
        "sha256": flight_data.fingerprint(folder),
    }


def lineage(model_folder):
    here = Path(__file__).parent
    packages = ("xgboost-cpu", "scikit-learn", "onnx", "onnxmltools", "numpy", "pyarrow")
    code = ("preprocessing.py", "train.py", "evaluation.py")
    return {
        # SageMaker names the job; Onggi names the execution that the job is a step of.
        "execution": os.environ.get("ONGGI_EXECUTION") or os.environ.get("TRAINING_JOB_NAME", ""),
        "model.onnx": flight_data.fingerprint(model_folder / "model.onnx"),
        "code": {name: flight_data.fingerprint(here / name) for name in code},
        "parameters": json.loads((model_folder / "training.json").read_text()),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in packages},
    }


def evaluate(arguments, model, valid, test):
    threshold, cost = measures.choose_threshold(
        valid.label, valid.score, arguments.cost_miss, arguments.cost_alarm
    )
    table, gap = measures.calibration(test.label, test.score)
    confusion = measures.confusion(test.label, test.score, threshold)
    scores = {"model": test.score, "baseline": test.baseline}
    return {
        "features": model.names,
        "threshold": threshold,
        "cost": cost,
        "confusion": confusion,
        "calibration": table,
        "calibration_error": gap,
        "roc": {name: measures.roc(test.label, score) for name, score in scores.items()},
        "precision_recall": {
            name: measures.precision_recall(test.label, score) for name, score in scores.items()
        },
        "by_day": measures.by_day(test.table.column("date").to_numpy(), test.label, scores),
        "by_origin": measures.by_group(
            test.table.column("origin").to_numpy(zero_copy_only=False), test.label, test.score
        ),
        "importances": measures.importances(model.booster, model.names),
    }


def metrics(result, valid, test, difference):
    """Numbers only: what a gate may ask for and what two versions are compared by."""
    baseline = measures.discrimination(test.label, test.baseline)
    late = int(test.label.sum())
    values = measures.discrimination(test.label, test.score)
    values |= {"auc_error": measures.auc_error(values["auc"], late, len(test.label) - late)}
    values |= {name + "_baseline": value for name, value in baseline.items()}
    values |= {"auc_valid": measures.discrimination(valid.label, valid.score)["auc"]}
    values |= measures.probability_error(test.label, test.score)
    values |= {"calibration_error": result["calibration_error"], "threshold": result["threshold"]}
    values |= measures.rates(result["confusion"])
    return values | {"rows_test": len(test.label), "onnx_max_abs_diff": difference}


def write_json(name, value):
    path = flight_data.output_folder() / name
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def main():
    arguments = parse_arguments()
    model_folder = flight_data.channel("model")
    model, baseline = Model(model_folder), Model(flight_data.channel("baseline"))
    valid, test = Split("valid", model, baseline), Split("test", model, baseline)

    result = evaluate(arguments, model, valid, test)
    difference = onnx_difference(model, test.table, model_folder)
    values = metrics(result, valid, test, difference)
    result["data"] = {
        name: describe(flight_data.channel(name)) for name in ("train", "valid", "test")
    }
    result["lineage"] = lineage(model_folder)
    write_json("metrics.json", values)
    write_json("curves.json", result)
    page = report.render(values, result, vars(arguments))
    (flight_data.output_folder() / "report.html").write_text(page, encoding="utf-8")

    print(
        f"AUC {values['auc']:.4f} with stored features, {values['auc_baseline']:.4f} without; "
        f"ONNX differs by at most {difference:.1e}",
        flush=True,
    )
    print(
        f"threshold {values['threshold']:g}: warns {values['alert_rate']:.1%} of flights, "
        f"finds {values['recall']:.1%} of the late ones",
        flush=True,
    )


if __name__ == "__main__":
    main()
