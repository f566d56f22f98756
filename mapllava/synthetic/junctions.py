"""Where streets meet: how far the junction reaches into each, its rounded area, roundabouts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from shapely.geometry import LineString, Point, Polygon
from shapely.ops import unary_union

from mapllava.synthetic import curves
from mapllava.synthetic.roads import Road, clean


@dataclass
class Arm:
    """One street at a junction, and which end of its reference line lies there (0 start, 1 end)."""

    road: Road
    end: int

    @property
    def heading(self) -> float:
        """Direction away from the junction, radians."""
        angles = curves.headings(self.road.line)
        return float(angles[0]) if self.end == 0 else float(angles[-1] + np.pi)

    def width(self, side: int) -> float:
        """Half width on the left (0) or right (1), looking away from the junction, metres."""
        return self.road.mouth_width(side if self.end == 0 else 1 - side, self.end)

    def along(self, distance: float) -> float:
        """Arc length on the street's reference line at a distance from the junction's middle."""
        return distance if self.end == 0 else self.road.length - distance

    @property
    def reach(self) -> float:
        """Distance at which the junction's area ends, metres."""
        return abs(self.road.cuts[self.end] - self.along(0.0))


@dataclass
class Junction:
    """A meeting of streets.

    Attributes:
        centre: ``(2,)`` metres.
        arms: The streets, any order.
        corner: Radius of the rounded kerbs, metres.
        island: Radius of the roundabout's island, metres; 0 for a plain junction.
        ring: Width of the roundabout's carriageway, metres.
    """

    centre: np.ndarray
    arms: list[Arm]
    corner: float
    island: float = 0.0
    ring: float = 6.5
    area: Polygon = field(default_factory=Polygon)

    def settle(self, max_reach: float) -> bool:
        """Cut the streets where the rounded corners end.

        Returns:
            Whether every street is cut nearer than ``max_reach`` metres.
        """
        reaches = self._reaches()
        if max(reaches) > max_reach:
            return False
        for arm, reach in zip(self.arms, reaches, strict=True):
            arm.road.cuts[arm.end] = arm.road.line_ends[arm.end] = arm.along(reach)
        return True

    def build_area(self) -> None:
        """Form the area from the streets' ends, rounding the corners."""
        pieces = [arm.road.strip(*sorted((arm.along(0.0), arm.along(arm.reach + 0.05)))) for arm in self.arms]
        middle, radius = Point(*self.centre), min(arm.width(side) for arm in self.arms for side in (0, 1))
        pieces.append(middle.buffer(max(radius, 0.5)))
        if self.island:
            pieces.append(middle.buffer(self.island + self.ring, quad_segs=24))
        area = unary_union(pieces).buffer(self.corner, quad_segs=10).buffer(-self.corner, quad_segs=10)
        if self.island:
            area = area.difference(middle.buffer(self.island, quad_segs=16))
        self.area = clean(area)

    def _reaches(self) -> list[float]:
        """How far the junction must reach into each arm so that the rounded corners lie inside it, metres."""
        if self.island:
            outer = self.island + self.ring + self.corner
            return [
                float(np.sqrt(max(outer**2 - (w + self.corner) ** 2, (w + 2) ** 2))) + 0.5
                for w in (max(arm.width(0), arm.width(1)) for arm in self.arms)
            ]
        order = np.argsort([arm.heading % (2 * np.pi) for arm in self.arms])
        reaches = [3.0] * len(self.arms)
        for first, second in zip(order, np.roll(order, -1), strict=True):
            a, b = self.arms[first], self.arms[second]
            angle = (b.heading - a.heading) % (2 * np.pi)
            left, right = a.width(0), b.width(1)
            if angle < np.deg2rad(155):
                tangent = self.corner / np.tan(angle / 2)
                for arm, own, other in ((first, left, right), (second, right, left)):
                    reach = (other + own * np.cos(angle)) / np.sin(angle) + tangent
                    reaches[arm] = max(reaches[arm], reach)
        return [reach + 0.5 for reach in reaches]

    def way(self, before: np.ndarray, after: np.ndarray, left_hand: bool) -> np.ndarray:
        """A car's way ``(n, 2)`` across, from one lane's line ``(m, 2)`` to another; round an island."""
        start, end = before[-1], after[0]
        if not self.island:
            return curves.connection(start, curves.heading(*before[-2:]), end, curves.heading(*after[:2]))
        radius = self.island + self.ring / 2
        first, last = curves.heading(self.centre, start), curves.heading(self.centre, end)
        sign = -1.0 if left_hand else 1.0
        lead = sign * min(1.0, 5.0 / radius)
        sweep = ((last - lead) - (first + lead)) * sign % (2 * np.pi)
        angles = first + lead + sign * np.linspace(0.0, sweep, max(int(sweep * radius / 2), 3))
        circle = self.centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        return np.vstack([start, circle, end])


def free_of(candidate: Road, others: list[Road], margin: float) -> bool:
    """Whether a street, beyond its junction, stays ``margin`` metres clear of other streets."""

    def around(road: Road, line: np.ndarray, more: float) -> Polygon:
        width = max(road.mouth_width(0, 0), road.mouth_width(1, 0)) + more
        return LineString(line).buffer(width, quad_segs=2)

    start = min(candidate.cuts[0] + 4, candidate.length - 1)
    tail = around(candidate, curves.part(candidate.line, start, candidate.length), margin)
    return not any(tail.intersects(around(other, other.line, 1)) for other in others)
