#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Scripts that misbehave: each failure has a name and a cause, nothing of them outlives the step."""
import os
import signal
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
# What hangs whoever opens it, or leads out of the folder, in the place of a file that is read.
TRAPS = {"pipe": "mkfifo", "device": "ln -s /dev/zero", "link": "ln -s /etc/passwd"}
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

    def test_traps_in_the_place_of_files(self):
        running = {}
        for trap, make in TRAPS.items():
            for place, more, steps in (("OUTPUT_DATA_DIR/metrics.json", "", ""), ("MODEL_DIR/model.onnx", ", out: [model]", REGISTER),
                                       ("OUTPUT_DIR/failure", "", "")):
                name = f"{trap}_{place[:6].strip('_').lower()}"
                ending = "exit 7" if "failure" in place else ":"
                self.add(name, f'{make} "$SM_{place}"; {ending}\n', more, steps)
                running[name] = self.project.execute(name)
            self.add(f"{trap}_signature", f'echo > "$SM_MODEL_DIR/model.onnx"; {make} "$SM_MODEL_DIR/features.json"\n', ", out: [model]")
        for name, execution in running.items():
            with self.subTest(name):
                answer = self.project.wait(execution)
                self.assertEqual(answer["status"], "FAILED", answer)
                self.assertNotIn("root:", answer["cause"])
                self.assertRegex(answer["cause"], "regular file|it is a link|exit code 7|no .onnx")

    def test_a_long_failure_file_in_another_encoding(self):
        self.add("long", r"""printf 'x' > "$SM_OUTPUT_DIR/failure"; yes é | tr -d '\n' | head -c 20000 >> "$SM_OUTPUT_DIR/failure"; exit 3""")
        answer = self.project.wait(self.project.execute("long"))
        self.assertIn("exit code 3: x" + "é" * 4095 + ". The end", answer["cause"])
        self.add("latin", r"""printf 'caf\351 \033' > "$SM_OUTPUT_DIR/failure"; exit 3""")
        answer = self.project.wait(self.project.execute("latin"))
        self.assertIn("exit code 3: caf? ?. The end", answer["cause"])

    def test_each_try_has_its_own_share_of_the_log(self):
        self.add("retried", 'head -c 150000000 /dev/zero; test "$(ls -d ../a-* | wc -l)" -gt 1\n', ", retry: {times: 1, wait: 1s}")
        answer = self.project.wait(self.project.execute("retried"))
        self.assertEqual(answer["status"], "SUCCEEDED", answer)

    def test_the_code_of_a_run_is_as_it_was(self):
        self.add("code", "./helper.sh && ls -l > $SM_OUTPUT_DATA_DIR/list\n")
        helper = self.project.write("pipelines/code/helper.sh", "#!/bin/sh\nexit 0\n")
        self.project.write("pipelines/code/sub/data.txt", "x")
        helper.chmod(0o755)
        hashes = []
        for mode in (0o755, 0o644):
            helper.chmod(mode)
            execution = self.project.execute("code")
            answer = self.project.wait(execution)
            hashes.append(answer["input"]["code"]["sha256"])
            self.assertEqual(answer["status"], "SUCCEEDED" if mode == 0o755 else "FAILED", answer)
            code = self.path / ".onggi/runs" / execution / "code"
            self.assertEqual([(code / name).stat().st_mode & 0o777 for name in (".", "sub", "sub/data.txt", "helper.sh")],
                             [0o555, 0o555, 0o444, 0o555 if mode == 0o755 else 0o444])
        self.assertNotEqual(*hashes)
        for _ in range(4):  # the first two runs' files go, read-only as they are
            self.project.wait(self.project.execute("code"))
        deadline = time.monotonic() + 10
        while code.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertFalse(code.exists())

    def test_a_gate_is_closed_to_what_is_no_number(self):
        write = 'echo \'{"auc": NaN, "loss": -Infinity}\' > "$SM_OUTPUT_DATA_DIR/metrics.json"\n'
        for number, when in enumerate(("a.metrics.auc >= 0.5", "a.metrics.auc < 0.5", "a.metrics.loss < 0.5 and a.metrics.auc == 0")):
            self.add(f"gate{number}", write, "", f'  gate: {{when: "{when}"}}\n')
            answer = self.project.wait(self.project.execute(f"gate{number}"))
            self.assertEqual((answer["status"], answer["error"]), ("FAILED", "Onggi.GateClosed"), (when, answer))
            self.assertRegex(answer["cause"], "is (NaN|-Infinity)")

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
        self.assert_all_end(mark)

    def assert_all_end(self, mark):
        for _ in range(100):
            if not self.alive(mark.encode()):
                return
            time.sleep(0.05)
        self.fail(f"{self.alive(mark.encode())} still run")

    def test_no_child_escapes(self):
        mark = f"31{os.getpid()}"
        chain = f"import os, sys, time\nwhile '{mark}':\n    if os.fork(): os._exit(0)\n    os.setsid()\n"
        self.project.write("pipelines/chain/chain.py", chain)
        self.add("bare", f"env -i setsid sleep {mark} &\nenv -i setsid setsid sleep {mark} & sleep 0.2\n")
        self.add("chain", f"env -i setsid {sys.executable} chain.py {mark} & sleep 0.3\n")
        self.add("fails", f"env -i setsid sleep {mark} & sleep 0.2; exit 1\n")
        self.add("late", f"trap '' TERM; env -i setsid sleep {mark} & sleep {mark}\n", ", timeout: 1s")
        running = {name: self.project.execute(name) for name in ("bare", "chain", "fails", "late")}
        for name, execution in running.items():
            answer = self.project.wait(execution)
            self.assertEqual(answer["status"], "FAILED" if name in ("fails", "late") else "SUCCEEDED", answer)
        self.assertEqual(self.alive(mark.encode()), [])  # not only soon: when the step has ended

    def test_memory_counts_wherever_it_is_used(self):
        hog = "x = bytearray(400 << 20); import time; time.sleep(30)"
        self.add("away", f"env -i setsid {sys.executable} -c '{hog}' & wait\n", ", memory: 100MiB")
        answer = self.project.wait(self.project.execute("away"))
        self.assertEqual((answer["status"], answer["error"]), ("FAILED", "Onggi.MemoryLimit"), answer)

    def test_nothing_outlives_a_server_that_was_killed(self):
        mark = f"32{os.getpid()}"
        self.add("cut", f'test "$(ls -d ../a-* | wc -l)" -gt 1 && exit 0\n'
                 f"env -i setsid sleep {mark} & setsid sleep {mark} & touch begun; : > $SM_MODEL_DIR/begun; sleep {mark}\n")
        execution = self.project.execute("cut")
        deadline = time.monotonic() + 20
        while len(self.alive(mark.encode())) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual(len(self.alive(mark.encode())), 3)
        self.project.kill()
        self.assert_all_end(mark)
        self.project.serve()
        self.assertEqual(self.project.wait(execution)["status"], "SUCCEEDED")

    def keepers(self):
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (entry / "comm").read_text() == "script-keeper\n" and \
                        (entry / "cwd").resolve() == self.path.resolve():
                    found.append(int(entry.name))
            except OSError:
                pass
        return found

    def test_a_server_and_a_keeper_killed_at_once(self):
        mark = f"34{os.getpid()}"
        self.add("cut", f'if test "$(ls -d ../a-* | wc -l)" -gt 1; then\n'
                 f'  ps -e -o args= | grep "^sleep {mark}" && exit 1\n  exit 0\nfi\nsetsid sleep {mark} & sleep {mark}\n')
        execution = self.project.execute("cut")
        deadline = time.monotonic() + 20
        while len(self.alive(mark.encode())) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        keepers = self.keepers()
        self.assertEqual(len(keepers), 1)
        os.kill(keepers[0], signal.SIGSTOP)  # else it would be quicker than we are
        self.project.kill()
        os.kill(keepers[0], signal.SIGKILL)
        self.assertEqual(len(self.alive(mark.encode())), 2)  # the script went with its keeper, its children did not
        self.project.serve()
        self.assertEqual(self.project.wait(execution)["status"], "SUCCEEDED")
        self.assertEqual(self.alive(mark.encode()), [])

    def test_a_killed_keeper_takes_the_script_with_it(self):
        mark = f"33{os.getpid()}"
        self.add("orphan", f"sleep {mark} & sleep 0.1; kill -9 $PPID; sleep {mark}\n")
        answer = self.project.wait(self.project.execute("orphan"))
        self.assertEqual((answer["status"], answer["error"]), ("FAILED", "Onggi.ScriptFailed"), answer)
        self.assert_all_end(mark)

    def test_a_failure_is_told_once(self):
        self.add("exits", *BAD["exits"][:2])
        done = self.project.run("pipeline", "run", "exits", "--follow")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("FAILED"), 2, done.stderr)  # the step, the execution
        self.assertEqual(done.stderr.count("\n  oh\n"), 1, done.stderr)


if __name__ == "__main__":
    unittest.main()
