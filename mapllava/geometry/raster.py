"""Lines and areas on a grid of cells: the one rule by which targets and scores are drawn.

A cell is its centre. It belongs to an area if its centre lies inside, by the even-odd rule over all
outlines, so that holes stay empty; a centre on an outline is not inside. It belongs to a line if its
centre lies no farther from it than half the line's width. Cell (row, column) has its centre at
``y_min + (row + 0.5) * cell`` and ``x_min + (column + 0.5) * cell``: rows ascend with y, columns with x.

Shapes: n points of a line, S segments, Y x X cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from mapllava.geometry.clip import EDGE_MARGIN, shares_within
from mapllava.geometry.polyline import ranks
from mapllava.structures.frames import ROI

_PIECE = 1.0
"""Metres into which segments are cut before they are drawn, so that each touches few cells."""
_BESIDE = 1e-6
"""Metres beside an outline at which it is looked up on which side the area lies."""


def centres(roi: ROI, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """The cells whose centres lie in the region: their columns' x ``(X,)`` and rows' y ``(Y,)``, metres."""
    return tuple(
        low + (np.arange(round(extent / cell)) + 0.5) * cell
        for low, extent in ((roi.x_min, roi.width), (roi.y_min, roi.height))
    )  # type: ignore[return-value]


def draw_areas(
    rings: Sequence[np.ndarray], cut: Sequence[np.ndarray], roi: ROI, cell: float, right: bool | None = None
) -> np.ndarray:
    """Cells whose centre lies in an area.

    Args:
        rings: Closed outlines ``(n, 2)``, metres, running either way.
        cut: Outlines that were cut at the region's edge (:func:`cut_at_edge`) and go on straight beyond it.
        roi: The region.
        cell: Size of a cell, metres.
        right: Whether the area lies to the right of ``cut``, or to the left; None takes the side that is
            smaller.

    Returns:
        ``(Y, X)`` bool.
    """
    tails = [tail for line in cut for tail in _tails(line, roi)]
    start, end = _segments([*rings, *cut, *tails])
    odd, on_outline = _parity(start, end, *centres(roi, cell))
    if cut and right is None:
        odd ^= odd.mean() > 0.5
    elif cut:
        inside, _ = _parity(start, end, *_beside(cut, bool(right))[:, None])
        odd ^= not inside.item()
    return odd & ~on_outline


def cut_at_edge(line: np.ndarray, roi: ROI) -> bool:
    """Whether both ends of a line (n, 2) lie where outlines are cut, within ``EDGE_MARGIN`` of the edge."""
    ends = line[[0, -1]]
    gap = np.abs(_outward(ends, roi)).min(axis=1)
    return bool((gap <= EDGE_MARGIN + 1e-6).all())


def _outward(points: np.ndarray, roi: ROI) -> np.ndarray:
    """How far points ``(n, 2)`` lie beyond the left, lower, right and upper edge, ``(n, 4)`` metres."""
    low, high = np.array([roi.x_min, roi.y_min]), np.array([roi.x_max, roi.y_max])
    return np.concatenate([low - points, points - high], axis=1)


def _tails(line: np.ndarray, roi: ROI) -> list[np.ndarray]:
    """What continues an outline beyond the region at both ends.

    Straight on, or square to the nearest edge where that leads along it. Outside, only what lies to the
    left of the cells counts for their parity: there a tail goes on upwards.
    """
    tails = []
    for end, before in ((line[0], line[1]), (line[-1], line[-2])):
        gaps = _outward(end[None], roi)[0]
        edge = int(gaps.argmax())
        normal = np.zeros(2)
        normal[edge % 2] = -1.0 if edge < 2 else 1.0
        way = (end - before) / max(np.hypot(*(end - before)), _BESIDE)
        way = way if way @ normal > 0.05 else normal
        beyond = end + way * ((1.0 + max(-gaps[edge], 0.0)) / (way @ normal))
        tail = [end, beyond]
        if beyond[0] < roi.x_min:
            tail.append(np.array([beyond[0], roi.y_max + 1.0]))
        tails.append(np.array(tail))
    return tails


def _segments(lines: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The segments of all lines: starts and ends ``(S, 2)``."""
    lines = [line for line in lines if len(line) > 1]
    if not lines:
        return np.zeros((0, 2)), np.zeros((0, 2))
    return np.concatenate([line[:-1] for line in lines]), np.concatenate([line[1:] for line in lines])


