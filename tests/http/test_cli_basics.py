#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line: help, mistakes, exit codes, and the same answers with a server and without."""

import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import onggi  # noqa: E402

DEFINITIONS = """\
entity: shop
key: shop
type: string
---
source: sales
path: data/sales.csv
time: at
---
view: takings
entity: shop
source: sales
features:
  sales_1d:  {count: "*", window: 1d}
  amount_1d: {sum: amount, window: 1d}
---
view: asked
request: {at: timestamp, offered: int64}
features:
  twice: {expr: "offered * 2"}
---
service: now
time: at
features: [takings, asked]
"""

SALES = "at,shop,amount\n2020-01-01T10:00:00Z,north,5\n2020-01-01T11:00:00Z,north,7\n"
ROWS = "at,shop,offered\n2020-01-01T12:00:00Z,north,4\n2020-01-01T10:30:00Z,north,1\n"
COMMANDS = ["init", "validate", "apply", "status", "doctor", "version", "serve", "demo",
            "features list", "features show", "features search", "features get",
            "features materialize", "features training-set", "pipeline list", "pipeline show",
            "pipeline run", "pipeline executions", "pipeline logs", "pipeline stop",
            "pipeline redrive", "runs list", "runs show", "runs compare", "models list",
            "models show", "models compare", "models approve", "models reject", "models deploy",
            "models rollback", "models history", "predict", "bench predict", "users list", "users add",
            "users remove"]


