#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One Ctrl-C ends a command, wherever it waits: exit code 130, a clean terminal, and work that can go on."""
import os
import pty
import signal
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import onggi  # noqa: E402

INTERRUPTED = 130
FILES = {
    "onggi.yaml": "",
    "pipelines/slow/pipeline.yaml": "pipeline: slow\nsteps:\n  wait: {script: wait.sh}\n",
    "pipelines/slow/wait.sh": "echo begun; exec sleep 60\n",
}


class Interrupt(onggi.ProjectCase):
    files = FILES

    def interrupted(self, process, within=5):
        """After one SIGINT to the command alone: what it said."""
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        try:
            out, errors = process.communicate(timeout=30)
        except BaseException:
            process.kill()
            raise
        self.assertEqual(process.returncode, INTERRUPTED, errors)
        self.assertLess(time.monotonic() - began, within, errors)
        return out, errors

    def await_line(self, stream, words):
        for line in stream:
            if words in line:
                return
        self.fail(f"it ended without '{words}'")

    def await_log(self, count=1):
        """Until the script has begun."""
        for _ in range(600):
            logs = list(self.path.glob(".onggi/logs/*/wait.log"))
            if sum(log.read_text().count("begun") for log in logs) >= count:
                return
            time.sleep(0.05)
        self.fail("the script does not begin")

    def test_a_server_that_does_not_answer(self):
        self.project.serve()
        os.killpg(self.project.server.pid, signal.SIGSTOP)
        try:
            for arguments in (["models", "list"], ["apply"], ["pipeline", "run", "slow"]):
                process = self.project.start("--server", self.project.url, *arguments)
                time.sleep(0.5)
                self.assertIsNone(process.poll(), "it ought to wait")
                self.assertEqual(self.interrupted(process)[0], "")
        finally:
            os.killpg(self.project.server.pid, signal.SIGCONT)

    def test_following_leaves_the_execution_alone(self):
        self.project.serve()
        process = self.project.start("pipeline", "run", "slow", "--follow")
        self.await_log()
        self.assertIn("the execution goes on", self.interrupted(process)[1])
        execution = self.good("/api/v1/executions")["executions"][0]
        self.assertEqual(execution["status"], "RUNNING")
        process = self.project.start("pipeline", "logs", execution["id"], "wait", "--follow")
        self.await_line(process.stdout, "begun")
        self.interrupted(process)
        self.good(f"/api/v1/executions/{execution['id']}/stop", {})

    def test_a_pipeline_without_a_server_goes_on_with_the_next(self):
        process = self.project.start("pipeline", "run", "slow")
        self.await_log()
        self.assertIn("goes on with the next 'onggi serve'", self.interrupted(process, within=10)[1])
        self.project.serve()
        self.await_log(2)
        self.assertEqual(self.good("/api/v1/executions")["executions"][0]["status"], "RUNNING")

    def test_waiting_for_the_lock(self):
        holder = self.project.start("pipeline", "run", "slow")
        self.await_log()
        for arguments in (["apply"], ["serve", "--listen", "127.0.0.1:0"]):
            process = self.project.start(*arguments)
            self.await_line(process.stderr, "waiting:")
            self.interrupted(process)
        self.interrupted(holder, within=10)

    def test_the_terminal_is_left_clean(self):
        main, other = pty.openpty()
        self.project.write("pipelines/slow/wait.sh", "sleep 60\n")
        process = self.project.start("pipeline", "run", "slow", stdout=other, stderr=other, stdin=other)
        os.close(other)
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(30), INTERRUPTED)
        said = b""
        try:
            while piece := os.read(main, 4096):
                said += piece
        except OSError:
            pass  # the other end has closed
        os.close(main)
        self.assertTrue(said.endswith(b"\n"), said)
        shown = said.rsplit(b"\r\x1b[K", 1)
        self.assertNotIn(b"\x1b", shown[-1], said)


if __name__ == "__main__":
    unittest.main()
