# SPDX-License-Identifier: Apache-2.0
"""What a feature's value must be, by the plainest reading of its definition.

Nothing here is fast. Every value is found by walking over every row of the source, and sums are
kept as fractions, so that there is nothing to get wrong but the meaning. Times are integers,
microseconds since 1970. A row is a dict; None is null; rows stand in file order.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
INT64 = range(-2**63, 2**63)


class Overflow(Exception):
    """A sum of int64 that no int64 can hold."""


@dataclass
class Feature:
    name: str
    function: str  # count, sum, avg, min, max, first, last
    column: str  # "*" counts rows
    window: int | None = None
    delay: int = 0
    exact: bool = False
    include_current: bool = False


@dataclass
class View:
    """Either columns, carried as they are, or features, computed over windows."""

    name: str
    keys: list
    rows: list
    time: str
    created: str | None = None
    ttl: int = 0
    columns: list = field(default_factory=list)
    features: list = field(default_factory=list)
    types: dict = field(default_factory=dict)

    def outputs(self):
        return self.columns or [feature.name for feature in self.features]


def hop(window):
    """How far the tail of a window moves at once."""
    return DAY if window >= 12 * DAY else HOUR if window >= 12 * HOUR else 5 * MINUTE


def floor_to(time, step):
    """Down to a multiple of the step since 1970; Python's // goes down before 1970 too."""
    return time // step * step


def known(view, row, time, as_known):
    """A row without a created time is as old as can be, so it was always known."""
    created = row[view.created] if view.created else None
    return not as_known or created is None or created <= time


def rows_of(view, key, time, as_known=False):
    """The entity's rows in the order of truth: event time, then created, then place in the file."""
    if time is None or None in key:
        return []
    rows = [(row[view.time], -math.inf if not view.created or row[view.created] is None
             else row[view.created], place, row)
            for place, row in enumerate(view.rows)
            if tuple(row[name] for name in view.keys) == tuple(key)
            and row[view.time] is not None and known(view, row, time, as_known)]
    return [row for _, _, _, row in sorted(rows, key=lambda item: item[:3])]


def newest_row(view, key, time, as_known=False):
    """The row that was true at the time, or None."""
    found = None
    for row in rows_of(view, key, time, as_known):
        if row[view.time] <= time and (view.ttl == 0 or row[view.time] >= time - view.ttl):
            found = row
    return found


def in_window(feature, event, time):
    head = time - feature.delay
    if event > head or (event == head and not feature.include_current):
        return False
    if feature.window is None:
        return True
    tail = head - feature.window
    return event >= (tail if feature.exact else floor_to(tail, hop(feature.window)))


def nearest_float(exact):
    """The double nearest to a fraction, ties to even; beyond the largest, an infinity."""
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def float_sum(values):
    if any(math.isnan(value) for value in values):
        return math.nan
    infinities = {value for value in values if math.isinf(value)}
    if infinities:
        return infinities.pop() if len(infinities) == 1 else math.nan
    return nearest_float(sum(map(Fraction, values)))


def column_sum(values):
    if any(isinstance(value, float) for value in values):
        return float_sum(values)
    return sum(int(value) for value in values)


def average(values):
    total = column_sum(values)
    return total / len(values) if isinstance(total, float) else nearest_float(Fraction(total)) / len(values)


def order(value):
    """Least to greatest: numbers, -0 before 0, and NaN above all, so that no row's place shows."""
    if isinstance(value, float):
        return (math.isnan(value), 0.0 if math.isnan(value) else value, math.copysign(1, value))
    return (False, value, 0)


def aggregate(feature, rows):
    if feature.function == "count" and feature.column == "*":
        return len(rows)
    values = [row[feature.column] for row in rows if row[feature.column] is not None]
    if feature.function == "count":
        return len(values)
    if not values:
        return None
    if feature.function == "sum":
        total = column_sum(values)
        if isinstance(total, int) and total not in INT64:
            raise Overflow(feature.name)
        return total
    return {"avg": average, "min": lambda v: min(v, key=order), "max": lambda v: max(v, key=order),
            "first": lambda v: v[0], "last": lambda v: v[-1]}[feature.function](values)


def window_value(view, feature, key, time, as_known=False):
    rows = [row for row in rows_of(view, key, time, as_known)
            if in_window(feature, row[view.time], time)]
    return aggregate(feature, rows)


def values(view, key, time, as_known=False):
    """The view's outputs in order, for one entity at one time."""
    if view.columns:
        row = newest_row(view, key, time, as_known)
        return [None if row is None else row[name] for name in view.columns]
    return [window_value(view, feature, key, time, as_known) for feature in view.features]


def statuses(view, key, time):
    """What the online store says of each output, for a time not before the entity's newest row."""
    rows = rows_of(view, key, time)
    if not rows:
        return ["NOT_FOUND"] * len(view.outputs())
    if view.columns and newest_row(view, key, time) is None:
        return ["OUTSIDE_MAX_AGE"] * len(view.outputs())
    return ["NULL_VALUE" if value is None else "PRESENT" for value in values(view, key, time)]
