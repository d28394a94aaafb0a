#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Scripts that misbehave: each failure has a name and a cause, nothing of them outlives the step."""
import os
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import onggi  # noqa: E402

# name: (the script, more of the step, what the failure is called, words of its cause)
BAD = {
    "exits": ("echo oh >&2; exit 3\n", "", "Onggi.ScriptFailed", ["ended with exit code 3", "oh"]),
    "dies": ("kill -SEGV $$\n", "", "Onggi.ScriptFailed", ["signal 11"]),
    "loops": ("while :; do :; done\n", ", timeout: 1s", "States.Timeout", ["time limit of 1 s"]),
    "deaf": ("trap '' TERM; while :; do sleep 0.1; done\n", ", timeout: 1s", "States.Timeout", ["time limit of 1 s"]),
    "eats": ("exec python3 -c 'x = bytearray(400 << 20); import time; time.sleep(9)'\n", ", memory: 100MiB",
             "Onggi.MemoryLimit", ["100 MiB are allowed", "raise the step's `memory`"]),
    "talks": ("exec head -c 1000000000 /dev/zero\n", "", "Onggi.LogLimit", ["more than 256 MiB of log"]),
    "says_nothing": (":\n", ", out: [model]", "Onggi.Invalid", ["wrote nothing to its output 'model'", "$SM_MODEL_DIR"]),
    "odd_bytes": (r"printf '\377\033[31mred\n'; exit 1" + "\n", "", "Onggi.ScriptFailed", ["??[31mred"]),
    "bad_metrics": ('echo "{bad" > "$SM_OUTPUT_DATA_DIR/metrics.json"\n', "", "Onggi.Invalid",
                    ["metrics.json: JSON line 1 column 2"]),
}
REGISTER = "  register: {register: {model: m, from: a.model}}\n"


def pipeline(name, more=""):
    return f"pipeline: {name}\nsteps:\n  a: {{script: a.sh{more}}}\n"


class Scripts(onggi.ProjectCase):
    files = {"onggi.yaml": ""}
    serving = True

    def add(self, name, script, more="", steps=""):
        self.project.write(f"pipelines/{name}/pipeline.yaml", pipeline(name, more) + steps)
        self.project.write(f"pipelines/{name}/a.sh", script)

    def test_each_failure_has_its_name_and_cause(self):
        for name, (script, more, _, _) in BAD.items():
            self.add(name, script, more)
        running = {name: self.project.execute(name) for name in BAD}
        for name, (_, _, error, words) in BAD.items():
            with self.subTest(name):
                answer = self.project.wait(running[name])
                self.assertEqual((answer["status"], answer["error"]), ("FAILED", error), answer)
                for word in words:
                    self.assertIn(word, answer["cause"])
        # The whole log is as the script wrote it; for machines it is text.
        log = self.project.read(f"/api/v1/executions/{running['odd_bytes']}/logs/a")
        self.assertIn(b"\xff\x1b[31mred\n", log)

    def test_what_no_endpoint_could_serve_is_not_registered(self):
        for name, script, words in (
                ("no_onnx", "echo hello > $SM_MODEL_DIR/model.onnx\n", "model.onnx: "),
                ("empty", ": > $SM_MODEL_DIR/model.onnx\n", "the file is empty"),
                ("other", "echo hello > $SM_MODEL_DIR/model.pkl\n", "holds no .onnx file")):
            with self.subTest(name):
                self.add(name, script, ", out: [model]", REGISTER)
                answer = self.project.wait(self.project.execute(name))
                self.assertEqual(answer["status"], "FAILED", answer)
                self.assertIn(words, answer["cause"])
        self.assertEqual(self.good("/api/v1/models")["models"], [])

    def alive(self, mark):
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mark in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                pass
        return found

    def test_no_child_outlives_its_step(self):
        mark = f"30{os.getpid()}"
        self.add("daemon", f"setsid sleep {mark} & (nohup sleep {mark} >/dev/null 2>&1 &); sleep 0.2\n")
        answer = self.project.wait(self.project.execute("daemon"))
        self.assertEqual(answer["status"], "SUCCEEDED", answer)
        for _ in range(40):
            if not self.alive(mark.encode()):
                return
            time.sleep(0.05)
        self.fail(f"{self.alive(mark.encode())} still run")

    def test_a_failure_is_told_once(self):
        self.add("exits", *BAD["exits"][:2])
        done = self.project.run("pipeline", "run", "exits", "--follow")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("FAILED"), 2, done.stderr)  # the step, the execution
        self.assertEqual(done.stderr.count("\noh\n"), 1, done.stderr)


if __name__ == "__main__":
    unittest.main()
