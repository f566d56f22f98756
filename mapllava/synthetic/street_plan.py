"""Draws a random chain of streets with junctions, side streets, bays and crossings."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mapllava.synthetic import curves
from mapllava.synthetic.junctions import Arm, Junction, free_of
from mapllava.synthetic.roads import Bay, Paint, Road, Section

STRAIGHT = 14.0
"""Metres of a street that stay straight at each end, so that junctions are built on straight kerbs."""


@dataclass(frozen=True)
class Crossing:
    """A pedestrian crossing: its area's corners ``(4, 2)`` (left and right kerb at its near, then far edge)
    and whether it is painted as a zebra or as two lines."""

    corners: np.ndarray
    zebra: bool


@dataclass
class StreetPlan:
    """Streets before they become a map.

    Attributes:
        roads: All streets; the first ``num_main`` follow each other and carry the route.
        num_main: How many of them do.
        junctions: All junctions; number i lies between main streets i and i + 1.
        crossings: Pedestrian crossings.
        left_hand: Whether traffic keeps left.
    """

    left_hand: bool
    roads: list[Road] = field(default_factory=list)
    num_main: int = 0
    junctions: list[Junction] = field(default_factory=list)
    crossings: list[Crossing] = field(default_factory=list)

    def side(self, forward: bool) -> int:
        """The side of a street (0 left, 1 right) whose traffic drives along its line, or against it."""
        return 0 if forward == self.left_hand else 1


def draw_plan(rng: np.random.Generator, length: float, left_hand: bool) -> StreetPlan | None:
    """Draw streets whose main chain is at least ``length`` metres long.

    Returns:
        The plan, or None when this draw does not fit together (draw again).
    """
    plan = StreetPlan(left_hand)
    base = rng.uniform(0, 2 * np.pi)
    heading, place, total = base, np.zeros(2), 0.0
    style = _Style(rng)
    section = style.section(rng, left_hand, main=True)
    kinds: list[str] = []
    while True:
        span = rng.uniform(68, 110)
        wish = base + rng.uniform(-1.0, 1.0) - heading
        turn = float(np.clip(wish, -1, 1) * min(1.0, (span - 2 * STRAIGHT) / 40))
        sway = rng.uniform(-0.3, 0.3) * min(1.0, (span - 60) / 60)
        road = Road(curves.curve(place, heading, span, turn, sway, STRAIGHT), section)
        plan.roads.append(road)
        place, heading, total = road.line[-1], heading + turn, total + span
        if total >= length:
            break
        kind = str(rng.choice(["cross", "tee", "turn", "round", "fork"], p=[0.33, 0.27, 0.16, 0.12, 0.12]))
        kinds.append(kind)
        heading += _bend(rng, kind, heading - base)
        if kind in ("cross", "turn", "round") and rng.random() < 0.5:
            section = style.section(rng, left_hand, main=True)
    plan.num_main = len(plan.roads)
    _add_bays(rng, plan)
    for index, kind in enumerate(kinds):
        streets = len(plan.roads)
        for _ in range(5):
            junction = _draw_junction(rng, plan, index, kind, style)
            if junction is not None:
                break
            del plan.roads[streets:]
        else:
            return None
        plan.junctions.append(junction)
    _add_crossings(rng, plan, style)
    return plan


class _Style:
    """What the streets of one district share."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.lane_width = float(rng.uniform(3.0, 3.6))
        self.zebra = bool(rng.random() < 0.8)
        dash = (float(rng.uniform(1.5, 3.0)), float(rng.uniform(2.0, 4.0)))
        yellow = bool(rng.random() < 0.35)
        width = float(rng.uniform(0.14, 0.2))
        self.inner = Paint(dash=dash, width=width)
        self.centres = [
            Paint(dash=dash, yellow=yellow, width=width),
            Paint(yellow=yellow, width=width),
            Paint(double=True, yellow=yellow, width=width),
        ]
        self.corner = float(rng.uniform(4.0, 8.5))
        self.crossing_share = float(rng.uniform(0.3, 0.8))

    def section(self, rng: np.random.Generator, left_hand: bool, main: bool) -> Section:
        """A cross-section; main streets are wider and always have lanes in the route's direction."""
        table = [(1, 1), (2, 2), (1, 2), (2, 1), (3, 3), (0, 2), (0, 3), (3, 2)]
        wide, narrow = [0.3, 0.28, 0.08, 0.08, 0.07, 0.09, 0.04, 0.06], [0.6, 0.15, 0.05, 0, 0, 0.2, 0, 0]
        against, along = table[rng.choice(len(table), p=wide if main else narrow)]
        if not main and not against and rng.random() < 0.5:
            against, along = along, against
        lanes = (along, against) if left_hand else (against, along)
        both = min(lanes) > 0
        median = float(rng.uniform(1.2, 3.5)) if both and rng.random() < (0.3 if main else 0.12) else 0.0
        shoulder = float(rng.uniform(1.8, 2.4)) if rng.random() < 0.25 else 0.0
        centre = self.centres[rng.choice(3, p=[0.35, 0.3, 0.35])]
        return Section(lanes, self.lane_width, median, shoulder, centre, self.inner)


def _bend(rng: np.random.Generator, kind: str, lean: float) -> float:
    """Change of the main chain's heading at a junction; ``lean`` is how far it already is from the base."""
    if kind in ("turn", "fork"):
        away = -np.sign(lean if abs(lean) > 0.05 else rng.uniform(-1, 1))
        return float(away * rng.uniform(*((1.3, 1.75) if kind == "turn" else (0.2, 0.5))))
    if kind == "round":
        return float(np.clip(-lean, -1, 1) * rng.uniform(0, 0.9))
    return float(rng.uniform(-0.12, 0.12)) if kind == "cross" else 0.0


