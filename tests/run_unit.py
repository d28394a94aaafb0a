#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the C tests of a build folder and counts their cases.

usage: tests/run_unit.py BUILD [PREFIX]...     only tests whose name starts with a PREFIX, as in net/
"""
import json
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.tally import Tally  # noqa: E402

# cmocka closes each group with "[  PASSED  ] 3 test(s)."
CLOSING = re.compile(r"\[  (PASSED|FAILED|SKIPPED)\s* \] (\d+) test\(s\)")
SKIPPED = re.compile(r"\[  SKIPPED \] (?!\d+ test)(\S+)")
GOOD = {"OK", "EXPECTEDFAIL"}


def names_of(build, prefixes):
    """The tests to run as meson knows them; none means all."""
    if not prefixes:
        return []
    text = subprocess.run(["meson", "introspect", "--tests", build], check=True,
                          capture_output=True, text=True).stdout
    names = [test["name"] for test in json.loads(text)]
    chosen = [name for name in names if name.startswith(tuple(prefixes))]
    if not chosen:
        sys.exit(f"{build}: no test begins with {', '.join(prefixes)}")
    return chosen


def count(result, tally):
    """A program counts by its cases where it says them, else as one."""
    output = (result.get("stdout") or "") + (result.get("stderr") or "")
    counts = {"PASSED": 0, "FAILED": 0, "SKIPPED": 0}
    for word, number in CLOSING.findall(output):
        counts[word] += int(number)
    good = result["result"] in GOOD
    if result["result"] == "SKIP":
        tally.add(0, 0, [f"{result['name']}: {output.strip().splitlines()[-1:] or 'no reason'}"])
        return
    if not good and counts["FAILED"] == 0:
        counts["FAILED"] = 1  # it ended before it could count: a crash, a time-out
    if good and not any(counts.values()):
        counts["PASSED"] = 1
    names = [f"{result['name']}: {name}" for name in SKIPPED.findall(output)]
    tally.add(counts["PASSED"], counts["FAILED"], names[:counts["SKIPPED"]])


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    build = pathlib.Path(sys.argv[1])
    log = build / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    code = subprocess.run(["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs",
                           *names_of(build, sys.argv[2:])]).returncode
    tally = Tally()
    if log.exists():
        for line in log.read_text().splitlines():
            count(json.loads(line), tally)
    if code != 0 and tally.failed == 0:
        tally.add(0, 1)  # meson itself could not go on
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
