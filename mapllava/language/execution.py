"""A request, answered by exact geometry on the lines of a map.

What each kind means; "inside" is inside the request's region, "elements" are lines of its classes:

==========  ==========================================================================================
draw        the map cut to the region; how many elements reach into it
count       elements of which a part lies inside
exists      whether there is one
distance    metres from the car's origin to the nearest point inside; 0 on a crossing
nearest     class of the element that this point is of, with its distance and bearing
side        on which side of the car this point lies; ``ahead`` or ``behind`` where the element, up to 1 m
            farther away than this point, comes within 1 m of the car's axis (a crossing across the
            street); ``here`` where the car stands on it
lanes       lanes beside the car's own, at the car or at N m: the left ones, the right ones, or with no
            side said all across the carriageway, its own included; see :mod:`~mapllava.language.lanes`
junction    whether a junction's middle lies inside, told from road boundaries; see
            :mod:`~mapllava.language.junction`
describe    elements of every class inside, the lanes at the car, and whether there is a junction inside; the
            number of elements
==========  ==========================================================================================

The car's origin is the frame's: the LiDAR or the rear axle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.geometry.polyline import closed_ring
from mapllava.language.answers import Answer
from mapllava.language.junction import junctions
from mapllava.language.lanes import BOUNDARY, DIVIDER, lanes_beside
from mapllava.language.region import Shape, axes, cut, cut_line, outline, place_along
from mapllava.language.request import Request
from mapllava.structures.frames import AREA_CLASSES, MapSpec
from mapllava.structures.map_lines import MapLines

BESIDE = 1.0
"""Metres beside the car's axis up to which something lies straight ahead or behind."""

SAME = 1.0
"""Metres by which a distance may change and still be the same answer."""


def execute(
    request: Request,
    lines: MapLines,
    map_spec: MapSpec,
    certainty: Mapping[str, float] | None = None,
    nearly: MapLines | None = None,
) -> Answer:
    """Answer a request.

    Every line counts as there, and two lines are two elements: of predictions, give those that are shown,
    near-duplicates left out.

    Args:
        request: What is asked.
        lines: K lines; the answer cites them by their places.
        map_spec: Of the lines.
        certainty: Class to the score below which its lines are in doubt, as held-out data told; None takes
            all as certain.
        nearly: Lines that are not shown, and may be there all the same.

    Returns:
        What is said of ``lines``; certain where it would be the same without those in doubt, and with those
        of ``nearly`` besides. Never of a region that lies wholly off the map.

    Raises:
        MapLLaVAError: If the map's classes cannot answer it.
    """
    found = _answer(request, lines, map_spec)
    cited = tuple(sorted({int(index) for index in found.cited}))
    scores = _scores(lines)
    others = []
    if certainty is not None:
        least = np.array([certainty.get(name, 0.0) for name in map_spec.classes])
        sure = scores >= least[np.asarray(lines.labels, dtype=np.int64)]
        others += [] if sure.all() else [lines.at(np.flatnonzero(sure))]
    if nearly is not None and nearly.points:
        labels = np.concatenate([lines.labels, nearly.labels])
        both = np.concatenate([scores, _scores(nearly)])
        others.append(MapLines([*lines.points, *nearly.points], labels, both))
    certain = all(found.agrees(_answer(request, other, map_spec)) for other in others)
    if request.region.distance is not None and not outline(request.region, map_spec):
        certain = False  # nobody knows what lies where the map has ended
    return Answer(
        request,
        found.value,
        "m" if request.kind == "distance" and found.value is not None else None,
        cited,
        tuple(float(scores[index]) for index in cited),
        certain,
        found.lines,
        found.facts,
        tuple(map_spec.classes),
    )


def _scores(lines: MapLines) -> np.ndarray:
    """``(K,)``, 1 where there are none."""
    return np.ones(len(lines.points)) if lines.scores is None else np.asarray(lines.scores)


@dataclass(frozen=True, eq=False)
class _Found:
    """A value and the lines it rests on, before it is an answer; ``metres`` where a change within
    :data:`SAME` of them leaves it the same; ``besides`` what else the sentence says and must stay."""

    value: Any
    cited: Iterable[int] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    lines: MapLines | None = None
    metres: float | None = None
    besides: Any = None

    def agrees(self, other: _Found) -> bool:
        """Whether another is the same answer."""
        if self.metres is None or other.metres is None:
            return bool(self.value == other.value and self.besides == other.besides)
        same = isinstance(self.value, float) or self.value == other.value
        return same and abs(self.metres - other.metres) <= SAME


@dataclass(frozen=True, eq=False)
class _View:
    """A request and the map it is put to."""

    request: Request
    lines: MapLines
    map_spec: MapSpec

    @cached_property
    def shape(self) -> Shape:
        return Shape.of(self.request.region, self.map_spec)

    @cached_property
    def inside(self) -> tuple[MapLines, np.ndarray]:
        """The pieces inside, and which line each is of."""
        return cut(self.lines, self.request.region, self.map_spec, self.request.classes)

    def seen_at(self, place: np.ndarray) -> dict[str, float]:
        """Distance in metres and bearing in degrees, to the left of straight ahead, of a place ``(2,)``."""
        ahead, left = axes(self.map_spec)
        bearing = float(np.degrees(np.arctan2(place @ left, place @ ahead)))
        return {"distance": float(np.hypot(*place)), "bearing": bearing}

    def nearest(self) -> tuple[int, np.ndarray] | None:
        """The nearest line inside and its point ``(2,)`` nearest to the car; None for none."""
        pieces, of = self.inside
        best: tuple[float, int, np.ndarray] | None = None
        for points, label, index in zip(pieces.points, pieces.labels, of, strict=True):
            area = self.map_spec.classes[int(label)] in AREA_CLASSES
            place = nearest_point(points, area)
            distance = float(np.hypot(*place))
            if best is None or distance < best[0]:
                best = distance, int(index), place
        return best and best[1:]

    def name_of(self, index: int) -> str:
        """Name of a line's class."""
        return self.map_spec.classes[int(self.lines.labels[index])]


