"""Intersection over union of drawn maps, the score of raster methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mapllava.geometry.raster import draw_lines
from mapllava.structures.frames import ROI


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
