# SPDX-License-Identifier: Apache-2.0
"""Random projects, and the same for the oracle: sources full of what goes wrong in practice.

Ties, nulls, duplicates, times exactly on the edges of windows, NaN and infinities, negative zero,
sums that a naive loop gets wrong, integers near the end of their range, times before 1970, empty
sources. One seed makes one project, always the same.
"""

import itertools
import math
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from oracle import DAY, HOUR, MINUTE, Feature, Overflow, View, statuses, values

ENTITIES = {
    "customer": {"customer_id": "int64"},
    "shop": {"shop": "string"},
    "card": {"customer_id": "int64", "shop": "string"},
}
TYPES = {"i": "int64", "big": "int64", "f": "float64", "wild": "float64", "g": "float32",
         "s": "string", "b": "bool"}
ARROW = {"int64": pa.int64(), "float64": pa.float64(), "float32": pa.float32(), "bool": pa.bool_(),
         "string": pa.string(), "timestamp": pa.timestamp("us")}
WINDOWS = [MINUTE * 5, MINUTE * 7, 90_000_000, HOUR, 12 * HOUR - MINUTE, 12 * HOUR, DAY, 7 * DAY,
           12 * DAY - HOUR, 12 * DAY, 30 * DAY]
DELAYS = [0, 0, 0, 5 * MINUTE, HOUR, 7 * DAY]
NUMBERS = ["i", "big", "f", "wild", "g", "b"]
# Some texts of a source are only counted: each order lets another one come first.
TEXTS = [order for features in ([("count", "shop"), ("last", "s")], [("count", "s"), ("last", "shop")],
                                [("count", "shop"), ("count", "s"), ("max", "shop")])
         for order in itertools.permutations(features)]
