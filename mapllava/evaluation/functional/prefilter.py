"""MapTR's condition on a pair of lines: the strips around them must intersect."""

from __future__ import annotations

import numpy as np
import shapely

_PROBES = 8
_MARGIN = 0.95


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
