#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a decision of the demo's endpoint (3 entities, 45 windows) costs in CPU, against the bare loop in the same
run; then how long a server needs to be ready and what memory it holds, empty and serving the demo.

usage: bench/demo_endpoint.py [BUILD] [PROJECT] [ROUNDS]     (build/release, build/demo/flights, 5)
"""
import json
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

from predict import Bench, children, median, verdict

AIRPORTS = ("ATL", "ORD", "DFW", "LAX", "PHX", "STL", "DTW", "MSP", "DEN", "BOS", "SFO", "LAS")
BODIES = 20_000
REACH_CPU, REACH_READY_MS, REACH_IDLE_MB, REACH_DEMO_MB = 6, 50, 30, 100


class DemoBench(Bench):
    path = "/api/v1/endpoints/flight_delay/predict"


def write_bodies(path):
    with open(path, "w") as file:
        for _ in range(BODIES):
            origin, destination = random.sample(AIRPORTS, 2)
            request = {"date": f"2001-07-01T{random.randrange(9, 24):02}:{random.randrange(60):02}:00Z",
                       "distance": random.randrange(100, 2500)}
            file.write(json.dumps({"entities": {"origin": origin, "destination": destination},
                                   "request": request}) + "\n")


def copy_project(project, folder):
    shutil.copytree(project, folder, symlinks=True, ignore=shutil.ignore_patterns("runs", "logs", "server.json"))
    (folder / "onggi.yaml").write_text("server: {threads: 1}\n")
    write_bodies(folder / "bodies")


def pss_mb(pid):
    """Of the supervisor and all that it started, in MB."""
    pids, total = [pid, *children(pid)], 0
    for one in pids:
        text = pathlib.Path(f"/proc/{one}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss: +(\d+) kB", text, re.M).group(1))
    return total / 1000


def ready(binary, folder):
    """(process, milliseconds from its start until it answered)"""
    state = folder / ".onggi/server.json"
    state.unlink(missing_ok=True)
    start = time.monotonic()
    process = subprocess.Popen([binary, "serve", "--listen", "127.0.0.1:0"], cwd=folder,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        try:
            url = json.loads(state.read_text())["url"]
            with urllib.request.urlopen(url + "/readyz", timeout=10):
                return process, (time.monotonic() - start) * 1000
        except (OSError, ValueError):
            time.sleep(0.0005)


def footprint(binary, folder, rounds):
    times, sizes = [], []
    for _ in range(rounds):
        process, ms = ready(binary, folder)
        time.sleep(0.2)
        times.append(ms)
        sizes.append(pss_mb(process.pid))
        process.terminate()
        process.wait()
    return sorted(times)[rounds // 2], sorted(sizes)[rounds // 2]


def cpu(bench, rounds):
    bare = bench.start(bench.build / "bench/bare_loop")
    bare_port = bare.stdout.readline().strip()
    pid, port = bench.start_server()
    loops, wholes = [], []
    for _ in range(rounds):
        loops.append(bench.load(bare.pid, bare_port))
        wholes.append(bench.load(pid, port))
    loop, whole = median(loops, "cpu_us"), median(wholes, "cpu_us")
    print(f"bare loop {loop:.2f} us of CPU; a decision {whole:.2f} us, {median(wholes, 'per_second'):,.0f} a second on "
          f"one core, p50 {median(wholes, 'p50_us'):.0f} us, p99 {median(wholes, 'p99_us'):.0f} us")
    print(f"ratio of CPU: {verdict(whole / loop, REACH_CPU)}")


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/release").resolve()
    project = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "build/demo/flights")
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    random.seed(7)
    with tempfile.TemporaryDirectory(prefix="onggi-bench-") as temporary:
        folder = pathlib.Path(temporary)
        copy_project(project, folder / "demo")
        (folder / "empty").mkdir()
        (folder / "empty/onggi.yaml").write_text("")
        bench = DemoBench(build, folder / "demo")
        try:
            cpu(bench, rounds)
        finally:
            bench.stop()
        ms, idle = footprint(build / "onggi", folder / "empty", rounds)
        print(f"start to ready, no model: {ms:.0f} ms (to reach: {REACH_READY_MS}); idle PSS {idle:.1f} MB "
              f"(to reach: {REACH_IDLE_MB})")
        ms, serving = footprint(build / "onggi", folder / "demo", rounds)
        print(f"start to ready, serving the demo: {ms:.0f} ms; PSS {serving:.1f} MB (to reach: {REACH_DEMO_MB})")


if __name__ == "__main__":
    main()
