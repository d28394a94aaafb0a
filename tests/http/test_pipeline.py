#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pipelines from outside: the API, logs while they grow, kill -9 in the middle, mistakes."""
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

BINARY = os.environ.get("ONGGI_BINARY", "build/release/onggi")

PIPELINE = """\
pipeline: chain
params: {word: one, pause: 0.15}
steps:
  make:  {script: make.sh, args: {word: "${params.word}", pause: "${params.pause}"}, out: [text]}
  more:  {script: more.sh, in: {text: make.text}, args: {pause: "${params.pause}"}, out: [text]}
  last:  {script: more.sh, in: {text: more.text}, args: {pause: "${params.pause}"}, out: [text]}
  gate:  {when: "last.metrics.lines == 3"}
"""
# Each leaves a child behind that would spoil the output, if a crash let it live on.
SCRIPTS = {
    "make.sh": 'pause=$2; word=$4\n(sleep 2; echo orphan >> "$SM_OUTPUT_DATA_DIR/text/word") &\n'
               'echo making $word; sleep $pause; echo $word > "$SM_OUTPUT_DATA_DIR/text/word"\n'
               'echo made; kill $!\n',
    "more.sh": 'pause=$2\n(sleep 2; echo orphan >> "$SM_OUTPUT_DATA_DIR/text/word") &\n'
               'sleep $pause; cat "$SM_CHANNEL_TEXT/word" > "$SM_OUTPUT_DATA_DIR/text/word"\n'
               'echo more >> "$SM_OUTPUT_DATA_DIR/text/word"\n'
               'n=$(wc -l < "$SM_OUTPUT_DATA_DIR/text/word")\n'
               'echo "{\\"lines\\": $n}" > "$SM_OUTPUT_DATA_DIR/metrics.json"; kill $!\n',
}


