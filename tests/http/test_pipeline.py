#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pipelines from outside: the API, logs while they grow, kill -9 in the middle, mistakes."""
import os
import random
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import onggi  # noqa: E402

PIPELINE = """\
pipeline: chain
params: {word: one, pause: 0.15}
steps:
  make:  {script: make.sh, args: {word: "${params.word}", pause: "${params.pause}"}, out: [text]}
  more:  {script: more.sh, in: {text: make.text}, args: {pause: "${params.pause}"}, out: [text]}
  last:  {script: more.sh, in: {text: more.text}, args: {pause: "${params.pause}"}, out: [text]}
  gate:  {when: "last.metrics.lines == 3"}
"""
# Each leaves a child behind that would write into its try's folder, if a crash let it live on.
ORPHAN_S = 4
SCRIPTS = {
    "make.sh": f'pause=$2; word=$4\n(sleep {ORPHAN_S}; echo orphan >> "$SM_OUTPUT_DATA_DIR/text/word") &\n'
               'echo making $word; sleep $pause; echo $word > "$SM_OUTPUT_DATA_DIR/text/word"\n'
               'echo made; kill $!\n',
    "more.sh": f'pause=$2\n(sleep {ORPHAN_S}; echo orphan >> "$SM_OUTPUT_DATA_DIR/text/word") &\n'
               'sleep $pause; cat "$SM_CHANNEL_TEXT/word" > "$SM_OUTPUT_DATA_DIR/text/word"\n'
               'echo more >> "$SM_OUTPUT_DATA_DIR/text/word"\n'
               'n=$(wc -l < "$SM_OUTPUT_DATA_DIR/text/word")\n'
               'echo "{\\"lines\\": $n}" > "$SM_OUTPUT_DATA_DIR/metrics.json"; kill $!\n',
}


