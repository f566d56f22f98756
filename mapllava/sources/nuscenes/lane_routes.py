"""Ways along lanes inside the ROI: MapTRv2's centre lines.

The centre lines of lanes and lane connectors are cut to the ROI; a piece that ends with its lane goes on
into the pieces that begin with the lane's successors. Every way through these from one without a
predecessor to one without a successor is one line, so that ways which share a stretch each have it.

Source: Liao et al., "MapTRv2", IJCV 2024, section 3.7 (centre lines as paths of a graph), restated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from shapely import LineString, STRtree

from mapllava.errors import MapLLaVAError
from mapllava.geometry.clip import Window, clip_path

SIMPLIFY = 0.2
"""Tolerance of the Douglas-Peucker simplification of a way, metres."""
MAX_ROUTES = 10_000
SHORTEST = 1e-6
"""Metres up to which two points are one place; a shorter stretch in the ROI is no line and is left out."""


@dataclass
class _Piece:
    """A stretch of a lane inside the window: points ``(n, 2)`` in the map frame, and its neighbours."""

    points: np.ndarray
    begins: bool
    ends: bool
    after: list[int] = field(default_factory=list)
    has_before: bool = False


class LaneGraph:
    """Centre lines of lanes with their successors.

    Args:
        lines: Centre lines in driving direction, world coordinates, metres.
        successors: For each, the indices of the lanes that traffic goes on to.

    Raises:
        ValueError: If the two differ in length.
    """

    def __init__(self, lines: Sequence[LineString], successors: Sequence[Sequence[int]]) -> None:
        if len(lines) != len(successors):
            raise ValueError(f"{len(lines)} centre lines, but successors of {len(successors)}")
        self.lines = np.empty(len(lines), dtype=object)
        self.lines[:] = list(lines)
        self.successors = [list(indices) for indices in successors]
        self._tree = STRtree(self.lines)

    def routes(self, window: Window) -> list[np.ndarray]:
        """All ways through the window, in driving direction, simplified by 0.2 m.

        Args:
            window: Where to cut.

        Returns:
            Lines ``(n, 2)`` float64, metres in the map frame, ordered by the lane that they begin with;
            none shorter than :data:`SHORTEST`.

        Raises:
            MapLLaVAError: If there are more than 10,000.
        """
        pieces = self._pieces(window)
        routes: list[np.ndarray] = []
        used: set[int] = set()
        rest = [index for index, piece in enumerate(pieces) if piece.has_before]
        for start in [*(index for index, piece in enumerate(pieces) if not piece.has_before), *rest]:
            if start in used:
                continue
            for way in _ways(pieces, start):
                used.update(way)
                points = _without_repeats(np.concatenate([pieces[index].points for index in way]))
                if len(points) < 2:
                    continue
                routes.append(
                    shapely.get_coordinates(shapely.simplify(shapely.linestrings(points), SIMPLIFY))
                )
                if len(routes) > MAX_ROUTES:
                    raise MapLLaVAError(
                        f"more than {MAX_ROUTES} ways lead through the ROI at world ({window.x:.1f}, "
                        f"{window.y:.1f}): leave out the class centerline, or make the ROI smaller"
                    )
        return routes

    def _pieces(self, window: Window) -> list[_Piece]:
        hits = np.sort(self._tree.query(window.patch, predicate="intersects"))
        pieces: list[_Piece] = []
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for index in hits.tolist():
            local = window.to_local(self.lines[index : index + 1])
            for points, begins, ends in clip_path(shapely.get_coordinates(local), window.roi):
                whole = begins and ends  # however short, it joins its neighbours
                if not whole and np.hypot(*np.diff(points, axis=0).T).sum() <= SHORTEST:
                    continue
                pieces.append(_Piece(points, begins, ends))
                first.setdefault(index, len(pieces) - 1)
                last[index] = len(pieces) - 1
        for index, at in last.items():
            if pieces[at].ends:
                onward = [first[j] for j in self.successors[index] if j in first and pieces[first[j]].begins]
                pieces[at].after = onward
                for other in onward:
                    pieces[other].has_before = True
        return pieces


def _ways(pieces: list[_Piece], start: int) -> Iterator[list[int]]:
    """Every way from a piece that passes no piece twice and cannot go on; a round trip ends at its start."""
    stack = [[start]]
    while stack:
        way = stack.pop()
        onward = [index for index in pieces[way[-1]].after if index not in way]
        if not onward:
            yield way
        stack += [[*way, index] for index in reversed(onward)]


def _without_repeats(points: np.ndarray) -> np.ndarray:
    fresh = np.hypot(*np.diff(points, axis=0).T) > SHORTEST
    return points[np.concatenate([[True], fresh])]
