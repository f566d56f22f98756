"""A score as metric names for the framework, and as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
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


def score_table(score: Mapping[str, Any], split: str, what: str = "Chamfer AP") -> str:
    """The score as a text table, in percent, titled with split and protocol.

    A class that has no ground truth counts 0 in the mean and is marked as such.

    Args:
        score: What :func:`chamfer_average_precision` returns.
        split: Name of the split the samples come from.
        what: First words of the title.

    Returns:
        Several lines of text, the first of them the title.
    """
    thresholds = [f"{t:g} m" for t in score["thresholds"]]
    table = Table()
    for index, heading in enumerate(["class", "GT", "predicted", *(f"AP@{t}" for t in thresholds), "AP"]):
        table.add_column(heading, justify="left" if index == 0 else "right")
    for index, name in enumerate(score["class_names"]):
        ap, num_gt = score["ap"][:, index], int(score["num_gt"][index])
        label = name if num_gt else f"{name} (no ground truth: counts 0)"
        cells = [f"{100 * v:.1f}" for v in (*ap, ap.mean())]
        table.add_row(label, f"{num_gt}", f"{int(score['num_pred'][index])}", *cells)
    table.add_section()
    means = [f"{100 * v:.1f}" for v in (*score["ap"].mean(axis=1), score["mAP"])]
    total_gt, total_pred = int(sum(score["num_gt"])), int(sum(score["num_pred"]))
    table.add_row("mAP", f"{total_gt}", f"{total_pred}", *means)
    title = (
        f"{what} in %: split {split}, protocol {score['protocol']} ({', '.join(thresholds)}), "
        f"{score['num_samples']} samples, {total_gt} ground-truth lines"
    )
    console = Console(file=StringIO(), width=160, color_system=None)
    with console.capture() as text:
        console.print(table)
    return f"{title}\n{text.get().rstrip()}"
