"""Chamfer distance between polylines, many pairs at a time (numpy only)."""

from __future__ import annotations

import numpy as np

from mapllava.geometry import resample_many

_BLOCK = 256
"""Pairs handled at once: the working set stays within a core's cache."""


def chamfer_distance(first: np.ndarray, second: np.ndarray, num_points: int = 100) -> float:
    """Chamfer distance of two polylines: the mean of the two one-sided mean nearest distances.

    Direction and start vertex of a line do not matter.

    Args:
        first: ``(n, 2)``, metres.
        second: ``(m, 2)``, metres.
        num_points: Points per line after resampling at equal arc length.

    Returns:
        The distance in metres.

    Raises:
        ValueError: If a shape is wrong.

    Source: protocols of MapTR and StreamMapNet, restated.
    """
    lines = resample_many([first, second], num_points)
    return float(chamfer_of_pairs(lines[:1], lines[1:])[0])


def chamfer_of_pairs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Chamfer distance of resampled lines, pair by pair.

    Args:
        first: ``(K, n, 2)``, metres.
        second: ``(K, m, 2)``, metres.

    Returns:
        ``(K,)`` float64, metres.
    """
    every = np.arange(len(first))
    return chamfer_of_indices(first, second, every, every)


def chamfer_of_indices(first: np.ndarray, second: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """:func:`chamfer_of_pairs` of ``first[i]`` and ``second[j]``, never holding all of them at once.

    Args:
        first: ``(P, n, 2)``, metres.
        second: ``(G, m, 2)``, metres.
        i: ``(K,)`` indices into the first.
        j: ``(K,)`` indices into the second.

    Returns:
        ``(K,)`` float64, metres.
    """
    out = np.empty(len(i))
    for start in range(0, len(i), _BLOCK):
        block = slice(start, start + _BLOCK)
        out[block] = _chamfer_block(first[i[block]], second[j[block]])
    return out


def _chamfer_block(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """One block of pairs; pairs lie along the last axis, so that every operation runs over them.

    Sums are running ones: ``mean`` adds in another order when a block has one pair only, and equal
    distances must stay equal for ties.
    """
    # (n, K) and (m, K) each; one pass per point of the first line keeps (m, K) instead of (n, m, K)
    (ax, ay), (bx, by) = (np.ascontiguousarray(lines.transpose(2, 1, 0)) for lines in (first, second))
    there, back = np.empty_like(ax), np.full_like(bx, np.inf)
    dx, dy = np.empty_like(bx), np.empty_like(bx)
    for k in range(len(ax)):
        np.subtract(bx, ax[k], out=dx)
        np.subtract(by, ay[k], out=dy)
        np.multiply(dx, dx, out=dx)
        np.multiply(dy, dy, out=dy)
        np.add(dx, dy, out=dx)
        np.minimum(back, dx, out=back)
        np.min(dx, axis=0, out=there[k])
    there, back = (np.cumsum(np.sqrt(square), axis=0)[-1] / len(square) for square in (there, back))
    return (there + back) / 2


def chamfer_lower_bound(
    first: np.ndarray, second: np.ndarray, pairs: tuple[np.ndarray, np.ndarray], pieces: int = 10
) -> np.ndarray:
    """A cheap bound that the Chamfer distance of a pair never goes below.

    No point of a line is nearer than the line's bounding box, and the distance to a box is
    convex, so the distance of a piece's centroid bounds the mean distance of its points.

    Args:
        first: ``(P, n, 2)``, metres.
        second: ``(G, m, 2)``, metres.
        pairs: Indices ``(K,)``, ``(K,)`` into the two.
        pieces: Pieces into which a line is cut; more of them cost more and bound better.

    Returns:
        ``(K,)`` float64, metres.
    """
    i, j = pairs
    there = _mean_distance_to_box(first, second, i, j, pieces)
    return (there + _mean_distance_to_box(second, first, j, i, pieces)) / 2


def _mean_distance_to_box(
    lines: np.ndarray, boxed: np.ndarray, i: np.ndarray, j: np.ndarray, pieces: int
) -> np.ndarray:
    cuts = np.linspace(0, lines.shape[1], min(pieces, lines.shape[1]) + 1).astype(int)
    sizes = np.diff(cuts)
    centroid = np.add.reduceat(lines, cuts[:-1], axis=1) / sizes[:, None]
    by_point = np.ascontiguousarray(boxed.swapaxes(0, 1))
    low, high = by_point.min(axis=0), by_point.max(axis=0)
    square = np.zeros((len(i), len(sizes)))
    for axis in (0, 1):
        place = centroid[i, :, axis]
        gap = np.maximum(low[j, axis, None] - place, place - high[j, axis, None])
        square += np.maximum(gap, 0.0) ** 2
    return np.sqrt(square) @ (sizes / sizes.sum())
