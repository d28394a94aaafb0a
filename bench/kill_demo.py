#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills the server of the demo's pipeline with SIGKILL at random moments, then compares the result with a run
that nobody disturbed: the same metrics, the same model byte for byte, one version more and not two.

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
    """Starts the pipeline, kills so many times, waits for its end; gives the version it made."""
    before = versions(server)
    execution = server.get("/api/v1/pipelines/flight_delay/executions", {})["execution"]
    begun, struck = time.monotonic(), []
    for _ in range(kills):
        time.sleep(chance.uniform(0.5, 30))
        state = server.get(f"/api/v1/executions/{execution}")
        running = [step["name"] for step in state["steps"] if step["status"] == "RUNNING"]
        struck.append(running[0] if running else state["status"])
        server.kill()
        server.start()
    while True:
        state = server.get(f"/api/v1/executions/{execution}")
        if state["status"] != "RUNNING":
            break
        time.sleep(0.3)
    if state["status"] != "SUCCEEDED":
        sys.exit(f"the execution ended as {state['status']}: {state.get('error')} {state.get('cause')}")
    made = [item for number, item in versions(server).items() if number not in before]
    if len(made) != 1:
        sys.exit(f"{len(made)} versions were registered, not one")
    print(f"  {kills} kills, {time.monotonic() - begun:.0f} s" + (f", struck in: {', '.join(struck)}" if struck else ""))
    return made[0]


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
            calm = run(server, 0, chance)
            killed = run(server, options.kills, chance)
        finally:
            server.kill()
    same = calm["sha256"] == killed["sha256"] and calm["metrics"] == killed["metrics"]
    print(f"model {calm['sha256'][:12]} and {killed['sha256'][:12]}, AUC {calm['metrics']['auc']} and "
          f"{killed['metrics']['auc']}: {'the same' if same else 'DIFFERENT'}")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
