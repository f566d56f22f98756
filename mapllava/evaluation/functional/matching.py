"""Which predictions find a ground-truth line: nearest line, within a distance, first come first served."""

from __future__ import annotations

import numpy as np

from mapllava.evaluation.functional.chamfer import chamfer_lower_bound, chamfer_of_indices
from mapllava.evaluation.functional.prefilter import strips_meet
from mapllava.evaluation.functional.protocols import Protocol


def pairs_of_groups(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All index pairs whose group numbers are equal.

    Args:
        first: ``(P,)`` int group numbers.
        second: ``(G,)`` int group numbers.

    Returns:
        Two ``(K,)`` int64 arrays, ordered by the first, then by the second index.
    """
    order = np.argsort(second, kind="stable")
    ordered = second[order]
    low, high = np.searchsorted(ordered, first, "left"), np.searchsorted(ordered, first, "right")
    count = high - low
    left = np.repeat(np.arange(len(first)), count)
    rank = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return left, order[np.repeat(low, count) + rank]


def nearest_ground_truth(
    pred: np.ndarray, gt: np.ndarray, pairs: tuple[np.ndarray, np.ndarray], protocol: Protocol
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest ground-truth line of each prediction, where it is within the largest threshold.

    Args:
        pred: ``(P, n, 2)`` resampled predictions, metres.
        gt: ``(G, n, 2)`` resampled ground truth, metres.
        pairs: Indices ``(K,)``, ``(K,)`` of the pairs that may match.
        protocol: Gives thresholds and prefilter.

    Returns:
        ``(P,)`` int64 index of the line, -1 for none; ``(P,)`` distance in metres, inf for none.
    """
    limit = protocol.thresholds[-1]
    i, j = pairs
    keep = chamfer_lower_bound(pred, gt, pairs) <= limit + 1e-9
    i, j = i[keep], j[keep]
    distance = chamfer_of_indices(pred, gt, i, j)
    keep = distance <= limit
    i, j, distance = i[keep], j[keep], distance[keep]
    order = np.lexsort((j, distance, i))
    i, j, distance = i[order], j[order], distance[order]
    nearest = np.full(len(pred), -1)
    found = np.full(len(pred), np.inf)
    while len(i):
        best = np.flatnonzero(np.diff(i, prepend=-1))
        if protocol.buffer is not None:
            meet = strips_meet(pred[i[best]], gt[j[best]], protocol.buffer)
        else:
            meet = np.ones(len(best), dtype=bool)
        hit = best[meet]
        nearest[i[hit]], found[i[hit]] = j[hit], distance[hit]
        rest = ~np.isin(i, i[hit])
        rest[best] = False
        i, j, distance = i[rest], j[rest], distance[rest]
    return nearest, found


def true_positives(
    scores: np.ndarray, nearest: np.ndarray, distance: np.ndarray, thresholds: tuple[float, ...]
) -> np.ndarray:
    """Flags of the predictions that find a line no better-scored prediction has found.

    A prediction looks at its nearest line only: there is no second choice, and a miss leaves the
    line free. Equal scores are served in input order.

    Args:
        scores: ``(P,)``.
        nearest: ``(P,)`` index of the nearest line, -1 for none.
        distance: ``(P,)`` metres.
        thresholds: T distances, metres.

    Returns:
        ``(T, P)`` bool.
    """
    order = np.argsort(-scores, kind="stable")
    flags = np.zeros((len(thresholds), len(scores)), dtype=bool)
    for row, threshold in zip(flags, thresholds, strict=True):
        near = order[(distance[order] <= threshold) & (nearest[order] >= 0)]
        _, winner = np.unique(nearest[near], return_index=True)
        row[near[winner]] = True
    return flags
