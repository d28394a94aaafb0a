# SPDX-License-Identifier: Apache-2.0
"""The evaluation as one page that needs nothing beside it, for the person who must decide."""

import json
import re
from datetime import date
from html import escape
from pathlib import Path

import numpy as np

from charts import dots
from drawings import (
    calibration_chart,
    cost_chart,
    day_chart,
    day_text,
    percent,
    period_of,
    period_text,
    precision_chart,
    roc_chart,
    score_text,
)


def table(head, rows, numbers=()):
    """Cells are HTML; `numbers` says which columns are right-aligned."""

    def row(cells, tag):
        return "".join(
            f'<{tag}{" class=number" if index in numbers else ""}>{cell}</{tag}>'
            for index, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in rows)
    top = f"<thead><tr>{row(head, 'th')}</tr></thead>" if head else ""
    return f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>'


def card(title, drawing, text="", wide=False):
    note = f"<small>{text}</small>" if text else ""
    return f'<figure class="card{" wide" if wide else ""}"><h3>{title}</h3>{drawing}{note}</figure>'


def section(title, *content):
    return f"<section><h2>{title}</h2>{''.join(content)}</section>"


def legend(entries):
    items = "".join(
        f'<li><i style="background:var(--{colour})"></i>{text}</li>' for colour, text in entries
    )
    return f'<ul class="legend">{items}</ul>'


def figure(name, value, text):
    return (
        f'<div class="figure"><div class="figure-name">{name}</div>'
        f'<div class="figure-value">{value}</div><small>{text}</small></div>'
    )


def head(values, result, asked):
    test, passed = result["data"]["test"], values["auc"] >= asked["gate_auc"]
    verdict = (
        f'<div class="verdict {"good" if passed else "bad"}">'
        f'{"Passes" if passed else "Fails"} its gate: AUC {values["auc"]:.3f}, '
        f'at least {asked["gate_auc"]:.3f} asked</div>'
    )
    return (
        '<p class="eyebrow">Evaluation of the model flight_delay</p>'
        "<h1>Will this flight be late?</h1>"
        f'<p class="lead">On {test["rows"]:,} flights from {day_text(test["from"])} to '
        f'{day_text(test["to"])}, none of '
        'which it had seen, the model puts a late flight before a punctual one '
        f'{percent(values["auc"])} '
        "of the time. A model that knows only the hour, the weekday and the distance manages "
        f'{percent(values["auc_baseline"])}. Late means more than 15 minutes after schedule.</p>'
        + verdict
        + '<div class="figures">'
        + figure(
            "AUC",
            f'{values["auc"]:.3f}',
            f'± {1.96 * values["auc_error"]:.3f}; without history {values["auc_baseline"]:.3f}',
        )
        + figure(
            "Average precision",
            f'{values["average_precision"]:.3f}',
            f'without history {values["average_precision_baseline"]:.3f}; by chance '
            f'{test["late"]:.3f}',
        )
        + figure(
            "Calibration error",
            percent(values["calibration_error"], 2),
            "mean gap between promise and outcome",
        )
        + figure(
            "Threshold",
            score_text(values["threshold"]),
            f'warns of {percent(values["alert_rate"])} of all flights',
        )
        + "</div>"
    )


def feature_groups(names):
    """The windows of each entity in one line; whatever has no window belongs to the request."""
    groups = {}
    for name in names:
        window = re.fullmatch(r"([a-z]+)_(.+)_(\d+[a-z]+)", name)
        entity, what, length = window.groups() if window else ("the request", name, None)
        measures, lengths = groups.setdefault(entity, ({}, {}))
        measures[what.replace("_", " ")] = True
        lengths[length] = True
    return [
        (
            entity,
            len(measures) * len(lengths),
            ", ".join(measures),
            ", ".join(filter(None, lengths)),
        )
        for entity, (measures, lengths) in groups.items()
    ]


