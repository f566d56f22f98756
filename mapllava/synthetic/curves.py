"""Plane curves the streets are made of: integration of curvature, offsets, pieces, connections."""

from __future__ import annotations

import numpy as np
from shapely.geometry import LineString

from mapllava.geometry.polyline import cumulative_length


def curve(
    start: np.ndarray, heading: float, length: float, turn: float, sway: float, straight: float
) -> np.ndarray:
    """A street's reference line: straight, then bending, then straight again.

    The bend's curvature is a smooth bump that turns by ``turn`` plus an S of amplitude ``sway``.

    Args:
        start: ``(2,)`` first point, metres.
        heading: Direction at the start, radians from x towards y.
        length: Length, metres.
        turn: Change of heading from start to end, radians.
        sway: Largest heading error of the S-bend within, radians.
        straight: Length of the straight pieces at both ends, metres.

    Returns:
        ``(n, 2)`` float64, about one metre apart, starting at ``start``.
    """
    n = max(round(length), 4)
    along = (np.arange(n) + 0.5) / n * length
    middle = np.clip((along - straight) / max(length - 2 * straight, 1.0), 0.0, 1.0)
    smooth = middle * middle * (3 - 2 * middle)
    angles = heading + turn * smooth + sway * np.sin(2 * np.pi * middle) * np.sin(np.pi * middle)
    steps = np.stack([np.cos(angles), np.sin(angles)], axis=-1) * (length / n)
    return np.vstack([start, start + np.cumsum(steps, axis=0)])


def heading(start: np.ndarray, end: np.ndarray) -> float:
    """Direction from one point ``(2,)`` to another, radians from x towards y."""
    return float(np.arctan2(*(end - start)[::-1]))


def headings(points: np.ndarray) -> np.ndarray:
    """Direction of a line ``(n, 2)`` at every vertex: ``(n,)`` radians, unwrapped."""
    tangent = np.gradient(points, axis=0)
    return np.unwrap(np.arctan2(tangent[:, 1], tangent[:, 0]))


def turned(points: np.ndarray, angle: float) -> np.ndarray:
    """Points ``(..., 2)`` turned about the origin by ``angle`` radians, from x towards y."""
    c, s = np.cos(angle), np.sin(angle)
    return points @ np.array([[c, s], [-s, c]])


def offset(points: np.ndarray, distance: np.ndarray | float) -> np.ndarray:
    """Move each vertex of a line ``(n, 2)`` to its left by ``distance`` (``(n,)`` or scalar, metres)."""
    tangent = np.gradient(points, axis=0)
    tangent /= np.hypot(tangent[:, 0], tangent[:, 1])[:, None]
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=-1)
    return points + normal * np.broadcast_to(np.asarray(distance, dtype=float), len(points))[:, None]


def ribbon(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Outline ``(n + m, 2)`` of what lies between two lines that run the same way."""
    return np.vstack([left, right[::-1]])


def at(points: np.ndarray, along: np.ndarray | float, values: np.ndarray | None = None) -> np.ndarray:
    """Interpolate a line at arc lengths.

    Args:
        points: ``(n, 2)``, metres.
        along: Arc lengths, metres, any shape.
        values: ``(n,)`` or ``(n, k)`` something per vertex to interpolate instead of the points.

    Returns:
        ``(...)`` or ``(..., k)``, with k = 2 for the points.
    """
    lengths, values = cumulative_length(points), points if values is None else values
    if values.ndim == 1:
        return np.interp(along, lengths, values)
    return np.stack([np.interp(along, lengths, column) for column in values.T], axis=-1)


def part(
    points: np.ndarray, start: float, end: float, values: np.ndarray | None = None, margin: float = 1e-6
) -> np.ndarray:
    """The piece of a line ``(n, 2)`` between two arc lengths, its own vertices kept.

    Args:
        points: ``(n, 2)``, metres.
        start: Arc length, metres.
        end: Arc length, metres.
        values: ``(n, 2)``: the piece of another line, whose vertices belong to those of ``points``.
        margin: Metres from both ends within which no vertex is kept.

    Returns:
        ``(m, 2)``, metres.
    """
    lengths = cumulative_length(points)
    inner = lengths[(lengths > start + margin) & (lengths < end - margin)]
    return at(points, np.concatenate([[start], inner, [end]]), values)


def spaced(points: np.ndarray, step: float) -> np.ndarray:
    """Resample a line ``(n, 2)`` to vertices about ``step`` metres apart."""
    total = cumulative_length(points)[-1]
    return at(points, np.linspace(0.0, total, max(int(np.ceil(total / step)), 1) + 1))


def thinned(points: np.ndarray) -> np.ndarray:
    """A line ``(n, 2)`` without the vertices that lie within 2 cm of it."""
    return np.array(LineString(points).simplify(0.02).coords)


def smoothed(points: np.ndarray, step: float, sigma: float) -> np.ndarray:
    """Resample (n, 2) points to ``step`` metres and blur by a Gaussian of ``sigma`` metres; ends stay."""
    dense = spaced(points, step)
    reach = int(np.ceil(3 * sigma / step))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / sigma) ** 2)
    kernel /= kernel.sum()
    head = 2 * dense[0] - dense[1 : reach + 1][::-1]
    tail = 2 * dense[-1] - dense[-reach - 1 : -1][::-1]
    padded = np.vstack([head, dense, tail])
    return np.stack([np.convolve(column, kernel, mode="valid") for column in padded.T], axis=-1)


def connection(start: np.ndarray, start_heading: float, end: np.ndarray, end_heading: float) -> np.ndarray:
    """A smooth way (cubic Bézier, ``(17, 2)``) from one pose to another, as a car crosses a junction."""
    reach = 0.4 * float(np.hypot(*(end - start)))
    handles = np.stack(
        [
            start,
            start + reach * np.array([np.cos(start_heading), np.sin(start_heading)]),
            end - reach * np.array([np.cos(end_heading), np.sin(end_heading)]),
            end,
        ]
    )
    t = np.linspace(0.0, 1.0, 17)[:, None]
    weights = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    return weights @ handles
