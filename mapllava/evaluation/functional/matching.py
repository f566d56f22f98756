"""Which predictions find a ground-truth line: nearest line, within a distance, first come first served."""

from __future__ import annotations

import numpy as np
import shapely

from mapllava.evaluation.functional.chamfer import chamfer_lower_bound, chamfer_of_indices
from mapllava.evaluation.functional.protocols import Protocol
from mapllava.geometry import ranks

_PROBES = 8
_MARGIN = 0.95


def pairs_of_groups(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All index pairs whose group numbers are equal.

    Args:
        first: ``(P,)`` int group numbers.
        second: ``(G,)`` int group numbers.

    Returns:
        Two ``(K,)`` int64 arrays, ordered by the first, then by the second index.
    """
    # A join without the (P, G) table: equal numbers of the sorted second are one run from low to high, and
    # every first is repeated as often as its run is long
    order = np.argsort(second, kind="stable")
    ordered = second[order]
    low, high = np.searchsorted(ordered, first, "left"), np.searchsorted(ordered, first, "right")
    count = high - low
    left = np.repeat(np.arange(len(first)), count)
    return left, order[np.repeat(low, count) + ranks(count)]


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
    # By prediction, then nearest first, then line: the first row of each prediction is its best candidate.
    # A round settles those, and drops them where the strips do not meet, so that the next best comes up
    order = np.lexsort((j, distance, i))
    i, j, distance = i[order], j[order], distance[order]
    nearest = np.full(len(pred), -1)
    found = np.full(len(pred), np.inf)
    while len(i):
        best = np.flatnonzero(np.diff(i, prepend=-1))  # where a new prediction begins
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
        # By descending score; np.unique gives each line's first occurrence, the best-scored that is near it
        _, winner = np.unique(nearest[near], return_index=True)
        row[near[winner]] = True
    return flags


def strips_meet(first: np.ndarray, second: np.ndarray, buffer: float) -> np.ndarray:
    """Tell, pair by pair, whether the strips of half-width ``buffer`` around two lines intersect.

    A strip has flat ends and mitred joins, so a line of zero length has none and meets nothing.
    For lines within a Chamfer distance of a metre or two the answer is nearly always yes; a few
    probe points that lie beside a segment of the other line prove that without building a strip.

    Args:
        first: ``(K, n, 2)`` lines, metres.
        second: ``(K, m, 2)`` lines, metres.
        buffer: Half-width, metres.

    Returns:
        ``(K,)`` bool.
    """
    meet = np.zeros(len(first), dtype=bool)
    inner = np.linspace(0, first.shape[1] - 1, _PROBES + 2).astype(int)[1:-1]
    for probes in (inner[len(inner) // 2 :][:1], inner):
        rest = np.flatnonzero(~meet)
        meet[rest] = _surely_meet(first[rest], second[rest], probes, buffer)
    rest = np.flatnonzero(~meet)
    if len(rest):
        meet[rest] = shapely.intersects(_strips(first[rest], buffer), _strips(second[rest], buffer))
    return meet


def _strips(lines: np.ndarray, buffer: float) -> np.ndarray:
    return shapely.buffer(shapely.linestrings(lines), buffer, cap_style="flat", join_style="mitre")


def _surely_meet(first: np.ndarray, second: np.ndarray, probes: np.ndarray, buffer: float) -> np.ndarray:
    """Whether a probed point of ``first`` lies clearly within the strip, beside a segment of ``second``."""
    probe = first[:, probes, None]
    start, edge = second[:, None, :-1], np.diff(second, axis=1)[:, None]
    square = (edge * edge).sum(-1)
    offset = probe - start
    along = (offset * edge).sum(-1)
    across = offset[..., 0] * edge[..., 1] - offset[..., 1] * edge[..., 0]
    beside = (along > 0) & (along < square) & (across**2 <= square * (_MARGIN * buffer) ** 2)
    has_length = np.abs(np.diff(first, axis=1)).sum(axis=(1, 2)) > (1 - _MARGIN) * buffer
    return beside.any(axis=(1, 2)) & has_length
