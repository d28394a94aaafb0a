#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Why a flight's event time is its landing: what the example's features know, and when.

A feature is honest when taking the future away does not change it. So the example's windows are
computed twice for the same questions: over all flights of four days, and over those alone that had
landed when the question was asked. The same windows by departure fail this, and their failure looks
like skill: they rank late flights better than anything that could be known.
"""

import shutil
import sys
import tempfile
import unittest
from datetime import datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "brute"))
sys.path.insert(0, str(ROOT / "tests" / "support"))
import onggi  # noqa: E402

FLIGHTS = ROOT / "build" / "deps" / "data" / "flights-3m.parquet"
NOW = datetime(2001, 1, 4, 18, 0)
BY_DEPARTURE = """
---
source: departures
sql: SELECT origin, destination, delay, date FROM flights
time: date
---
view: departed
entity: origin
source: departures
features:
  departed_delay_avg_1h: {avg: delay, window: 1h}
---
service: both
time: date
features: [origin_delays.origin_delay_avg_1h, departed]
"""

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
except ImportError:
    pa = None


def landing(row):
    micros = 1_800_000_000 + row["distance"] * 7_500_000 + row["delay"] * 60_000_000
    return max(row["date"], row["date"] + timedelta(microseconds=micros))


def auc(scores, labels):
    """The share of pairs, one late and one punctual, that the score puts in the right order."""
    pairs = sorted(zip(scores, labels))
    rank_sum, place = 0.0, 0
    while place < len(pairs):
        end = place
        while end < len(pairs) and pairs[end][0] == pairs[place][0]:
            end += 1
        rank_sum += (place + 1 + end) / 2 * sum(label for _, label in pairs[place:end])
        place = end
    late = sum(labels)
    return (rank_sum - late * (late + 1) / 2) / (late * (len(labels) - late))


@unittest.skipIf(pa is None, "pyarrow is missing: dev/setup makes build/venv/test")
@unittest.skipUnless(FLIGHTS.exists(), "the flights are missing: dev/setup brings them")
@unittest.skipUnless(onggi.BINARY, "ONGGI_BINARY does not name the binary to test")
class Leak(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        table = pq.read_table(FLIGHTS)
        cls.flights = table.filter(pc.less(table.column("date"), datetime(2001, 1, 5)))

    def training_set(self, flights, entities, service):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            shutil.copytree(ROOT / "examples" / "flights" / "features", folder / "features")
            with open(folder / "features" / "flights.yaml", "a", encoding="utf-8") as stream:
                stream.write(BY_DEPARTURE)
            (folder / "onggi.yaml").write_text("")
            (folder / "data").mkdir()
            pq.write_table(flights, folder / "data" / "flights-3m.parquet")
            pq.write_table(entities, folder / "entities.parquet")
            project = onggi.Project(folder)
            project.must("apply")
            project.must("features", "training-set", "--service", service, "--entities",
                         "entities.parquet", "--out", "set.parquet")
            return pq.read_table(folder / "set.parquet").to_pylist()

    def questions(self):
        """Each route that is flown on that evening, asked about at one instant."""
        evening = self.flights.filter(pc.greater_equal(self.flights.column("date"), NOW))
        routes = sorted({(row["origin"], row["destination"]) for row in evening.to_pylist()})
        return pa.table({"date": pa.array([NOW] * len(routes), pa.timestamp("us")),
                         "origin": [origin for origin, _ in routes],
                         "destination": [destination for _, destination in routes],
                         "distance": pa.array([500] * len(routes), pa.int64())})

    def landed(self):
        mask = [landing(row) < NOW for row in self.flights.to_pylist()]
        return self.flights.filter(pa.array(mask))

    def test_no_feature_of_the_example_sees_the_future(self):
        asked = self.questions()
        everything = self.training_set(self.flights, asked, "flight_v1")
        past_alone = self.training_set(self.landed(), asked, "flight_v1")
        self.assertGreater(sum(row["route_flights_1d"] for row in everything), 1000)
        self.assertEqual(everything, past_alone)

    def test_by_departure_a_window_knows_flights_still_in_the_air(self):
        asked = self.questions()
        everything = self.training_set(self.flights, asked, "both")
        past_alone = self.training_set(self.landed(), asked, "both")
        changed = sum(a["departed_delay_avg_1h"] != b["departed_delay_avg_1h"]
                      for a, b in zip(everything, past_alone))
        print(f"by departure {changed} of {len(everything)} values change when the future is "
              f"taken away", flush=True)
        self.assertGreater(changed, len(everything) / 2)
        for a, b in zip(everything, past_alone):
            self.assertEqual(a["origin_delay_avg_1h"], b["origin_delay_avg_1h"])

    def test_the_leak_looks_like_skill(self):
        days = self.flights.filter(pc.greater_equal(self.flights.column("date"), datetime(2001, 1, 3)))
        rows = [row for row in self.training_set(self.flights, days, "both")
                if None not in (row["origin_delay_avg_1h"], row["departed_delay_avg_1h"])]
        late = [row["delay"] > 15 for row in rows]
        honest = auc([row["origin_delay_avg_1h"] for row in rows], late)
        leaking = auc([row["departed_delay_avg_1h"] for row in rows], late)
        print(f"AUC of the origin's mean delay over an hour: {honest:.3f} by landing, {leaking:.3f} "
              f"by departure", flush=True)
        self.assertGreater(leaking, honest + 0.02)


if __name__ == "__main__":
    unittest.main()
