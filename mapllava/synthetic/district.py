"""A district: the streets of one scene as map elements, with the route the car drives."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np
from shapely.affinity import translate
from shapely.geometry import LineString, Polygon
from shapely.ops import unary_union

from mapllava.synthetic import curves
from mapllava.synthetic.lane_segments import LaneSegment, lane_segments
from mapllava.synthetic.roads import SIGNS, Divider, clean
from mapllava.synthetic.street_plan import Crossing, StreetPlan, draw_plan

MARGIN = 75.0
"""Metres of street before the first and behind the last place the car is at."""


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
        segments: The lanes once more, cut wherever what lies between them changes.
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
    segments: list[LaneSegment]
    dividers: list[Divider]
    crossings: list[Crossing]
    stop_lines: list[np.ndarray]
    arrows: list[np.ndarray]
    route: np.ndarray
    oncoming: np.ndarray | None
    beside: np.ndarray

    def moved(self, shift: np.ndarray) -> District:
        """The same district somewhere else; ``shift`` is ``(2,)`` metres."""
        return _moved(self, shift)


def _moved(value: Any, shift: np.ndarray) -> Any:
    """All points and areas in a value, however deep, moved; what is neither stays as it is."""
    if isinstance(value, np.ndarray):
        return value + shift
    if isinstance(value, Polygon):
        return translate(value, *shift)
    if isinstance(value, (list, tuple)):
        return type(value)(_moved(item, shift) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _moved(getattr(value, f.name), shift) for f in fields(value)})
    return value


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
        start, end = road.cuts
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
    main, ahead, against = plan.roads[: plan.num_main], plan.side(True), plan.side(False)
    picks = [int(rng.integers(road.section.lanes[ahead])) for road in main]
    others = [road.section.lanes[ahead] - 1 - pick for road, pick in zip(main, picks, strict=True)]
    both_ways = all(road.section.lanes[against] for road in main)
    lanes = _lanes(plan)
    ways = [(lane.line, lane.incoming, lane.outgoing) for lane in lanes if lane.connector]
    return District(
        plan.left_hand,
        areas,
        surface,
        lanes,
        lane_segments(plan, ways),
        [divider for road in plan.roads for divider in road.dividers()],
        plan.crossings,
        _stop_lines(plan),
        _arrows(plan) if rng.random() < 0.6 else [],
        _chain(plan, True, picks),
        _chain(plan, False, [0] * plan.num_main) if both_ways else None,
        _chain(plan, True, others),
    )


def _chain(plan: StreetPlan, forward: bool, picks: list[int]) -> np.ndarray:
    """One way through all main streets along their lines, or against them: lane ``picks[i]`` of street i."""
    side = plan.side(forward)
    lines = [
        road.lane_line(side, pick) for road, pick in zip(plan.roads[: plan.num_main], picks, strict=True)
    ]
    junctions = list(plan.junctions)
    if not forward:
        lines, junctions = [line[::-1] for line in lines[::-1]], junctions[::-1]
    out = [lines[0]]
    for junction, before, after in zip(junctions, lines[:-1], lines[1:], strict=True):
        out += [junction.way(before, after, plan.left_hand)[1:-1], after]
    return curves.smoothed(np.vstack(out), 0.5, 2.0)


def _lanes(plan: StreetPlan) -> list[Lane]:
    """All lanes, then the ways through the junctions that join them."""
    lanes: list[Lane] = []
    places: dict[tuple[int, int, int], int] = {}
    for road in plan.roads:
        for side in (0, 1):
            for index in range(road.section.lanes[side]):
                line = curves.thinned(road.lane_line(side, index))
                places[id(road), side, index] = len(lanes)
                line = line if side == plan.side(True) else line[::-1]
                lanes.append(Lane(line, road.lane_area(side, index)))
    for junction in plan.junctions:
        for source, target in itertools.permutations(junction.arms, 2):
            # Traffic arrives on the side that drives along the line where the junction is at the line's end.
            side, out = plan.side(source.end == 1), plan.side(target.end == 0)
            section, exits = source.road.section, target.road.section.lanes[out]
            for index in range(section.lanes[side] if exits else 0):
                a = places[id(source.road), side, index]
                b = places[id(target.road), out, min(index, exits - 1)]
                line = curves.thinned(junction.way(lanes[a].line, lanes[b].line, plan.left_hand))
                area = LineString(line).buffer(section.lane_width / 2, cap_style="flat", quad_segs=2)
                lanes[a].outgoing.append(len(lanes))
                lanes[b].incoming.append(len(lanes))
                lanes.append(Lane(line, clean(area), True, [a], [b]))
    return lanes


def _stop_lines(plan: StreetPlan) -> list[np.ndarray]:
    """Painted bars across the lanes that arrive at a junction with more than two streets."""
    out = []
    for junction in plan.junctions:
        for arm in junction.arms if len(junction.arms) > 2 and not junction.island else ():
            road, side = arm.road, plan.side(arm.end == 1)
            if lanes := road.section.lanes[side]:
                place = road.line_ends[arm.end] + (-0.2 if arm.end == 1 else 0.2)
                half = SIGNS[side] * (road.section.lane_width / 2 - 0.15)
                first, last = (road.section.lane_centre(side, index) for index in (0, lanes - 1))
                near, far = curves.offset(road.line, first - half), curves.offset(road.line, last + half)
                corners = ((near, -0.2), (far, -0.2), (far, 0.2), (near, 0.2))
                out.append(np.array([curves.at(road.line, place + shift, line) for line, shift in corners]))
    return out


def _arrows(plan: StreetPlan) -> list[np.ndarray]:
    """Arrows on the lanes that arrive at junctions, 8 m and more before the stop line."""
    shape = np.array([[0, 0.09], [2.2, 0.09], [2.2, 0.4], [3.6, 0], [2.2, -0.4], [2.2, -0.09], [0, -0.09]])
    out = []
    for arm in (arm for junction in plan.junctions for arm in junction.arms):
        road, side = arm.road, plan.side(arm.end == 1)
        if road.line_ends[1] - road.line_ends[0] > 30:
            place = road.line_ends[arm.end] + (-12 if arm.end == 1 else 12)
            yaw = curves.at(road.line, place, curves.headings(road.line)) + (0 if arm.end == 1 else np.pi)
            for index in range(road.section.lanes[side]):
                line = curves.offset(road.line, road.section.lane_centre(side, index))
                out.append(curves.at(road.line, place, line) + curves.turned(shape, float(yaw)))
    return out
