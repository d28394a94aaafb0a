# SPDX-License-Identifier: Apache-2.0
"""The evaluation as one page that needs nothing beside it, for the person who must decide."""

import json
import re
from datetime import date
from html import escape
from pathlib import Path

import numpy as np

from charts import Chart, dots, steps


def percent(value, digits=1):
    return f"{100 * value:.{digits}f}\u202f%"


def day_text(iso):
    return f"{date.fromisoformat(iso):%-d %B %Y}"


def table(head, rows, numbers=()):
    """Cells are HTML; `numbers` says which columns are right-aligned."""
    def row(cells, tag):
        return "".join(f'<{tag}{" class=number" if index in numbers else ""}>{cell}</{tag}>'
                       for index, cell in enumerate(cells))
    body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in rows)
    top = f"<thead><tr>{row(head, 'th')}</tr></thead>" if head else ""
    return f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>'


def card(title, drawing, text="", wide=False):
    note = f"<small>{text}</small>" if text else ""
    return f'<figure class="card{" wide" if wide else ""}"><h3>{title}</h3>{drawing}{note}</figure>'


def section(title, *content):
    return f"<section><h2>{title}</h2>{''.join(content)}</section>"


def legend(entries):
    items = "".join(f'<li><i style="background:var(--{colour})"></i>{text}</li>' for colour, text in entries)
    return f'<ul class="legend">{items}</ul>'


def figure(name, value, text):
    return (f'<div class="figure"><div class="figure-name">{name}</div>'
            f'<div class="figure-value">{value}</div><small>{text}</small></div>')


def head(values, result, asked):
    test, passed = result["data"]["test"], values["auc"] >= asked["gate_auc"]
    verdict = (f'<div class="verdict {"good" if passed else "bad"}">'
               f'{"Passes" if passed else "Fails"} its gate: AUC {values["auc"]:.3f}, '
               f'at least {asked["gate_auc"]:.3f} asked</div>')
    return (
        '<p class="eyebrow">Evaluation of the model flight_delay</p>'
        "<h1>Will this flight be late?</h1>"
        f'<p class="lead">On {test["rows"]:,} flights from {day_text(test["from"])} to {day_text(test["to"])}, none of '
        f'which it had seen, the model puts a late flight before a punctual one {percent(values["auc"])} '
        f'of the time. A model that knows only the hour, the weekday and the distance manages '
        f'{percent(values["auc_baseline"])}. Late means more than 15 minutes after schedule.</p>'
        + verdict + '<div class="figures">'
        + figure("AUC", f'{values["auc"]:.3f}', f'± {1.96 * values["auc_error"]:.3f}; without history {values["auc_baseline"]:.3f}')
        + figure("Average precision", f'{values["average_precision"]:.3f}', f'without history {values["average_precision_baseline"]:.3f}; by chance {test["late"]:.3f}')
        + figure("Calibration error", percent(values["calibration_error"], 2), "mean gap between promise and outcome")
        + figure("Threshold", f'{values["threshold"]:.2f}', f'warns of {percent(values["alert_rate"])} of all flights')
        + "</div>")


def feature_groups(names):
    """The windows of each entity in one line; whatever has no window belongs to the request."""
    groups = {}
    for name in names:
        window = re.fullmatch(r"([a-z]+)_(.+)_(\d+[a-z]+)", name)
        entity, what, length = window.groups() if window else ("the request", name, None)
        measures, lengths = groups.setdefault(entity, ({}, {}))
        measures[what.replace("_", " ")] = True
        lengths[length] = True
    return [(entity, len(measures) * len(lengths), ", ".join(measures), ", ".join(filter(None, lengths)))
            for entity, (measures, lengths) in groups.items()]


