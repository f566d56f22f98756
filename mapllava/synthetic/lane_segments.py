"""Lanes as Argoverse 2 has them: side by side, and cut along the street wherever what divides them changes.

Two lanes are neighbours where a line is painted between them. At a crossing none is, so that the lanes there
are segments of their own without neighbours.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mapllava.synthetic import curves
from mapllava.synthetic.roads import GUTTER, SIGNS, Paint, Road
from mapllava.synthetic.street_plan import StreetPlan

_SHORTEST = 0.1
"""Metres along a street below which a segment is not worth its own."""
_FULL = 0.75
"""Share of an extra lane's width that is there along all of its dividing line, behind the ramp."""


@dataclass
class LaneSegment:
    """A piece of a lane, or a way through a junction.

    Attributes:
        left: ``(n, 2)`` left edge in driving direction, metres; likewise ``right`` (m, 2).
        left_paint: The line on the left edge; None where there is none. Likewise ``right_paint``.
        left_neighbour: Place of the lane on the left in the list, which may run the other way. Likewise
            ``right_neighbour``.
        predecessors: Places of those that lead into it; likewise ``successors``.
        junction: Whether it lies in a junction.
        bike: Whether it is a shoulder, for bicycles.
    """

    left: np.ndarray
    right: np.ndarray
    left_paint: Paint | None = None
    right_paint: Paint | None = None
    left_neighbour: int | None = None
    right_neighbour: int | None = None
    predecessors: list[int] = field(default_factory=list)
    successors: list[int] = field(default_factory=list)
    junction: bool = False
    bike: bool = False


@dataclass(frozen=True)
class _Band:
    """One lane's share of a street's width, along one piece of it.

    Attributes:
        side: Of the street: 0 left, 1 right.
        index: Counted outwards from the middle; shoulder and extra lane are the last.
        inner: Signed lateral place of the edge towards the middle; likewise ``outer``, metres, left positive.
        paint: The line on its inner edge; None where there is none.
        bike: Whether it is a shoulder.
    """

    side: int
    index: int
    inner: float
    outer: float
    paint: Paint | None
    bike: bool = False


def lane_segments(
    plan: StreetPlan, ways: Iterable[tuple[np.ndarray, Sequence[int], Sequence[int]]]
) -> list[LaneSegment]:
    """All lanes of a plan in segments, then the ways through its junctions.

    Args:
        plan: Streets and junctions.
        ways: Of each way through a junction the centre line (n, 2), and the numbers of the lanes that it
            comes from and leads to: street by street, left side first, from the middle outwards.

    Returns:
        The segments; links and neighbours are places in this list.
    """
    found: list[LaneSegment] = []
    ends: list[tuple[int, int]] = []  # of each lane of the plan: where it begins and ends, as it is driven
    for road in plan.roads:
        ends += _add_road(found, road, plan.side(True))
    for line, sources, targets in ways:
        before, after = [ends[lane][1] for lane in sources], [ends[lane][0] for lane in targets]
        source, target = found[before[0]], found[after[0]]
        half = float(np.hypot(*(source.left[-1] - source.right[-1]))) / 2
        left, right = curves.offset(line, half), curves.offset(line, -half)
        left[0], right[0] = source.left[-1], source.right[-1]  # where the lanes' own edges end and begin
        left[-1], right[-1] = target.left[0], target.right[0]
        for place in before:
            found[place].successors.append(len(found))
        for place in after:
            found[place].predecessors.append(len(found))
        found.append(LaneSegment(left, right, predecessors=before, successors=after, junction=True))
    return found


def _add_road(found: list[LaneSegment], road: Road, forward: int) -> list[tuple[int, int]]:
    """Append a street's segments; first and last segment of each of its lanes. ``forward``: side along it."""
    pieces = list(itertools.pairwise(_breaks(road)))
    bands = [_bands(road, *piece) for piece in pieces]
    # all pieces of a lane, then those of the next: of two edges that are one, the same lane's comes first
    order = sorted((band.side, band.index, number) for number, each in enumerate(bands) for band in each)
    places = {key: len(found) + place for place, key in enumerate(order)}
    for side, index, number in order:
        along = side == forward
        row = bands[number]
        at = next(i for i, band in enumerate(row) if (band.side, band.index) == (side, index))
        band = row[at]
        high, low = sorted((band.inner, band.outer), reverse=True)
        edges = [curves.thinned(road.beside(lateral, *pieces[number])) for lateral in (high, low)]
        # what lies to the left and to the right, seen along the reference line
        beside = [row[at - 1] if at else None, row[at + 1] if at + 1 < len(row) else None]
        paints = [_between(band, other) for other in beside]
        others = [
            None if other is None or paint is None else places[other.side, other.index, number]
            for other, paint in zip(beside, paints, strict=True)
        ]
        onward, back = (places.get((side, index, number + step)) for step in (1, -1))
        if not along:
            edges, paints, others = [edge[::-1] for edge in edges[::-1]], paints[::-1], others[::-1]
            onward, back = back, onward
        left, right = edges
        found.append(
            LaneSegment(
                left,
                right,
                left_paint=paints[0],
                right_paint=paints[1],
                left_neighbour=others[0],
                right_neighbour=others[1],
                predecessors=[] if back is None else [back],
                successors=[] if onward is None else [onward],
                bike=band.bike,
            )
        )
    ends = []
    for side in (0, 1):
        for index in range(road.section.lanes[side]):
            chain = [places[side, index, number] for number in range(len(pieces))]
            ends.append((chain[0], chain[-1]) if side == forward else (chain[-1], chain[0]))
    return ends


def _breaks(road: Road) -> list[float]:
    """Arc lengths at which what divides the lanes changes, the ends of the street first and last."""
    start, end = road.cuts
    pockets = [ends for _, *ends in road.pockets()]
    inside = [*road.line_ends, *itertools.chain(*road.gaps, *pockets)]
    out = [start]
    for place in sorted(inside):
        if out[-1] + _SHORTEST < place < end - _SHORTEST:
            out.append(place)
    return [*out, end]


def _bands(road: Road, start: float, end: float) -> list[_Band]:
    """The lanes of one piece of a street, from its left to its right."""
    section, middle = road.section, (start + end) / 2
    free = any(low < middle < high for low, high in road.free_stretches())
    sides = []
    for side, count in enumerate(section.lanes):
        sign, half = SIGNS[side], section.lane_width / 2
        row = []
        for index in range(count):
            centre = section.lane_centre(side, index)
            paint = section.inner if index else None if section.median else section.centre
            edges = (centre - sign * half, centre + sign * half)
            row.append(_Band(side, index, *edges, paint if free else None))
        if section.shoulder > 1.0 and count:
            inner = row[-1].outer
            paint = Paint() if free else None
            row.append(_Band(side, count, inner, inner + sign * section.shoulder, paint, bike=True))
        for bay, low, high in road.pockets():
            if bay.side == side and low < middle < high:
                inner, last = road.pocket_edge(bay), row.pop()
                row.append(_Band(side, last.index, last.inner, inner, last.paint, last.bike))
                outer = inner + sign * (_FULL * bay.width - GUTTER)
                row.append(_Band(side, last.index + 1, inner, outer, Paint()))
        sides.append(row)
    return [*sides[0][::-1], *sides[1]]


def _between(band: _Band, other: _Band | None) -> Paint | None:
    """The line between two bands side by side, which the one further outwards has; in the middle both."""
    if other is None:
        return None
    return (other if other.index > band.index else band).paint
