"""A district: the streets of one scene as map elements, with the route the car drives."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
from shapely.geometry import LineString, Polygon
from shapely.ops import unary_union

from mapllava.synthetic import curves
from mapllava.synthetic.junctions import Arm, Junction
from mapllava.synthetic.roads import Paint, Road, clean
from mapllava.synthetic.street_plan import Crossing, StreetPlan, draw_plan

MARGIN = 75.0
"""Metres of street before the first and behind the last place the car is at."""


@dataclass(frozen=True)
class Divider:
    """A painted line: ``kind`` 'road' (between directions) or 'lane', points ``(n, 2)``, paint."""

    kind: str
    points: np.ndarray
    paint: Paint


@dataclass
class Lane:
    """A lane or a way through a junction: centre line ``(n, 2)`` in driving direction, area, neighbours."""

    line: np.ndarray
    area: Polygon
    connector: bool = False
    incoming: list[int] = field(default_factory=list)
    outgoing: list[int] = field(default_factory=list)


@dataclass
class District:
    """All of one scene's streets, metres.

    Attributes:
        left_hand: Whether traffic keeps left.
        areas: Street and junction areas, with whether it is a junction.
        surface: Union of the areas; its outlines are the kerbs.
        lanes: Lanes and junction ways.
        dividers: Painted lines between lanes.
        crossings: Pedestrian crossings.
        stop_lines: Corners ``(4, 2)`` of each painted stop line.
        arrows: Outlines ``(7, 2)`` of the arrows painted on lanes.
        route: ``(n, 2)`` the car's way, about 0.5 m apart.
        oncoming: ``(n, 2)`` the way of the traffic that comes towards the car; may be None.
        beside: ``(n, 2)`` the way beside the car's, same direction.
    """

    left_hand: bool
    areas: list[tuple[Polygon, bool]]
    surface: Polygon
    lanes: list[Lane]
    dividers: list[Divider]
    crossings: list[Crossing]
    stop_lines: list[np.ndarray]
    arrows: list[np.ndarray]
    route: np.ndarray
    oncoming: np.ndarray | None
    beside: np.ndarray

    def moved(self, shift: np.ndarray) -> District:
        """The same district somewhere else; ``shift`` is ``(2,)`` metres."""
        from shapely.affinity import translate

        def move(area: Polygon) -> Polygon:
            return translate(area, *shift)

        return District(
            self.left_hand,
            [(move(area), junction) for area, junction in self.areas],
            move(self.surface),
            [Lane(x.line + shift, move(x.area), x.connector, x.incoming, x.outgoing) for x in self.lanes],
            [Divider(x.kind, x.points + shift, x.paint) for x in self.dividers],
            [Crossing(x.corners + shift, x.zebra) for x in self.crossings],
            [corners + shift for corners in self.stop_lines],
            [outline + shift for outline in self.arrows],
            self.route + shift,
            None if self.oncoming is None else self.oncoming + shift,
            self.beside + shift,
        )


def build_district(rng: np.random.Generator, left_hand: bool, drive: float) -> District:
    """Draw streets for a drive of ``drive`` metres.

    Args:
        rng: Source of every random choice.
        left_hand: Whether traffic keeps left.
        drive: Length of the drive, metres.

    Returns:
        The district, around the origin.

    Raises:
        RuntimeError: If no draw fits together (does not happen in practice).
    """
    for _ in range(200):
        plan = draw_plan(rng, drive + 2 * MARGIN, left_hand)
        if plan is not None:
            district = _assemble(rng, plan)
            if district is not None:
                return district
    raise RuntimeError("no street plan fits together after 200 draws: report this with the seed")


def _assemble(rng: np.random.Generator, plan: StreetPlan) -> District | None:
    areas = []
    for road in plan.roads:
        start, end = road.cuts[0], road.cuts[1]
        area = road.strip(max(start - 0.05, 0.0), min(end + 0.05, road.length))
        for median in road.medians():
            area = area.difference(median)
        areas.append((area, False))
    areas += [(junction.area, True) for junction in plan.junctions]
    if any(area.geom_type != "Polygon" or area.is_empty or not area.is_valid for area, _ in areas):
        return None
    surface = unary_union([area for area, _ in areas])
    if surface.geom_type != "Polygon":
        return None
    ahead = 0 if plan.left_hand else 1
    picks = _lane_picks(rng, plan, ahead)
    route = curves.smoothed(_chain(plan, ahead, picks), 0.5, 2.0)
    others = [road.section.lanes[ahead] - 1 - pick for road, pick in zip(plan.roads, picks, strict=False)]
    oncoming = None
    if all(road.section.lanes[1 - ahead] for road in plan.roads[: plan.num_main]):
        oncoming = curves.smoothed(_chain(plan, 1 - ahead, [0] * plan.num_main), 0.5, 2.0)
    dividers = [Divider(*line) for road in plan.roads for line in road.dividers()]
    return District(
        plan.left_hand,
        areas,
        surface,
        _lanes(plan),
        [Divider(line.kind, _thin(line.points), line.paint) for line in dividers],
        plan.crossings,
        _stop_lines(plan),
        _arrows(plan) if rng.random() < 0.6 else [],
        route,
        oncoming,
        curves.smoothed(_chain(plan, ahead, others), 0.5, 2.0),
    )


def _thin(points: np.ndarray) -> np.ndarray:
    return np.array(LineString(points).simplify(0.02).coords)


def _lane_picks(rng: np.random.Generator, plan: StreetPlan, ahead: int) -> list[int]:
    return [int(rng.integers(road.section.lanes[ahead])) for road in plan.roads[: plan.num_main]]


def _forward(plan: StreetPlan, side: int) -> bool:
    """Whether traffic on this side drives along the reference line."""
    return (side == 0) == plan.left_hand


def _chain(plan: StreetPlan, side: int, picks: list[int]) -> np.ndarray:
    """One way through all main streets on one side: lane ``picks[i]`` of street i."""
    lines = [road.lane_line(side, pick) for road, pick in zip(plan.roads, picks, strict=False)]
    junctions = list(plan.junctions)
    if not _forward(plan, side):
        lines, junctions = [line[::-1] for line in lines[::-1]], junctions[::-1]
    out = [lines[0]]
    for junction, before, after in zip(junctions, lines, lines[1:], strict=False):
        out += [_way(junction, before, after, plan.left_hand)[1:-1], after]
    return np.vstack(out)


def _way(junction: Junction, before: np.ndarray, after: np.ndarray, left_hand: bool) -> np.ndarray:
    start = (before[-1], float(np.arctan2(*(before[-1] - before[-2])[::-1])))
    end = (after[0], float(np.arctan2(*(after[1] - after[0])[::-1])))
    return junction.way(start, end, left_hand)


def _lanes(plan: StreetPlan) -> list[Lane]:
    """All lanes, then the ways through the junctions that join them."""
    lanes: list[Lane] = []
    places: dict[tuple[int, int, int], int] = {}
    for number, road in enumerate(plan.roads):
        for side in (0, 1):
            for index in range(road.section.lanes[side]):
                line = _thin(road.lane_line(side, index))
                places[number, side, index] = len(lanes)
                lanes.append(Lane(line if _forward(plan, side) else line[::-1], road.lane_area(side, index)))
    numbers = {id(road): number for number, road in enumerate(plan.roads)}
    for junction in plan.junctions:
        arms = [(arm, numbers[id(arm.road)]) for arm in junction.arms]
        for source, target in itertools.permutations(arms, 2):
            _connect(plan, junction, lanes, places, source, target)
    return lanes


def _connect(
    plan: StreetPlan,
    junction: Junction,
    lanes: list[Lane],
    places: dict[tuple[int, int, int], int],
    source: tuple[Arm, int],
    target: tuple[Arm, int],
) -> None:
    """Join lanes that arrive by one arm to lanes that leave by another (each with its street's number)."""
    (first, first_number), (last, last_number) = source, target
    # Traffic arrives on the side that drives along the line where the junction is at the line's end.
    side = next(side for side in (0, 1) if _forward(plan, side) == (first.end == 1))
    out = next(side for side in (0, 1) if _forward(plan, side) == (last.end == 0))
    exits = last.road.section.lanes[out]
    for index in range(first.road.section.lanes[side] if exits else 0):
        a, b = places[first_number, side, index], places[last_number, out, min(index, exits - 1)]
        line = _thin(_way(junction, lanes[a].line, lanes[b].line, plan.left_hand))
        width = first.road.section.lane_width
        area = clean(LineString(line).buffer(width / 2, cap_style="flat", quad_segs=2))
        lanes.append(Lane(line, area, True, [a], [b]))
        lanes[a].outgoing.append(len(lanes) - 1)
        lanes[b].incoming.append(len(lanes) - 1)


def _stop_lines(plan: StreetPlan) -> list[np.ndarray]:
    """Painted bars across the lanes that arrive at a junction with more than two streets."""
    out = []
    for junction in plan.junctions:
        if len(junction.arms) < 3 or junction.island:
            continue
        for arm in junction.arms:
            out += _arm_stop_lines(plan, arm.road, arm.end)
    return out


def _arm_stop_lines(plan: StreetPlan, road: Road, end: int) -> list[np.ndarray]:
    out = []
    for side in (0, 1):
        lanes = road.section.lanes[side]
        if lanes and _forward(plan, side) == (end == 1):
            place = road.line_ends[end] + (-0.2 if end == 1 else 0.2)
            half, sign = road.section.lane_width / 2 - 0.15, 1.0 if side == 0 else -1.0
            laterals = (
                road.section.lane_centre(side, 0) - sign * half,
                road.section.lane_centre(side, lanes - 1) + sign * half,
            )
            lines = [curves.offset(road.line, lateral) for lateral in laterals]
            points = [
                curves.at(road.line, place + shift, line[:, axis])
                for line, shift in ((lines[0], -0.2), (lines[1], -0.2), (lines[1], 0.2), (lines[0], 0.2))
                for axis in (0, 1)
            ]
            out.append(np.array(points, dtype=float).reshape(4, 2))
    return out


def _arrows(plan: StreetPlan) -> list[np.ndarray]:
    """Arrows on the lanes that arrive at junctions, 8 m and more before the stop line."""
    shape = np.array([[0, 0.09], [2.2, 0.09], [2.2, 0.4], [3.6, 0], [2.2, -0.4], [2.2, -0.09], [0, -0.09]])
    out = []
    for junction in plan.junctions:
        for arm in junction.arms:
            road, end = arm.road, arm.end
            for side in (0, 1):
                if _forward(plan, side) == (end == 1) and road.line_ends[1] - road.line_ends[0] > 30:
                    place = road.line_ends[end] + (-12 if end == 1 else 12)
                    for index in range(road.section.lanes[side]):
                        line = curves.offset(road.line, road.section.lane_centre(side, index))
                        middle = np.array([curves.at(road.line, place, line[:, axis]) for axis in (0, 1)])
                        yaw = curves.at(road.line, place, curves.headings(road.line)) + (
                            0 if end == 1 else np.pi
                        )
                        turn = np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]])
                        out.append(middle + shape @ turn)
    return out