class PipelineTest(onggi.ProjectCase):
    files = {"onggi.yaml": "", "pipelines/chain/pipeline.yaml": PIPELINE,
             **{f"pipelines/chain/{name}": text for name, text in SCRIPTS.items()}}
    serving = True

    def add(self, name, text, scripts=None, file="pipeline.yaml"):
        for path, content in {file: text, **(scripts or {})}.items():
            self.project.write(f"pipelines/{name}/{path}", content)

    def history(self, execution):
        return self.good(f"/api/v1/executions/{execution}/history")["events"]

    def test_a_pipeline_runs_and_tells_of_itself(self):
        listed = self.good("/api/v1/pipelines")["pipelines"]
        self.assertEqual([(p["name"], p["steps"]) for p in listed], [("chain", 4)])
        asl = self.good("/api/v1/pipelines/chain/asl")
        self.assertEqual(asl["StartAt"], "make")
        execution = self.project.execute("chain", word="two")
        answer = self.project.wait(execution)
        self.assertEqual(answer["status"], "SUCCEEDED", answer)
        self.assertEqual(answer["output"]["last"]["metrics"], {"lines": 3})
        self.assertEqual([(s["name"], s["status"]) for s in answer["steps"]],
                         [(n, "SUCCEEDED") for n in ("make", "more", "last", "gate")])
        history = self.history(execution)
        self.assertEqual([e["id"] for e in history], list(range(1, len(history) + 1)))
        self.assertEqual(history[-1]["type"], "ExecutionSucceeded")
        log = self.project.read(f"/api/v1/executions/{execution}/logs/make").decode()
        self.assertIn("making two\nmade\n", log)
        self.assertEqual(self.good("/api/v1/executions")["executions"][0]["id"],
                         execution)

    def test_a_long_history_is_told_in_pages(self):
        states = {f"s{i}": {"Type": "Pass", "Next": f"s{i + 1}"} for i in range(30)}
        states["s30"] = {"Type": "Pass", "End": True}
        body = {"definition": {"StartAt": "s0", "States": states}, "input": "x" * 200_000}
        execution = self.good("/api/v1/executions", body)["execution"]
        answer = self.project.wait(execution)
        self.assertEqual([(s["name"], s["status"]) for s in answer["steps"]],
                         [(f"s{i}", "SUCCEEDED") for i in range(31)])
        path = f"/api/v1/executions/{execution}/history"
        first = self.good(path)  # a page of them, since they weigh more than a page may
        self.assertEqual(first["next"], first["events"][-1]["id"])
        events, after = [], 0
        while after is not None:
            page = self.good(f"{path}?after={after}&limit=7")
            self.assertLessEqual(len(page["events"]), 7)
            events += page["events"]
            after = page.get("next")
        self.assertEqual([e["id"] for e in events], list(range(1, 65)))
        self.assertEqual(events[-1]["type"], "ExecutionSucceeded")
        steps = [d["step"] for name, d in self.project.events(f"/api/v1/executions/{execution}/events")
                 if name == "step" and d["status"] == "SUCCEEDED"]
        self.assertEqual(steps, [f"s{i}" for i in range(31)])
        listed = self.good("/api/v1/executions?limit=1")["executions"][0]
        self.assertNotIn("input", listed)
        self.refused(400, "limit: expected a number from 1 to 1000", path + "?limit=0")
        self.refused(400, "after: expected", path + "?after=x")

    def test_events_and_logs_are_followed_while_it_runs(self):
        execution = self.project.execute("chain")
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(
            self.project.events(f"/api/v1/executions/{execution}/logs/make?follow=true")))
        reader.start()
        events = list(self.project.events(f"/api/v1/executions/{execution}/events?logs=true"))
        reader.join(30)
        self.assertEqual(events[-1][0], "result")
        self.assertEqual(events[-1][1]["status"], "SUCCEEDED")
        steps = [(d["step"], d["status"]) for n, d in events if n == "step"]
        self.assertEqual(steps[:3],
                         [("make", "RUNNING"), ("make", "SUCCEEDED"), ("more", "RUNNING")])
        logged = [d["line"] for n, d in events if n == "log" and d["step"] == "make"]
        self.assertEqual(logged[1:], ["making one", "made"])
        self.assertEqual([d["line"] for n, d in lines if n == "log"][1:], ["making one", "made"])
        self.assertEqual(lines[-1], ("result", {}))

    def marked(self):
        """Processes that carry this project's mark: scripts, and what they left behind."""
        mark, found = b"\0ONGGI_TASK_FOLDER=" + os.fsencode(self.path.resolve()) + b"/", []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in b"\0" + (process / "environ").read_bytes():
                    found.append((process.name, (process / "cmdline").read_bytes()))
            except OSError:
                pass  # not ours, or gone
        return found

    def test_ten_kills_at_random_moments_leave_the_same_result(self):
        chance = random.Random(7)
        execution = self.project.execute("chain", pause=0.3)
        for _ in range(10):
            time.sleep(chance.uniform(0, 0.5))
            self.project.kill()
            self.project.serve()
        answer = self.project.wait(execution)
        self.assertEqual(answer["status"], "SUCCEEDED", answer)
        self.assertEqual(answer["output"]["last"]["metrics"], {"lines": 3})
        word = self.project.folder / answer["output"]["last"]["text"] / "word"
        time.sleep(ORPHAN_S + 0.2)  # an orphan would have written by now
        self.assertEqual(word.read_text(), "one\nmore\nmore\n")
        written = list((self.path / ".onggi" / "runs").rglob("word"))
        errors = [e["taskFailedEventDetails"]["error"] for e in self.history(execution) if e["type"] == "TaskFailed"]
        self.assertIn("Onggi.Interrupted", errors)  # there was something to end
        self.assertEqual([f for f in written if "orphan" in f.read_text()], [])
        self.assertEqual(self.marked(), [])

    def test_a_graceful_stop_is_an_interruption_too(self):
        self.add("long", "pipeline: long\nsteps:\n  a: {script: a.sh, out: [text]}\n",
                         {"a.sh": 'cd "$SAGEMAKER_BASE_DIR/.."; echo x > "$SM_OUTPUT_DATA_DIR/text/x"\n'
                                  '[ -e seen ] && exit 0; touch seen; sleep 60\n'})
        execution = self.project.execute("long")
        time.sleep(0.7)
        self.project.stop()
        self.project.serve()
        answer = self.project.wait(execution)
        self.assertEqual(answer["status"], "SUCCEEDED", answer)
        history = self.history(execution)
        failed = [e["taskFailedEventDetails"]["error"] for e in history if e["type"] == "TaskFailed"]
        self.assertEqual(failed, ["Onggi.Interrupted"])

    def test_stop_and_redrive(self):
        execution = self.project.execute("chain", pause=1.2)
        time.sleep(0.5)
        self.good(f"/api/v1/executions/{execution}/stop", {"cause": "enough"})
        answer = self.project.wait(execution)
        self.assertEqual((answer["status"], answer["cause"]), ("ABORTED", "enough"))
        self.assertEqual(answer["stopped_by"], answer["by"])
        self.refused(409, "does not run any more", f"/api/v1/executions/{execution}/stop", {})
        for _ in range(100):  # the script is still being ended
            code, answer = self.ask(f"/api/v1/executions/{execution}/redrive", {})
            if code < 300:
                break
            self.assertEqual(code, 409, answer)
            time.sleep(0.1)
        self.refused(409, "still runs", f"/api/v1/executions/{execution}/redrive", {})
        answer = self.project.wait(execution)
        self.assertEqual((answer["status"], answer["redriven_by"]), ("SUCCEEDED", answer["by"]))
        self.assertNotIn("stopped_by", answer)

    def test_a_name_starts_once(self):
        path, body = "/api/v1/pipelines/chain/executions", {"params": {"word": "x"}, "name": "nightly-2026-11-28"}
        code, first = self.ask(path, body)
        self.assertEqual((code, first["status"]), (201, "RUNNING"))
        code, second = self.ask(path, body)
        self.assertEqual((code, second["execution"]), (200, first["execution"]))
        self.refused(409, ["is called 'nightly-2026-11-28' already", first["execution"]], path,
                     {**body, "params": {"word": "y"}})
        self.refused(400, "name: expected at most 80", path, {"name": "a b"})
        answer = self.project.wait(first["execution"])
        self.assertEqual((answer["status"], answer["name"]), ("SUCCEEDED", body["name"]))
        code, again = self.ask(path, body)
        self.assertEqual((code, again["status"]), (200, "SUCCEEDED"))

    def folders(self, kind):
        """Of executions, oldest first."""
        return sorted(entry.name for entry in (self.path / ".onggi" / kind).iterdir()
                      if len(entry.name) == 26 or entry.name.startswith("gone-"))

    def await_folders(self, kind, wanted):
        deadline = time.monotonic() + 10
        while self.folders(kind) != wanted and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(self.folders(kind), wanted)

    def test_old_files_go_and_live_ones_stay(self):
        self.project.stop()
        self.project.write("onggi.yaml", "pipelines: {keep_runs: 2, keep_logs: 3}\n")
        self.add("quick", "pipeline: quick\nparams: {code: 0}\nsteps:\n  a: {script: a.sh, args: {code: '${params.code}'}}\n",
                 {"a.sh": "exit $2\n"})
        self.project.serve()
        slow = self.project.execute("chain", pause=1)
        failed = self.project.execute("quick", code=3)
        self.assertEqual(self.project.wait(failed)["status"], "FAILED")
        ended = [failed]
        for _ in range(4):
            ended.append(self.project.execute("quick"))
            self.assertEqual(self.project.wait(ended[-1])["status"], "SUCCEEDED")
        self.await_folders("runs", [slow, *ended[-2:]])
        self.await_folders("logs", [slow, *ended[-3:]])
        self.refused(409, ["are gone", "keep_runs", "run the pipeline again"],
                     f"/api/v1/executions/{failed}/redrive", {})
        self.refused(404, "log", f"/api/v1/executions/{failed}/logs/a")
        self.assertEqual(self.good(f"/api/v1/executions/{failed}")["status"], "FAILED")
        self.assertEqual(self.project.wait(slow)["output"]["last"]["metrics"], {"lines": 3})
        # What a crash leaves: a removal half done, and a folder whose execution was never recorded.
        self.project.kill()
        runs = self.path / ".onggi" / "runs"
        young, old = "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAW"
        for name in ("gone-" + failed, young, old):
            self.project.write(f".onggi/runs/{name}/code/a.sh", "exit 0\n")
        os.utime(runs / old, (0, 0))
        self.project.serve()
        self.await_folders("runs", sorted([young, slow, *ended[-2:]]))

    def test_what_has_just_ended_keeps_its_files(self):
        self.project.stop()
        self.project.write("onggi.yaml", "pipelines: {keep_runs: 2, keep_logs: 2}\n")
        self.project.serve()
        slow = self.project.execute("chain", pause=1)
        quick = [self.project.execute("chain", pause=0) for _ in range(3)]
        for execution in quick:
            self.assertEqual(self.project.wait(execution)["status"], "SUCCEEDED")
        self.assertEqual(self.project.wait(slow)["status"], "SUCCEEDED")
        # It began first and ended last.
        ends = sorted(quick, key=lambda e: self.good(f"/api/v1/executions/{e}")["stopped"])
        self.await_folders("runs", sorted([slow, ends[-1]]))
        self.await_folders("logs", sorted([slow, ends[-1]]))

    def test_mistakes_are_told(self):
        self.add("bad", "pipeline: bad\nsteps:\n  a: {scirpt: a.py}\n")
        self.add("exit3", "pipeline: exit3\nsteps:\n  a: {script: a.sh}\n",
                         {"a.sh": "echo no coffee >&2; exit 3\n"})
        self.refused(404, "did you mean 'chain'?", "/api/v1/pipelines/chian/executions", {})
        self.refused(400, "did you mean 'word'?", "/api/v1/pipelines/chain/executions", {"params": {"wrod": "x"}})
        self.refused(400, "pipelines/bad/pipeline.yaml:3:6: a step says what it does",
                     "/api/v1/pipelines/bad/executions", {})
        self.refused(404, "there is no execution", "/api/v1/executions/NO")
        for state, words in (({"Type": "Wait", "Seconds": 1, "End": True}, "Type: 'Wait' is not understood yet"),
                             ({"Type": "Wiat", "End": True}, "Type: 'Wiat' is not known"),
                             ({"Type": "Pass", "Output": 1, "End": True}, "'Output' (JSONata) is not understood yet"),
                             ({"Type": "Pass", "Assign": {"1a": 1}, "End": True}, "Assign: '1a' cannot be the name of a variable"),
                             ({"Type": "Pass", "InputPath": "$..a..b", "End": True}, "'..' may stand in a path once"),
                             ({"Type": "Pass", "Parameters": {"x.$": "States.ArrayLenght($)"}, "End": True}, "did you mean 'States.ArrayLength'?")):
            self.refused(400, "$.States.A: ", "/api/v1/executions", {"definition": {"StartAt": "A", "States": {"A": state}}})
            self.refused(400, words, "/api/v1/executions", {"definition": {"StartAt": "A", "States": {"A": state}}})
        self.refused(400, "$.States.A: Resource: 'onggi:scrpt' is not known; did you mean 'onggi:script'?",
                     "/api/v1/executions", {"definition": {
                         "StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "onggi:scrpt", "End": True}}}})
        answer = self.project.wait(self.project.execute("exit3"))
        self.assertEqual(answer["error"], "Onggi.ScriptFailed")
        self.assertIn("a.sh ended with exit code 3", answer["cause"])
        self.assertIn("no coffee", answer["cause"])
        self.assertEqual(answer["steps"][0]["status"], "FAILED")
        # The rest keeps serving.
        self.assertEqual(self.project.wait(self.project.execute("chain"))["status"], "SUCCEEDED")


if __name__ == "__main__":
    unittest.main()