def data_section(result):
    parts = (("train", "To learn from"), ("valid", "To set the threshold"), ("test", "To judge by"))
    total = sum(np.sqrt(result["data"][name]["rows"]) for name, _ in parts)
    bands = "".join(
        f'<div class="{name}" style="flex:{np.sqrt(part["rows"]) / total:.3f}">'
        f"<strong>{title}</strong>"
        f'{part["rows"]:,} flights<br>{percent(part["late"])} of them late<br>'
        f'<span>{date.fromisoformat(part["from"]):%-d %b} to '
        f'{date.fromisoformat(part["to"]):%-d %b %Y}</span></div>'
        for name, title in parts
        for part in [result["data"][name]]
    )
    features = result["features"]
    groups = [
        (escape(entity), count, escape(what), escape(windows) or "none: as asked")
        for entity, count, what, windows in feature_groups(features)
    ]
    return section(
        "What was asked, of which data",
        "<p>For each flight, at the minute it was to leave: will it land more than 15 minutes "
        "late? "
        f"The model sees {len(features)} features, each with the value that was known at that "
        "minute. "
        "A flight enters a window when it lands, not when it leaves, so no feature looks ahead. "
        "The "
        "parts follow each other in time, since flights of one evening share their weather.</p>",
        f'<div class="timeline">{bands}</div>',
        table(("Features of", "Count", "What", "Windows before departure"), groups, numbers=(1,)),
    )


def discrimination_section(values, result):
    key = legend(
        (
            ("model", f'the model, AUC {values["auc"]:.3f}'),
            ("baseline", f'without stored features, AUC {values["auc_baseline"]:.3f}'),
        )
    )
    return section(
        "Does it tell late flights from punctual ones?",
        "<p>Both curves are drawn over all thresholds. The further the blue one rises above the "
        "grey one, "
        "the more the stored history of airports and routes is worth.</p>",
        key,
        '<div class="pair">',
        card("Ranking (ROC)", roc_chart(result).svg()),
        card("Precision and recall", precision_chart(result).svg()),
        "</div>",
    )


def calibration_section(values, result):
    bins = result["calibration"]
    rows = [
        (
            f'{score_text(b["from"])} to {score_text(b["to"])}',
            f'{b["rows"]:,}',
            percent(b["promised"]),
            percent(b["observed"]),
        )
        for b in bins
    ]
    return section(
        "Can a score be read as a probability?",
        "<p>Flights in ten equal parts by score. On the dashed line, a promise of 30\u202f% "
        "comes true for three "
        f"flights in ten. The mean gap is {percent(values['calibration_error'], 2)}; Brier score "
        f"{values['brier']:.4f}, log loss {values['log_loss']:.4f}.</p>",
        '<div class="pair">',
        card("Promise and outcome", calibration_chart(bins).svg()),
        card(
            "The ten parts",
            table(("Score", "Flights", "Promised", "Observed"), rows, numbers=(1, 2, 3)),
        ),
        "</div>",
    )


def threshold_section(values, result, asked):
    counts = result["confusion"]
    valid, test = (period_of(result["data"][name]) for name in ("valid", "test"))
    kinds = (
        ("late_warned", "fill-model", "model", "late, and we warned"),
        ("late_missed", "fill-bad", "bad", "late, and nobody was warned"),
        ("on_time_warned", "fill-warn", "warn", "warned, but on time"),
        ("on_time_passed", "fill-quiet", "quiet", "on time, and left in peace"),
    )
    thousand = thousandths(counts)
    warned = thousand["late_warned"] + thousand["on_time_warned"]
    rows = [
        (
            f'<i class="key" style="background:var(--{colour})"></i>{text}',
            thousand[name],
            f"{counts[name]:,}",
        )
        for name, _, colour, text in kinds
    ]
    return section(
        "What the threshold does",
        "<p>A late flight nobody was warned of is taken to cost "
        f"{asked['cost_miss'] / asked['cost_alarm']:g} times as "
        f"much as a needless warning. By the flights of {valid}, "
        f"{score_text(values['threshold'])} is the cheapest. Of 1,000 flights of {test}, "
        f"<strong>{warned} get a warning, {thousand['late_warned']} of them rightly, and "
        f"{thousand['late_missed']} late flights go without one.</strong></p>",
        '<div class="pair">',
        card(f"Cost by threshold, {valid}", cost_chart(result).svg()),
        card(
            f"1,000 flights, {test}",
            dots([(style, thousand[name]) for name, style, _, _ in kinds])
            + table(("", "of 1,000", "in all"), rows, numbers=(1, 2)),
        ),
        "</div>",
    )


