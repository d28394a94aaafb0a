#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs state machines through the API and compares each history, event by event.

usage: tests/asl_conformance.py [FOLDER] [FILE.jsonl]... [--states Pass,Choice,...] [--floor N] [--verbose]

FOLDER holds the cases (one execution a line: definition, input, expected events); without one, those
of tests/asl are run. A case passes when every event is equal: type, id, previous id and all details,
but for times, what is random, and the placeholders that recordings have for names of the cloud.
--states leaves out definitions with other types of states. The exit code is 1 if fewer than N cases
pass; without --floor, if not all do. ONGGI_BINARY is the program.
"""
import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
RANDOM_NUMBER = "RandomNumberGenerated"
PLACEHOLDER = re.compile(r"<[^<>]*>|1{12}|snf_role_arn|^(?:start-|entered-)?(?:date|timestamp|time)$")


class Server:
    """A server on an empty project, for as long as the comparison takes."""

    def __init__(self, binary):
        self.folder = tempfile.mkdtemp(prefix="onggi-asl-")
        pathlib.Path(self.folder, "onggi.yaml").write_text("")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [binary, "serve", "--project", self.folder, "--listen", f"127.0.0.1:{self.port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                self.ask("GET", "/healthz")
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("the server does not answer")

    def ask(self, method, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def history(self, definition, given):
        body = {"definition": definition, "input": {} if given is None else given}
        execution = self.ask("POST", "/api/v1/executions", body)["execution"]
        deadline = time.monotonic() + 15
        while self.ask("GET", f"/api/v1/executions/{execution}")["status"] == "RUNNING":
            if time.monotonic() > deadline:
                raise TimeoutError("it does not end")
            time.sleep(0.01)
        events, after = [], 0
        while after is not None:
            page = self.ask("GET", f"/api/v1/executions/{execution}/history?after={after}")
            events += page["events"]
            after = page.get("next")
        return events

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


def parsed(text):
    """The recordings hold objects where the API has their JSON text; other JSON stays text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict) else text


def is_placeholder(wanted):
    return isinstance(wanted, str) and PLACEHOLDER.search(wanted) is not None


def text_matches(wanted, found):
    """Placeholders stand for anything inside a text as well."""
    pattern = "".join(".*" if PLACEHOLDER.fullmatch(piece) else re.escape(piece)
                      for piece in re.split(r"(<[^<>]*>|1{12})", wanted))
    return re.fullmatch(pattern, found, re.S) is not None


def difference(wanted, found, place=""):
    """The first place where they differ, or None."""
    if isinstance(found, str) and isinstance(wanted, dict):
        found = parsed(found)
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in wanted.keys() | found.keys():
            if key not in wanted or key not in found:
                return f"{place}.{key}: only in the {'answer' if key in found else 'recording'}"
            inner = difference(wanted[key], found[key], f"{place}.{key}")
            if inner:
                return inner
        return None
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = enumerate(zip(wanted, found))
        return next((d for i, (a, b) in pairs if (d := difference(a, b, f"{place}[{i}]"))), None)
    if place.endswith("timestamp") or wanted == found and type(wanted) is type(found):
        return None
    if wanted == RANDOM_NUMBER and type(found) is int:
        return None
    if is_placeholder(wanted) and (not isinstance(found, str) or not re.search("<|1{12}", wanted)
                                   or text_matches(wanted, found)):
        return None
    return f"{place}: {json.dumps(wanted)[:150]} was recorded, {json.dumps(found)[:150]} came"


def types_of(machine):
    """The types of all its states, those inside of Parallel and Map included."""
    for state in machine.get("States", {}).values():
        yield state["Type"]
        for inner in state.get("Branches", []) + [state.get("Iterator", {}), state.get("ItemProcessor", {})]:
            yield from types_of(inner)


def group_of(case):
    """Its test's folder, and what it needs."""
    return case["id"].split("::")[0].split("/")[0].removesuffix(".py")


def judge(server, case):
    given = case["input"]
    try:
        found = server.history(case["definition"], json.loads(given) if isinstance(given, str) else given)
    except urllib.error.HTTPError as error:
        return json.loads(error.read())["error"]["message"]
    except (TimeoutError, OSError) as error:
        return str(error)
    wanted = case["expected"]
    if wanted and wanted[0]["id"] != 1:
        found = found[::-1]
    if len(wanted) != len(found):
        return (f"{len(wanted)} events were recorded, {len(found)} came; the last is "
                f"{json.dumps(found[-1])[:300]}")
    return difference(wanted, found)


def cases_of(path, states):
    for line in path.read_text().splitlines():
        case = json.loads(line)
        if not states or set(types_of(case["definition"])) <= states:
            yield case


def run(server, arguments, passed, total):
    states = set(filter(None, arguments.states.split(",")))
    for file in arguments.files or sorted(path.name for path in arguments.folder.glob("*.jsonl")):
        for case in cases_of(arguments.folder / file, states):
            group = f"{file}: {group_of(case)}"
            wrong = judge(server, case)
            total[group] += 1
            passed[group] += wrong is None
            if wrong and arguments.verbose:
                print(f"{case['id']}\n    {wrong}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=ROOT / "tests" / "asl")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--states", default="")
    parser.add_argument("--floor", type=int)
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    server = Server(os.environ.get("ONGGI_BINARY", str(ROOT / "build" / "release" / "onggi")))
    passed, total = collections.Counter(), collections.Counter()
    try:
        run(server, arguments, passed, total)
    finally:
        server.close()
    for group in sorted(total):
        print(f"{passed[group]:>4} of {total[group]:>4}  {group}")
    print(f"{passed.total():>4} of {total.total():>4}  in all")
    floor = total.total() if arguments.floor is None else arguments.floor
    if passed.total() < floor or not total:
        sys.exit(f"at least {floor} must pass" if total else "there are no cases")


if __name__ == "__main__":
    main()
