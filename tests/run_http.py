#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs tests/http/*.py against a binary: two files at a time, each with its own time limit.

usage: tests/run_http.py --binary PATH [--timeout S] [NAME]...   only files whose name contains a NAME

A file is a program: its exit code says whether it passed, and unittest's report how many cases it had.
It finds the binary in ONGGI_BINARY.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

TESTS = pathlib.Path(__file__).resolve().parent
ROOT = TESTS.parent
sys.path.insert(0, str(TESTS))
from support.tally import Tally  # noqa: E402

AT_ONCE = 2
RAN = re.compile(r"^Ran (\d+) tests? in", re.M)
VERDICT = re.compile(r"^(?:OK|FAILED)(?: \((.*)\))?$", re.M)
# With a docstring the case's report takes two lines.
SKIPPED = re.compile(r"^(\S+) \(.*\)(?:\n.*)? \.\.\. skipped (['\"])(.*)\2$", re.M)


def python():
    """The interpreter that has what the tests ask for, where dev/setup made it."""
    own = ROOT / "build" / "venv" / "test" / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def programs():
    """A file that can be started is a test; the others are what tests share."""
    return [path for path in sorted((TESTS / "http").glob("*.py"))
            if path.name.startswith("test_") or "__main__" in path.read_text()]


def run(path, binary, timeout):
    """(output, seconds, exit code or None on time-out); nothing that it started stays behind."""
    start = time.monotonic()
    env = dict(os.environ, ONGGI_BINARY=str(binary), PYTHONUNBUFFERED="1")
    process = subprocess.Popen([python(), str(path), "-v"], cwd=ROOT, env=env, text=True,
                               errors="replace", stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True)
    try:
        output, code = process.communicate(timeout=timeout)[0], process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, code = process.communicate()[0], None
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    return output, time.monotonic() - start, code


def count(name, output, code, tally):
    ran = RAN.search(output)
    if ran is None:
        tally.add(1 if code == 0 else 0, 0 if code == 0 else 1)
        return
    details = dict(part.split("=") for part in (VERDICT.findall(output) or [""])[-1].split(", ")
                   if "=" in part)
    failed = int(details.get("failures", 0)) + int(details.get("errors", 0))
    failed += int(details.get("unexpected successes", 0))
    skipped = [f"{name}: {case}: {why}" for case, _, why in SKIPPED.findall(output)]
    missing = int(details.get("skipped", 0)) - len(skipped)
    skipped += [f"{name}: no reason found"] * missing
    if code != 0 and failed == 0:
        failed = 1
    tally.add(max(0, int(ran[1]) - failed - len(skipped)), failed, skipped)


def report(name, output, seconds, code):
    verdict = "ok" if code == 0 else "TIME-OUT" if code is None else f"FAILED ({code})"
    print(f"  {name:<44} {verdict:<12} {seconds:6.1f} s", flush=True)
    if code != 0:
        print("\n".join("    | " + line for line in output.splitlines()[-200:]), flush=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--binary", required=True, type=pathlib.Path)
    parser.add_argument("--timeout", type=float, default=300)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    binary = args.binary.resolve()
    if not binary.exists():
        sys.exit(f"{args.binary}: there is no such program; dev/build makes it")
    paths = [path for path in programs()
             if not args.names or any(name in path.name for name in args.names)]
    tally = Tally()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        runs = {pool.submit(run, path, binary, args.timeout): path for path in paths}
        for done in concurrent.futures.as_completed(runs):
            output, seconds, code = done.result()
            report(runs[done].name, output, seconds, code)
            count(runs[done].name, output, code, tally)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