def thousandths(counts):
    """Counts scaled to a thousand; what rounding down leaves goes to the largest remainders."""
    total = max(1, sum(counts.values()))
    scaled = {name: 1000 * count // total for name, count in counts.items()}
    by_remainder = sorted(counts, key=lambda name: -(1000 * counts[name] % total))
    for name in by_remainder[: 1000 - sum(scaled.values())]:
        scaled[name] += 1
    return scaled


def stability_section(result):
    days = result["by_day"]
    worse = sum(d["model"] < d["baseline"] for d in days)
    rows = [
        (
            escape(r["name"]),
            f'{r["rows"]:,}',
            percent(r["promised"]),
            percent(r["observed"]),
            "" if r["auc"] is None else f'{r["auc"]:.3f}',
        )
        for r in result["by_origin"]
    ]
    return section(
        "Is it as good every day, and at every airport?",
        f"<p>The model beats the one without history on {len(days) - worse} of {len(days)} days. "
        "On the worst day "
        f"{percent(max(d['late'] for d in days), 0)} of the flights were late, on the best "
        f"{percent(min(d['late'] for d in days), 0)}.</p>",
        card(
            "Day by day",
            day_chart(days).svg()
            + legend(
                (
                    ("model", "the model"),
                    ("baseline", "without stored features"),
                    ("quiet", "share of flights late"),
                )
            ),
            wide=True,
        ),
        card(
            "The ten largest origins",
            table(
                ("Origin", "Flights", "Promised late", "Observed late", "AUC"),
                rows,
                numbers=(1, 2, 3, 4),
            ),
            wide=True,
        ),
    )


def importance_section(result, shown=15):
    top = result["importances"][:shown]
    largest = top[0]["share"] or 1
    bars = "".join(
        f'<tr><td><code>{escape(item["feature"])}</code></td><td class="bar"><div class="track">'
        f'<b style="width:{100 * item["share"] / largest:.1f}%"></b></div></td>'
        f'<td class="number">{percent(item["share"])}</td></tr>'
        for item in top
    )
    rest = sum(item["share"] for item in result["importances"][shown:])
    return section(
        "What the model looks at",
        "<p>Each feature's share of what all splits of all trees gained in training. The "
        f"{shown} largest; the other "
        f"{len(result['importances']) - len(top)} together have {percent(rest)}.</p>",
        f'<div class="card"><table><tbody>{bars}</tbody></table></div>',
    )


def lineage_section(values, result):
    line, data = result["lineage"], result["data"]
    rows = [("Execution", escape(line["execution"]))] if line["execution"] else []
    rows += [("model.onnx", line["model.onnx"])]
    rows += [(f"{name} rows", data[name]["sha256"]) for name in data]
    rows += [(escape(name), digest) for name, digest in line["code"].items()]
    rows += [("parameters", escape(json.dumps(line["parameters"])))]
    rows += [
        ("versions", escape(", ".join(f"{name} {text}" for name, text in line["versions"].items())))
    ]
    return section(
        "Where it comes from",
        "<p>Hashes are SHA-256. The ONNX file that will serve was compared with XGBoost itself "
        "on 2,000 flights: the "
        f"largest difference of a score is {values['onnx_max_abs_diff']:.1e}.</p>",
        '<div class="card">',
        table((), [(name, f"<code>{text}</code>") for name, text in rows]),
        "</div>",
    )


def limits_section(data):
    whole = period_text(data["train"]["from"], data["test"]["to"])
    return section(
        "What this does not say",
        '<ul class="plain">'
        f"<li>The flights are of {whole}. Nothing here is about another year, "
        "another season or another network.</li>"
        "<li>Landing times are reckoned from distance and delay, not recorded; cancelled flights "
        "are not in the data.</li>"
        "<li>Arrival delay is what is predicted. Weather forecasts, crews and aircraft rotations "
        "are not among the features.</li>"
        "<li>The costs behind the threshold are an assumption. Who decides otherwise should move "
        "the threshold, not the model.</li></ul>",
    )


def render(values, result, asked):
    style = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
    body = "".join(
        (
            head(values, result, asked),
            data_section(result),
            discrimination_section(values, result),
            calibration_section(values, result),
            threshold_section(values, result, asked),
            stability_section(result),
            importance_section(result),
            lineage_section(values, result),
            limits_section(result["data"]),
        )
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Will this flight be '
        'late?</title>'
        '<meta name="viewport" content="width=device-width, '
        f'initial-scale=1"><style>{style}</style></head>'
        f"<body><main>{body}</main></body></html>\n"
    )
