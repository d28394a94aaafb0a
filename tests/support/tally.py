# SPDX-License-Identifier: Apache-2.0
"""Counts test cases, and says at the end what became of them in the words that CI reads."""


class Tally:
    def __init__(self):
        self.passed = self.failed = 0
        self.skipped = []  # why, one each

    def add(self, passed, failed, skipped=()):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped

    def finish(self):
        """Prints the closing line; the exit code."""
        for reason in self.skipped:
            print(f"skipped: {reason}")
        tail = f", {len(self.skipped)} skipped" if self.skipped else ""
        print(f"{self.passed} passed, {self.failed} failed{tail}", flush=True)
        return 1 if self.failed or not self.passed else 0
