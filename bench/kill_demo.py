#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills the server of the demo's pipeline with SIGKILL at random moments, then compares the results with a run
that nobody disturbed: the same metrics, the same model byte for byte, one version more and not two. The pipeline
is run again until so many kills have struck it in its course.

usage: bench/kill_demo.py [--binary build/release/onggi] [--project build/demo/flights] [--kills 10] [--seed 1]

The project is one that dev/demo has made; the script works on a copy.
"""
import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path


GAP = (0.3, 20)  # seconds between two kills; the longest step takes about twenty
KILLS_AT_ONCE = 3  # of one execution: each begins its step anew, and the same step would be struck again and again


class Server:
    def __init__(self, binary, project):
        self.binary, self.project = binary, project
        self.start()

    def start(self):
        self.process = subprocess.Popen([self.binary, "serve", "--listen", "127.0.0.1:0"], cwd=self.project,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                info = json.loads((self.project / ".onggi/server.json").read_text())
                self.url = info["url"]
                if self.get("/readyz", raw=True):
                    return
            except (OSError, ValueError):
                time.sleep(0.05)
        sys.exit("the server does not come up")

    def kill(self):
        """Supervisor, server and jobs at once. Scripts have sessions of their own and must be found again."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def get(self, path, body=None, raw=False):
        request = urllib.request.Request(self.url + path, None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=30) as reply:
            text = reply.read()
        return text if raw else json.loads(text)


def versions(server):
    try:
        listed = server.get("/api/v1/models/flight_delay")["versions"]
    except urllib.error.HTTPError:
        return {}
    return {item["version"]: item for item in listed}


def run(server, kills, chance):
    """Starts the pipeline, kills at most so many times while it runs; gives the version it made and the steps struck."""
    before = versions(server)
    execution = server.get("/api/v1/pipelines/flight_delay/executions", {})["execution"]
    begun, struck = time.monotonic(), []
    strike = begun + chance.uniform(*GAP)
    while True:
        state = server.get(f"/api/v1/executions/{execution}")
        if state["status"] != "RUNNING":
            break
        if len(struck) < kills and time.monotonic() > strike:
            running = [step["name"] for step in state["steps"] if step["status"] == "RUNNING"]
            struck.append(running[0] if running else "between two steps")
            server.kill()
            server.start()
            strike = time.monotonic() + chance.uniform(*GAP)
        time.sleep(0.1)
    if state["status"] != "SUCCEEDED":
        sys.exit(f"the execution ended as {state['status']}: {state.get('error')} {state.get('cause')}")
    made = [item for number, item in versions(server).items() if number not in before]
    if len(made) != 1:
        sys.exit(f"{len(made)} versions were registered, not one")
    print(f"  {len(struck)} kills, {time.monotonic() - begun:.0f} s" + (f", struck in: {', '.join(struck)}" if struck else ""),
          flush=True)
    return made[0], len(struck)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="build/release/onggi")
    parser.add_argument("--project", default="build/demo/flights")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ.setdefault("ONGGI_PYTHON", str(Path("build/venv/flights/bin/python").absolute()))
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="onggi-kill-") as temporary:
        project = Path(temporary) / "flights"
        shutil.copytree(options.project, project, symlinks=True, ignore=shutil.ignore_patterns(".onggi"))
        subprocess.run([Path(options.binary).absolute(), "apply"], cwd=project, check=True, stdout=subprocess.DEVNULL)
        server = Server(Path(options.binary).absolute(), project)
        try:
            calm, left, killed = run(server, 0, chance)[0], options.kills, []
            while left > 0:
                made, kills = run(server, min(left, KILLS_AT_ONCE), chance)
                killed.append(made)
                left -= kills
        finally:
            server.kill()
    same = all((made["sha256"], made["metrics"]) == (calm["sha256"], calm["metrics"]) for made in killed)
    print(f"{options.kills} kills in {len(killed)} executions: model {calm['sha256'][:12]}, AUC {calm['metrics']['auc']}, "
          + ("all the same" if same else "NOT all the same"))
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
