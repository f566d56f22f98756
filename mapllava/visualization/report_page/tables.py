"""The page's tables, as captions, headings and cells of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mapllava.evaluation.scoring import Comparison, Evaluation
from mapllava.visualization.report_page.runs import Run


@dataclass
class PageTable:
    """A table: its first column names the row, the others are numbers.

    Args:
        caption: What the numbers are.
        headings: Of the columns.
        rows: Cells.
        last: A row below a line; empty for none.
    """

    caption: str
    headings: list[str]
    rows: list[list[str]]
    last: list[str] = field(default_factory=list)


def percent(value: float, digits: int = 1) -> str:
    """A share as percent without its sign, a dash for nan."""
    return "–" if np.isnan(value) else f"{100 * value:.{digits}f}"


def interval_text(ends: Sequence[float] | np.ndarray, signed: bool = False) -> str:
    """``48.1 to 57.9``, of two shares (2,) in percent."""
    form = "+.2f" if signed else ".1f"
    return f"{100 * ends[0]:{form}} to {100 * ends[1]:{form}}"


def score_rows(evaluation: Evaluation, caption: str) -> PageTable:
    """AP of every class and threshold with the intervals, the very numbers of ``mapllava eval``."""
    score, interval = evaluation.score, evaluation.interval()
    headings = ["class", "true lines", "predicted", *(f"AP at {t:g} m" for t in score["thresholds"]), "AP"]
    rows = []
    for index, name in enumerate(score["class_names"]):
        ap, num_gt = score["ap"][:, index], int(score["num_gt"][index])
        label = name if num_gt else f"{name} (no ground truth: counts 0)"
        rows.append([label, f"{num_gt}", f"{int(score['num_pred'][index])}"])
        rows[-1] += [percent(v) for v in (*ap, ap.mean())]
    means = (*score["ap"].mean(axis=1), score["mAP"])
    last = ["mAP", f"{sum(score['num_gt'])}", f"{sum(score['num_pred'])}", *(percent(v) for v in means)]
    if interval is not None:
        headings.append("95 % interval")
        for row, ends in zip([*rows, last], [*interval["classes"].T, interval["mAP"]], strict=True):
            row.append(interval_text(ends))
    return PageTable(caption, headings, rows, last)


def difference_rows(comparison: Comparison, letters: Sequence[str]) -> PageTable:
    """AP of the second less the first, in points of percent, with the paired intervals."""
    score, ap = comparison.second.score, comparison.ap
    headings = ["class", *(f"AP at {t:g} m" for t in score["thresholds"]), "AP"]
    rows = [
        [name, *(f"{100 * v:+.2f}" for v in (*column, column.mean()))]
        for name, column in zip(score["class_names"], ap.T, strict=True)
    ]
    last = ["mAP", *(f"{100 * v:+.2f}" for v in (*ap.mean(axis=1), ap.mean()))]
    if comparison.interval is not None:
        headings.append("95 % interval")
        ends = [*comparison.interval["classes"].T, comparison.interval["mAP"]]
        for row, pair in zip([*rows, last], ends, strict=True):
            row.append(interval_text(pair, signed=True))
    return PageTable(
        f"{letters[1]} minus {letters[0]}, points of AP, on the same samples", headings, rows, last
    )


def rate_rows(run: Run, key: str, row: int, first: str, caption: str) -> PageTable:
    """One breakdown at one threshold."""
    found = run.breakdowns[key]
    unit = "" if found.unit == "lines" else f", {found.unit}"
    headings = [first, f"true{unit}", f"drawn{unit}", "found %", "right %", "error m"]
    rates = found.rates
    rows = [
        [
            name,
            f"{rates['num_gt'][k]:.0f}",
            f"{rates['num_pred'][k]:.0f}",
            percent(rates["recall"][row, k]),
            percent(rates["precision"][row, k]),
            _metres(rates["error"][row, k]),
        ]
        for k, name in enumerate(found.names)
    ]
    return PageTable(caption, headings, rows)


def cut_text(run: Run, classes: Sequence[str]) -> str:
    """From which scores on lines are drawn: ``divider 0.41, boundary never``."""
    return ", ".join(
        f"{name} {'never' if np.isnan(cut) else f'{cut:.2f}'}"
        for name, cut in zip(classes, run.min_scores, strict=True)
    )


def summary(run: Run, row: int) -> dict[str, Any]:
    """The few numbers that stand on top, as text: found, right, error at one threshold."""
    rates = run.breakdowns["all"].rates
    return {
        "found": percent(rates["recall"][row, 0], 0),
        "right": percent(rates["precision"][row, 0], 0),
        "error": _metres(rates["error"][row, 0]),
    }


def _metres(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"
