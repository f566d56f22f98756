"""Length and resampling of polylines (numpy only)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def _checked(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 1:
        raise ValueError(f"a polyline has shape {points.shape}, not (n >= 1, 2)")
    return points


def cumulative_length(points: np.ndarray) -> np.ndarray:
    """Arc length from the first vertex to every vertex.

    Args:
        points: ``(n, 2)``, metres.

    Returns:
        ``(n,)`` float64, metres; starts at 0.

    Raises:
        ValueError: If the shape is not ``(n >= 1, 2)``.
    """
    points = _checked(points)
    steps = np.hypot(*np.diff(points, axis=0).T)
    return np.concatenate([[0.0], np.cumsum(steps)])


def arc_length(points: np.ndarray) -> float:
    """Total length of a polyline ``(n, 2)``, in its own unit (metres).

    Raises:
        ValueError: If the shape is not ``(n >= 1, 2)``.
    """
    return float(cumulative_length(points)[-1])


OPEN_SHARE = 0.2
"""A ring whose ends are farther apart than this part of its length is the open line that it is."""


def closed_ring(points: np.ndarray) -> np.ndarray | None:
    """The ring of a line whose ends meet, or nearly do, as predicted ones: its first point closes it.

    Args:
        points: ``(n, 2)``, any unit.

    Returns:
        ``(n, 2)`` or ``(n + 1, 2)``; None for a line that is open, or has no three points.

    Raises:
        ValueError: If the shape is not ``(n >= 1, 2)``.
    """
    points = _checked(points)
    ring = points if (points[0] == points[-1]).all() else np.concatenate([points, points[:1]])
    gap = np.hypot(*(points[0] - points[-1]))
    return ring if len(ring) >= 4 and gap <= OPEN_SHARE * arc_length(points) else None


def ranks(counts: np.ndarray) -> np.ndarray:
    """Numbers from 0 within each of runs that lie end to end.

    Args:
        counts: ``(n,)`` int, length of every run; may be 0.

    Returns:
        ``(counts.sum(),)`` int64, such as 0, 1, 2, 0, 1 for lengths 3 and 2.
    """
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def resample(points: np.ndarray, n: int) -> np.ndarray:
    """Place ``n`` points at equal arc length along a polyline; its ends stay exactly where they are.

    A closed line (last vertex = first) stays closed. A line of zero length repeats its point.

    Args:
        points: ``(m, 2)`` with ``m >= 1``, metres.
        n: Number of points, at least 2.

    Returns:
        ``(n, 2)`` float64, metres.

    Raises:
        ValueError: If the shape is wrong or ``n`` is below 2.
    """
    return resample_many([points], n)[0]


def resample_many(lines: Sequence[np.ndarray], n: int) -> np.ndarray:
    """:func:`resample` for many polylines at once, the same to the last bit whatever its company.

    Equal lines stay equal, so that ties of their distances are ties, and a line that runs off to
    1e20 m takes no digit from the others.

    Args:
        lines: L polylines ``(m_i, 2)``, metres.
        n: Points per line, at least 2.

    Returns:
        ``(L, n, 2)`` float64, metres.

    Raises:
        ValueError: If a shape is wrong or ``n`` is below 2.
    """
    if n < 2:
        raise ValueError(f"cannot resample to {n} points: a polyline has at least 2")
    lines = [_checked(line) for line in lines]
    if not lines:
        return np.zeros((0, n, 2))
    ends = np.cumsum([len(line) for line in lines])
    starts = np.append(0, ends[:-1])
    flat = np.concatenate(lines)
    steps = np.hypot(*np.diff(flat, axis=0, prepend=flat[:1]).T)
    steps[starts] = 0.0
    steps[steps < np.finfo(np.float64).tiny] = 0.0  # their inverse would overflow
    # x + iy: np.interp takes complex values, so that both coordinates are one interpolation
    places = flat[:, 0] + 1j * flat[:, 1]
    # Summed line by line, not over all: no digit of a line depends on what stands before it
    along = [np.cumsum(steps[start:end]) for start, end in zip(starts, ends, strict=True)]
    lengths = np.array([length[-1] for length in along])
    targets = np.arange(n) * (lengths / (n - 1))[:, None]
    targets[:, -1] = lengths  # exactly, where (n - 1) * (length / (n - 1)) may be a digit off
    out = np.empty((len(lines), n), dtype=np.complex128)
    for row, target, length, start, end in zip(out, targets, along, starts, ends, strict=True):
        row[:] = np.interp(target, length, places[start:end])
    # (L, n) complex is (L, n, 2) float in memory
    return out.view(np.float64).reshape(len(lines), n, 2)
