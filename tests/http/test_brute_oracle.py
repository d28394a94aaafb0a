#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The oracle itself, on cases small enough to compute by hand."""

import math
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "brute"))
from oracle import (DAY, HOUR, MINUTE, Feature, Overflow, View, average, floor_to,  # noqa: E402
                    float_sum, hop, in_window, newest_row, statuses, values, window_value)


def view(*rows, **options):
    names = ("id", "at", "created", "x")
    return View("v", ["id"], [dict(zip(names, row)) for row in rows], "at", **options)


class PointInTime(unittest.TestCase):
    def x_at(self, time, *rows, **options):
        as_known = options.pop("as_known", False)
        row = newest_row(view(*rows, **options), [1], time, as_known)
        return None if row is None else row["x"]

    def test_both_ends_of_ttl_are_inside(self):
        row = (1, 100, None, "a")
        self.assertEqual(self.x_at(100, row, ttl=10), "a")
        self.assertEqual(self.x_at(110, row, ttl=10), "a")
        self.assertIsNone(self.x_at(111, row, ttl=10))
        self.assertIsNone(self.x_at(99, row, ttl=10))
        self.assertEqual(self.x_at(10**15, row), "a")

    def test_a_tie_goes_to_the_later_created(self):
        rows = [(1, 100, 7, "later"), (1, 100, 5, "sooner"), (1, 100, None, "never")]
        self.assertEqual(self.x_at(100, *rows, created="created"), "later")

    def test_a_tie_of_created_goes_to_the_last_in_the_file(self):
        self.assertEqual(self.x_at(100, (1, 100, 5, "a"), (1, 100, 5, "b"), created="created"), "b")
        self.assertEqual(self.x_at(100, (1, 100, None, "a"), (1, 100, None, "b")), "b")

    def test_as_known_leaves_out_what_came_later(self):
        rows = [(1, 90, 95, "old"), (1, 100, 105, "correction")]
        self.assertEqual(self.x_at(104, *rows, created="created", as_known=True), "old")
        self.assertEqual(self.x_at(105, *rows, created="created", as_known=True), "correction")
        self.assertEqual(self.x_at(104, *rows, created="created"), "correction")

    def test_a_null_matches_nothing(self):
        source = view((1, None, None, "a"), (None, 5, None, "b"), columns=["x"])
        self.assertEqual(values(source, [1], 100), [None])
        self.assertEqual(values(source, [None], 100), [None])
        self.assertEqual(values(source, [1], None), [None])


class Windows(unittest.TestCase):
    def test_hops(self):
        self.assertEqual(hop(12 * HOUR - 1), 5 * MINUTE)
        self.assertEqual(hop(12 * HOUR), HOUR)
        self.assertEqual(hop(12 * DAY - 1), HOUR)
        self.assertEqual(hop(12 * DAY), DAY)

    def test_floor_goes_down_before_1970_too(self):
        self.assertEqual(floor_to(-1, HOUR), -HOUR)
        self.assertEqual(floor_to(-HOUR, HOUR), -HOUR)

    def test_the_head_is_exact_and_the_tail_hops(self):
        hour = Feature("f", "count", "*", HOUR)
        now = 100 * HOUR + 7 * MINUTE
        self.assertFalse(in_window(hour, now, now))
        self.assertTrue(in_window(hour, now - 1, now))
        self.assertTrue(in_window(hour, 99 * HOUR + 5 * MINUTE, now))
        self.assertFalse(in_window(hour, 99 * HOUR + 5 * MINUTE - 1, now))

    def test_exact_and_include_current(self):
        hour = Feature("f", "count", "*", HOUR, exact=True, include_current=True)
        now = 100 * HOUR + 7 * MINUTE
        self.assertTrue(in_window(hour, now, now))
        self.assertTrue(in_window(hour, now - HOUR, now))
        self.assertFalse(in_window(hour, now - HOUR - 1, now))

    def test_delay_moves_both_ends(self):
        late = Feature("f", "count", "*", HOUR, delay=DAY)
        now = 100 * HOUR + 7 * MINUTE
        self.assertFalse(in_window(late, now - DAY, now))
        self.assertTrue(in_window(late, now - DAY - 1, now))
        self.assertTrue(in_window(late, 75 * HOUR + 5 * MINUTE, now))
        self.assertFalse(in_window(late, 75 * HOUR + 5 * MINUTE - 1, now))

    def test_nothing_left(self):
        source = view((1, 100, None, None))
        for function, wanted in (("count", 0), ("sum", None), ("avg", None), ("min", None),
                                 ("last", None)):
            self.assertEqual(window_value(source, Feature("f", function, "x"), [1], 200), wanted)
        self.assertEqual(window_value(source, Feature("f", "count", "*"), [1], 200), 1)

    def test_ttl_does_not_clip_a_window(self):
        source = view((1, 100, None, 3), ttl=1)
        self.assertEqual(window_value(source, Feature("f", "sum", "x"), [1], DAY), 3)


