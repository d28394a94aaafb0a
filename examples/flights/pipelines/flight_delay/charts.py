# SPDX-License-Identifier: Apache-2.0
"""Drawings as inline SVG. Colours come from the page's style sheet, so they follow its theme."""

import math
from html import escape


class Chart:
    """A plane with two linear axes. Coordinates given to its methods are in the data's units."""

    def __init__(self, title, x_range, y_range, width=520, height=380, left=52, bottom=46):
        self.title, self.width, self.height = title, width, height
        self.x_range, self.y_range = x_range, y_range
        self.left, self.right, self.top, self.floor = left, width - 16, 36, height - bottom
        self.parts = []

    def x(self, value):
        low, high = self.x_range
        return round(self.left + (value - low) / (high - low) * (self.right - self.left), 2)

    def y(self, value):
        low, high = self.y_range
        return round(self.floor - (value - low) / (high - low) * (self.floor - self.top), 2)

    def add(self, svg):
        self.parts.append(svg)
        return self

    def axes(self, x_ticks, y_ticks, x_label, y_label):
        """Ticks are pairs of a value and its text."""
        for value, text in y_ticks:
            y = self.y(value)
            self.add(f'<line class="grid" x1="{self.left}" x2="{self.right}" y1="{y}" y2="{y}"/>')
            self.add(
                f'<text class="tick" x="{self.left - 9}" y="{y + 4}" '
                f'text-anchor="end">{text}</text>'
            )
        for value, text in x_ticks:
            self.add(
                f'<text class="tick" x="{self.x(value)}" y="{self.floor + 19}" '
                f'text-anchor="middle">{text}</text>'
            )
        self.add(
            f'<line class="axis" x1="{self.left}" x2="{self.right}" y1="{self.floor}" '
            f'y2="{self.floor}"/>'
        )
        middle = (self.left + self.right) / 2
        self.add(
            f'<text class="name" x="{middle}" y="{self.height - 6}" '
            f'text-anchor="middle">{x_label}</text>'
        )
        # The value axis is named above its ticks: text that lies on its side is hard to read.
        self.add(f'<text class="name" x="0" y="13">{y_label}</text>')
        return self

    def path(self, xs, ys):
        return "M" + "L".join(f"{self.x(x)},{self.y(y)}" for x, y in zip(xs, ys))

    def line(self, xs, ys, style):
        return self.add(f'<path class="line {style}" d="{self.path(xs, ys)}"/>')

    def area(self, xs, ys, style):
        low = self.y_range[0]
        closed = self.path([xs[0], *xs, xs[-1]], [low, *ys, low])
        return self.add(f'<path class="area {style}" d="{closed}Z"/>')

    def dot(self, x, y, style, hint="", radius=4.5):
        return self.add(
            f'<circle class="dot {style}" cx="{self.x(x)}" cy="{self.y(y)}" r="{radius}">'
            f"<title>{escape(hint)}</title></circle>"
        )

    def bar(self, x_from, x_to, height, style, hint=""):
        left, right, y = self.x(x_from), self.x(x_to), self.y(height)
        return self.add(
            f'<rect class="{style}" x="{left}" y="{y}" width="{round(right - left, 2)}" '
            f'height="{round(self.floor - y, 2)}"><title>{escape(hint)}</title></rect>'
        )

    def upright(self, x, style):
        return self.add(
            f'<line class="{style}" x1="{self.x(x)}" x2="{self.x(x)}" y1="{self.top}" '
            f'y2="{self.floor}"/>'
        )

    def text(self, x, y, text, style="note", anchor="start", dx=0, dy=0):
        return self.add(
            f'<text class="{style}" x="{self.x(x) + dx}" y="{self.y(y) + dy}" '
            f'text-anchor="{anchor}">{escape(text)}</text>'
        )

    def svg(self):
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-label="{escape(self.title, quote=True)}">{"".join(self.parts)}</svg>'
        )


def steps(low, high, step, text):
    """Ticks from low to high, each with its text."""
    count = round((high - low) / step)
    return [(low + index * step, text(low + index * step)) for index in range(count + 1)]


def round_step(span, count=4):
    """A step of 1, 2 or 5 times a power of ten that gets through the span in `count` or so."""
    power = 10.0 ** math.floor(math.log10(span / count))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor * count >= span)


def dots(counts, columns=50, size=10):
    """One dot for each of so many cases, in the order given: pairs of a style and a count."""
    marks, index = [], 0
    for style, count in counts:
        for _ in range(count):
            # Column by column, so that each kind is one upright block.
            column, row = divmod(index, 1000 // columns)
            marks.append(
                f'<circle class="{style}" cx="{column * size + size / 2:g}" '
                f'cy="{row * size + size / 2:g}" r="3.9"/>'
            )
            index += 1
    width, height = columns * size, 1000 // columns * size
    return (
        f'<svg class="dots" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="one thousand flights by outcome">{"".join(marks)}</svg>'
    )
