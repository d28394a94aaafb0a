#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a person sees in a terminal: the text of others stays text, and nobody is kept who has seen enough."""

import os
import pty
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import onggi  # noqa: E402

FORGED = r"fine\e[2K\nonggi: all is well\u009b31m\u202e"
FILES = {
    "onggi.yaml": "",
    "features/all.yaml": f'entity: shop\nkey: shop\ntype: string\ndescription: "{FORGED}"\n',
    "pipelines/talk/pipeline.yaml": "pipeline: talk\nsteps:\n  a: {script: a.sh, timeout: 100s}\n",
    "pipelines/talk/a.sh": "echo one\necho two\nsleep 90\n",
    "pipelines/broken/pipeline.yaml": "pipeline: broken\nsteps:\n  a: {script: a.sh}\n",
    "pipelines/broken/a.sh": "printf '\\033[2J\\nonggi: done\\n'; exit 3\n",
}


class Terminal(onggi.ProjectCase):
    files = FILES
    shared = True

    @classmethod
    def prepare(cls, project):
        project.must("apply")

    def test_text_of_others_cannot_move_the_cursor_or_forge_a_line(self):
        for arguments in (("features", "list"), ("features", "show", "shop")):
            shown = self.project.must(*arguments)
            self.assertIn(r"fine\x1b[2K\nonggi: all is well\x9b31m\u202e", shown)
            self.assertNotIn("\nonggi:", shown)

    def test_what_a_script_said_stands_in(self):
        done = self.project.run("pipeline", "run", "broken")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertNotIn("\033", done.stdout + done.stderr)
        self.assertNotIn("\nonggi: done", done.stderr)
        self.assertIn("\n  onggi: done", done.stderr)

    def test_a_terminal_shows_that_a_step_goes_on(self):
        self.project.write("pipelines/slow/pipeline.yaml", "pipeline: slow\nsteps:\n  a: {script: a.sh}\n")
        self.project.write("pipelines/slow/a.sh", "sleep 4\n")
        self.project.must("apply")
        self.project.serve()
        self.addCleanup(self.project.stop)
        terminal, end = pty.openpty()
        done = subprocess.run([onggi.BINARY, "pipeline", "run", "slow", "--follow"], cwd=self.path, stderr=end,
                              env={**os.environ, "TERM": "xterm"}, timeout=100, check=True)
        self.assertEqual(done.returncode, 0)
        os.close(end)
        self.assertRegex(os.read(terminal, 65536).decode(), r"\r\x1b\[K  a: [1-4]\.\d s\r\x1b\[K")
        os.close(terminal)

    def test_who_has_seen_enough_of_a_log_is_let_go(self):
        self.project.serve()
        self.addCleanup(self.project.stop)
        execution = self.project.execute("talk")
        start = time.monotonic()
        # `head` is gone when it has its lines; the script says nothing more for a long time.
        done = subprocess.run(["sh", "-c", f'"$0" pipeline logs {execution} a --follow | head -n 2', onggi.BINARY],
                              cwd=self.path, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.stdout, done.stderr), ("--- try 1: sh a.sh\none\n", ""))
        self.assertLess(time.monotonic() - start, 45)
        self.project.must("pipeline", "stop", execution)
        # A failure is told all the same.
        done = subprocess.run(["sh", "-c", '"$0" models show nope | true', onggi.BINARY], cwd=self.path,
                              capture_output=True, text=True, check=False)
        self.assertIn("no model", done.stderr)


if __name__ == "__main__":
    unittest.main()