class Sums(unittest.TestCase):
    def test_exact_where_a_naive_sum_is_wrong(self):
        self.assertEqual(float_sum([1e16, 1.0, -1e16]), 1.0)
        self.assertEqual(float_sum([1e308, 1e308, -1e308]), 1e308)
        self.assertEqual(float_sum([0.1] * 10), 1.0)
        self.assertEqual(float_sum([5e-324, 1.0, -1.0]), 5e-324)

    def test_beyond_the_largest_double(self):
        self.assertEqual(float_sum([1e308, 1e308]), math.inf)
        self.assertEqual(float_sum([-1e308, -1e308]), -math.inf)

    def test_nan_and_infinity(self):
        self.assertTrue(math.isnan(float_sum([1.0, math.nan])))
        self.assertTrue(math.isnan(float_sum([math.inf, -math.inf])))
        self.assertEqual(float_sum([math.inf, 1e308, math.inf]), math.inf)

    def test_average_divides_the_rounded_sum(self):
        self.assertEqual(average([1, 2]), 1.5)
        self.assertEqual(average([True, False, True, True]), 0.75)
        self.assertEqual(average([2**62, 2**62, 2**62]), 2.0**62)

    def test_int64_overflow_is_an_error(self):
        source = view((1, 1, None, 2**63 - 1), (1, 2, None, 1))
        with self.assertRaises(Overflow):
            window_value(source, Feature("f", "sum", "x"), [1], 10)


class Order(unittest.TestCase):
    def value(self, function, *column):
        source = view(*((1, place, None, x) for place, x in enumerate(column)))
        return window_value(source, Feature("f", function, "x"), [1], 100)

    def test_zeroes_and_nan(self):
        self.assertEqual(math.copysign(1, self.value("min", 0.0, -0.0)), -1)
        self.assertEqual(math.copysign(1, self.value("max", -0.0, 0.0)), 1)
        self.assertTrue(math.isnan(self.value("max", math.nan, math.inf)))
        self.assertEqual(self.value("min", math.nan, math.inf), math.inf)

    def test_first_and_last_skip_nulls(self):
        self.assertEqual(self.value("first", None, 5, 6, None), 5)
        self.assertEqual(self.value("last", None, 5, 6, None), 6)


class Online(unittest.TestCase):
    def test_statuses(self):
        source = view((1, 100, None, None), (2, 100, None, 5), ttl=10, columns=["x"])
        self.assertEqual(statuses(source, [1], 100), ["NULL_VALUE"])
        self.assertEqual(statuses(source, [2], 110), ["PRESENT"])
        self.assertEqual(statuses(source, [2], 111), ["OUTSIDE_MAX_AGE"])
        self.assertEqual(statuses(source, [3], 100), ["NOT_FOUND"])


if __name__ == "__main__":
    unittest.main()
