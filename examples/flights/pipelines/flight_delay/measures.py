# SPDX-License-Identifier: Apache-2.0
"""What the scores are worth: pure functions from labels and scores to numbers."""

import math

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)


def discrimination(label, score):
    return {
        "auc": float(roc_auc_score(label, score)),
        "average_precision": float(average_precision_score(label, score)),
    }


def probability_error(label, score):
    return {
        "brier": float(brier_score_loss(label, score)),
        "log_loss": float(log_loss(label, score)),
    }


def auc_error(auc, positives, negatives):
    """Standard error of an AUC (Hanley and McNeil 1982)."""
    q1, q2 = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    variance = (
        auc * (1 - auc) + (positives - 1) * (q1 - auc * auc) + (negatives - 1) * (q2 - auc * auc)
    ) / (positives * negatives)
    return float(np.sqrt(variance))


def thinned(x, y, points):
    """As many points as a drawing can show, evenly spread along x, both ends kept."""
    grid = np.linspace(0, 1, points)
    index = np.unique(np.searchsorted(x, grid).clip(0, len(x) - 1))
    index = np.union1d(index, [0, len(x) - 1])
    return x[index].tolist(), y[index].tolist()


def roc(label, score, points=200):
    false_rate, true_rate, _ = roc_curve(label, score)
    x, y = thinned(false_rate, true_rate, points)
    return {"false_positive_rate": x, "true_positive_rate": y}


def precision_recall(label, score, points=200):
    precision, recall, _ = precision_recall_curve(label, score)
    # The first few flights give a precision of 0 or 1 by chance; drawn, they would only be noise.
    shown = slice(0, np.searchsorted(-recall, -0.005))
    x, y = thinned(recall[shown][::-1], precision[shown][::-1], points)
    return {"recall": x, "precision": y}


def calibration(label, score, bins=10):
    """Flights in ten equal parts by score: what was promised, and what came."""
    parts = np.array_split(np.argsort(score, kind="stable"), bins)
    table = [
        {
            "rows": len(part),
            "from": float(score[part].min()),
            "to": float(score[part].max()),
            "promised": float(score[part].mean()),
            "observed": float(label[part].mean()),
        }
        for part in parts
        if len(part)
    ]
    gap = sum(row["rows"] * abs(row["promised"] - row["observed"]) for row in table) / len(label)
    return table, float(gap)


def cost_curve(label, score, cost_miss, cost_alarm, points=400):
    """Mean cost of a flight at each threshold; a warning goes out when score >= threshold."""
    thresholds = np.unique(np.quantile(score, np.linspace(0, 1, points)))
    ordered = np.sort(score), np.sort(score[label == 1])
    warned, hits = (len(part) - np.searchsorted(part, thresholds, "left") for part in ordered)
    misses = len(ordered[1]) - hits
    cost = (misses * cost_miss + (warned - hits) * cost_alarm) / len(score)
    return thresholds, cost


def score_digits(score):
    """Decimals for two digits that count, from the nearer end of 0 to 1: 0.25, 0.0013, 0.9987."""
    near = min(score, 1 - score)
    return max(2, 1 - math.floor(math.log10(near))) if near > 0 else 2


def choose_threshold(label, score, cost_miss, cost_alarm):
    thresholds, cost = cost_curve(label, score, cost_miss, cost_alarm)
    cheapest = float(thresholds[np.argmin(cost)])
    # So few digits are what a person can read aloud, write into a rule and defend.
    best = round(cheapest, score_digits(cheapest))
    return best, {"threshold": thresholds.tolist(), "cost": cost.tolist()}


def confusion(label, score, threshold):
    warned, late = score >= threshold, label == 1
    return {
        "late_warned": int((warned & late).sum()),
        "late_missed": int((~warned & late).sum()),
        "on_time_warned": int((warned & ~late).sum()),
        "on_time_passed": int((~warned & ~late).sum()),
    }


def rates(table):
    """Precision, recall and what follows from the four cells of a confusion table."""
    hits, misses, alarms = table["late_warned"], table["late_missed"], table["on_time_warned"]
    return {
        "precision": hits / max(1, hits + alarms),
        "recall": hits / max(1, hits + misses),
        "f1": 2 * hits / max(1, 2 * hits + misses + alarms),
        "alert_rate": (hits + alarms) / max(1, sum(table.values())),
    }


def by_day(date, label, scores):
    """AUC of each model on each day that has both kinds of flight."""
    days = date.astype("datetime64[D]")
    rows = []
    for day in np.unique(days):
        here = days == day
        if 0 < label[here].sum() < here.sum():
            row = {"day": str(day), "rows": int(here.sum()), "late": float(label[here].mean())}
            row |= {
                name: float(roc_auc_score(label[here], score[here]))
                for name, score in scores.items()
            }
            rows.append(row)
    return rows


def by_group(group, label, score, most=10):
    """The largest groups: does the model do as well for each of them?"""
    names, counts = np.unique(group, return_counts=True)
    rows = []
    for name in names[np.argsort(-counts, kind="stable")][:most]:
        here = group == name
        both = 0 < label[here].sum() < here.sum()
        rows.append(
            {
                "name": str(name),
                "rows": int(here.sum()),
                "promised": float(score[here].mean()),
                "observed": float(label[here].mean()),
                "auc": float(roc_auc_score(label[here], score[here])) if both else None,
            }
        )
    return rows


def importances(booster, names):
    """Share of the total gain, largest first; XGBoost calls the n-th feature f<n>."""
    gain = booster.get_score(importance_type="total_gain")
    total = sum(gain.values()) or 1.0
    shares = {name: gain.get(f"f{index}", 0.0) / total for index, name in enumerate(names)}
    return [
        {"feature": name, "share": share}
        for name, share in sorted(shares.items(), key=lambda item: -item[1])
    ]
