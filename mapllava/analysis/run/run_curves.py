"""Curves of one run or of several in one picture (Matplotlib)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.analysis.run.run_record import Curve, RunRecord
from mapllava.errors import MapLLaVAError
from mapllava.visualization.charts import open_chart, place_legend, set_top
from mapllava.visualization.style import INK, MUTED

_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
_SMOOTH = 25  # a smoothed point is a mean over a 25th of the curve
_LETTERS = 150  # that fit the legend's width
_PLACES = ((0, 9), (0, -17), (22, -4), (-22, -4))  # points from a mark to its number, so that runs differ
_RAW = 0.22  # opacity of what lies below a smoothed curve


def draw_runs(runs: Sequence[RunRecord], path: str | Path, log_loss: bool = True) -> Path:
    """Draw losses, scores, gradient norms and learning rates.

    One run is coloured by term and group; several are coloured by run, dashed by group, and show
    the total loss only. Thin lines are the logged values, thick ones their running mean.

    Args:
        runs: One or more.
        path: The PNG file, 1680 x 1116 pixels.
        log_loss: Logarithmic axis of the loss.

    Returns:
        The path.

    Raises:
        MapLLaVAError: If there is no run, the file cannot be written.
    """
    if not runs:
        raise MapLLaVAError("no run to draw: give at least one run folder")
    title = runs[0].name if len(runs) == 1 else f"{len(runs)} runs"
    with open_chart(path, title, _subtitle(runs), (1680, 1116), (2, 2)) as (figure, axes):
        _draw_losses(axes[0, 0], runs, log_loss)
        _draw_scores(axes[0, 1], runs)
        _draw_groups(axes[1, 0], [run.norms for run in runs], "Gradient norm before clipping", smooth=True)
        _draw_groups(axes[1, 1], [run.rates for run in runs], "Learning rate", smooth=False)
        if len(runs) > 1:
            _name_runs(figure, runs)
    return Path(path)


def protocol_line(run: RunRecord) -> str:
    """Split, protocol and weights of a run's score."""
    weights = {True: ", averaged weights (EMA)", False: ", raw weights", None: ""}[run.averaged]
    if len(run.scores) > 1:
        weights += "; raw/ of the weights in training"
    return f"split {run.split or 'unknown'}, protocol {run.protocol or 'unknown'}{weights}"


def _subtitle(runs: Sequence[RunRecord]) -> str:
    lines = list(dict.fromkeys(protocol_line(run) for run in runs))
    return (
        f"mAP on {lines[0]}"
        if len(lines) == 1
        else "mAP of different splits, protocols or weights: see below"
    )