def _side_angles(rng: np.random.Generator, kind: str, bend: float) -> list[float]:
    """Headings of the side streets relative to the main chain's heading before the junction."""
    jitter = rng.uniform(-0.25, 0.25)
    side = float(rng.choice([-1.0, 1.0]))
    if kind in ("cross", "round"):
        return [np.pi / 2 + jitter, -np.pi / 2 + jitter]
    if kind == "turn":
        ahead = rng.uniform(-0.15, 0.15)
        return [ahead, -np.sign(bend) * np.pi / 2 + jitter] if rng.random() < 0.4 else [ahead]
    if kind == "fork":
        return [float(bend - np.sign(bend) * rng.uniform(1.0, 1.3))]
    return [side * (np.pi / 2 + jitter)]


def _draw_junction(
    rng: np.random.Generator, plan: StreetPlan, index: int, kind: str, style: _Style
) -> Junction | None:
    before, after = plan.roads[index], plan.roads[index + 1]
    arms = [Arm(before, 1), Arm(after, 0)]
    came = arms[0].heading + np.pi
    centre = before.line[-1]
    limit = 0.42 * min(before.length, after.length)
    bend = (arms[1].heading - came + np.pi) % (2 * np.pi) - np.pi
    angles = _side_angles(rng, kind, bend)
    for angle in angles:
        section = style.section(rng, plan.left_hand, main=False)
        if kind == "turn" and angle is angles[0]:
            section = before.section  # goes straight on: its far kerb must meet the other's
        for _ in range(3):
            span = float(rng.uniform(50, 85))
            line = curves.curve(centre, came + angle, span, rng.uniform(-0.6, 0.6), 0.0, STRAIGHT + 4)
            side = Road(line, section)
            trial = Junction(centre, [*arms, Arm(side, 0)], style.corner)
            if _settle(trial, limit) and free_of(side, plan.roads, 3.0):
                arms.append(Arm(side, 0))
                plan.roads.append(side)
                break
    island = float(rng.uniform(7, 11)) if kind == "round" else 0.0
    junction = Junction(centre, arms, style.corner, island)
    if len(arms) == 2 or (len(arms) < 4 and not island and not _kerbs_meet(before, after, kind)):
        return None
    if not _settle(junction, limit):
        return None
    junction.build_area()
    return junction


def _kerbs_meet(before: Road, after: Road, kind: str) -> bool:
    """Whether the kerbs of two main streets go on without a step where no side street hides one."""
    before.bays = [bay for bay in before.bays if not bay.pocket]
    return kind == "turn" or before.section == after.section


def _settle(junction: Junction, limit: float) -> bool:
    wish = junction.corner
    for corner in (wish, 0.6 * wish, 3.0):
        junction.corner = corner
        if junction.settle(limit):
            return True
    return False


def _add_bays(rng: np.random.Generator, plan: StreetPlan) -> None:
    """Bus and parking bays, and extra lanes before junctions, on the main streets."""
    for index, road in enumerate(plan.roads):
        section, length, last = road.section, road.length, index == plan.num_main - 1
        for side in (0, 1):
            if length > 95 and not section.shoulder and section.lanes[side] and rng.random() < 0.3:
                start = rng.uniform(32, length - 62)
                end, width = start + rng.uniform(24, 34), rng.uniform(2.2, 3.0)
                road.bays.append(Bay(side, start, end, width, ramp=7.0))
        if not last and not road.bays and min(section.lanes) and rng.random() < 0.2:
            road.bays.append(Bay(plan.side(True), length - 45, length + 20, section.lane_width, True, 12.0))


def _add_crossings(rng: np.random.Generator, plan: StreetPlan, style: _Style) -> None:
    for junction in plan.junctions:
        for arm in junction.arms:
            setback = float(rng.uniform(1.0, 2.0))
            if len(junction.arms) > 2 and rng.random() < style.crossing_share:
                depth = float(rng.uniform(2.5, 4.2))
                middle = arm.reach + rng.uniform(0.3, 1.0) + depth / 2
                setback = middle - arm.reach + depth / 2 + 1.2
                plan.crossings.append(_crossing(arm.road, arm.along(middle), depth, 0.0, style.zebra))
            arm.road.line_ends[arm.end] = arm.along(arm.reach + setback)
    for road in plan.roads[: plan.num_main]:
        if rng.random() < 0.4 and road.line_ends[1] - road.line_ends[0] > 45:
            place = float(rng.uniform(road.line_ends[0] + 18, road.line_ends[1] - 18))
            depth, skew = float(rng.uniform(2.8, 4.5)), float(rng.uniform(-1.5, 1.5))
            plan.crossings.append(_crossing(road, place, depth, skew, style.zebra or rng.random() < 0.5))
            road.gaps.append((place - depth / 2 - 1.3, place + depth / 2 + 1.3))


def _crossing(road: Road, place: float, depth: float, skew: float, zebra: bool) -> Crossing:
    near, far = (road.across(place + shift, skew) for shift in (-depth / 2, depth / 2))
    inset = 0.2 / np.hypot(*(near[1] - near[0]))
    rows = [row + inset * (row[::-1] - row) for row in (near, far)]
    return Crossing(np.vstack(rows), zebra)