def _parity(
    start: np.ndarray, end: np.ndarray, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which centres see an odd number of segments to their left, and which lie on one, ``(Y, X)`` bool."""
    # Per segment the rows first..stop that it reaches, then one entry per (segment, row). Its crossing of the
    # row adds 1 from the first column to its right on; the running sum of these is every centre's count
    up = (start[:, 1] <= end[:, 1])[:, None]
    low, high = np.where(up, start, end), np.where(up, end, start)
    first, stop = np.searchsorted(y, low[:, 1], "left"), np.searchsorted(y, high[:, 1], "right")
    count = stop - first
    segment = np.repeat(np.arange(len(start)), count)
    row = first[segment] + ranks(count)
    low, high, level = low[segment], high[segment], y[row]
    step = high - low
    flat = step[:, 1] == 0
    share = (level - low[:, 1]) / np.where(flat, 1.0, step[:, 1])
    crossing = low[:, 0] + share * step[:, 0]
    odd, on = (np.zeros((len(y), len(x) + 1), dtype=np.int32) for _ in range(2))
    counted = level < high[:, 1]  # a vertex belongs to the segment above it
    np.add.at(odd, (row[counted], np.searchsorted(x, crossing[counted], "left")), 1)
    from_x = np.where(flat, np.minimum(low[:, 0], high[:, 0]), crossing)
    to_x = np.where(flat, np.maximum(low[:, 0], high[:, 0]), crossing)
    np.add.at(on, (row, np.searchsorted(x, from_x, "left")), 1)
    np.add.at(on, (row, np.searchsorted(x, to_x, "right")), -1)
    return odd.cumsum(axis=1)[:, :-1] % 2 == 1, on.cumsum(axis=1)[:, :-1] > 0


def _beside(lines: Sequence[np.ndarray], right: bool) -> np.ndarray:
    """A point ``(2,)`` just beside the longest segment of lines, to its right or left."""
    start, end = _segments(lines)
    step = end - start
    longest = int(np.hypot(*step.T).argmax())
    ahead = step[longest] / max(np.hypot(*step[longest]), _BESIDE)
    across = np.array([ahead[1], -ahead[0]]) * (1.0 if right else -1.0)
    return start[longest] + step[longest] / 2 + across * _BESIDE


def draw_lines(lines: Sequence[np.ndarray], roi: ROI, width: float, cell: float) -> np.ndarray:
    """Cells whose centre lies within ``width / 2`` of a line.

    Args:
        lines: Lines ``(n, 2)``, metres.
        roi: The region.
        width: Width of a drawn line, metres.
        cell: Size of a cell, metres.

    Returns:
        ``(Y, X)`` bool.
    """
    shape = tuple(map(len, reversed(centres(roi, cell))))
    mask = np.zeros(shape, dtype=bool)
    radius = width / 2
    origin, far = np.array([roi.x_min, roi.y_min]), np.array([roi.x_max, roi.y_max])
    start, end = _pieces(*_near(*_segments(lines), origin - width, far + width))
    # Pieces are at most a metre long, so the cells near one lie in a small square window of fixed size, and
    # all windows are one array (S, W, W) instead of (S, Y, X)
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


def _near(
    start: np.ndarray, end: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The parts of segments within a box: a prediction may run off as far as it likes."""
    enter, leave = shares_within(start, end, low, high)
    kept = enter <= leave
    start, end, enter, leave = start[kept], end[kept], enter[kept, None], leave[kept, None]
    step = end - start
    return start + enter * step, np.where(leave < 1, start + leave * step, end)


def _pieces(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Segments cut into pieces of a metre at most: starts and ends ``(S, 2)``."""
    edge = end - start
    count = np.maximum(np.ceil(np.hypot(*edge.T) / _PIECE), 1).astype(int)
    step = np.repeat(edge / count[:, None], count, axis=0)
    first = np.repeat(start, count, axis=0) + step * ranks(count)[:, None]
    return first, first + step
