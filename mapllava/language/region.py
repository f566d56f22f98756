"""What of a map lies in a request's region: lines cut exactly, rings closed along the region's edge.

A region is the intersection of half planes through the frame's origin (ahead, behind, left, right), of
radii about it (within, between), and of a strip across the road (at). ``ahead`` is the frame's forward
axis. The edge belongs to the region.

Shapes: K lines, S segments of a line, H half planes, n points; metres in the map's frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from shapely.geometry import Polygon
from shapely.geometry.polygon import orient

from mapllava.geometry.polyline import arc_length, closed_ring
from mapllava.language.request import Region
from mapllava.structures.frames import AREA_CLASSES, MapSpec
from mapllava.structures.map_elements import is_closed
from mapllava.structures.map_lines import MapLines

STRIP = 5.0
"""Metres along the road that ``at N m`` takes in, N in the middle: that exact, nobody means it."""

SLIVER = 0.1
"""Metres that a piece cut off must have, in length, or an area in its mean width: less is rounding."""

CIRCLE_ERROR = 1e-3
"""Metres by which the edge of an area that a radius cuts may leave the circle; open lines are cut on it."""

_ON_EDGE = 1e-9


@dataclass(frozen=True, eq=False)
class Shape:
    """A region in the coordinates of a map.

    Attributes:
        normals: ``(H, 2)`` unit vectors that point into the half planes.
        offsets: ``(H,)``; a point p lies inside where its product with the normal is at least the offset.
        nearest: Radius in metres below which nothing lies inside.
        farthest: Radius above which nothing does.
    """

    normals: np.ndarray
    offsets: np.ndarray
    nearest: float = 0.0
    farthest: float = np.inf

    @classmethod
    def of(cls, region: Region, map_spec: MapSpec, strip: float = STRIP) -> Shape:
        """Read a request's region.

        Args:
            region: As it was asked for.
            map_spec: Says which way the car looks.
            strip: Metres along the road that ``at N m`` takes in.
        """
        ahead, left = axes(map_spec)
        directions = {"ahead": ahead, "behind": -ahead, "left": left, "right": -left}
        planes = [(directions[side], 0.0) for side in region.sides]
        nearest, farthest, distance = 0.0, np.inf, region.distance
        if distance is not None and distance.relation == "at":
            place = place_along(region)
            planes += [(ahead, place - strip / 2), (-ahead, -place - strip / 2)]
        elif distance is not None:
            *low, farthest = distance.metres
            nearest = low[0] if low else 0.0
        normals = np.array([normal for normal, _ in planes]).reshape(-1, 2)
        return cls(normals, np.array([offset for _, offset in planes]), nearest, farthest)

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Which points ``(n, 2)`` lie inside, the edge included; bool ``(n,)``."""
        radius = np.hypot(points[:, 0], points[:, 1])
        round_it = (radius >= self.nearest - _ON_EDGE) & (radius <= self.farthest + _ON_EDGE)
        return round_it & (points @ self.normals.T >= self.offsets - _ON_EDGE).all(axis=1)


def axes(map_spec: MapSpec) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors ``(2,)`` of a map's frame that point ahead of the car and to its left."""
    ahead = np.eye(2)[map_spec.forward_axis]
    return ahead, np.array([-ahead[1], ahead[0]])


def place_along(region: Region) -> float:
    """Where ``at N m`` lies along the car's axis, metres ahead; negative behind, 0 where it is not said."""
    if region.distance is None or region.distance.relation != "at":
        return 0.0
    return region.distance.metres[0] * (-1.0 if "behind" in region.sides else 1.0)


def cut(
    lines: MapLines, region: Region, map_spec: MapSpec, classes: Sequence[str] = ()
) -> tuple[MapLines, np.ndarray]:
    """The part of a map that lies in a region.

    A line that lies inside wholly is handed on as it is. Others are cut at the edge, and every piece keeps
    its line's label and score. A ring of a class whose rings mean the area inside
    (:data:`~mapllava.structures.frames.AREA_CLASSES`), also one that a prediction leaves nearly closed,
    gives rings, closed along the region's edge as MapTR closes crossings along the ROI's. Any other ring is
    a line.

    Args:
        lines: K lines; not changed.
        region: Where.
        map_spec: Of the lines.
        classes: Names of the classes that are kept; empty keeps all.

    Returns:
        P pieces in the lines' order, and ``(P,)`` which line each is of.
    """
    return cut_together(lines, [(region, classes)], map_spec)


