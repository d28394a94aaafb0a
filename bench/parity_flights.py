#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares online with offline for every entity of the flights example.

usage: bench/parity_flights.py --binary PATH --project FOLDER

The project is applied and materialised (as `onggi demo flights` leaves it). Each route is asked
about online at several times, and the same rows become a training set; every value must be equal.
Times: when the newest event of its three entities happened, a microsecond later, and further on.
Prints the number of values that differ, and exits with 1 if there is one.
"""
import argparse
import csv
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

SERVICE = "flight_v1"
BATCH = 10000
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)
LATER = [0, 1, 300 * 10**6, 3599 * 10**6, 86400 * 10**6, 9 * 86400 * 10**6, 45 * 86400 * 10**6]


def micros(text):
    return (datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) - EPOCH) // MICROSECOND


def rfc3339(value):
    return (EPOCH + value * MICROSECOND).isoformat().replace("+00:00", "Z")


class Server:
    """The project's server, started for this run."""

    def __init__(self, binary, project):
        self.process = subprocess.Popen([binary, "serve", "--listen", "127.0.0.1:0"], cwd=project,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                state = json.loads((project / ".onggi" / "server.json").read_text())
                self.url = state["url"]
                urllib.request.urlopen(self.url + "/readyz", timeout=5).close()
                return
            except (OSError, ValueError, KeyError):
                time.sleep(0.05)
        raise SystemExit("the server did not become ready")

    def get(self, rows):
        names = ("origin", "destination"), ("date", "distance")
        entities, request = ({name: [row[name] for row in rows] for name in part}
                             for part in names)
        body = {"service": SERVICE, "entities": entities, "request": request}
        call = urllib.request.Request(self.url + "/api/v1/features/get", json.dumps(body).encode(),
                                      {"Content-Type": "application/json"})
        with urllib.request.urlopen(call, timeout=120) as reply:
            return json.load(reply)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def routes(binary, project, out):
    """Every pair of airports that a flight connects, from a training set of one row each."""
    sql = ("SELECT origin, destination, max(date) AS date, any_value(distance) AS distance "
           "FROM flights GROUP BY ALL ORDER BY ALL")
    build(binary, project, out, "--entities-sql", sql)
    with open(out, newline="", encoding="utf-8") as file:
        return [{"origin": row["origin"], "destination": row["destination"],
                 "distance": int(row["distance"])} for row in csv.DictReader(file)]


def build(binary, project, out, *entities):
    subprocess.run([binary, "features", "training-set", "--service", SERVICE, *entities,
                    "--out", str(out)], cwd=project, check=True, stdout=subprocess.DEVNULL)


def online(server, rows):
    """(names, values, event times) of all rows."""
    names, values, times = [], [], []
    for start in range(0, len(rows), BATCH):
        answer = server.get(rows[start:start + BATCH])
        names = answer["features"]
        values += answer["rows"]
        times += answer["event_times"]
    return names, values, times


def at_newest_events(server, pairs):
    """Each pair at the newest event of its entities, and later."""
    asked = [row | {"date": "2100-01-01T00:00:00Z"} for row in pairs]
    _, _, times = online(server, asked)
    newest = [max(micros(time) for time in row if time) for row in times]
    return [row | {"date": rfc3339(at + later)} for row, at in zip(pairs, newest)
            for later in LATER]


def offline(binary, project, folder, rows):
    given, out = folder / "rows.csv", folder / "set.csv"
    with open(given, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["origin", "destination", "date", "distance"])
        writer.writeheader()
        writer.writerows(rows)
    build(binary, project, out, "--entities", str(given))
    with open(out, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def same(value, text):
    """An online value and its cell in the file."""
    if value is None:
        return text == ""
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    return text != "" and float(text) == float(value)


def compare(rows, names, values, cells):
    wrong = 0
    for row, got, cell in zip(rows, values, cells):
        for name, value in zip(names, got):
            if not same(value, cell[name]):
                wrong += 1
                if wrong <= 10:
                    print(f"{row}: {name} is {value!r} online and {cell[name]!r} offline")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary", default=os.environ.get("ONGGI_BINARY", "build/release/onggi"))
    parser.add_argument("--project", default="build/demo/flights", type=Path)
    options = parser.parse_args()
    binary, project = str(Path(options.binary).resolve()), options.project.resolve()
    with tempfile.TemporaryDirectory(dir=project) as folder:
        folder = Path(folder)
        pairs = routes(binary, project, folder / "routes.csv")
        server = Server(binary, project)
        try:
            rows = at_newest_events(server, pairs)
            names, values, _ = online(server, rows)
        finally:
            server.stop()
        cells = offline(binary, project, folder, rows)
    if len(cells) != len(rows):
        sys.exit(f"{len(rows)} rows online, {len(cells)} offline")
    wrong = compare(rows, names, values, cells)
    print(f"{len(pairs)} routes, {len({row['origin'] for row in pairs})} origins, "
          f"{len({row['destination'] for row in pairs})} destinations, {len(LATER)} times each: "
          f"{len(rows) * len(names)} values, {wrong} differ")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