def data_section(result):
    parts = (("train", "To learn from"), ("valid", "To set the threshold"), ("test", "To judge by"))
    total = sum(np.sqrt(result["data"][name]["rows"]) for name, _ in parts)
    bands = "".join(
        f'<div class="{name}" style="flex:{np.sqrt(part["rows"]) / total:.3f}"><strong>{title}</strong>'
        f'{part["rows"]:,} flights<br>{percent(part["late"])} of them late<br>'
        f'<span>{date.fromisoformat(part["from"]):%-d %b} to {date.fromisoformat(part["to"]):%-d %b %Y}</span></div>'
        for name, title in parts for part in [result["data"][name]])
    features = result["features"]
    groups = [(escape(entity), count, escape(what), escape(windows) or "none: as asked")
              for entity, count, what, windows in feature_groups(features)]
    return section(
        "What was asked, of which data",
        f"<p>For each flight, at the minute it was to leave: will it land more than 15 minutes late? "
        f"The model sees {len(features)} features, each with the value that was known at that minute. "
        f"A flight enters a window when it lands, not when it leaves, so no feature looks ahead. The "
        f"parts follow each other in time, since flights of one evening share their weather.</p>",
        f'<div class="timeline">{bands}</div>',
        table(("Features of", "Count", "What", "Windows before departure"), groups, numbers=(1,)))


def roc_chart(result):
    ticks = steps(0, 1, .25, lambda v: f"{v:.2f}".rstrip("0").rstrip("."))
    chart = Chart("ROC curve", (0, 1), (0, 1)).axes(
        ticks, ticks, "share of punctual flights warned of", "share of late flights found")
    chart.line((0, 1), (0, 1), "chance")
    for name in ("baseline", "model"):
        curve = result["roc"][name]
        if name == "model":
            chart.area(curve["false_positive_rate"], curve["true_positive_rate"], name)
        chart.line(curve["false_positive_rate"], curve["true_positive_rate"], name)
    point = result["confusion"]
    x = point["on_time_warned"] / max(1, point["on_time_warned"] + point["on_time_passed"])
    y = point["late_warned"] / max(1, point["late_warned"] + point["late_missed"])
    chart.dot(x, y, "warn", "the chosen threshold").text(x, y, f"at {result['threshold']:.2f}", "note-warn", dx=9, dy=14)
    return chart


def precision_chart(result):
    base = result["data"]["test"]["late"]
    chart = Chart("Precision and recall", (0, 1), (0, 1)).axes(
        steps(0, 1, .25, lambda v: f"{v:.2f}".rstrip("0").rstrip(".")),
        steps(0, 1, .25, lambda v: percent(v, 0)), "share of late flights found", "share of warnings that are right")
    chart.line((0, 1), (base, base), "chance")
    for name in ("baseline", "model"):
        curve = result["precision_recall"][name]
        chart.line(curve["recall"], curve["precision"], name)
    return chart.text(1, base, f"by chance {percent(base, 0)}", "tick", "end", dy=16)


def discrimination_section(values, result):
    key = legend((("model", f'the model, AUC {values["auc"]:.3f}'),
                  ("baseline", f'without stored features, AUC {values["auc_baseline"]:.3f}')))
    return section(
        "Does it tell late flights from punctual ones?",
        "<p>Both curves are drawn over all thresholds. The further the blue one rises above the grey one, "
        "the more the stored history of airports and routes is worth.</p>", key,
        '<div class="pair">', card("Ranking (ROC)", roc_chart(result).svg()),
        card("Precision and recall", precision_chart(result).svg()), "</div>")


def calibration_section(values, result):
    bins = result["calibration"]
    top = min(1.0, np.ceil(max(max(b["promised"], b["observed"]) for b in bins) * 10 + .3) / 10)
    ticks = steps(0, top, .1 if top <= .7 else .2, lambda v: percent(v, 0))
    chart = Chart("Calibration", (0, top), (0, top), height=462).axes(ticks, ticks, "promised: mean score", "observed: share late")
    chart.line((0, top), (0, top), "chance")
    chart.line([b["promised"] for b in bins], [b["observed"] for b in bins], "model")
    for b in bins:
        chart.dot(b["promised"], b["observed"], "model",
                  f'{b["rows"]:,} flights: promised {percent(b["promised"])}, observed {percent(b["observed"])}')
    rows = [(f'{b["from"]:.2f} to {b["to"]:.2f}', f'{b["rows"]:,}', percent(b["promised"]), percent(b["observed"]))
            for b in bins]
    return section(
        "Can a score be read as a probability?",
        f"<p>Flights in ten equal parts by score. On the dashed line, a promise of 30\u202f% comes true for three "
        f"flights in ten. The mean gap is {percent(values['calibration_error'], 2)}; Brier score "
        f"{values['brier']:.4f}, log loss {values['log_loss']:.4f}.</p>",
        '<div class="pair">', card("Promise and outcome", chart.svg()),
        card("The ten parts", table(("Score", "Flights", "Promised", "Observed"), rows, numbers=(1, 2, 3))), "</div>")


