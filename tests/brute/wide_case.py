# SPDX-License-Identifier: Apache-2.0
"""Random projects that are wide where random_case.py is deep: every type of key and of column.

Keys of each type and a composite of three; instants in seconds to nanoseconds, as days, with zones,
and as text in a CSV; decimals, small and unsigned integers, dictionaries, dates, bytes; a source of
one row, an empty one and one made by SQL; windows of a millisecond and of a century; entity rows as
Parquet, CSV and SQL; and expressions over what a request brings, nulls and zeroes included.
"""

import math
import random
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from oracle import DAY, HOUR, MINUTE, Feature, View
from random_case import Case, duration

MILLISECOND = 1000
SECOND = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

KEYS = {"flag": "bool", "code": "int32", "id": "int64", "name": "string", "born": "timestamp",
        "raw": "bytes"}
ENTITIES = {**{f"by_{key}": [key] for key in KEYS}, "by_three": ["name", "code", "born"]}
# Our type of each column, and the file's.
COLUMNS = {
    "tiny": ("int32", pa.int8()), "half": ("int32", pa.uint16()), "wide": ("int64", pa.uint32()),
    "i": ("int64", pa.int64()), "money": ("float64", pa.decimal128(12, 3)),
    "f": ("float64", pa.float64()), "g": ("float32", pa.float32()),
    "s": ("string", pa.dictionary(pa.int8(), pa.string())),
    "t": ("timestamp", pa.timestamp("ms")), "d": ("timestamp", pa.date32()),
    "b": ("bool", pa.bool_()), "blob": ("bytes", pa.binary()),
}
NUMBERS = ["tiny", "half", "wide", "i", "money", "f", "g", "b"]
# How instants lie in the file: what they are multiples of, and the type there.
UNITS = {"s": (SECOND, pa.timestamp("s")), "ms": (MILLISECOND, pa.timestamp("ms")),
         "us": (1, pa.timestamp("us")), "ns": (1, pa.timestamp("ns")),
         "zone": (1, pa.timestamp("us", "Asia/Tokyo")), "day": (DAY, pa.date32())}
ARROW = {"bool": pa.bool_(), "int32": pa.int32(), "int64": pa.int64(), "float64": pa.float64(),
         "string": pa.string(), "timestamp": pa.timestamp("us"), "bytes": pa.binary()}
WINDOWS = [MILLISECOND, 2 * MILLISECOND, SECOND, 5 * MINUTE, 5 * MINUTE + MILLISECOND, HOUR,
           12 * HOUR - MILLISECOND, 12 * HOUR, DAY, 12 * DAY, 365 * DAY, 36500 * DAY]
STEPS = [1, MILLISECOND, SECOND, 5 * MINUTE, HOUR, DAY]

REQUEST = {"x": "float64", "y": "float64", "n": "int64", "m": "int64", "word": "string",
           "seen": "timestamp", "yes": "bool"}


def strict(function):
    """Null where any argument is null, or where there is no answer."""
    def answer(*arguments):
        try:
            return None if None in arguments else function(*arguments)
        except ZeroDivisionError:
            return None
    return answer


def either(a, b):
    return True if a is True or b is True else None if None in (a, b) else False


