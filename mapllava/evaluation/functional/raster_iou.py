"""Intersection over union of drawn maps, the score of raster methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mapllava.structures.frames import ROI

_PIECE = 1.0
"""Metres into which segments are cut before they are drawn, so that each touches few cells."""


def draw_lines(lines: Sequence[np.ndarray], roi: ROI, width: float, cell: float) -> np.ndarray:
    """Draw lines on a grid over the region: a cell is set if its centre lies within ``width / 2``.

    Args:
        lines: Lines ``(n, 2)``, metres.
        roi: The region; its lower corner is the first cell's corner.
        width: Width of a drawn line, metres.
        cell: Size of a cell, metres.

    Returns:
        ``(Y, X)`` bool, y and x ascending.
    """
    shape = (round(roi.height / cell), round(roi.width / cell))
    mask = np.zeros(shape, dtype=bool)
    start, end = _pieces(lines)
    radius = width / 2
    origin = np.array([roi.x_min, roi.y_min])
    first = np.floor((np.minimum(start, end) - radius - origin) / cell - 0.5).astype(int)
    span = np.arange(int(np.ceil((_PIECE + width) / cell)) + 2)
    x, y = first[:, 0, None] + span, first[:, 1, None] + span
    px = (x + 0.5) * cell + origin[0] - start[:, 0, None]
    py = (y + 0.5) * cell + origin[1] - start[:, 1, None]
    edge = end - start
    square = np.maximum((edge**2).sum(axis=1), np.finfo(float).tiny)[:, None, None]
    ex, ey = edge[:, 0, None, None], edge[:, 1, None, None]
    px, py = px[:, None, :], py[:, :, None]
    along = np.clip((px * ex + py * ey) / square, 0.0, 1.0)
    near = (px - along * ex) ** 2 + (py - along * ey) ** 2 <= radius**2
    near &= ((x >= 0) & (x < shape[1]))[:, None, :] & ((y >= 0) & (y < shape[0]))[:, :, None]
    piece, row, column = np.nonzero(near)
    mask[y[piece, row], x[piece, column]] = True
    return mask


def _pieces(lines: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The lines' segments cut into pieces of a metre at most: starts and ends (S, 2)."""
    starts = [line[:-1] for line in lines if len(line) > 1]
    if not starts:
        return np.zeros((0, 2)), np.zeros((0, 2))
    start = np.concatenate(starts)
    edge = np.concatenate([np.diff(line, axis=0) for line in lines if len(line) > 1])
    count = np.maximum(np.ceil(np.hypot(*edge.T) / _PIECE), 1).astype(int)
    rank = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    step = np.repeat(edge / count[:, None], count, axis=0)
    first = np.repeat(start, count, axis=0) + step * rank[:, None]
    return first, first + step


def raster_iou(
    predictions: Iterable[Mapping[str, Any]],
    ground_truth: Iterable[Mapping[str, Any]],
    class_names: Sequence[str],
    roi: ROI,
    min_scores: Sequence[float],
    width: float = 0.75,
    cell: float = 0.15,
) -> dict[str, Any]:
    """IoU per class of lines drawn on a grid, cells counted over all samples.

    Args:
        predictions: Per sample ``points``, ``labels`` and ``scores``, as the AP takes them.
        ground_truth: Per sample ``points`` and ``labels``, the same samples in the same order.
        class_names: C names.
        roi: The region of interest, metres.
        min_scores: (C,) a prediction is drawn if its score is at least its class's; nan draws none.
        width: Width of a drawn line, metres.
        cell: Size of a cell, metres.

    Returns:
        ``iou`` (C,), nan where nothing is drawn on either side; ``intersection`` and ``union``
        (C,) in cells; ``mean`` over the classes that have one; ``width``, ``cell`` and ``min_scores``.

    Raises:
        ValueError: If width or cell is not positive, or the lists differ in length.

    Source: Li et al., "HDMapNet", ICRA 2022, whose lines are about 0.75 m wide on a 0.15 m grid.
    """
    if not (width > 0 and cell > 0):
        raise ValueError(f"line width {width} and cell {cell} must be positive metres")
    both, either = (np.zeros(len(class_names), dtype=np.int64) for _ in range(2))
    for pred, truth in zip(predictions, ground_truth, strict=True):
        kept = np.asarray(pred["scores"]).reshape(-1) >= np.take(min_scores, np.asarray(pred["labels"], int))
        for label in range(len(class_names)):
            drawn = draw_lines(_of_class(pred, label, kept), roi, width, cell)
            wanted = draw_lines(_of_class(truth, label), roi, width, cell)
            both[label] += np.count_nonzero(drawn & wanted)
            either[label] += np.count_nonzero(drawn | wanted)
    iou = both / np.where(either, either, np.nan)
    mean = float(np.nanmean(iou)) if either.any() else float("nan")
    return {
        "iou": iou,
        "mean": mean,
        "intersection": both,
        "union": either,
        "width": width,
        "cell": cell,
        "min_scores": np.asarray(min_scores, dtype=float),
    }


def _of_class(sample: Mapping[str, Any], label: int, kept: np.ndarray | None = None) -> list[np.ndarray]:
    mine = np.asarray(sample["labels"]).reshape(-1) == label
    if kept is not None:
        mine &= kept
    return [np.asarray(sample["points"][k], dtype=np.float64) for k in np.flatnonzero(mine)]
