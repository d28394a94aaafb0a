#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a prediction over HTTP costs, against the sum of its parts, in one run.

usage: bench/predict.py [BUILD] [ROUNDS]     an optimised build (default build/release, made by dev/bench), rounds of
                                             each (5); three times as many for the latency at half of the top rate

Ten stored features of two entities, a model of 100 trees of depth 6, 100,000 entities of each kind asked at
random. The parts: the bare loop with its parser, JSON, two keys in LMDB, one run in ONNX Runtime, and what
takes that one's place in the server, the walk of the trees. Then the latency at half of the top rate, requests falling due at fixed times, beside the bare loop's at that rate, in turns
(a shared machine is quiet in one second and busy in the next). The median of the p99s of whole loads is what counts;
that of slices of 50 ms shows what of it is the host's (bench/http_load.c says how), and a bare loop that burns the
time of the other parts besides shows how near to the limit anybody comes who has as much to do.
"""
import json
import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ENTITIES = 100_000
BODIES = 20_000
REACH_CPU = 1.35
REACH_P99 = 2
CALM_ROUNDS = 3  # a tail is the host's as much as ours: it wants more samples than a mean

DEFINITIONS = """\
entity: {kind}
key: {kind}_id
type: int64
---
source: {kind}s
path: data/{kind}s.csv
time: at
---
view: {kind}_now
entity: {kind}
source: {kind}s
columns: [{columns}]
"""
SERVICE = "---\nservice: bench_v1\nfeatures: [customer_now, terminal_now]\n"
ENDPOINT = """\
endpoint: bench
service: bench_v1
model: bench
decision: {block: "score >= 0.8", review: "score >= 0.5", pass: true}
fallback: {score: 0.1}
timeout: 50ms
"""
PIPELINE = """\
pipeline: bench
steps:
  train: {script: train.py, out: [model]}
  register: {register: {model: bench, from: train.model}}
"""
TRAIN = """\
import os, pathlib, shutil
shutil.copy(pathlib.Path(__file__).with_name("model.onnx"), os.environ["SM_MODEL_DIR"])
"""


def make_project(folder, parts):
    for name in ("data", "features", "endpoints", "pipelines/bench"):
        (folder / name).mkdir(parents=True)
    texts = []
    for kind in ("customer", "terminal"):
        columns = [f"{kind[0]}{i}" for i in range(5)]
        texts.append(DEFINITIONS.format(kind=kind, columns=", ".join(columns)))
        with open(folder / f"data/{kind}s.csv", "w") as file:
            file.write(f"{kind}_id,at,{','.join(columns)}\n")
            for i in range(ENTITIES):
                values = ",".join(f"{random.uniform(-1, 1):.4f}" for _ in columns)
                file.write(f"{i},2020-01-01T00:00:00Z,{values}\n")
    (folder / "onggi.yaml").write_text(f"python: {sys.executable}\nserver: {{threads: 1}}\n")
    (folder / "features/bench.yaml").write_text("---\n".join(texts) + SERVICE)
    (folder / "endpoints/bench.yaml").write_text(ENDPOINT)
    (folder / "pipelines/bench/pipeline.yaml").write_text(PIPELINE)
    (folder / "pipelines/bench/train.py").write_text(TRAIN)
    subprocess.run([parts, "model", folder / "pipelines/bench/model.onnx"], check=True)
    with open(folder / "bodies", "w") as file:
        for _ in range(BODIES):
            ids = {"customer_id": random.randrange(ENTITIES), "terminal_id": random.randrange(ENTITIES)}
            file.write(json.dumps({"entities": ids}) + "\n")


def children(pid):
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


class Bench:
    path = "/api/v1/endpoints/bench/predict"

    def __init__(self, build, folder):
        self.build, self.folder = build, folder
        self.started = []

    def onggi(self, *arguments):
        done = subprocess.run([self.build / "onggi", *arguments], cwd=self.folder, text=True,
                              capture_output=True)
        if done.returncode != 0:
            sys.exit(f"onggi {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def start(self, *command):
        process = subprocess.Popen(["taskset", "-c", "0", *command], cwd=self.folder, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.started.append(process)
        return process

    def start_server(self):
        process = self.start(self.build / "onggi", "serve", "--listen", "127.0.0.1:0")
        state = self.folder / ".onggi/server.json"
        for _ in range(200):
            if state.exists():
                break
            time.sleep(0.05)
        port = json.loads(state.read_text())["url"].rsplit(":", 1)[1].rstrip("/")
        # The supervisor's child serves.
        return (children(process.pid) or [process.pid])[0], port

    def load(self, pid, port, **options):
        command = ["taskset", "-c", "1", self.build / "bench/http_load", "--port", port, "--pid", str(pid),
                   "--method", "POST", "--path", self.path,
                   "--lines", self.folder / "bodies", "--seconds", "2", "--warm-up", "0.5"]
        for name, value in options.items():
            command += ["--" + name, str(value)]
        return json.loads(subprocess.run(command, check=True, text=True, capture_output=True).stdout)

    def parts(self):
        text = subprocess.run(["taskset", "-c", "0", self.build / "bench/predict_parts", "parts",
                               self.folder / "pipelines/bench/model.onnx", self.folder / "bodies"],
                              check=True, text=True, capture_output=True).stdout
        return json.loads(text)

    def pauses(self):
        """Of the server's processor while the other one is as busy as with the generator."""
        both = [subprocess.Popen(["taskset", "-c", core, self.build / "bench/host_pauses"], text=True,
                                 stdout=subprocess.PIPE) for core in ("0", "1")]
        return [json.loads(process.communicate()[0]) for process in both][0]

    def stop(self):
        for process in self.started:
            process.send_signal(signal.SIGTERM)
            process.wait()


