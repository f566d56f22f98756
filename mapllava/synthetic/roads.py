"""One street between two junctions: its cross-section, kerbs, lanes, median and paint."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from shapely.geometry import LineString, Polygon

from mapllava.geometry.polyline import cumulative_length
from mapllava.synthetic import curves

GUTTER = 0.25
"""Metres between an outermost lane's edge and the kerb, and between a lane and a median's kerb."""
SIGNS = (1.0, -1.0)
"""Which way the sides of a street, 0 left and 1 right, lie from its reference line; left is positive."""


@dataclass(frozen=True)
class Paint:
    """How a line is painted.

    Attributes:
        dash: Painted and bare length in metres; ``None`` for a solid line.
        double: Two strokes instead of one.
        yellow: Yellow instead of white.
        width: Width of a stroke, metres.
    """

    dash: tuple[float, float] | None = None
    double: bool = False
    yellow: bool = False
    width: float = 0.15


@dataclass(frozen=True)
class Divider:
    """A painted line: ``kind`` 'road' (between directions) or 'lane', points ``(n, 2)``, paint."""

    kind: str
    points: np.ndarray
    paint: Paint


@dataclass(frozen=True)
class Section:
    """A street's cross-section, seen along its reference line.

    Attributes:
        lanes: Number of lanes left and right of the reference line.
        lane_width: Metres.
        median: Width of the raised median on the reference line, metres; 0 for paint only.
        shoulder: Width beside the outermost lanes (parking, cycling), metres; 0 for none.
        centre: Paint between the two directions.
        inner: Paint between lanes of one direction.
    """

    lanes: tuple[int, int]
    lane_width: float
    median: float
    shoulder: float
    centre: Paint
    inner: Paint

    def half_width(self, side: int) -> float:
        """Kerb's distance from the reference line, metres; ``side`` 0 left, 1 right."""
        shoulder = self.shoulder if self.lanes[side] else 0.0
        return self._first_lane + self.lanes[side] * self.lane_width + shoulder + GUTTER

    def lane_centre(self, side: int, index: int) -> float:
        """Signed lateral place (left positive, metres) of a lane, counted outwards from the middle."""
        return SIGNS[side] * (self._first_lane + (index + 0.5) * self.lane_width)

    @property
    def _first_lane(self) -> float:
        return self.median / 2 + (GUTTER if self.median else 0.0)


@dataclass
class Bay:
    """A widening of one side: a bus bay, parking, or an extra lane that ends at the junction."""

    side: int
    start: float
    end: float
    width: float
    pocket: bool = False
    ramp: float = 8.0