def cost_chart(result):
    xs, ys = (np.array(result["cost"][name]) for name in ("threshold", "cost"))
    xs, ys = xs[xs <= .8], ys[xs <= .8]
    top = float(np.ceil(ys.max() * 5 + .2) / 5)
    chart = Chart("Cost by threshold", (0, .8), (0, top), height=430).axes(
        steps(0, .8, .2, lambda v: f"{v:.1f}"), steps(0, top, .2, lambda v: f"{v:.1f}"),
        "threshold", "mean cost of a flight, May")
    threshold = result["threshold"]
    cost = float(np.interp(threshold, xs, ys))
    chart.upright(threshold, "mark").line(xs.tolist(), ys.tolist(), "model")
    chart.dot(threshold, cost, "warn", "the chosen threshold", 5.5)
    return chart.text(threshold, cost, f"{threshold:.2f}", "note-warn", "middle", dy=26)


def threshold_section(values, result, asked):
    counts = result["confusion"]
    kinds = (("late_warned", "fill-model", "model", "late, and we warned"),
             ("late_missed", "fill-bad", "bad", "late, and nobody was warned"),
             ("on_time_warned", "fill-warn", "warn", "warned, but on time"),
             ("on_time_passed", "fill-quiet", "quiet", "on time, and left in peace"))
    thousand = thousandths(counts)
    warned = thousand["late_warned"] + thousand["on_time_warned"]
    rows = [(f'<i class="key" style="background:var(--{colour})"></i>{text}', thousand[name], f"{counts[name]:,}")
            for name, _, colour, text in kinds]
    return section(
        "What the threshold does",
        f"<p>A late flight nobody was warned of is taken to cost {asked['cost_miss'] / asked['cost_alarm']:g} times as "
        f"much as a needless warning. On May, {values['threshold']:.2f} was cheapest. On June, of 1,000 flights, "
        f"<strong>{warned} get a warning, {thousand['late_warned']} of them rightly, and "
        f"{thousand['late_missed']} late flights go without one.</strong></p>",
        '<div class="pair">', card("Cost by threshold, on May", cost_chart(result).svg()),
        card("1,000 flights of June",
             dots([(style, thousand[name]) for name, style, _, _ in kinds])
             + table(("", "of 1,000", "in all"), rows, numbers=(1, 2))), "</div>")


