#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line: help, mistakes, exit codes, and the same answers with a server and without."""

import json
import os
import socket
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
            "models rollback", "models history", "endpoints list", "endpoints show", "predict", "bench predict", "users list", "users add",
            "users remove"]


DATA = Path(onggi.BINARY).resolve().parents[1] / "deps" / "data" / "flights-3m.parquet"


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
        self.declined(2, ["did you mean 'onggi models deploy'"], "deploy", "m", "1")
        self.declined(2, ["see 'onggi --help'"], "--colour")

    def test_what_is_missing_or_superfluous_is_a_usage_error(self):
        self.make()
        self.project.must("apply")
        training_set = ["features", "training-set", "--service", "now"]
        for words, arguments in (
                ("needs --service NAME", ["features", "get", "shop=north"]),
                ("needs --service NAME", ["features", "training-set", "--entities", "rows.csv", "--out", "x.csv"]),
                ("needs --endpoint NAME", ["models", "deploy", "m", "1"]),
                ("needs --reason TEXT", ["models", "approve", "m", "1"]),
                ("needs --reason TEXT", ["models", "reject", "m", "1", "--reason", ""]),
                ("expected a number", ["models", "deploy", "m", "one", "--endpoint", "e"]),
                ("'--entities' needs a value", [*training_set, "--entities", "--out", "x.csv"]),
                ("--entities FILE or --entities-sql", [*training_set, "--out", "x.csv"]),
                ("where to? --out FILE", [*training_set, "--entities", "rows.csv"]),
                ("'shop=north' beside --entities", ["predict", "e", "shop=north", "--entities", "rows.csv"]),
                ("--features writes", ["predict", "e", "--explain", "--entities", "rows.csv"]),
                ("--out needs rows", ["predict", "e", "--out", "x.csv"]),
                ("--as-known needs rows", ["predict", "e", "shop=north", "--as-known"]),
                ("'shop' is given twice", ["features", "get", "--service", "now", "shop=north", "shop=south"]),
                ("word is given twice", ["pipeline", "run", "p", "--param", "word=a", "--param", "word=b"]),
                ("--listen: '99999' is no address", ["serve", "--listen", "99999"]),
                ("--follow needs a step", ["pipeline", "logs", "01J", "--follow"])):
            with self.subTest(arguments):
                self.declined(2, words, *arguments)

    def test_outside_of_a_project(self):
        self.declined(3, ["no onggi.yaml", "onggi init"], "apply")
        # The machine is looked after all the same.
        self.assertEqual(json.loads(self.project.must("--version", "--json")), {"version": self.version()})
        checks = {check["name"]: check for check in json.loads(self.project.must("doctor", "--json"))["checks"]}
        self.assertIn("none here", checks["project"]["text"])
        for name in ("server", "disk", "file limit", "clock", "duckdb", "onnxruntime", "python"):
            self.assertIn(name, checks)
        self.assertEqual(list(self.path.iterdir()), [])

    def version(self):
        return self.project.must("-v").split()[1]

    def doctor(self, **options):
        """(exit code, checks by name)"""
        done = self.project.run("doctor", "--json", **options)
        return done.returncode, {check["name"]: check for check in json.loads(done.stdout)["checks"]}

    def test_a_doctor_looks_after_the_project_too(self):
        self.project.write("onggi.yaml", "python: ./tools/python\n")
        self.project.write("requirements.txt", "# pinned\njson_of_nobody==1.2 \\\n    --hash=sha256:00\n")
        (self.path / "tools").mkdir()
        (self.path / "tools" / "python").symlink_to(sys.executable)
        (self.path / "below").mkdir()
        # From wherever it is called, the path stands below the project.
        code, checks = self.doctor()
        self.assertEqual((code, checks["python"]["state"]), (0, "warn"))
        self.assertIn("lacks json_of_nobody of requirements.txt", checks["python"]["text"])
        (self.path / "requirements.txt").unlink()
        done = subprocess.run([onggi.BINARY, "doctor"], cwd=self.path / "below", capture_output=True, text=True,
                              check=True)
        self.assertRegex(done.stdout, r"ok +python +Python 3")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.project.write("onggi.yaml", f"server: {{listen: 127.0.0.1:{taken.getsockname()[1]}}}\n")
            checks = self.doctor()[1]
            self.assertEqual(checks["server"]["state"], "warn")
            self.assertIn(f"is in use by process {os.getpid()}", checks["server"]["text"])
        # What keeps the project from opening is a finding, not the end of the examination.
        self.project.write("onggi.yaml", "sevrer: {}\n")
        code, checks = self.doctor()
        self.assertEqual((code, checks["project"]["state"]), (5, "bad"))
        self.assertIn("onggi.yaml:1:1", checks["project"]["text"])
        self.assertIn("clock", checks)

    def test_init_makes_a_project_and_keeps_what_is_there(self):
        self.project.must("init", "shop")
        shop = onggi.Project(self.path / "shop")
        self.assertIn("no changes", shop.run("apply").stderr)
        (shop.folder / "onggi.yaml").write_text("python: other\n")
        self.project.must("init", "shop")
        self.assertEqual((shop.folder / "onggi.yaml").read_text(), "python: other\n")
        self.declined(3, ["there is no example 'flihgts'", "flights"], "init", "x", "--example",
                     "flihgts")

    @unittest.skipUnless(DATA.exists(), "the flights are missing: dev/setup brings them")
    def test_an_example_knows_its_python(self):
        python = self.path / "tools with a space" / "python"
        python.parent.mkdir()
        python.symlink_to(sys.executable)
        self.project.must("init", "--example", "flights", "trial", env={"ONGGI_PYTHON": str(python)})
        text = (self.path / "trial" / "onggi.yaml").read_text()
        self.assertTrue(text.endswith('\npython: "../tools with a space/python"\n'), text)
        trial = onggi.Project(self.path / "trial")
        checks = {check["name"]: check for check in json.loads(trial.must("doctor", "--json"))["checks"]}
        self.assertIn("tools with a space/python' lacks", checks["python"]["text"])
        # What the user has changed stays.
        trial.write("onggi.yaml", "python: mine\n")
        trial.write("endpoints/flight_delay.yaml", "mine\n")
        self.assertIn("kept  trial/endpoints", self.project.run("init", "--example", "flights", "trial").stderr)
        self.assertEqual((trial.folder / "onggi.yaml").read_text(), "python: mine\n")
        self.assertEqual((trial.folder / "endpoints" / "flight_delay.yaml").read_text(), "mine\n")

    @unittest.skipUnless(DATA.exists(), "the flights are missing: dev/setup brings them")
    def test_a_demo_without_its_packages_ends_before_it_begins(self):
        python = self.path / "python"
        python.write_text("#!/bin/sh\nexec %s -I -S \"$@\"\n" % sys.executable)
        python.chmod(0o755)
        done = self.project.run("demo", "flights", "--once", env={"ONGGI_PYTHON": str(python)})
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, r"lacks .* and \d+ more of requirements.txt.*ONGGI_PYTHON")
        self.assertNotIn("apply", done.stdout)
        # One that does not do is not written down.
        self.assertNotRegex((self.path / "flights" / "onggi.yaml").read_text(), r"(?m)^python:")

    def test_init_says_how_to_go_on_in_words_that_work(self):
        done = self.project.run("init", "my shop")
        command = done.stderr.splitlines()[-1].removeprefix("next: ")
        done = subprocess.run(["sh", "-c", command], cwd=self.path, capture_output=True, text=True, check=True)
        self.assertIn("no changes", done.stderr)

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
        self.declined(2, [".parquet or .csv"], *arguments, "--out", "x.txt")
        self.declined(3, ["there is no file 'none.csv'"], *arguments[:4], "--entities",
                     "none.csv", "--out", "x.csv")

    def test_words_of_a_request_are_checked(self):
        self.make()
        self.project.must("apply")
        get = ["features", "get", "--service", "now"]
        self.declined(2, ["did you mean 'shop'"], *get, "shpo=north")
        self.declined(2, ["expected name=value"], *get, "shop")
        self.declined(2, ["offered"], *get, "shop=north", "offered=many")
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

    def test_a_closed_stdout_shows_in_the_exit_code(self):
        self.make()
        for command in ("version", "apply", "features list"):
            done = subprocess.run(["sh", "-c", f'"$0" {command} >&-', onggi.BINARY], cwd=self.path,
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 1, command)
            self.assertIn("could not be written", done.stderr)
        # Nothing took the place of stdout and was written into.
        self.assertIn("no changes", self.project.run("apply").stderr)

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
        self.assertEqual(json.loads(self.project.must("runs", "show", "last", "--json"))["id"], ids[0])
        asked = ["validate", "apply", "status", "version", "--version", "doctor", "features list",
                 "features show now", "features show shop", "features search tak", "endpoints list", "features materialize", "pipeline list", "pipeline show hello",
                 "pipeline show hello --asl", "pipeline run hello --follow", "pipeline executions", "pipeline executions last", "pipeline logs last a",
                 f"pipeline executions {ids[0]}", f"pipeline logs {ids[0]}", f"pipeline logs {ids[0]} a",
                 "runs list", f"runs show {ids[0]}", f"runs compare {ids[0]} {ids[1]}", "models list", "users list",
                 "init other", "features get --service now shop=north at=2020-01-01T12:00:00Z offered=4",
                 "features training-set --service now --entities rows.csv --out x.csv"]
        for command in asked:
            with self.subTest(command):
                json.loads(self.project.must(*command.split(), "--json"))
        self.assertIn("hello", json.loads(self.project.must("pipeline", "logs", ids[0], "a", "--json"))["log"])
        self.assertIn("hello", self.project.must("pipeline", "logs", ids[0], "a"))
        lines = self.project.must("pipeline", "logs", ids[0], "a", "--follow", "--json").splitlines()
        self.assertIn("hello", [json.loads(line)["line"] for line in lines])
        shown = json.loads(self.project.must("features", "show", "shop", "--json"))["definitions"]
        self.assertEqual([item["kind"] for item in shown], ["entity", "source"])
        self.project.run("pipeline", "run", "broken", "--follow")
        broken = json.loads(self.project.must("pipeline", "executions", "--json"))["executions"][0]["id"]
        done = self.project.run("pipeline", "redrive", broken, "--follow", "--json")
        self.assertEqual((done.returncode, json.loads(done.stdout)["status"]), (1, "FAILED"))

    def test_every_answer_is_json_if_asked(self):
        self.make()
        self.project.write("pipelines/hello/pipeline.yaml", "pipeline: hello\nparams: {word: x}\nsteps:\n"
                           "  a: {script: a.sh, args: {word: '${params.word}'}}\n")
        self.project.write("pipelines/hello/a.sh", "echo hello\n")
        self.project.write("pipelines/broken/pipeline.yaml", "pipeline: broken\nsteps:\n  a: {script: a.sh}\n")
        self.project.write("pipelines/broken/a.sh", "exit 3\n")
        # One name, two things.
        self.project.write("features/shop.yaml", "source: shop\npath: data/sales.csv\ntime: at\n")
        self.project.must("apply")
        with self.subTest("without a server"):
            self.every_answer_is_json()
        self.project.serve()
        with self.subTest("with a server"):
            self.every_answer_is_json()
        token = json.loads(self.project.must("users", "add", "anna", "--role", "admin", "--json"))["token"]
        self.project.must("users", "add", "bert", env={"ONGGI_TOKEN": token})
        gone = self.project.must("users", "remove", "bert", "--json", env={"ONGGI_TOKEN": token})
        self.assertEqual(json.loads(gone), {"removed": "bert"})


if __name__ == "__main__":
    unittest.main()