class Basics(onggi.ProjectCase):
    def make(self):
        for name, text in {"onggi.yaml": "", "features/all.yaml": DEFINITIONS, "data/sales.csv": SALES,
                           "rows.csv": ROWS}.items():
            self.project.write(name, text)

    def test_every_command_has_help_with_an_example(self):
        overview = self.project.must()
        for command in COMMANDS:
            self.assertIn(f"\n  {command} ", overview)
            text = self.project.must(*command.split(), "--help")
            self.assertIn(f"usage: onggi {command}", text)
            self.assertIn("examples:", text)

    def test_mistakes_say_what_was_meant(self):
        self.declined(2, ["did you mean 'onggi apply'"], "aply")
        self.declined(2, ["did you mean 'onggi features get'"], "features", "gte")
        self.declined(2, ["did you mean '--service'"], "features", "get", "--servce", "x")
        self.declined(2, ["needs a value"], "features", "get", "--service")
        self.declined(2, ["usage: onggi models approve NAME VERSION"], "models", "approve", "a")

    def test_outside_of_a_project(self):
        self.declined(3, ["no onggi.yaml", "onggi init"], "apply")

    def test_init_makes_a_project_and_keeps_what_is_there(self):
        self.project.must("init", "shop")
        shop = onggi.Project(self.path / "shop")
        self.assertIn("no changes", shop.run("apply").stderr)
        (shop.folder / "onggi.yaml").write_text("python: other\n")
        self.project.must("init", "shop")
        self.assertEqual((shop.folder / "onggi.yaml").read_text(), "python: other\n")
        self.declined(3, ["there is no example 'flihgts'", "flights"], "init", "x", "--example",
                     "flihgts")

    def answers(self):
        """What the commands say, as data."""
        def ask(*arguments):
            return json.loads(self.project.must(*arguments, "--json"))
        get = ask("features", "get", "--service", "now", "shop=north",
                  "at=2020-01-01T12:00:00Z", "offered=4")
        return [ask("features", "list"), ask("features", "show", "now"), get,
                ask("pipeline", "list"), ask("models", "list"), ask("runs", "list")]

    def test_the_same_answers_with_a_server_and_without(self):
        self.make()
        self.project.must("apply")
        self.project.must("features", "materialize")
        without = self.answers()
        self.project.serve()
        self.assertEqual(self.answers(), without)
        self.assertEqual(without[2]["rows"], [[2, 12, 8]])

    def test_training_sets_go_through_files(self):
        self.make()
        self.project.must("apply")
        arguments = ["features", "training-set", "--service", "now", "--entities", "rows.csv"]
        self.project.must(*arguments, "--out", "without.csv")
        self.project.serve()
        self.project.must(*arguments, "--out", "with.csv")
        text = (self.path / "without.csv").read_text()
        self.assertEqual(text, (self.path / "with.csv").read_text())
        self.assertEqual(len(text.splitlines()), 3)
        self.declined(1, ["--entities FILE"], *arguments[:4], "--out", "x.csv")
        self.declined(1, [".parquet or .csv"], *arguments, "--out", "x.txt")
        self.declined(3, ["there is no file 'none.csv'"], *arguments[:4], "--entities",
                     "none.csv", "--out", "x.csv")

    def test_words_of_a_request_are_checked(self):
        self.make()
        self.project.must("apply")
        get = ["features", "get", "--service", "now"]
        self.declined(1, ["did you mean 'shop'"], *get, "shpo=north")
        self.declined(1, ["expected name=value"], *get, "shop")
        self.declined(1, ["offered"], *get, "shop=north", "offered=many")
        self.declined(3, ["now"], "features", "get", "--service", "nwo", "shop=north")

    def test_mistakes_in_definitions_have_their_place(self):
        self.make()
        (self.path / "features" / "all.yaml").write_text(
            DEFINITIONS.replace("entity: shop\nsource: sales\n", "entity: shop\nsource: sails\n"))
        done = self.project.run("apply")
        self.assertEqual(done.returncode, 1)
        self.assertIn("features/all.yaml:11:", done.stderr)
        self.assertIn("sales", done.stderr)
        self.assertIn("nothing was recorded", done.stderr)

    def test_a_server_that_is_away(self):
        self.declined(5, ["127.0.0.1:1"], "--server", "http://127.0.0.1:1", "status")
        self.make()
        self.declined(5, ["onggi serve"], "bench", "predict", "x", "a=1")

    def test_a_full_disk_shows_in_the_exit_code(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([onggi.BINARY, "version"], stdout=full, stderr=subprocess.PIPE, check=False,
                                  env=dict(os.environ))
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"could not be written", done.stderr)

    def test_a_reader_that_has_seen_enough_is_no_failure_to_tell(self):
        done = subprocess.run(["sh", "-c", '"$0" --help | head -n 1', onggi.BINARY], capture_output=True, text=True,
                              check=True)
        self.assertIn("onggi carries", done.stdout)
        self.assertEqual(done.stderr, "")

    def test_names_are_text(self):
        self.make()
        self.declined(2, "argument 3 is not UTF-8", "models", "show", b"sm\xffall")
        for name in ("../../etc/passwd", "a/b", "ünïcode", "n" * 3000):
            with self.subTest(name):
                self.declined(3, "no model", "models", "show", name)

    def test_where_a_result_goes_is_checked_first(self):
        self.make()
        self.project.must("apply")
        arguments = ["features", "training-set", "--service", "now", "--entities", "rows.csv", "--out"]
        self.declined(3, "--out: write into '/nonexistent'", *arguments, "/nonexistent/x.csv")
        (self.path / "folder.csv").mkdir()
        self.declined(1, "is a folder", *arguments, "folder.csv")
        # A failure leaves what was there before.
        self.project.write("x.csv", "mine\n")
        self.declined(1, "nwo", "features", "training-set", "--service", "nwo", *arguments[4:], "x.csv")
        self.assertEqual((self.path / "x.csv").read_text(), "mine\n")
        self.project.must(*arguments, "x.csv")
        self.assertEqual(len((self.path / "x.csv").read_text().splitlines()), 3)
        self.assertEqual(list(self.path.glob("*.part-*")), [])

    def every_answer_is_json(self):
        self.project.must("pipeline", "run", "hello", "--param", "word=one")
        self.project.must("pipeline", "run", "hello", "--param", "word=two", "--follow")
        ids = [run["id"] for run in json.loads(self.project.must("runs", "list", "--json"))["runs"]]
        asked = ["validate", "apply", "status", "version", "features list", "features show now",
                 "features search tak", "features materialize", "pipeline list", "pipeline show hello",
                 "pipeline show hello --asl", "pipeline run hello --follow", "pipeline executions",
                 f"pipeline executions {ids[0]}", f"pipeline logs {ids[0]}", f"pipeline logs {ids[0]} a",
                 "runs list", f"runs show {ids[0]}", f"runs compare {ids[0]} {ids[1]}", "models list", "users list",
                 "init other", "features get --service now shop=north at=2020-01-01T12:00:00Z offered=4",
                 "features training-set --service now --entities rows.csv --out x.csv"]
        for command in asked:
            with self.subTest(command):
                json.loads(self.project.must(*command.split(), "--json"))
        self.assertIn("hello", json.loads(self.project.must("pipeline", "logs", ids[0], "a", "--json"))["log"])
        self.assertIn("hello", self.project.must("pipeline", "logs", ids[0], "a"))

    def test_every_answer_is_json_if_asked(self):
        self.make()
        self.project.write("pipelines/hello/pipeline.yaml", "pipeline: hello\nparams: {word: x}\nsteps:\n"
                           "  a: {script: a.sh, args: {word: '${params.word}'}}\n")
        self.project.write("pipelines/hello/a.sh", "echo hello\n")
        self.project.must("apply")
        with self.subTest("without a server"):
            self.every_answer_is_json()
        self.project.serve()
        with self.subTest("with a server"):
            self.every_answer_is_json()


if __name__ == "__main__":
    unittest.main()