def cut_together(
    lines: MapLines, wanted: Sequence[tuple[Region, Sequence[str]]], map_spec: MapSpec
) -> tuple[MapLines, np.ndarray]:
    """The part of a map that lies in any of several regions: what two of them share is there once.

    Args:
        lines: K lines; not changed.
        wanted: Each region with the names of the classes that are kept in it; none keeps all.
        map_spec: Of the lines.

    Returns:
        As :func:`cut`: P pieces and, ``(P,)``, which line each is of.
    """
    shapes = [(Shape.of(region, map_spec), classes) for region, classes in wanted]
    pieces: list[np.ndarray] = []
    of: list[int] = []
    for index, (points, label) in enumerate(zip(lines.points, lines.labels, strict=True)):
        name = map_spec.classes[int(label)]
        own = [shape for shape, classes in shapes if not classes or name in classes]
        if own:
            mine = cut_line(np.asarray(points, dtype=np.float64), own, name in AREA_CLASSES)
            pieces += mine
            of += [index] * len(mine)
    kept = lines.at(of)
    kept.points = pieces
    return kept, np.array(of, dtype=np.int64)


def outline(region: Region, map_spec: MapSpec) -> list[np.ndarray]:
    """Rings ``(n, 2)`` around what of the ROI lies in a region, to draw it; a hole is a ring of its own."""
    roi = map_spec.roi
    low, high = (roi.x_min, roi.y_min), (roi.x_max, roi.y_max)
    corners = [low, (high[0], low[1]), high, (low[0], high[1]), low]
    return _cut_area(np.array(corners), [Shape.of(region, map_spec)])


def cut_line(points: np.ndarray, shapes: Sequence[Shape], area: bool = False) -> list[np.ndarray]:
    """Cut one line ``(n, 2)``; see :func:`cut`.

    Args:
        points: The line, metres.
        shapes: One or several; what lies in any of them is kept, once.
        area: Whether a ring means the area inside it.

    Returns:
        Pieces ``(m, 2)`` in the line's order and direction.
    """
    ring = closed_ring(points) if area else None
    if ring is not None:
        whole = any(_holds_line(ring, [shape]) and _free_of_hole(ring, shape) for shape in shapes)
        return [points] if whole else _cut_area(ring, shapes)
    if _holds_line(points, shapes):
        return [points]
    stretches = _stretches(points, shapes)
    return [piece for piece in _joined(*stretches, is_closed(points)) if arc_length(piece) >= SLIVER]


def _holds_line(points: np.ndarray, shapes: Sequence[Shape]) -> bool:
    """Whether a line ``(n, 2)`` lies wholly inside, of several shapes in all of them together."""
    return bool(_held(points, shapes).all() and _stretches(points, shapes)[2].all())


def _held(points: np.ndarray, shapes: Sequence[Shape]) -> np.ndarray:
    """Which points ``(n, 2)`` lie in one of the shapes; bool ``(n,)``."""
    return np.any([shape.holds(points) for shape in shapes], axis=0)


