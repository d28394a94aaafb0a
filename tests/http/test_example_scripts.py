#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The scripts of examples/flights, run as SageMaker would run them, on a few thousand rows."""

import json
import os
import random
import re
import subprocess
import tempfile
import unittest
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "examples" / "flights" / "pipelines" / "flight_delay"
PYTHON = ROOT / "build" / "venv" / "flights" / "bin" / "python"
SMALL = ("--trees", "20", "--max_depth", "3", "--min_child_weight", "5")

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    pa = None


def training_set(rows):
    """Flights whose lateness hangs on the hour, the history of the origin, and chance."""
    chance = random.Random(7)
    start, table = datetime(2001, 1, 1), []
    for _ in range(rows):
        date = start + timedelta(minutes=chance.randrange(181 * 24 * 60))
        history = chance.choice([None, chance.uniform(0, 1)])
        risk = 0.02 + 0.3 * (date.hour > 15) + 0.5 * (history or 0.2)
        table.append({"date": date, "origin": chance.choice(["ORD", "SFO"]), "destination": "JFK",
                      "distance": 700, "late": chance.random() < risk, "hour": date.hour,
                      "weekday": date.weekday(), "miles": 700, "origin_late_share_1h": history,
                      "origin_flights_1h": chance.randrange(9)})
    return pa.Table.from_pylist(sorted(table, key=lambda row: row["date"]))


def run(script, folder, environment, *arguments):
    return subprocess.run([PYTHON, SCRIPTS / script, *arguments], cwd=SCRIPTS, text=True,
                          capture_output=True, timeout=120,
                          env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1",
                               "SM_OUTPUT_DATA_DIR": str(folder), **environment})


def ask(code):
    """What a line of Python beside the scripts prints."""
    return subprocess.run([PYTHON, "-c", code], cwd=SCRIPTS, text=True, capture_output=True, check=True,
                          env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}).stdout.strip()


class References(HTMLParser):
    """Everything by which a page could ask for something beside it."""

    def __init__(self):
        super().__init__()
        self.found, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.found += [value for name, value in attrs if name in ("src", "href", "srcset")]