def thousandths(counts):
    """Counts scaled to a thousand; what rounding down leaves goes to the largest remainders."""
    total = max(1, sum(counts.values()))
    scaled = {name: 1000 * count // total for name, count in counts.items()}
    by_remainder = sorted(counts, key=lambda name: -(1000 * counts[name] % total))
    for name in by_remainder[:1000 - sum(scaled.values())]:
        scaled[name] += 1
    return scaled


def day_chart(days):
    low = min(.5, np.floor(10 * min(min(d["model"], d["baseline"]) for d in days)) / 10)
    chart = Chart("AUC by day", (-.6, len(days) - .4), (low, 1), width=1000, height=290, bottom=28)
    step = max(1, round(len(days) / 8))
    chart.axes([(index, f"{date.fromisoformat(d['day']):%-d %b}") for index, d in enumerate(days) if index % step == 0],
               steps(low, 1, .1, lambda v: f"{v:.1f}"), "", "AUC of each day; bars: share late")
    for index, d in enumerate(days):
        chart.bar(index - .36, index + .36, low + d["late"] * (1 - low) * .5, "fill-quiet",
                  f'{day_text(d["day"])}: {d["rows"]:,} flights, {percent(d["late"])} late')
    for name in ("baseline", "model"):
        chart.line(range(len(days)), [d[name] for d in days], name)
        for index, d in enumerate(days):
            chart.dot(index, d[name], name, f'{day_text(d["day"])}: {d[name]:.3f}', 3.5)
    return chart


def stability_section(result):
    days = result["by_day"]
    worse = sum(d["model"] < d["baseline"] for d in days)
    rows = [(escape(r["name"]), f'{r["rows"]:,}', percent(r["promised"]), percent(r["observed"]),
             "" if r["auc"] is None else f'{r["auc"]:.3f}') for r in result["by_origin"]]
    return section(
        "Is it as good every day, and at every airport?",
        f"<p>The model beats the one without history on {len(days) - worse} of {len(days)} days. On the worst day "
        f"{percent(max(d['late'] for d in days), 0)} of the flights were late, on the best "
        f"{percent(min(d['late'] for d in days), 0)}; no day is left out.</p>",
        card("Day by day", day_chart(days).svg() + legend((("model", "the model"), ("baseline", "without stored features"),
             ("quiet", "share of flights late"))), wide=True),
        card("The ten largest origins", table(("Origin", "Flights", "Promised late", "Observed late", "AUC"), rows,
                                              numbers=(1, 2, 3, 4)), wide=True))


def importance_section(result, shown=15):
    top = result["importances"][:shown]
    largest = top[0]["share"] or 1
    bars = "".join(
        f'<tr><td><code>{escape(item["feature"])}</code></td><td class="bar"><div class="track">'
        f'<b style="width:{100 * item["share"] / largest:.1f}%"></b></div></td>'
        f'<td class="number">{percent(item["share"])}</td></tr>' for item in top)
    rest = sum(item["share"] for item in result["importances"][shown:])
    return section(
        "What the model looks at",
        f"<p>Each feature's share of what all splits of all trees gained in training. The {shown} largest; the other "
        f"{len(result['importances']) - len(top)} together have {percent(rest)}.</p>",
        f'<div class="card"><table><tbody>{bars}</tbody></table></div>')


def lineage_section(values, result):
    line, data = result["lineage"], result["data"]
    rows = [("Execution", escape(line["execution"]))] if line["execution"] else []
    rows += [("model.onnx", line["model.onnx"])]
    rows += [(f"{name} rows", data[name]["sha256"]) for name in data]
    rows += [(escape(name), digest) for name, digest in line["code"].items()]
    rows += [("parameters", escape(json.dumps(line["parameters"])))]
    rows += [("versions", escape(", ".join(f"{name} {text}" for name, text in line["versions"].items())))]
    return section(
        "Where it comes from",
        f"<p>Hashes are SHA-256. The ONNX file that will serve was compared with XGBoost itself on 2,000 flights: the "
        f"largest difference of a score is {values['onnx_max_abs_diff']:.1e}.</p>",
        '<div class="card">', table((), [(name, f"<code>{text}</code>") for name, text in rows]), "</div>")


def limits_section():
    return section(
        "What this does not say", '<ul class="plain">'
        "<li>The flights are of the first half of 2001. Nothing here is about another year, another season or another network.</li>"
        "<li>Landing times are reckoned from distance and delay, not recorded; cancelled flights are not in the data.</li>"
        "<li>Arrival delay is what is predicted. Weather forecasts, crews and aircraft rotations are not among the features.</li>"
        "<li>The costs behind the threshold are an assumption. Who decides otherwise should move the threshold, not the model.</li></ul>")


def render(values, result, asked):
    style = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
    body = "".join((
        head(values, result, asked), data_section(result), discrimination_section(values, result),
        calibration_section(values, result), threshold_section(values, result, asked), stability_section(result),
        importance_section(result), lineage_section(values, result), limits_section()))
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Will this flight be late?</title>'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>'
            f"<body><main>{body}</main></body></html>\n")