HOPS = [5 * MINUTE, HOUR, DAY]
UNITS = ((DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (1_000_000, "s"), (1000, "ms"))


def duration(micros):
    unit, letter = next((unit, letter) for unit, letter in UNITS if micros % unit == 0)
    return f"{micros // unit}{letter}"


class Case:
    """One project: its views for the oracle, its entity rows, and how to write both to a folder."""

    def __init__(self, seed, source_rows=260, entity_rows=160):
        self.random = random.Random(seed)
        self.key_types = {"customer_id": "int64", "shop": "string"}
        # One project in three lies before 1970, where rounding towards zero would show.
        epoch = self.random.choice([-400 * DAY, 0, 11_000 * DAY])
        self.edges = sorted(epoch + self.random.randrange(40) * self.random.choice(HOPS)
                            for _ in range(12))
        self.sources = {
            "events": self.source_rows(source_rows, created=True),
            "visits": self.source_rows(source_rows // 2, created=False),
            "nothing": [],
        }
        self.views = [self.column_view("latest", "customer", "events"),
                      self.column_view("latest_of_card", "card", "visits"),
                      self.window_view("activity", "customer", "events", 14),
                      self.window_view("shop_activity", "shop", "events", 10),
                      self.window_view("card_activity", "card", "visits", 10),
                      self.window_view("silence", "shop", "nothing", 5)]
        self.views += [self.text_view(f"texts_{place}", order) for place, order in enumerate(TEXTS)]
        self.entity_rows = [self.entity_row(place) for place in range(entity_rows)]
        self.drop_overflows()

    # --- Rows ---------------------------------------------------------------------------------

    def time(self):
        """Mostly on an edge or a microsecond beside it: that is where windows are decided."""
        choose = self.random
        time = choose.choice(self.edges)
        if choose.random() < 0.6:
            time += choose.choice([0, 0, 1, -1, *HOPS, *(-hop for hop in HOPS)])
        elif choose.random() < 0.5:
            time += choose.randrange(-40 * DAY, 40 * DAY)
        return time

    def key(self, name):
        choose = self.random
        if choose.random() < 0.03:
            return None
        if name == "customer_id":
            return choose.choice([1, 2, 3, -7, 2**62])
        return choose.choice(["a", "b", "ü, \"x\"", ""])

    def cell(self, column, place):
        choose = self.random
        if choose.random() < 0.15:
            return None
        return {
            "i": lambda: choose.randrange(-50, 50),
            # Alternating, so that most sums stay in range however large their parts are.
            "big": lambda: (2**62 - choose.randrange(3)) * (-1) ** place,
            "f": lambda: choose.choice([0.1, 0.2, 0.3, 1e16, 1.0, -1e16, 1e-9, choose.random()]),
            "wild": lambda: choose.choice([1e308, -1e308, 5e-324, -0.0, 0.0, math.inf, -math.inf,
                                           math.nan, 1.5]),
            "g": lambda: choose.choice([0.5, -0.25, 2.0**100, -(2.0**100), 2.0**-149, 3.0]),
            "s": lambda: choose.choice(["", "x", "y", "naïve", "a\nb"]),
            "b": lambda: choose.random() < 0.4,
        }[column]()

    def source_rows(self, count, created):
        rows = []
        for place in range(count):
            row = {name: self.key(name) for name in ("customer_id", "shop")}
            row["at"] = None if self.random.random() < 0.02 else self.time()
            if created:
                row["created"] = None if self.random.random() < 0.2 else self.time()
            row |= {column: self.cell(column, place) for column in TYPES}
            if not created:
                # The source without created times is a CSV file, where an empty string is a null.
                row = {name: None if value == "" else value for name, value in row.items()}
            rows += [row] * self.random.choice([1, 1, 1, 1, 2])
        return rows

    def entity_row(self, place):
        choose = self.random
        row = {name: self.key(name) for name in ("customer_id", "shop")}
        if choose.random() < 0.05:
            row["customer_id"] = 999  # nobody knows it
        row["now"] = self.question_time()
        return row | {"label": place, "note": choose.choice([None, "", "kept as it is"])}

    def question_time(self):
        """Often just where an event stands at the head or at the tail of some window."""
        choose = self.random
        if choose.random() < 0.02:
            return None
        event = choose.choice(self.sources["events"])["at"] or 0
        return event + choose.choice([0, 1, -1, *WINDOWS, *DELAYS, *HOPS, choose.randrange(50 * DAY)])

    # --- Definitions --------------------------------------------------------------------------

    def view(self, name, entity, source, **more):
        created = "created" if self.sources[source] is self.sources["events"] else None
        return View(name, list(ENTITIES[entity]), self.sources[source], "at", created, **more)

    def column_view(self, name, entity, source):
        ttl = self.random.choice([0, HOUR, 30 * DAY])
        view = self.view(name, entity, source, ttl=ttl, columns=list(TYPES))
        return view, entity, source

    def window_view(self, name, entity, source, count):
        features = [self.feature(f"{name}_{place}") for place in range(count)]
        return self.view(name, entity, source, features=features), entity, source

    def text_view(self, name, order):
        """Over a source of its own, so that nothing else asks for these columns."""
        self.sources[name] = self.sources["events"]
        features = [Feature(f"{name}_{function}_{column}", function, column) for function, column in order]
        return self.view(name, "customer", name, features=features), "customer", name

    def feature(self, name):
        choose = self.random
        function = choose.choice(["count", "count", "sum", "avg", "min", "max", "first", "last"])
        column = {"sum": choose.choice(["i", "big", "f", "wild", "g"]),
                  "avg": choose.choice(NUMBERS),
                  "count": choose.choice(["*", "*", *TYPES])}.get(function, choose.choice(list(TYPES)))
        return Feature(name, function, column, choose.choice([None, *WINDOWS]),
                       choose.choice(DELAYS), choose.random() < 0.3, choose.random() < 0.3)

    def drop_overflows(self):
        """A sum beyond int64 is an error of the whole set; it has a test of its own."""
        for view, _, _ in self.views:
            view.features = [feature for feature in view.features if not self.overflows(view, feature)]

    def overflows(self, view, feature):
        if (feature.function, feature.column) != ("sum", "big"):
            return False
        alone = View(**{**vars(view), "columns": [], "features": [feature]})
        try:
            for row in self.entity_rows:
                for as_known in (False, True):
                    values(alone, [row[name] for name in view.keys], row["now"], as_known)
        except Overflow:
            return True
        return False

    # --- What must come out -------------------------------------------------------------------

    request_fields = []

    def outputs(self, row, as_known=False):
        """Every feature of the service, by its full name."""
        wanted = {}
        for view, _, _ in self.views:
            names = [f"{view.name}__{name}" for name in view.outputs()]
            wanted |= zip(names, values(view, [row[name] for name in view.keys], row["now"], as_known))
        return wanted

    def statuses(self, row):
        """The same of the online store, for a time not before the newest rows."""
        told = {}
        for view, _, _ in self.views:
            names = [f"{view.name}__{name}" for name in view.outputs()]
            told |= zip(names, statuses(view, [row[name] for name in view.keys], row["now"]))
        return told

    def entity_options(self):
        return ["--entities", "entities.parquet"]

    # --- What is written ----------------------------------------------------------------------

    def yaml(self):
        parts = [self.entity_yaml(name, keys) for name, keys in ENTITIES.items()]
        parts += [self.source_yaml(name) for name in self.sources]
        parts += [self.view_yaml(*view) for view in self.views]
        names = ", ".join(view.name for view, _, _ in self.views)
        parts.append(f"service: everything\ntime: now\nfeatures: [{names}]\n")
        return "---\n".join(parts)

    def entity_yaml(self, name, keys):
        if len(keys) == 1:
            (key, kind), = keys.items()
            return f"entity: {name}\nkey: {key}\ntype: {kind}\n"
        inside = ", ".join(f"{key}: {kind}" for key, kind in keys.items())
        return f"entity: {name}\nkeys: {{{inside}}}\n"

    def source_yaml(self, name):
        path = {"visits": "data/visits.csv", "nothing": "data/nothing.parquet"}.get(name, "data/events/*.parquet")
        text = f"source: {name}\npath: {path}\ntime: at\n"
        if path.startswith("data/events"):
            text += "created: created\n"
        if name == "visits":
            # A CSV file does not say what it holds.
            types = {"customer_id": "int64", "shop": "string", "at": "timestamp"} | TYPES
            text += "types: {" + ", ".join(f"{key}: {kind}" for key, kind in types.items()) + "}\n"
        return text

    def view_yaml(self, view, entity, source):
        text = f"view: {view.name}\nentity: {entity}\nsource: {source}\n"
        if view.columns:
            ttl = f"ttl: {duration(view.ttl)}\n" if view.ttl else ""
            return text + ttl + f"columns: [{', '.join(view.columns)}]\n"
        return text + "features:\n" + "".join(map(self.feature_yaml, view.features))

    def feature_yaml(self, feature):
        column = '"*"' if feature.column == "*" else feature.column
        text = f"  {feature.name}: {{{feature.function}: {column}"
        if feature.window is not None:
            text += f", window: {duration(feature.window)}"
        if feature.delay:
            text += f", delay: {duration(feature.delay)}"
        text += ", exact: true" if feature.exact and feature.window is not None else ""
        return text + (", include_current: true}\n" if feature.include_current else "}\n")

    def table(self, name):
        schema = {"customer_id": "int64", "shop": "string", "at": "timestamp"}
        if name != "visits":
            schema["created"] = "timestamp"
        schema |= TYPES
        return arrow_table(self.sources[name], schema)

    def entities(self):
        schema = {"customer_id": "int64", "shop": "string", "now": "timestamp", "label": "int64",
                  "note": "string"}
        return arrow_table(self.entity_rows, schema)

    def write(self, folder):
        folder = Path(folder)
        for name in ("features", "data/events"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "onggi.yaml").write_text("")
        (folder / "features" / "case.yaml").write_text(self.yaml(), encoding="utf-8")
        events = self.table("events")
        # Three files whose order by name is the order of the rows; written in another order.
        third = len(events) // 3
        for name, start, length in (("b", third, third), ("c", 2 * third, None), ("a", 0, third)):
            pq.write_table(events.slice(start, length), folder / "data" / "events" / f"{name}.parquet",
                           row_group_size=40)
        write_csv(self.table("visits"), folder / "data" / "visits.csv")
        pq.write_table(self.table("nothing"), folder / "data" / "nothing.parquet")
        pq.write_table(self.entities(), folder / "entities.parquet")


def arrow_table(rows, schema):
    return pa.table({name: pa.array([row.get(name) for row in rows], ARROW[kind])
                     for name, kind in schema.items()})


def write_csv(table, path):
    def text(value):
        if value is None:
            return ""
        if isinstance(value, str):
            return '"' + value.replace('"', '""') + '"'
        return repr(value).lower() if isinstance(value, (bool, float)) else str(value)

    with open(path, "w", encoding="utf-8", newline="") as stream:
        stream.write(",".join(table.column_names) + "\n")
        for row in table.to_pylist():
            stream.write(",".join(map(text, row.values())) + "\n")