EXPRESSIONS = {
    "ratio": ("x / n", lambda r: strict(lambda x, n: x / float(n))(r["x"], r["n"])),
    "shares": ("n / m", lambda r: strict(lambda n, m: n / m)(r["n"], r["m"])),
    "divided": ("x / y", lambda r: strict(lambda x, y: x / y)(r["x"], r["y"])),
    "whole": ("n // m", lambda r: strict(lambda n, m: n // m)(r["n"], r["m"])),
    "rest": ("n % m", lambda r: strict(lambda n, m: n % m)(r["n"], r["m"])),
    "scaled": ("n * 3 - m", lambda r: strict(lambda n, m: n * 3 - m)(r["n"], r["m"])),
    "either": ("n = 1 or x > 0.5", lambda r: either(strict(lambda n: n == 1)(r["n"]),
                                                    strict(lambda x: x > 0.5)(r["x"]))),
    "kept": ("if(n > 0, x, -1.5)", lambda r: r["x"] if r["n"] is not None and r["n"] > 0 else -1.5),
    "filled": ("coalesce(x, y, 0.25)", lambda r: r["x"] if r["x"] is not None else
               r["y"] if r["y"] is not None else 0.25),
    "missing": ("is_null(word)", lambda r: r["word"] is None),
    "length": ("length(word)", lambda r: strict(len)(r["word"])),
    "among": ("word in ('x', 'naïve')", lambda r: strict(lambda w: w in ("x", "naïve"))(r["word"])),
    "root": ("sqrt(y)", lambda r: strict(lambda y: None if y < 0 else math.sqrt(y))(r["y"])),
    "hour": ("hour(seen)", lambda r: strict(lambda t: t // HOUR % 24)(r["seen"])),
    "weekday": ("weekday(seen, '+09:00')",
                lambda r: strict(lambda t: ((t + 9 * HOUR) // DAY + 3) % 7)(r["seen"])),
    "waited": ("now - seen",
               lambda r: strict(lambda now, t: (now - t) / 1e6)(r["now"], r["seen"])),
    "same": ("yes = (n > 0)", lambda r: strict(lambda y, n: y == (n > 0))(r["yes"], r["n"])),
    # Overflows where n is null or positive, and is not asked there.
    "unasked": ("if(is_null(n) or n > 0, 7, n * 2)",
                lambda r: 7 if r["n"] is None or r["n"] > 0 else r["n"] * 2),
    "from_stored": ("coalesce(windows_by_id.windows_by_id_0, -1) * 2", None),
}


class WideCase(Case):
    def __init__(self, seed, source_rows=150, entity_rows=120):
        self.random = random.Random(seed)
        self.unit = list(UNITS)[seed % len(UNITS)]
        self.created_unit = self.random.choice(list(UNITS))
        self.form = ["parquet", "csv", "sql"][seed % 3]
        # Text is no bytes, so a key of bytes cannot come out of a CSV.
        self.key_types = {key: kind for key, kind in KEYS.items() if key != "raw" or self.form != "csv"}
        self.asked = {name: keys for name, keys in ENTITIES.items() if set(keys) <= set(self.key_types)}
        epoch = self.random.choice([-400 * DAY, 0, 11_000 * DAY])
        self.edges = [epoch + self.random.randrange(40) * self.random.choice(STEPS) for _ in range(10)]
        self.born = [self.random.choice(self.edges) for _ in range(3)]
        self.sources = {"ledger": [self.row(self.unit) for _ in range(source_rows)]}
        self.sources["ledger"] += self.random.sample(self.sources["ledger"], 10)
        self.sources |= {"journal": [self.csv_row() for _ in range(source_rows)],
                         "once": [self.row("us")], "never": [],
                         "derived": self.derived()}
        self.views = [self.any_view(place, name) for place, name in enumerate(self.asked)]
        self.views += [self.windows("windows_by_id", "by_id", "ledger", 12),
                       self.windows("rare", "by_name", "once", 5),
                       self.windows("empty", "by_flag", "never", 5),
                       self.windows("made", "by_three", "derived", 8),
                       self.columns("made_of_one", "by_code", "derived")]
        first = self.views[len(self.asked)][0].features
        first[0] = Feature(first[0].name, "count", "*", DAY)
        self.entity_rows = [self.entity_row(place) for place in range(entity_rows)]
        self.entity_rows += self.random.sample(self.entity_rows, 20)

    # --- Rows ---------------------------------------------------------------------------------

    def time(self, unit):
        choose = self.random
        time = choose.choice(self.edges)
        if choose.random() < 0.7:
            time += choose.choice(STEPS) * choose.choice([-1, 0, 1, 2])
        if choose.random() < 0.03:
            time = choose.choice([-2_177_452_800 * SECOND, 4_102_444_800 * SECOND])  # 1901, 2100
        return time // UNITS[unit][0] * UNITS[unit][0]

    def keys(self):
        choose = self.random
        row = {"flag": choose.random() < 0.5, "code": choose.choice([0, -1, 2**31 - 1, -2**31]),
               "id": choose.choice([0, 1, -2**63, 2**63 - 1]),
               "name": choose.choice(["a", "A", "ü", "0", "null"]),
               "born": choose.choice(self.born), "raw": choose.choice([b"a", b"ab", b"\x00", b"0"])}
        return {key: None if choose.random() < 0.02 else value for key, value in row.items()}

    def cells(self):
        choose = self.random
        row = {
            "tiny": choose.randrange(-128, 128), "half": choose.randrange(2**16),
            "wide": choose.randrange(2**32), "i": choose.choice([0, 1, -1, 2**53 + 1, -2**55]),
            "money": choose.choice([0.0, 0.1, -0.001, 123456789.012, 999999999.999, 1.005]),
            "f": choose.choice([0.1, -0.1, 1e16, 3.0, -0.0, 0.0, math.inf, math.nan, -1e308, 1e308]),
            "g": choose.choice([0.5, 3.25, 2.0**100, -(2.0**-149)]),
            "s": choose.choice(["x", "y", "Y", "naïve"]),
            "t": self.time("ms"), "d": self.time("day"), "b": choose.random() < 0.5,
            "blob": choose.choice([b"", b"a", b"\x01", b"\x7f"])}
        return {key: None if choose.random() < 0.1 else value for key, value in row.items()}

    def row(self, unit):
        choose = self.random
        return self.keys() | {
            "at": None if choose.random() < 0.02 else self.time(unit),
            "made": None if choose.random() < 0.2 else self.time(self.created_unit)} | self.cells()

    def csv_row(self):
        row = self.row("us")
        return {name: value for name, value in row.items() if name not in ("raw", "blob", "made")}

    def derived(self):
        """What DERIVED_SQL makes of the ledger."""
        return [row | {"i": None if row["i"] is None else row["i"] * 2}
                for row in self.sources["ledger"] if row["tiny"] is not None and row["tiny"] % 2 == 0]

    def entity_row(self, place):
        choose = self.random
        row = {key: value for key, value in self.keys().items() if key in self.key_types}
        if choose.random() < 0.1:
            row["id"] = 77  # nobody knows it
        event = choose.choice(self.sources["ledger"])["at"] or 0
        row["now"] = event + choose.choice([0, 1, -1, *STEPS, *WINDOWS, -HOUR])
        if choose.random() < 0.02:
            row["now"] = None
        return row | {"label": place} | self.request(choose)

    request_fields = list(REQUEST)

    def request(self, choose):
        row = {"x": choose.choice([0.5, 1.5, -2.0, 0.0]), "y": choose.choice([0.0, -0.0, 4.0, -1.0]),
               "n": choose.choice([0, 1, -7, 2**60]), "m": choose.choice([0, 2, -3]),
               "word": choose.choice(["x", "naïve", "other"]), "seen": self.time("us"),
               "yes": choose.random() < 0.5}
        return {key: None if choose.random() < 0.15 else value for key, value in row.items()}

    # --- Definitions --------------------------------------------------------------------------

    def any_view(self, place, entity):
        name = entity[3:]
        source = "ledger" if name == "raw" else ["ledger", "journal", "derived"][place % 3]
        return (self.columns if self.random.random() < 0.5 else self.windows)(name, entity, source, 8)

    def names(self, source):
        return [name for name in COLUMNS if source != "journal" or name != "blob"]

    def view(self, name, entity, source, **more):
        created = None if source in ("journal", "once") else "made"
        return View(name, ENTITIES[entity], self.sources[source], "at", created, **more), entity, source

    def columns(self, name, entity, source, count=None):
        # A ttl that is just the way from one edge to another: both ends are inside.
        ttls = [abs(a - b) for a in self.edges for b in self.edges if (a - b) % MILLISECOND == 0]
        ttl = self.random.choice([0, MILLISECOND, HOUR, *ttls])
        return self.view(name, entity, source, ttl=ttl, columns=self.names(source))

    def windows(self, name, entity, source, count):
        features = [self.feature(f"{name}_{place}", source) for place in range(count)]
        return self.view(name, entity, source, features=features)

    def feature(self, name, source):
        choose = self.random
        function = choose.choice(["count", "sum", "avg", "min", "max", "first", "last"])
        column = choose.choice(NUMBERS if function in ("sum", "avg") else self.names(source))
        if function == "count" and choose.random() < 0.5:
            column = "*"
        return Feature(name, function, column, choose.choice([None, *WINDOWS]),
                       choose.choice([0, 0, MILLISECOND, HOUR, DAY, 36500 * DAY]),
                       choose.random() < 0.5, choose.random() < 0.4)

    # --- What must come out -------------------------------------------------------------------

    def outputs(self, row, as_known=False):
        wanted = super().outputs(row, as_known)
        computed = {f"computed__{name}": python(row) for name, (_, python) in EXPRESSIONS.items()
                    if python is not None}
        stored = wanted["windows_by_id__windows_by_id_0"]
        return wanted | computed | {"computed__from_stored": (-1 if stored is None else stored) * 2}

    def statuses(self, row):
        return super().statuses(row) | {name: "NULL_VALUE" if value is None else "PRESENT"
                                        for name, value in self.outputs(row).items()
                                        if name.startswith("computed__")}

    # --- What is written ----------------------------------------------------------------------

    def yaml(self):
        parts = []
        for name, keys in self.asked.items():
            inside = ", ".join(f"{key}: {KEYS[key]}" for key in keys)
            parts.append(f"entity: {name}\nkeys: {{{inside}}}\n")
        parts += ["source: ledger\npath: data/ledger-?.parquet\ntime: at\ncreated: made\n" +
                  # Saying what is so already changes nothing, nor do the last digits of nanoseconds.
                  "types: {at: timestamp, i: int64}\n",
                  f"source: journal\npath: data/journal.csv\ntime: at\ntypes: {{{self.csv_types()}}}\n",
                  "source: once\npath: data/once.parquet\ntime: at\n",
                  "source: never\npath: data/never.parquet\ntime: at\ncreated: made\n",
                  "source: derived\nsql: SELECT * REPLACE (i * 2 AS i) FROM ledger WHERE tiny % 2 = 0\n"
                  "time: at\ncreated: made\n",
                  "source: asked\npath: data/asked.parquet\n"]
        parts += [self.view_yaml(*view) for view in self.views]
        fields = ", ".join(f"{name}: {kind}" for name, kind in REQUEST.items())
        parts.append(f"view: computed\nrequest: {{{fields}, now: timestamp}}\nfeatures:\n" +
                     "".join(f'  {name}: {{expr: "{text}"}}\n' for name, (text, _) in EXPRESSIONS.items()))
        names = ", ".join([view.name for view, _, _ in self.views] + ["computed"])
        parts.append(f"service: everything\ntime: now\nfeatures: [{names}]\n")
        return "---\n".join(parts)

    def csv_types(self):
        types = {key: kind for key, kind in KEYS.items() if key != "raw"} | {"at": "timestamp"}
        types |= {name: COLUMNS[name][0] for name in self.names("journal")}
        return ", ".join(f"{name}: {kind}" for name, kind in types.items())

    def view_yaml(self, view, entity, source):
        text = f"view: {view.name}\nentity: {entity}\nsource: {source}\n"
        if view.columns:
            return (text + (f"ttl: {duration(view.ttl)}\n" if view.ttl else "") +
                    f"columns: [{', '.join(view.columns)}]\n")
        return text + "features:\n" + "".join(map(feature_yaml, view.features))

    def source_table(self, source):
        schema = {name: ARROW[kind] for name, kind in KEYS.items()}
        schema |= {"at": UNITS["us" if source == "once" else self.unit][1],
                   "made": UNITS[self.created_unit][1]}
        schema |= {name: arrow for name, (_, arrow) in COLUMNS.items()}
        return table(self.sources[source], schema)

    def entities(self, unit="us"):
        schema = {name: ARROW[kind] for name, kind in self.key_types.items()}
        schema |= {"now": UNITS[unit][1], "label": pa.int32()}
        schema |= {name: ARROW[kind] for name, kind in REQUEST.items()}
        return table(self.entity_rows, schema)

    def write(self, folder):
        folder = Path(folder)
        for name in ("features", "data"):
            (folder / name).mkdir()
        (folder / "onggi.yaml").write_text("")
        (folder / "features" / "case.yaml").write_text(self.yaml(), encoding="utf-8")
        ledger = self.source_table("ledger")
        for place in range(4):
            piece = ledger.slice(place * 40, 40 if place < 3 else None)
            pq.write_table(piece, folder / "data" / f"ledger-{place}.parquet", row_group_size=17)
        pq.write_table(self.source_table("once"), folder / "data" / "once.parquet")
        pq.write_table(self.source_table("never"), folder / "data" / "never.parquet")
        pq.write_table(self.entities(), folder / "data" / "asked.parquet")
        write_csv(self.sources["journal"], folder / "data" / "journal.csv", self.random)
        pq.write_table(self.entities("ns"), folder / "entities.parquet")
        write_csv(self.entity_rows, folder / "entities.csv", None)

    def entity_options(self):
        return {"parquet": ["--entities", "entities.parquet"], "csv": ["--entities", "entities.csv"],
                "sql": ["--entities-sql", "SELECT * FROM asked"]}[self.form]


def feature_yaml(feature):
    column = '"*"' if feature.column == "*" else feature.column
    text = f"  {feature.name}: {{{feature.function}: {column}"
    if feature.window is not None:
        text += f", window: {duration(feature.window)}" + (", exact: true" if feature.exact else "")
    text += f", delay: {duration(feature.delay)}" if feature.delay else ""
    return text + (", include_current: true}\n" if feature.include_current else "}\n")


def table(rows, schema):
    return pa.table({name: column([row[name] for row in rows], kind)
                     for name, kind in schema.items()}, pa.schema(schema))


def column(cells, kind):
    if pa.types.is_decimal(kind):
        cells = [None if cell is None else Decimal(repr(cell)) for cell in cells]
    if pa.types.is_date32(kind):
        cells = [None if cell is None else date(1970, 1, 1) + timedelta(cell // DAY) for cell in cells]
    if pa.types.is_timestamp(kind):
        steps = {"s": SECOND, "ms": MILLISECOND, "us": 1}
        # Nanoseconds are floored, on either side of 1970.
        cells = [None if cell is None else cell * 1000 + abs(cell) * 7 % 1000 if kind.unit == "ns"
                 else cell // steps[kind.unit] for cell in cells]
        return pa.array(cells, pa.int64()).cast(kind)
    return pa.array(cells, kind)


def instant(micros, zones):
    """As people write it: with a zone of the writer's, where there is a choice."""
    offset = zones.choice([None, 0, 9 * 60, -330]) if zones else None
    moment = EPOCH + timedelta(microseconds=micros)
    if offset is None:
        return moment.replace(tzinfo=None).isoformat(" ")
    return moment.astimezone(timezone(timedelta(minutes=offset))).isoformat()


def write_csv(rows, path, zones):
    times = ("at", "born", "t", "d", "now", "seen")

    def text(name, value):
        if value is None:
            return ""
        if name in times:
            return instant(value, zones)
        if isinstance(value, bytes):
            return '"' + value.decode("latin-1") + '"'
        return repr(value).lower() if isinstance(value, (bool, float)) else f'"{value}"' \
            if isinstance(value, str) else str(value)

    with open(path, "w", encoding="utf-8", newline="") as stream:
        stream.write(",".join(rows[0]) + "\n")
        for row in rows:
            stream.write(",".join(text(*cell) for cell in row.items()) + "\n")
