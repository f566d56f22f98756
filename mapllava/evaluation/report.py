"""A score as metric names for the framework, and as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table


def metric_values(score: Mapping[str, Any]) -> dict[str, float]:
    """Flat names for a score: ``mAP``, ``AP_<class>`` and ``AP_<class>@<threshold>``.

    Args:
        score: What :func:`chamfer_average_precision` returns.

    Returns:
        Name to value in [0, 1].
    """
    values = {"mAP": score["mAP"]}
    for index, name in enumerate(score["class_names"]):
        values[f"AP_{name}"] = float(np.mean(score["ap"][:, index]))
    for row, threshold in zip(score["ap"], score["thresholds"], strict=True):
        for name, value in zip(score["class_names"], row, strict=True):
            values[f"AP_{name}@{threshold:g}"] = float(value)
    return values


def score_table(
    score: Mapping[str, Any],
    split: str,
    what: str = "Chamfer AP",
    interval: Mapping[str, np.ndarray] | None = None,
) -> str:
    """The score as a text table, in percent, titled with split and protocol.

    A class that has no ground truth counts 0 in the mean and is marked as such.

    Args:
        score: What :func:`chamfer_average_precision` returns.
        split: Name of the split the samples come from.
        what: First words of the title.
        interval: 95 % intervals, as :meth:`Evaluation.interval` gives them; None leaves them out.

    Returns:
        Several lines of text, the first of them the title.
    """
    thresholds = [f"{t:g} m" for t in score["thresholds"]]
    headings = ["class", "GT", "predicted", *(f"AP@{t}" for t in thresholds), "AP"]
    rows = []
    for index, name in enumerate(score["class_names"]):
        ap, num_gt = score["ap"][:, index], int(score["num_gt"][index])
        label = name if num_gt else f"{name} (no ground truth: counts 0)"
        cells = [f"{100 * v:.1f}" for v in (*ap, ap.mean())]
        rows.append([label, f"{num_gt}", f"{int(score['num_pred'][index])}", *cells])
    means = [f"{100 * v:.1f}" for v in (*score["ap"].mean(axis=1), score["mAP"])]
    total_gt, total_pred = int(sum(score["num_gt"])), int(sum(score["num_pred"]))
    last = ["mAP", f"{total_gt}", f"{total_pred}", *means]
    if interval is not None:
        headings.append("95 % interval")
        for row, ends in zip([*rows, last], [*interval["classes"].T, interval["mAP"]], strict=True):
            row.append(f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}")
    title = (
        f"{what} in %: split {split}, protocol {score['protocol']} ({', '.join(thresholds)}), "
        f"{score['num_samples']} samples, {total_gt} ground-truth lines"
    )
    return f"{title}\n{text_table(headings, rows, last)}"


def text_table(headings: Sequence[str], rows: Sequence[Sequence[str]], last: Sequence[str] = ()) -> str:
    """A table as text, its first column to the left and the others to the right.

    Args:
        headings: Of the columns.
        rows: Cells.
        last: A row below a line; empty for none.
    """
    table = Table()
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    if last:
        table.add_section()
        table.add_row(*last)
    console = Console(file=StringIO(), width=160, color_system=None)
    with console.capture() as text:
        console.print(table)
    return text.get().rstrip()