@unittest.skipIf(pa is None, "pyarrow is missing: dev/setup makes build/venv/test")
@unittest.skipUnless(PYTHON.exists(), "build/venv/flights is missing: dev/setup makes it")
class Scripts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.holder.name)
        for name in ("all", "model", "prepared", "trained", "evaluated"):
            (cls.folder / name).mkdir()
        pq.write_table(training_set(6000), cls.folder / "all" / "part.parquet")
        cls.prepare = run("preprocessing.py", cls.folder / "prepared",
                          {"SM_CHANNEL_ALL": str(cls.folder / "all")},
                          "--valid_from", "2001-05-01", "--test_from", "2001-06-01")
        parts = cls.parts = {f"SM_CHANNEL_{name.upper()}": str(cls.folder / "prepared" / name)
                             for name in ("train", "valid", "test")}
        cls.train = run("train.py", cls.folder / "trained",
                        {**parts, "SM_MODEL_DIR": str(cls.folder / "model")},
                        *SMALL)
        cls.evaluate = run("evaluation.py", cls.folder / "evaluated",
                           {**parts, "SM_CHANNEL_MODEL": str(cls.folder / "model"),
                            "SM_CHANNEL_BASELINE": str(cls.folder / "trained" / "baseline"),
                            "TRAINING_JOB_NAME": "execution <7>"})

    @classmethod
    def tearDownClass(cls):
        cls.holder.cleanup()

    def result(self, name):
        return json.loads((self.folder / "evaluated" / name).read_text())

    def test_every_script_succeeds_and_says_what_it_did(self):
        for step in (self.prepare, self.train, self.evaluate):
            self.assertEqual(step.returncode, 0, step.stderr)
        self.assertIn("6,000 rows, 5 features", self.prepare.stdout)
        self.assertIn("20/20 trees", self.train.stdout)
        self.assertIn("AUC", self.evaluate.stdout)

    def test_parts_follow_each_other_in_time_and_lose_no_row(self):
        tables = {name: pq.read_table(self.folder / "prepared" / name)
                  for name in ("train", "valid", "test")}
        self.assertEqual(sum(table.num_rows for table in tables.values()), 6000)
        dates = {name: table.column("date").to_pylist() for name, table in tables.items()}
        self.assertLess(max(dates["train"]), datetime(2001, 5, 1))
        self.assertGreaterEqual(min(dates["valid"]), datetime(2001, 5, 1))
        self.assertLess(max(dates["valid"]), datetime(2001, 6, 1))
        self.assertGreaterEqual(min(dates["test"]), datetime(2001, 6, 1))
        self.assertGreater(tables["train"].column("origin_late_share_1h").null_count, 0)

    def test_the_model_names_its_inputs_in_the_order_of_the_service(self):
        features = json.loads((self.folder / "model" / "features.json").read_text())["features"]
        self.assertEqual(features, ["hour", "weekday", "miles", "origin_late_share_1h",
                                    "origin_flights_1h"])
        self.assertIn(json.dumps(features).encode(),
                      (self.folder / "model" / "model.onnx").read_bytes())

    def test_the_same_training_gives_the_same_bytes(self):
        with tempfile.TemporaryDirectory() as again:
            Path(again, "model").mkdir()
            run("train.py", Path(again), {**self.parts, "SM_MODEL_DIR": again + "/model"}, *SMALL)
            for name in ("model.onnx", "model.ubj"):
                self.assertEqual(Path(again, "model", name).read_bytes(),
                                 (self.folder / "model" / name).read_bytes(), name)

    def test_metrics_are_numbers_that_hang_together(self):
        metrics = self.result("metrics.json")
        self.assertTrue(all(isinstance(value, (int, float)) for value in metrics.values()), metrics)
        self.assertGreater(metrics["auc"], metrics["auc_baseline"])
        self.assertLess(metrics["onnx_max_abs_diff"], 1e-5)
        confusion = self.result("curves.json")["confusion"]
        self.assertEqual(sum(confusion.values()), metrics["rows_test"])
        late = confusion["late_warned"] + confusion["late_missed"]
        self.assertAlmostEqual(metrics["recall"], confusion["late_warned"] / late)

    def test_curves_run_from_end_to_end(self):
        for curve in self.result("curves.json")["roc"].values():
            for rates in curve.values():
                self.assertEqual((rates[0], rates[-1]), (0, 1))
                self.assertEqual(rates, sorted(rates))

    def test_the_report_needs_nothing_beside_it(self):
        page = (self.folder / "evaluated" / "report.html").read_text()
        references = References()
        references.feed(page)
        self.assertEqual(references.found, [])
        self.assertNotIn("script", references.tags)
        self.assertIsNone(re.search(r"url\(|@import|https?:", page))
        self.assertIn("execution &lt;7&gt;", page)
        self.assertGreater(references.tags.count("svg"), 4)

    def test_the_report_says_of_which_days_it_speaks(self):
        page = (self.folder / "evaluated" / "report.html").read_text()
        for text in ("flights of May 2001", "1,000 flights, June 2001", "of January to June 2001",
                     "mean cost of a flight, May 2001"):
            self.assertIn(text, page)
        code = ("from drawings import period_text as p; print(p('2001-05-01', '2001-05-31'), "
                "p('2001-11-01', '2002-01-31'), p('2001-05-02', '2001-06-14'), p('2001-05-03', '2001-05-09'), sep='|')")
        self.assertEqual(ask(code), "May 2001|November 2001 to January 2002|2 May to 14 June 2001|3 May to 9 May 2001")

    def test_a_threshold_has_digits_that_count(self):
        # One case in a thousand, each worth a warning from a score of 0.0013 on.
        code = ("import numpy, measures; s = numpy.linspace(0, .004, 4001); l = (s > .0012999).astype(float); "
                "t, cost = measures.choose_threshold(l, s, 900, 1); print(t); "
                "from drawings import cost_chart, score_text; print(score_text(t), score_text(.25), score_text(.998)); "
                "part = {'from': '2001-05-01', 'to': '2001-05-31'}; "
                "print(cost_chart({'cost': cost, 'threshold': t, 'data': {'valid': part}}).x_range[1])")
        self.assertEqual(ask(code).split(), ["0.0013", "0.0013", "0.25", "0.9980", "0.008"])

    def test_a_part_without_rows_is_a_clear_failure(self):
        with tempfile.TemporaryDirectory() as folder:
            step = run("preprocessing.py", folder, {"SM_CHANNEL_ALL": str(self.folder / "all")},
                       "--valid_from", "2001-05-01", "--test_from", "2002-01-01")
        self.assertNotEqual(step.returncode, 0)
        self.assertIn("no row is left for 'test'", step.stderr)


if __name__ == "__main__":
    unittest.main()