def _name_runs(figure: Any, runs: Sequence[RunRecord]) -> None:
    """One legend of all runs between the titles and the axes."""
    from matplotlib.lines import Line2D

    different = len(set(map(protocol_line, runs))) > 1
    labels = [f"{run.name} ({protocol_line(run)})" if different else run.name for run in runs]
    columns = max(1, min(len(runs), _LETTERS // (max(map(len, labels)) + 6)))
    handles = [Line2D([], [], color=f"C{index}", lw=3) for index in range(len(runs))]
    figure.legend(
        handles, labels, ncols=columns, loc="upper left", bbox_to_anchor=(0.018, 0.928), fontsize=10
    )
    set_top(figure, 0.92 - 0.021 * math.ceil(len(runs) / columns))


def _draw_losses(axis: Any, runs: Sequence[RunRecord], log: bool) -> None:
    axis.set(title="Loss", xlabel="step")
    if len(runs) == 1:
        curves = runs[0].losses
        names = [name for name in curves if "." not in name]
        for index, name in enumerate(sorted(names, key=lambda name: name != "loss")):
            color = INK if name == "loss" else f"C{index - 1}"
            label = "total" if name == "loss" else name.removeprefix("loss_")
            _plot(axis, curves[name], label, color, smooth=True)
    else:
        for index, run in enumerate(runs):
            if "loss" in run.losses:
                _plot(axis, run.losses["loss"], "", f"C{index}", smooth=True)
    if log and _positive(axis):
        axis.set_yscale("log")
    _finish(axis, "no loss was logged")


def _draw_scores(axis: Any, runs: Sequence[RunRecord]) -> None:
    axis.set(title="mAP in percent", xlabel="epoch")
    names = list(dict.fromkeys(name for run in runs for name in run.scores))
    for index, run in enumerate(runs):
        for name, curve in run.scores.items():
            number = names.index(name)
            color = f"C{index if len(runs) > 1 else number}"
            percent = Curve(curve.x, [100 * value for value in curve.y])
            dash = _DASHES[number % len(_DASHES)]
            label = name if len(runs) == 1 else ""
            axis.plot(percent.x, percent.y, color=color, linestyle=dash, marker="o", label=label)
            _mark_best(axis, percent, color, _PLACES[(index + number) % len(_PLACES)])
    if len(runs) > 1:
        _name_dashes(axis, names)
    if axis.get_lines():
        axis.set_xlim(0.5, max(max(curve.x) for run in runs for curve in run.scores.values()) + 0.5)
        axis.margins(y=0.16)
        axis.xaxis.get_major_locator().set_params(integer=True)
    _finish(axis, "no validation yet")


def _name_dashes(axis: Any, names: Sequence[str]) -> None:
    """In a comparison colours are runs, and dashes what lies within each."""
    if len(names) > 1:
        for number, name in enumerate(names):
            axis.plot([], [], color=MUTED, linestyle=_DASHES[number % len(_DASHES)], label=name)


def _mark_best(axis: Any, curve: Curve, color: str, place: tuple[int, int]) -> None:
    x, y = curve.best(lowest=False)
    if np.isfinite(y):
        axis.annotate(
            f"{y:.1f}", (x, y), place, textcoords="offset points", ha="center", color=color, weight="bold"
        )


def _draw_groups(axis: Any, groups: Sequence[Mapping[str, Curve]], title: str, smooth: bool) -> None:
    axis.set(title=title, xlabel="step")
    names = list(dict.fromkeys(name for curves in groups for name in curves))
    one = len(groups) == 1
    for index, curves in enumerate(groups):
        for name, curve in curves.items():
            number = names.index(name)
            color = INK if one and name == "all" else f"C{number if one else index}"
            dash = "-" if one else _DASHES[number % len(_DASHES)]
            _plot(axis, curve, name if one else "", color, smooth, dash)
    if not one:
        _name_dashes(axis, names)
    if _positive(axis):
        axis.set_yscale("log")
    _finish(axis, "not logged")


def _plot(axis: Any, curve: Curve, label: str, color: str, smooth: bool, dash: Any = "-") -> None:
    if smooth and len(curve.y) > 2 * _SMOOTH:
        axis.plot(curve.x, curve.y, color=color, lw=0.8, alpha=_RAW)
    y = running_mean(curve.y) if smooth else curve.y
    marker = "o" if len(curve.x) == 1 else ""  # a single point is no line
    axis.plot(curve.x, y, color=color, linestyle=dash, marker=marker, label=label)


def running_mean(values: Sequence[float]) -> np.ndarray:
    """Mean over a window centred at each value, shorter at the ends; short curves come back as they are.

    Args:
        values: ``(n,)``.

    Returns:
        ``(n,)``.
    """
    array = np.asarray(values, dtype=np.float64)
    half = len(array) // _SMOOTH // 2
    if half == 0:
        return array
    padded = np.concatenate([[0.0], np.cumsum(array)])
    index = np.arange(len(array))
    reach = np.minimum(np.minimum(half, index), len(array) - 1 - index)  # symmetric, so that ends do not bend
    return (padded[index + reach + 1] - padded[index - reach]) / (2 * reach + 1)


def _positive(axis: Any) -> bool:
    values = [np.asarray(line.get_ydata(), dtype=np.float64) for line in axis.get_lines()]
    return bool(values) and all((value[np.isfinite(value)] > 0).all() for value in values)


def _finish(axis: Any, nothing: str) -> None:
    if not axis.get_lines():
        axis.text(0.5, 0.5, nothing, transform=axis.transAxes, ha="center", color=MUTED)
        axis.set_xticks([])
        axis.set_yticks([])
        return
    place_legend(axis)
