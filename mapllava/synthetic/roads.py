"""One street between two junctions: its cross-section, kerbs, lanes, median and paint."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from shapely.geometry import Polygon

from mapllava.geometry.polyline import cumulative_length
from mapllava.synthetic import curves

GUTTER = 0.25
"""Metres between an outermost lane's edge and the kerb, and between a lane and a median's kerb."""


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
        inner = GUTTER if self.median else 0.0
        return self.median / 2 + inner + self.lanes[side] * self.lane_width + shoulder + GUTTER

    def lane_centre(self, side: int, index: int) -> float:
        """Signed lateral place (left positive, metres) of a lane, counted outwards from the middle."""
        inner = GUTTER if self.median else 0.0
        sign = 1.0 if side == 0 else -1.0
        return sign * (self.median / 2 + inner + (index + 0.5) * self.lane_width)


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
    cuts: list[float] = field(default_factory=list)
    bays: list[Bay] = field(default_factory=list)
    gaps: list[tuple[float, float]] = field(default_factory=list)
    line_ends: list[float] = field(default_factory=list)
    crossings: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.length = float(cumulative_length(self.line)[-1])
        if not self.cuts:
            self.cuts = [0.0, self.length]
        if not self.line_ends:
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
        return curves.offset(self.line, reach if side == 0 else -reach)

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
        along = cumulative_length(self.line)
        places = np.concatenate([[start], along[(along > start + 0.01) & (along < end - 0.01)], [end]])
        sides = []
        for side in (0, 1):
            kerb = self.kerb(side)
            sides.append(
                np.stack(
                    [np.interp(places, along, kerb[:, 0]), np.interp(places, along, kerb[:, 1])], axis=-1
                )
            )
        return clean(Polygon(np.vstack([sides[0], sides[1][::-1]])))

    def across(self, place: float, skew: float = 0.0) -> np.ndarray:
        """Left and right kerb point ``(2, 2)`` at an arc length, ``skew`` metres apart along it."""
        along = cumulative_length(self.line)
        out = []
        for side, sign in ((0, 0.5), (1, -0.5)):
            kerb = self.kerb(side)
            where = place + sign * skew
            out.append([np.interp(where, along, kerb[:, 0]), np.interp(where, along, kerb[:, 1])])
        return np.array(out)

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
        if not self.section.median:
            return []
        radius = self.section.median / 2
        islands = []
        for start, end in self.free_stretches(1.0):
            if end - start > 6:
                spine = curves.part(self.line, start + radius, end - radius)
                islands.append(clean(_buffered(spine, radius)))
        return islands

    def dividers(self) -> list[tuple[str, np.ndarray, Paint]]:
        """All painted lines between lanes: ('road' or 'lane', points ``(n, 2)``, paint)."""
        lines: list[tuple[str, float, Paint]] = []
        section = self.section
        if all(section.lanes) and not section.median:
            lines.append(("road", 0.0, section.centre))
        for side in (0, 1):
            sign = 1.0 if side == 0 else -1.0
            for index in range(1, section.lanes[side]):
                lateral = section.lane_centre(side, index) - sign * section.lane_width / 2
                lines.append(("lane", lateral, section.inner))
            if section.shoulder > 1.0 and section.lanes[side]:
                outer = section.lane_centre(side, section.lanes[side] - 1) + sign * section.lane_width / 2
                lines.append(("lane", outer, Paint()))
        out = []
        for kind, lateral, paint in lines:
            moved = curves.offset(self.line, lateral)
            for start, end in self.free_stretches():
                out.append((kind, self._piece(moved, start, end), paint))
        return out + self._pocket_dividers()

    def _pocket_dividers(self) -> list[tuple[str, np.ndarray, Paint]]:
        out = []
        for bay in self.bays:
            if bay.pocket:
                sign = 1.0 if bay.side == 0 else -1.0
                lateral = sign * (self.section.half_width(bay.side) - GUTTER / 2)
                start = max(bay.start + bay.ramp * 0.7, self.line_ends[0])
                end = min(bay.end - bay.ramp * 0.7, self.line_ends[1])
                if end - start > 5:
                    line = self._piece(curves.offset(self.line, lateral), start, end)
                    out.append(("lane", line, Paint()))
        return out

    def _piece(self, moved: np.ndarray, start: float, end: float) -> np.ndarray:
        along = cumulative_length(self.line)
        places = np.concatenate([[start], along[(along > start + 0.01) & (along < end - 0.01)], [end]])
        return np.stack(
            [np.interp(places, along, moved[:, 0]), np.interp(places, along, moved[:, 1])], axis=-1
        )

    def lane_line(self, side: int, index: int) -> np.ndarray:
        """Centre line ``(n, 2)`` of a lane from cut to cut, along the reference line."""
        lateral = self.section.lane_centre(side, index)
        return self._piece(curves.offset(self.line, lateral), *self.cuts)

    def lane_area(self, side: int, index: int) -> Polygon:
        """A lane's polygon from cut to cut."""
        lateral, half = self.section.lane_centre(side, index), self.section.lane_width / 2
        edges = [self._piece(curves.offset(self.line, lateral + d), *self.cuts) for d in (half, -half)]
        return clean(Polygon(np.vstack([edges[0], edges[1][::-1]])))


def clean(polygon: Polygon) -> Polygon:
    """Drop near-collinear vertices (2 cm) and mend self-contact; the largest piece if it falls apart."""
    shape = polygon.simplify(0.02)
    if not shape.is_valid:
        shape = shape.buffer(0)
    if shape.geom_type == "MultiPolygon":
        shape = max(shape.geoms, key=lambda piece: piece.area)
    return shape


def _buffered(spine: np.ndarray, radius: float) -> Polygon:
    from shapely.geometry import LineString

    return LineString(spine).buffer(radius, quad_segs=4)