def _answer(request: Request, lines: MapLines, map_spec: MapSpec) -> _Found:
    return _ANSWERS[request.kind](_View(request, lines, map_spec))


def nearest_point(points: np.ndarray, area: bool = False) -> np.ndarray:
    """The point ``(2,)`` of a line ``(n, 2)`` nearest to the origin; the origin within an area's ring."""
    ring = closed_ring(points) if area else None
    start, stop = (points[:-1], points[1:]) if ring is None else (ring[:-1], ring[1:])
    if ring is not None:
        rises = (start[:, 1] <= 0) != (stop[:, 1] <= 0)
        x = start[rises, 0] - start[rises, 1] * (stop - start)[rises, 0] / (stop - start)[rises, 1]
        if (x > 0).sum() % 2:  # a ray to the right leaves the ring an odd number of times
            return np.zeros(2)
    if not len(start):  # a line of one point
        return points[0]
    step = stop - start
    square = (step**2).sum(axis=1)
    share = np.clip(-(start * step).sum(axis=1) / np.where(square > 0, square, 1.0), 0.0, 1.0)
    places = start + share[:, None] * step
    return places[np.hypot(places[:, 0], places[:, 1]).argmin()]


def _draw(view: _View) -> _Found:
    pieces, of = view.inside
    return _Found(len(set(of.tolist())), of, {}, pieces)


def _count(view: _View) -> _Found:
    _, of = view.inside
    return _Found(len(set(of.tolist())), of)


def _exists(view: _View) -> _Found:
    _, of = view.inside
    return _Found(bool(len(of)), of)


def _distance(view: _View) -> _Found:
    if (found := view.nearest()) is None:
        return _Found(None)
    index, place = found
    seen = view.seen_at(place)
    return _Found(seen["distance"], [index], {"class": view.name_of(index), **seen}, metres=seen["distance"])


def _nearest(view: _View) -> _Found:
    found = _distance(view)
    return _Found(found.facts.get("class"), found.cited, found.facts, metres=found.metres)


def _side(view: _View) -> _Found:
    found = _distance(view)
    if found.value is None:
        return found
    if found.value == 0:
        return replace(found, value="here", metres=None)
    bearing, (ahead, left) = found.facts["bearing"], axes(view.map_spec)
    way = ahead if abs(bearing) < 90 else -ahead
    normals, offsets = np.stack([left, -left, way]), np.array([-BESIDE, -BESIDE, 0.0])
    straight = Shape(normals, offsets, farthest=found.value + SAME)
    pieces, of = view.inside
    mine = [points for points, index in zip(pieces.points, of, strict=True) if index in found.cited]
    along = (
        abs(np.cos(np.radians(bearing))) >= 0.5
    )  # beside the car is not ahead of it, however near its axis
    if along and any(cut_line(points, [straight]) for points in mine):
        side = "ahead" if abs(bearing) < 90 else "behind"
    else:
        side = "left" if bearing > 0 else "right"
    return replace(found, value=side, metres=None)


def _lanes(view: _View) -> _Found:
    region = view.request.region
    left, right = lanes_beside(view.lines, view.map_spec, place_along(region))
    sides = {side: beside for side, beside in (("left", left), ("right", right)) if side in region.sides}
    asked = list(sides.values()) or [left, right]
    counts = [beside.lanes for beside in asked if beside.lanes is not None]
    value = sum(counts) + (not sides) if len(counts) == len(asked) else None
    cited = [index for beside in asked for index in beside.lines]
    facts = {"left": left.lanes, "right": right.lanes}
    return _Found(value, cited, facts, besides=None if sides else facts)


def _junction(view: _View) -> _Found:
    if BOUNDARY not in (names := view.map_spec.classes):
        raise MapLLaVAError(
            f"a junction shows in lines of class '{BOUNDARY}', and this map has {', '.join(names)} alone"
        )
    kerbs = [k for k in range(len(view.lines.points)) if view.name_of(k) == BOUNDARY]
    for junction in junctions([view.lines.points[k] for k in kerbs]):
        if view.shape.holds(junction.place[None]).all():
            return _Found(True, [kerbs[k] for k in junction.kerbs], view.seen_at(junction.place))
    return _Found(False)


def _describe(view: _View) -> _Found:
    classes, cited = {}, set()
    for name in view.map_spec.classes:
        one = replace(view, request=Request("distance", (name,), view.request.region))
        inside = set(one.inside[1].tolist())
        classes[name] = (len(inside), _distance(one).value)
        cited |= inside
    marked = {DIVIDER, BOUNDARY} & set(view.map_spec.classes)
    lanes = _lanes(replace(view, request=Request("lanes"))) if marked else _Found(None)
    facts = {"classes": classes, "lanes": lanes.value}
    counts = {name: count for name, (count, _) in classes.items()}
    cited |= set(lanes.cited)
    junction = None
    if BOUNDARY in view.map_spec.classes:
        found = _junction(view)
        junction, facts["junction"] = found.value, found.facts.get("distance")
        cited |= set(found.cited)
    return _Found(sum(counts.values()), cited, facts, besides=(counts, lanes.value, junction))


_ANSWERS: dict[str, Callable[[_View], _Found]] = {
    "draw": _draw,
    "count": _count,
    "exists": _exists,
    "distance": _distance,
    "nearest": _nearest,
    "side": _side,
    "lanes": _lanes,
    "junction": _junction,
    "describe": _describe,
}