def _stretches(points: np.ndarray, shapes: Sequence[Shape]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A line ``(n, 2)`` divided wherever it meets the edge of a shape.

    Returns:
        Starts and ends ``(Q, 2)`` of stretches with a length, in order, and which lie inside ``(Q,)``.
    """
    start, step = points[:-1], np.diff(points, axis=0)
    length = np.hypot(step[:, 0], step[:, 1])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # (S, H) each
        shares = [(shape.offsets - start @ shape.normals.T) / (step @ shape.normals.T) for shape in shapes]
        for radius in {radius for shape in shapes for radius in (shape.nearest, shape.farthest)}:
            if 0 < radius < np.inf:
                shares.append(_meets_circle(start, step, length, radius))
        met = np.concatenate(shares, axis=1)  # (S, M): shares of the way from a segment's start to its end
        # What is a rounding off a vertex is the vertex, so that what was cut once is not cut again
        near = _ON_EDGE / length[:, None]
        met = np.where((met > near) & (met < 1 - near), met, 0.0)
    bounds = np.sort(np.pad(met, ((0, 0), (1, 1)), constant_values=(0.0, 1.0)), axis=1)
    low, high = bounds[:, :-1], bounds[:, 1:]
    row, column = np.nonzero((high > low) & (length > 0)[:, None])
    a, b = low[row, column, None], high[row, column, None]
    first = start[row] + a * step[row]
    last = np.where(b == 1, points[1:][row], start[row] + b * step[row])
    return first, last, _held((first + last) / 2, shapes)


def _meets_circle(start: np.ndarray, step: np.ndarray, length: np.ndarray, radius: float) -> np.ndarray:
    """Shares of the way ``(S, 2)`` at which segments meet a circle about the origin; NaN for none."""
    along = (start * step).sum(axis=1) / length  # from the foot of the origin to the start, along the segment
    apart = (start[:, 0] * step[:, 1] - start[:, 1] * step[:, 0]) / length
    half = np.sqrt(radius**2 - apart**2)
    return np.stack([-along - half, -along + half], axis=1) / length[:, None]


def _joined(start: np.ndarray, stop: np.ndarray, inside: np.ndarray, ring: bool) -> list[np.ndarray]:
    """Stretches ``(Q, 2)`` that lie inside, joined where one follows another; a ring over its start too."""
    kept = np.flatnonzero(inside)
    if not len(kept):
        return []
    groups = np.split(kept, np.flatnonzero(np.diff(kept) > 1) + 1)
    pieces = [np.concatenate([start[group[:1]], stop[group]]) for group in groups]
    if ring and len(pieces) > 1 and inside[0] and inside[-1]:
        last = pieces.pop()
        pieces[0] = np.concatenate([last, pieces[0][1:]])
    return pieces


def _free_of_hole(ring: np.ndarray, shape: Shape) -> bool:
    """Whether a ring ``(n, 2)`` that lies inside a shape has not its hole within it."""
    return shape.nearest == 0 or not shapely.contains_xy(Polygon(ring), 0.0, 0.0)


def _cut_area(ring: np.ndarray, shapes: Sequence[Shape]) -> list[np.ndarray]:
    """Outlines of what of a ring's area ``(n, 2)`` lies inside: outer ones run as the ring does."""
    parts = [_area_inside(ring, shape) for shape in shapes]
    # Without a grid, edges that two parts share need not meet to the last digit
    area = parts[0] if len(parts) == 1 else shapely.union_all(parts, grid_size=_ON_EDGE)
    sense = 1.0 if shapely.is_ccw(shapely.linearrings(ring)) else -1.0
    pieces = []
    for part in shapely.get_parts(shapely.get_parts(shapely.make_valid(area))):
        if part.area > 0 and 2 * part.area >= SLIVER * part.length:
            turned = orient(part, sense)
            pieces += [np.array(edge.coords) for edge in (turned.exterior, *turned.interiors)]
    return pieces


def _area_inside(ring: np.ndarray, shape: Shape) -> Any:
    """What of a ring's area ``(n, 2)`` lies inside of a shape, as a geometry."""
    area = shapely.make_valid(Polygon(ring))
    reach = 2 * float(np.abs(ring).max() + np.abs(shape.offsets).max(initial=0.0) + 1)
    for normal, offset in zip(shape.normals, shape.offsets, strict=True):
        along = np.array([-normal[1], normal[0]])
        corners = [(-1, 0), (1, 0), (1, 2), (-1, 2)]  # in reaches along the edge, and from it inwards
        area &= Polygon([normal * (offset + reach * far) + along * reach * side for side, far in corners])
    outermost = float(np.hypot(ring[:, 0], ring[:, 1]).max())
    if shape.farthest < outermost:
        area &= _disc(shape.farthest, inside=True)
    if shape.nearest > 0:
        area -= _disc(min(shape.nearest, outermost + 1), inside=False)
    return area


def _disc(radius: float, inside: bool) -> Polygon:
    """A polygon whose edge leaves a circle by :data:`CIRCLE_ERROR` at most, to its inside or its outside."""
    needed = np.pi / np.arccos(1 - min(CIRCLE_ERROR / radius, 1.0))
    corners = 4 * max(4, int(np.ceil(needed / 4)))  # the same in a mirror along either axis
    angles = np.arange(corners) * (2 * np.pi / corners)
    radius = radius if inside else radius / np.cos(np.pi / corners)
    return Polygon(radius * np.stack([np.cos(angles), np.sin(angles)], axis=1))
