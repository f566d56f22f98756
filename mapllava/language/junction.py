"""Where streets meet, as a map's road boundaries show it: kerbs that turn round a corner.

A corner is where a boundary turns by :data:`TURN` and more within :data:`REACH` metres, away from the side
that the car is on: the kerb leads into another street. The outer kerb of a bend turns the other way, its
inner one more slowly. A ring (a median, the island of a roundabout) and a median's nose are no corners.
Corners near each other are of one junction.

One corner is enough, for a map seldom shows all of them. So a road that bends as sharply as a corner (an L)
is called a junction, too: its inner kerb is a corner's. That an outer kerb goes round it does not tell them
apart: one does so at slanting junctions of the synthetic city (14 of 2200 training samples).

On the synthetic city (150 training samples) this finds 73 of 76 junctions whose middle lies at least 2 m from
the ROI's sides and 6 m from its ends, and none in 24 samples that have none near.

Shapes: n points, Q corners; metres in the map's frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mapllava.geometry.polyline import arc_length, closed_ring, resample

TURN = 50.0
"""Degrees that a kerb turns by at a corner."""
REACH = (4, 8, 12)
"""Metres within which it turns; the longest allows the rounded corner of a wide street."""
LEG = 2
"""Metres before and behind the turn that tell the kerb's directions."""
NOSE = 5.0
"""Metres that two places of a kerb, 10 m and more apart along it, lie apart: a median's sides are nearer."""
OUTWARD = 8.0
"""Metres from the kerb's corner to what is taken for the junction's middle, if it is its only corner."""
TOGETHER = 25.0
"""Metres between corners of one junction at most."""
_ASIDE, _FOLD = 6, 10


@dataclass(frozen=True, eq=False)
class Junction:
    """A meeting of streets.

    Attributes:
        place: ``(2,)`` about its middle; 2 to 3 m off in the median on the synthetic city.
        kerbs: Which of the given boundaries turn round its corners, rising.
    """

    place: np.ndarray
    kerbs: tuple[int, ...]


def junctions(boundaries: Sequence[np.ndarray]) -> list[Junction]:
    """Find the junctions around the car, which stands at the origin.

    Args:
        boundaries: Lines ``(n, 2)``.

    Returns:
        Those found, the nearest to the origin first.
    """
    groups: list[list[tuple[np.ndarray, int]]] = []
    for index, line in enumerate(boundaries):
        if len(line) < 2 or closed_ring(line) is not None:
            continue
        for place in _corners(line):
            near = [any(np.hypot(*(place - other)) < TOGETHER for other, _ in group) for group in groups]
            merged = [(place, index)]
            merged += [corner for group, joins in zip(groups, near, strict=True) if joins for corner in group]
            groups = [group for group, joins in zip(groups, near, strict=True) if not joins] + [merged]
    found = []
    for group in groups:
        middle = np.mean([place for place, _ in group], axis=0)
        found.append(Junction(middle, tuple(sorted({index for _, index in group}))))
    return sorted(found, key=lambda junction: float(np.hypot(*junction.place)))


def _corners(line: np.ndarray) -> list[np.ndarray]:
    """For each corner of a line ``(n, 2)`` the place ``(2,)`` :data:`OUTWARD` of it, on the road."""
    count = round(arc_length(line)) + 1
    if count <= 2 * LEG + min(REACH):
        return []
    points = resample(line, count)  # a metre apart
    if _car_is_left(points):
        points = points[::-1]
    candidates = [candidate for reach in REACH for candidate in _turns(points, reach)]
    taken: list[tuple[int, int]] = []
    places = []
    for _, start, stop in sorted(candidates, reverse=True):
        if any(start <= last + _ASIDE and stop >= first - _ASIDE for first, last in taken):
            continue
        before = _unit(points[start] - points[start - LEG])
        after = _unit(points[stop + LEG] - points[stop])
        taken.append((start, stop))
        places.append(points[(start + stop) // 2] - OUTWARD * _unit(after - before))
    return places


def _turns(points: np.ndarray, reach: int) -> list[tuple[float, int, int]]:
    """Turns of a line ``(n, 2)`` to its left, a metre between points: degrees, first point and last."""
    start = np.arange(LEG, len(points) - LEG - reach)
    stop = start + reach
    before, after = points[start] - points[start - LEG], points[stop + LEG] - points[stop]
    cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    turn = np.degrees(np.arctan2(cross, (before * after).sum(axis=1)))
    first, last = np.maximum(start - _ASIDE, 0), np.minimum(stop + _ASIDE, len(points) - 1)
    narrow = np.zeros(len(start), dtype=bool)
    for on in range(_FOLD, _FOLD + reach + 2 * _ASIDE):
        for one, other in ((first, first + on), (last - on, last)):
            gap = points[one.clip(0)] - points[other.clip(max=len(points) - 1)]
            narrow |= (one >= 0) & (other < len(points)) & (np.hypot(gap[:, 0], gap[:, 1]) < NOSE)
    found = (turn >= TURN) & ~narrow
    return [(float(turn[k]), int(start[k]), int(stop[k])) for k in np.flatnonzero(found)]


def _car_is_left(points: np.ndarray) -> bool:
    """Whether the origin lies to the left of a line ``(n, 2)``, seen from the line's nearest segment."""
    start, step = points[:-1], np.diff(points, axis=0)
    square = np.maximum((step**2).sum(axis=1), np.finfo(np.float64).tiny)
    share = np.clip(-(start * step).sum(axis=1) / square, 0.0, 1.0)
    nearest = np.hypot(*(start + share[:, None] * step).T).argmin()
    return bool(step[nearest, 1] * start[nearest, 0] > step[nearest, 0] * start[nearest, 1])


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.hypot(*vector)
