# SPDX-License-Identifier: Apache-2.0
"""The report's drawings, each from the part of the evaluation that it shows."""

from datetime import date, timedelta

import numpy as np

from charts import Chart, round_step, steps
from measures import score_digits


def percent(value, digits=1):
    return f"{100 * value:.{digits}f}\u202f%"


def day_text(iso):
    return f"{date.fromisoformat(iso):%-d %B %Y}"


def score_text(score):
    return f"{score:.{score_digits(score)}f}"


def period_text(first, last):
    """Of two days, both within: whole months by name, else from day to day."""
    first, last = date.fromisoformat(first), date.fromisoformat(last)
    whole = first.day == 1 and (last + timedelta(days=1)).day == 1
    if whole and (first.year, first.month) == (last.year, last.month):
        return f"{first:%B %Y}"
    form = "%B" if whole else "%-d %B"
    start = first.strftime(form if first.year == last.year else form + " %Y")
    return f"{start} to {last.strftime(form)} {last.year}"


def period_of(part):
    return period_text(part["from"], part["to"])


def roc_chart(result):
    ticks = steps(0, 1, 0.25, lambda v: f"{v:.2f}".rstrip("0").rstrip("."))
    chart = Chart("ROC curve", (0, 1), (0, 1)).axes(
        ticks, ticks, "share of punctual flights warned of", "share of late flights found"
    )
    chart.line((0, 1), (0, 1), "chance")
    for name in ("baseline", "model"):
        curve = result["roc"][name]
        if name == "model":
            chart.area(curve["false_positive_rate"], curve["true_positive_rate"], name)
        chart.line(curve["false_positive_rate"], curve["true_positive_rate"], name)
    point = result["confusion"]
    x = point["on_time_warned"] / max(1, point["on_time_warned"] + point["on_time_passed"])
    y = point["late_warned"] / max(1, point["late_warned"] + point["late_missed"])
    chart.dot(x, y, "warn", "the chosen threshold").text(
        x, y, f"at {score_text(result['threshold'])}", "note-warn", dx=9, dy=14
    )
    return chart


def precision_chart(result):
    base = result["data"]["test"]["late"]
    chart = Chart("Precision and recall", (0, 1), (0, 1)).axes(
        steps(0, 1, 0.25, lambda v: f"{v:.2f}".rstrip("0").rstrip(".")),
        steps(0, 1, 0.25, lambda v: percent(v, 0)),
        "share of late flights found",
        "share of warnings that are right",
    )
    chart.line((0, 1), (base, base), "chance")
    for name in ("baseline", "model"):
        curve = result["precision_recall"][name]
        chart.line(curve["recall"], curve["precision"], name)
    return chart.text(1, base, f"by chance {percent(base, 0)}", "tick", "end", dy=16)


def calibration_chart(bins):
    top = min(1.0, np.ceil(max(max(b["promised"], b["observed"]) for b in bins) * 10 + 0.3) / 10)
    ticks = steps(0, top, 0.1 if top <= 0.7 else 0.2, lambda v: percent(v, 0))
    chart = Chart("Calibration", (0, top), (0, top), height=462).axes(
        ticks, ticks, "promised: mean score", "observed: share late"
    )
    chart.line((0, top), (0, top), "chance")
    chart.line([b["promised"] for b in bins], [b["observed"] for b in bins], "model")
    for b in bins:
        chart.dot(
            b["promised"],
            b["observed"],
            "model",
            f'{b["rows"]:,} flights: promised {percent(b["promised"])}, observed '
            f'{percent(b["observed"])}',
        )
    return chart


def cost_chart(result):
    xs, ys = (np.array(result["cost"][name]) for name in ("threshold", "cost"))
    threshold = result["threshold"]
    # Where late flights are rare all that happens happens close to 0.
    side = round_step(0.8 * min(1, max(4 * threshold, 1e-6)))
    right = min(1.0, max(4, np.ceil(threshold / side)) * side)
    ys, xs = ys[xs <= right], xs[xs <= right]
    up = round_step(ys.max())
    top = float(np.ceil(ys.max() / up + 0.2) * up)
    chart = Chart("Cost by threshold", (0, right), (0, top), height=430).axes(
        steps(0, right, side, lambda v: f"{v:g}"),
        steps(0, top, up, lambda v: f"{v:g}"),
        "threshold",
        f"mean cost of a flight, {period_of(result['data']['valid'])}",
    )
    cost = float(np.interp(threshold, xs, ys))
    chart.upright(threshold, "mark").line(xs.tolist(), ys.tolist(), "model")
    chart.dot(threshold, cost, "warn", "the chosen threshold", 5.5)
    return chart.text(threshold, cost, score_text(threshold), "note-warn", "middle", dy=26)


def day_chart(days):
    low = min(0.5, np.floor(10 * min(min(d["model"], d["baseline"]) for d in days)) / 10)
    chart = Chart(
        "AUC by day", (-0.6, len(days) - 0.4), (low, 1), width=1000, height=290, bottom=28
    )
    step = max(1, round(len(days) / 8))
    chart.axes(
        [
            (index, f"{date.fromisoformat(d['day']):%-d %b}")
            for index, d in enumerate(days)
            if index % step == 0
        ],
        steps(low, 1, 0.1, lambda v: f"{v:.1f}"),
        "",
        "AUC of each day; bars: share late",
    )
    for index, d in enumerate(days):
        chart.bar(
            index - 0.36,
            index + 0.36,
            low + d["late"] * (1 - low) * 0.5,
            "fill-quiet",
            f'{day_text(d["day"])}: {d["rows"]:,} flights, {percent(d["late"])} late',
        )
    for name in ("baseline", "model"):
        chart.line(range(len(days)), [d[name] for d in days], name)
        for index, d in enumerate(days):
            chart.dot(index, d[name], name, f'{day_text(d["day"])}: {d[name]:.3f}', 3.5)
    return chart