@dataclass
class Road:
    """A street: a reference line ``(n, 2)`` in metres with a cross-section, cut at its junctions.

    ``cuts`` are the arc lengths where the junctions' areas end and begin; ``gaps`` the stretches
    (start, end) that medians and dividers leave free for crossings.
    """

    line: np.ndarray
    section: Section
    bays: list[Bay] = field(default_factory=list)
    gaps: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.length = float(cumulative_length(self.line)[-1])
        self.cuts = [0.0, self.length]
        self.line_ends = [0.0, self.length]

    def kerb(self, side: int) -> np.ndarray:
        """The kerb ``(n, 2)`` of one side along the whole reference line."""
        along = cumulative_length(self.line)
        reach = np.full(len(along), self.section.half_width(side))
        for bay in self.bays:
            if bay.side == side:
                up = np.clip((along - bay.start) / bay.ramp, 0, 1)
                down = np.clip((bay.end - along) / bay.ramp, 0, 1)
                share = np.minimum(up, down)
                reach += bay.width * share * share * (3 - 2 * share)
        return curves.offset(self.line, SIGNS[side] * reach)

    def mouth_width(self, side: int, end: int) -> float:
        """Widest half width of a side within 25 m of one end (0 start, 1 end), metres."""
        extra = [
            bay.width
            for bay in self.bays
            if bay.side == side and (bay.start < 25 if end == 0 else bay.end > self.length - 25)
        ]
        return self.section.half_width(side) + max(extra, default=0.0)

    def strip(self, start: float, end: float) -> Polygon:
        """Area between the kerbs from one arc length of the reference line to another."""
        return clean(Polygon(curves.ribbon(*(self._piece(self.kerb(side), start, end) for side in (0, 1)))))

    def across(self, place: float, skew: float = 0.0) -> np.ndarray:
        """Left and right kerb point ``(2, 2)`` at an arc length, ``skew`` metres apart along it."""
        return np.array(
            [curves.at(self.line, place + SIGNS[side] * 0.5 * skew, self.kerb(side)) for side in (0, 1)]
        )

    def free_stretches(self, margin: float = 0.0) -> list[tuple[float, float]]:
        """Stretches between the line ends that no gap interrupts, shortened by ``margin`` at both ends."""
        start, end = self.line_ends
        out = []
        for gap_start, gap_end in [*sorted(self.gaps), (end, end)]:
            if gap_start - start > 4 + 2 * margin:
                out.append((start + margin, min(gap_start, end) - margin))
            start = max(start, gap_end)
        return out

    def medians(self) -> list[Polygon]:
        """The raised islands along the reference line, with round noses."""
        radius = self.section.median / 2
        stretches = self.free_stretches(1.0) if radius else []
        spines = [curves.part(self.line, a + radius, b - radius) for a, b in stretches if b - a > 6]
        return [clean(LineString(spine).buffer(radius, quad_segs=4)) for spine in spines]

    def dividers(self) -> list[Divider]:
        """All painted lines between lanes."""
        section = self.section
        lines = [("road", 0.0, section.centre)] if all(section.lanes) and not section.median else []
        for side, count in enumerate(section.lanes):
            half = SIGNS[side] * section.lane_width / 2
            lines += [
                ("lane", section.lane_centre(side, index) - half, section.inner) for index in range(1, count)
            ]
            if section.shoulder > 1.0 and count:
                lines.append(("lane", section.lane_centre(side, count - 1) + half, Paint()))
        pieces = [(*line, *stretch) for line in lines for stretch in self.free_stretches()]
        for bay, start, end in self.pockets():
            pieces.append(("lane", self.pocket_edge(bay), Paint(), start, end))
        return [
            Divider(kind, curves.thinned(self.beside(lateral, start, end)), paint)
            for kind, lateral, paint, start, end in pieces
        ]

    def pockets(self) -> list[tuple[Bay, float, float]]:
        """The extra lanes, each with the arc lengths between which a line divides it from the next one."""
        found = []
        for bay in self.bays:
            start = max(bay.start + bay.ramp * 0.7, self.line_ends[0])
            end = min(bay.end - bay.ramp * 0.7, self.line_ends[1])
            if bay.pocket and end - start > 5:
                found.append((bay, start, end))
        return found

    def pocket_edge(self, bay: Bay) -> float:
        """Signed lateral place (left positive, metres) of the line that divides an extra lane off."""
        return SIGNS[bay.side] * (self.section.half_width(bay.side) - GUTTER / 2)

    def lane_line(self, side: int, index: int) -> np.ndarray:
        """Centre line ``(n, 2)`` of a lane from cut to cut, along the reference line."""
        return self.beside(self.section.lane_centre(side, index), *self.cuts)

    def lane_area(self, side: int, index: int) -> Polygon:
        """A lane's polygon from cut to cut."""
        lateral, half = self.section.lane_centre(side, index), self.section.lane_width / 2
        edges = [self.beside(lateral + d, *self.cuts) for d in (half, -half)]
        return clean(Polygon(curves.ribbon(*edges)))

    def beside(self, lateral: float, start: float, end: float) -> np.ndarray:
        """The line ``(n, 2)`` at a signed lateral place (left positive) between two arc lengths, metres."""
        return self._piece(curves.offset(self.line, lateral), start, end)

    def _piece(self, moved: np.ndarray, start: float, end: float) -> np.ndarray:
        """What a line beside the reference line, vertex by vertex, has between two arc lengths of that."""
        return curves.part(self.line, start, end, moved, margin=0.01)


def clean(polygon: Polygon) -> Polygon:
    """Drop near-collinear vertices (2 cm) and mend self-contact; the largest piece if it falls apart."""
    shape = polygon.simplify(0.02)
    if not shape.is_valid:
        shape = shape.buffer(0)
    return max(getattr(shape, "geoms", [shape]), key=lambda piece: piece.area)