class Project:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="onggi-pipeline-"))
        (self.folder / "onggi.yaml").write_text("")
        self.process = None
        self.stderr = open(self.folder / "stderr", "a")
        self.add("chain", PIPELINE, SCRIPTS)

    def add(self, name, text, scripts=None, file="pipeline.yaml"):
        folder = self.folder / "pipelines" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
        for script, content in (scripts or {}).items():
            (folder / script).write_text(content)

    def serve(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [BINARY, "serve", "--project", str(self.folder), "--listen", f"127.0.0.1:{self.port}"],
            stdout=subprocess.DEVNULL, stderr=self.stderr, start_new_session=True)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                self.ask("GET", "/healthz")
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("no answer: " + (self.folder / "stderr").read_text()[-2000:])

    def kill(self):
        """The whole session: the supervisor and its child, at once, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ask(self, method, path, body=None, raw=False):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            content = answer.read()
        return content.decode() if raw else json.loads(content or b"null")

    def events(self, path):
        """(event, data) of a stream, to its end."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}",
                                         headers={"Accept": "text/event-stream"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            name = None
            for line in answer:
                line = line.decode().rstrip("\n")
                if line.startswith("event:"):
                    name = line[6:].strip()
                elif line.startswith("data:"):
                    yield name, json.loads(line[5:])

    def run(self, name="chain", **params):
        return self.ask("POST", f"/api/v1/pipelines/{name}/executions",
                        {"params": params})["execution"]

    def wait(self, execution, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answer = self.ask("GET", f"/api/v1/executions/{execution}")
            if answer["status"] != "RUNNING":
                return answer
            time.sleep(0.05)
        raise AssertionError(f"does not end: {answer}")

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        self.stderr.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class PipelineTest(unittest.TestCase):
    def setUp(self):
        self.project = Project()
        self.addCleanup(self.project.close)

    def refused(self, code, method, path, body=None):
        with self.assertRaises(urllib.error.HTTPError) as caught:
            self.project.ask(method, path, body)
        self.assertEqual(caught.exception.code, code)
        return json.loads(caught.exception.read())["error"]["message"]

    def test_a_pipeline_runs_and_tells_of_itself(self):
        self.project.serve()
        listed = self.project.ask("GET", "/api/v1/pipelines")["pipelines"]
        self.assertEqual([(p["name"], p["steps"]) for p in listed], [("chain", 4)])
        asl = self.project.ask("GET", "/api/v1/pipelines/chain/asl")
        self.assertEqual(asl["StartAt"], "make")
        execution = self.project.run(word="two")
        answer = self.project.wait(execution)
        self.assertEqual(answer["status"], "SUCCEEDED", answer)
        self.assertEqual(answer["output"]["last"]["metrics"], {"lines": 3})
        self.assertEqual([(s["name"], s["status"]) for s in answer["steps"]],
                         [(n, "SUCCEEDED") for n in ("make", "more", "last", "gate")])
        history = self.project.ask("GET", f"/api/v1/executions/{execution}/history")["events"]
        self.assertEqual([e["id"] for e in history], list(range(1, len(history) + 1)))
        self.assertEqual(history[-1]["type"], "ExecutionSucceeded")
        log = self.project.ask("GET", f"/api/v1/executions/{execution}/logs/make", raw=True)
        self.assertIn("making two\nmade\n", log)
        self.assertEqual(self.project.ask("GET", "/api/v1/executions")["executions"][0]["id"],
                         execution)

    def test_events_and_logs_are_followed_while_it_runs(self):
        self.project.serve()
        execution = self.project.run()
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

    def test_ten_kills_at_random_moments_leave_the_same_result(self):
        chance = random.Random(7)
        self.project.serve()
        execution = self.project.run(pause=0.3)
        for _ in range(10):
            time.sleep(chance.uniform(0, 0.5))
            self.project.kill()
            self.project.serve()
        answer = self.project.wait(execution)
        self.assertEqual(answer["status"], "SUCCEEDED", answer)
        self.assertEqual(answer["output"]["last"]["metrics"], {"lines": 3})
        word = self.project.folder / answer["output"]["last"]["text"] / "word"
        time.sleep(2.2)  # an orphan would have written by now
        self.assertEqual(word.read_text(), "one\nmore\nmore\n")

    def test_a_graceful_stop_is_an_interruption_too(self):
        self.project.serve()
        self.project.add("long", "pipeline: long\nsteps:\n  a: {script: a.sh, out: [text]}\n",
                         {"a.sh": 'cd "$SAGEMAKER_BASE_DIR/.."; echo x > "$SM_OUTPUT_DATA_DIR/text/x"\n'
                                  '[ -e seen ] && exit 0; touch seen; sleep 60\n'})
        execution = self.project.run("long")
        time.sleep(0.7)
        self.project.process.terminate()
        self.project.process.wait(30)
        self.project.serve()
        answer = self.project.wait(execution)
        self.assertEqual(answer["status"], "SUCCEEDED", answer)
        history = self.project.ask("GET", f"/api/v1/executions/{execution}/history")["events"]
        failed = [e["taskFailedEventDetails"]["error"] for e in history if e["type"] == "TaskFailed"]
        self.assertEqual(failed, ["Onggi.Interrupted"])

    def test_stop_and_redrive(self):
        self.project.serve()
        execution = self.project.run(pause=1.2)
        time.sleep(0.5)
        self.project.ask("POST", f"/api/v1/executions/{execution}/stop", {"cause": "enough"})
        answer = self.project.wait(execution)
        self.assertEqual((answer["status"], answer["cause"]), ("ABORTED", "enough"))
        self.refused(409, "POST", f"/api/v1/executions/{execution}/stop", {})
        for _ in range(100):  # the script is still being ended
            try:
                self.project.ask("POST", f"/api/v1/executions/{execution}/redrive", {})
                break
            except urllib.error.HTTPError as error:
                self.assertEqual(error.code, 409)
                time.sleep(0.1)
        self.assertEqual(self.project.wait(execution)["status"], "SUCCEEDED")

    def test_mistakes_are_told(self):
        self.project.add("bad", "pipeline: bad\nsteps:\n  a: {scirpt: a.py}\n")
        self.project.add("exit3", "pipeline: exit3\nsteps:\n  a: {script: a.sh}\n",
                         {"a.sh": "echo no coffee >&2; exit 3\n"})
        self.project.serve()
        self.assertIn("did you mean 'chain'?",
                      self.refused(404, "POST", "/api/v1/pipelines/chian/executions", {}))
        self.assertIn("did you mean 'word'?", self.refused(
            400, "POST", "/api/v1/pipelines/chain/executions", {"params": {"wrod": "x"}}))
        self.assertIn("pipelines/bad/pipeline.yaml:3:6: a step says what it does",
                      self.refused(400, "POST", "/api/v1/pipelines/bad/executions", {}))
        self.assertIn("there is no execution", self.refused(404, "GET", "/api/v1/executions/NO"))
        message = self.refused(400, "POST", "/api/v1/executions", {"definition": {
            "StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "onggi:scrpt",
                                             "End": True}}}})
        self.assertIn("$.States.A: Resource: 'onggi:scrpt' is not known; did you mean "
                      "'onggi:script'?", message)
        answer = self.project.wait(self.project.run("exit3"))
        self.assertEqual(answer["error"], "Onggi.ScriptFailed")
        self.assertIn("a.sh ended with exit code 3", answer["cause"])
        self.assertIn("no coffee", answer["cause"])
        self.assertEqual(answer["steps"][0]["status"], "FAILED")
        # The rest keeps serving.
        self.assertEqual(self.project.wait(self.project.run())["status"], "SUCCEEDED")


if __name__ == "__main__":
    unittest.main()
