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

    def cut(self, distance: float) -> None:
        """Let the junction's area end at this distance from its middle, metres."""
        self.road.cuts[self.end] = self.road.line_ends[self.end] = self.along(distance)

    @property
    def reach(self) -> float:
        """Distance at which the junction's area ends, metres."""
        return abs(self.road.cuts[self.end] - self.along(0.0))

    def stub(self) -> Polygon:
        """The street's area from the junction's middle to where the junction ends."""
        inner, outer = sorted((self.along(0.0), self.along(self.reach + 0.05)))
        return self.road.strip(inner, outer)


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
            arm.cut(reach)
        return True

    def build_area(self) -> None:
        """Form the area from the streets' ends, rounding the corners."""
        pieces = [arm.stub() for arm in self.arms]
        radius = min(min(arm.width(0), arm.width(1)) for arm in self.arms)
        pieces.append(Point(*self.centre).buffer(max(radius, 0.5)))
        if self.island:
            pieces.append(Point(*self.centre).buffer(self.island + self.ring, quad_segs=24))
        area = unary_union(pieces).buffer(self.corner, quad_segs=10).buffer(-self.corner, quad_segs=10)
        if self.island:
            area = area.difference(Point(*self.centre).buffer(self.island, quad_segs=16))
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
                reaches[first] = max(reaches[first], (right + left * np.cos(angle)) / np.sin(angle) + tangent)
                reaches[second] = max(
                    reaches[second], (left + right * np.cos(angle)) / np.sin(angle) + tangent
                )
        return [reach + 0.5 for reach in reaches]

    def way(
        self, start: tuple[np.ndarray, float], end: tuple[np.ndarray, float], left_hand: bool
    ) -> np.ndarray:
        """A car's way ``(n, 2)`` across, from one pose (point, heading) to another; round an island."""
        if not self.island:
            return curves.connection(start[0], start[1], end[0], end[1])
        radius = self.island + self.ring / 2
        first, last = (np.arctan2(*(pose[0] - self.centre)[::-1]) for pose in (start, end))
        sign = -1.0 if left_hand else 1.0
        lead = sign * min(1.0, 5.0 / radius)
        sweep = ((last - lead) - (first + lead)) * sign % (2 * np.pi)
        angles = first + lead + sign * np.linspace(0.0, sweep, max(int(sweep * radius / 2), 3))
        circle = self.centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        return np.vstack([start[0], circle, end[0]])


def free_of(candidate: Road, others: list[Road], margin: float) -> bool:
    """Whether a street, beyond its junction, stays ``margin`` metres clear of other streets."""
    tail = LineString(
        curves.part(candidate.line, min(candidate.cuts[0] + 4, candidate.length - 1), candidate.length)
    )
    reach = max(candidate.mouth_width(0, 0), candidate.mouth_width(1, 0)) + margin
    tail_area = tail.buffer(reach, quad_segs=2)
    for other in others:
        width = max(other.mouth_width(0, 0), other.mouth_width(1, 0)) + 1
        if tail_area.intersects(LineString(other.line).buffer(width, quad_segs=2)):
            return False
    return True
