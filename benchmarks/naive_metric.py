"""The score the plain way, pair by pair, as the peers' evaluators go about it; for comparison only.

Every line is resampled point by point, and for every pair of a sample and class the two 2 m strips
are built and intersected and the full distance matrix is taken. Written from the definition, so that
it also checks the fast score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely

NUM_POINTS = 100
BUFFER = 2.0


def resampled(points: np.ndarray) -> np.ndarray:
    """``(100, 2)`` points at equal arc length along a line ``(n, 2)``."""
    line = shapely.LineString(points)
    places = np.linspace(0, line.length, NUM_POINTS)
    return np.array([line.interpolate(place).coords[0] for place in places])


def strip(points: np.ndarray) -> shapely.Geometry:
    """The 2 m strip around a line, flat ends and mitred joins."""
    return shapely.LineString(points).buffer(BUFFER, cap_style="flat", join_style="mitre")


def chamfer(first: np.ndarray, second: np.ndarray) -> float:
    """Chamfer distance of two resampled lines, inf where their strips do not meet; metres."""
    if not strip(first).intersects(strip(second)):
        return np.inf
    gap = np.sqrt(((first[:, None] - second[None]) ** 2).sum(-1))
    return (gap.min(0).mean() + gap.min(1).mean()) / 2


def distances(lines: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> np.ndarray:
    """(P, G) Chamfer distances of one sample's lines of one class, metres."""
    first, second = [resampled(line) for line in lines], [resampled(line) for line in truth]
    return np.array([[chamfer(a, b) for b in second] for a in first]).reshape(len(lines), len(truth))


def sample_flags(matrix: np.ndarray, scores: Sequence[float], threshold: float) -> list[bool]:
    """True positives among one sample's predictions of one class."""
    flags, taken = [False] * matrix.shape[0], [False] * matrix.shape[1]
    if not taken:
        return flags
    for k in sorted(range(len(flags)), key=lambda k: -scores[k]):
        nearest = int(np.argmin(matrix[k]))
        if matrix[k][nearest] <= threshold and not taken[nearest]:
            flags[k] = taken[nearest] = True
    return flags


def area(scores: list[float], flags: list[bool], num_gt: int) -> float:
    """Average precision of one class at one threshold."""
    order = sorted(range(len(scores)), key=lambda k: -scores[k])
    precision, recall, true = [], [], 0
    for rank, k in enumerate(order):
        true += flags[k]
        precision.append(true / (rank + 1))
        recall.append(true / num_gt)
    total, best, after = 0.0, 0.0, recall[-1] if recall else 0.0
    for k in reversed(range(len(order))):
        best = max(best, precision[k])
        before = recall[k - 1] if k else 0.0
        total += (after - before) * best
        after = before
    return total


def naive_average_precision(
    predictions: Sequence[Mapping[str, Any]],
    ground_truth: Sequence[Mapping[str, Any]],
    num_classes: int,
    thresholds: Sequence[float] = (0.5, 1.0, 1.5),
) -> np.ndarray:
    """(T, C) AP."""
    ap = np.zeros((len(thresholds), num_classes))
    for label in range(num_classes):
        scores: list[float] = []
        flags: list[list[bool]] = [[] for _ in thresholds]
        num_gt = 0
        for pred, gt in zip(predictions, ground_truth, strict=True):
            mine = [k for k in range(len(pred["labels"])) if pred["labels"][k] == label]
            truth = [p for p, c in zip(gt["points"], gt["labels"], strict=True) if c == label]
            own = [float(pred["scores"][k]) for k in mine]
            matrix = distances([pred["points"][k] for k in mine], truth)
            for found, threshold in zip(flags, thresholds, strict=True):
                found += sample_flags(matrix, own, threshold)
            scores += own
            num_gt += len(truth)
        ap[:, label] = [area(scores, found, num_gt) if num_gt else 0.0 for found in flags]
    return ap