def median(samples, name):
    return statistics.median(sample[name] for sample in samples)


def verdict(value, reach):
    return f"{value:.2f} (to reach: {reach})" + ("" if value <= reach else "  MISSED")


def deploy(bench):
    bench.onggi("apply")
    bench.onggi("features", "materialize")
    bench.onggi("pipeline", "run", "bench", "--follow")
    bench.onggi("models", "approve", "bench", "1", "--reason", "bench")
    bench.onggi("models", "deploy", "bench", "1", "--endpoint", "bench")


def measure(bench, rounds):
    bare = bench.start(bench.build / "bench/bare_loop")
    bare_port = bare.stdout.readline().strip()
    pid, port = bench.start_server()
    deploy(bench)
    loops, wholes, parts = [], [], []
    for _ in range(rounds):
        loops.append(bench.load(bare.pid, bare_port))
        wholes.append(bench.load(pid, port))
        parts.append(bench.parts())
    rate = median(wholes, "per_second") / 2
    others = sum(median(parts, f"{name}_us") for name in ("json", "lmdb", "run"))
    burning = bench.start(bench.build / "bench/bare_loop", str(others * 1000))
    burning_port = burning.stdout.readline().strip()
    calm, bare_calm, burning_calm = [], [], []
    for _ in range(CALM_ROUNDS * rounds):
        bare_calm.append(bench.load(bare.pid, bare_port, rate=rate))
        calm.append(bench.load(pid, port, rate=rate))
        burning_calm.append(bench.load(burning.pid, burning_port, rate=rate))
    pieces = {"loop": median(loops, "cpu_us"), **{name: median(parts, f"{name}_us") for name in ("json", "lmdb", "run")}}
    whole, total = median(wholes, "cpu_us"), sum(pieces.values())
    print("parts, us of CPU: " + ", ".join(f"{name} {value:.2f}" for name, value in pieces.items()) + f"; sum {total:.2f}")
    print(f"predict over HTTP: {whole:.2f} us of CPU, {median(wholes, 'per_second'):,.0f} requests/s, "
          f"p50 {median(wholes, 'p50_us'):.0f} us, p99 {median(wholes, 'p99_us'):.0f} us")
    print(f"ratio of CPU: {verdict(whole / total, REACH_CPU)}")
    walk = median(parts, "walk_us")
    own = total - pieces["run"] + walk
    print(f"the trees are walked here, in {walk:.2f} us: beside the sum with that in ONNX Runtime's place, {own:.2f}, "
          f"it is {whole / own:.2f}")
    late, bare_late = median(calm, "p99_us"), median(bare_calm, "p99_us")
    print(f"at {rate:,.0f} requests/s, {len(calm)} loads of each: p99 {late:.0f} us, bare loop {bare_late:.0f} us, "
          f"ratio {verdict(late / bare_late, REACH_P99)}")
    limit = median(burning_calm, "p99_us")
    print(f"a bare loop that burns the other parts' {others:.1f} us besides: p99 {limit:.0f} us, "
          f"ratio {limit / bare_late:.2f}; ours is {late / limit:.2f} of its")
    slice_p99, bare_slice_p99 = median(calm, "calm_p99_us"), median(bare_calm, "calm_p99_us")
    print(f"the middle one of slices of 50 ms: p99 {slice_p99:.0f} us, bare loop {bare_slice_p99:.0f} us, "
          f"ratio {slice_p99 / bare_slice_p99:.2f}")
    host = bench.pauses()
    print(f"a program that only looks at the clock: {host['pauses_per_second']:.0f} pauses of over 100 us a second, "
          f"{host['lost_percent']:.1f} % of its time, the longest {host['longest_us']:.0f} us")
    return whole / total <= REACH_CPU and late / bare_late <= REACH_P99


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/release").resolve()
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    random.seed(7)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="onggi-bench-"))
    bench = Bench(build, folder / "project")
    bench.folder.mkdir()
    try:
        make_project(bench.folder, build / "bench/predict_parts")
        good = measure(bench, rounds)
    finally:
        bench.stop()
        shutil.rmtree(folder)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
