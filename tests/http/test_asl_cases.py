#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""State machines run, and their histories compared event by event: our own cases, and recorded ones where there are any."""
import os
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNNER = ROOT / "tests" / "asl_conformance.py"
RECORDED = Path(os.environ.get("ONGGI_ASL_CASES", ROOT.parent / "shared" / "asl-cases"))
UNDERSTOOD = "Pass,Task,Choice,Succeed,Fail"
RECORDED_FLOOR = 138  # every one of these that is recorded


class AslCases(unittest.TestCase):
    def compare(self, *arguments):
        done = subprocess.run([sys.executable, RUNNER, *map(str, arguments), "--verbose"], text=True,
                              capture_output=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_our_own_cases(self):
        self.assertIn("in all", self.compare())

    def test_what_was_recorded_on_aws(self):
        if not (RECORDED / "plain-jsonpath.jsonl").exists():
            self.skipTest(f"there are no recordings in {RECORDED} (ONGGI_ASL_CASES names another folder)")
        self.compare(RECORDED, "plain-jsonpath.jsonl", "--states", UNDERSTOOD, "--floor", RECORDED_FLOOR)

    def test_a_case_that_differs_fails_the_run(self):
        done = subprocess.run([sys.executable, RUNNER, "--floor", "9999"], text=True, capture_output=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("at least 9999 must pass", done.stderr)


if __name__ == "__main__":
    unittest.main()
