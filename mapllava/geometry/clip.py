"""Cutting map geometry to the region of interest: MapTR's rules, without a loop over coordinates.

A window is the ROI laid on the world map: rotated by the pose's yaw alone, roll, pitch and height
ignored. Records are cut in world coordinates, then brought into the map frame; that order of
operations decides which vertices come out, so it is kept.

Source: protocols of MapTR (Liao et al., ICLR 2023), ``VectorizedLocalMap``, restated on shapely 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from shapely.geometry import Polygon, box
from shapely.geometry.base import BaseGeometry

from mapllava.geometry.polyline import ranks
from mapllava.structures.frames import ROI

EDGE_MARGIN = 0.2
"""Metres by which outlines are cut inside the ROI (boundary) or beyond it (crossings)."""

_LINE_STRING = int(shapely.GeometryType.LINESTRING)


@dataclass(frozen=True)
class Window:
    """The ROI at one pose.

    Args:
        roi: Region of interest in the map frame, metres.
        x: World x of the map frame's origin, metres.
        y: World y of the map frame's origin, metres.
        yaw: Angle from the world's x axis to the map frame's x axis, radians, counter-clockwise.
    """

    roi: ROI
    x: float
    y: float
    yaw: float

    @classmethod
    def from_pose(cls, roi: ROI, pose: np.ndarray) -> Window:
        """Lay the ROI at a pose.

        Args:
            roi: Region of interest in the map frame.
            pose: ``(4, 4)``, map frame to world, metres.

        Raises:
            ValueError: If the pose is not a finite ``(4, 4)`` matrix.
        """
        pose = np.asarray(pose, dtype=np.float64)
        if pose.shape != (4, 4) or not np.isfinite(pose).all():
            raise ValueError(f"a pose is a finite (4, 4) matrix, not shape {pose.shape}: {pose.tolist()}")
        return cls(roi, float(pose[0, 3]), float(pose[1, 3]), math.atan2(pose[1, 0], pose[0, 0]))

    @cached_property
    def patch(self) -> Polygon:
        """The ROI in world coordinates."""
        roi = self.roi
        upright = box(self.x + roi.x_min, self.y + roi.y_min, self.x + roi.x_max, self.y + roi.y_max)
        return shapely.transform(upright, lambda c: self._rotate(c, self.yaw))

    def inner_box(self, margin: float) -> Polygon:
        """The ROI in the map frame, grown by ``margin`` metres (shrunk if negative).

        Raises:
            ValueError: If nothing of the ROI is left.
        """
        roi = self.roi
        if min(roi.width, roi.height) + 2 * margin <= 0:
            raise ValueError(f"roi {roi.to_list()} vanishes when it is shrunk by {-margin} m")
        return box(roi.x_min - margin, roi.y_min - margin, roi.x_max + margin, roi.y_max + margin)

    def to_local(self, geometries: np.ndarray) -> np.ndarray:
        """Bring world geometries (n,), an array of shapely objects, into the map frame."""

        def move(coordinates: np.ndarray) -> np.ndarray:
            return self._rotate(coordinates, -self.yaw) - (self.x, self.y)

        return shapely.transform(geometries, move)

    def _rotate(self, coordinates: np.ndarray, angle: float) -> np.ndarray:
        """Rotate ``(n, 2)`` about the window's origin, in the order of operations shapely's affinity has."""
        cos, sin = math.cos(angle), math.sin(angle)
        cos, sin = (0.0 if abs(v) < 2.5e-16 else v for v in (cos, sin))
        x, y = coordinates[:, 0], coordinates[:, 1]
        offset_x = self.x - self.x * cos + self.y * sin
        offset_y = self.y - self.x * sin - self.y * cos
        return np.stack([cos * x - sin * y + offset_x, sin * x + cos * y + offset_y], axis=1)


def clip_lines(lines: np.ndarray, window: Window) -> list[np.ndarray]:
    """Cut world lines to the window; every piece becomes a line of its own, nothing is merged.

    Args:
        lines: Array of shapely LineStrings in world coordinates.
        window: Where to cut.

    Returns:
        Pieces ``(n, 2)`` float64, metres in the map frame.

    Raises:
        TypeError: If a record is not a line.
    """
    if len(lines) == 0:
        return []
    pieces = shapely.intersection(lines, window.patch)
    return split_lines(window.to_local(pieces[~shapely.is_empty(pieces)]))


def clip_path(points: np.ndarray, roi: ROI) -> list[tuple[np.ndarray, bool, bool]]:
    """Cut one line to the ROI; the pieces keep its order and direction, also where it crosses itself.

    Args:
        points: ``(n, 2)``, metres in the map frame.
        roi: Where to cut.

    Returns:
        Pieces of positive length in the order of the line: points ``(m, 2)``, whether the line's first
        point is the piece's, and whether its last is.
    """
    # shapely's intersection would reorder a line that crosses itself, so every segment is cut by itself, and
    # those that follow each other inside are joined again
    low, high = np.array([roi.x_min, roi.y_min]), np.array([roi.x_max, roi.y_max])
    start, stop = points[:-1], points[1:]
    step = stop - start
    enter, leave = shares_within(start, stop, low, high)
    inside = np.flatnonzero((leave > enter) & (step != 0).any(axis=1))
    if not len(inside):
        return []
    on, off = enter[inside, None], leave[inside, None]
    first = np.where(on == 0, start[inside], start[inside] + on * step[inside]).clip(low, high)
    last = np.where(off == 1, stop[inside], start[inside] + off * step[inside]).clip(low, high)
    # Segments without length separate nothing: neighbours are counted among those that move
    moving = np.flatnonzero((step != 0).any(axis=1))
    place = np.searchsorted(moving, inside)
    joined = (np.diff(place) == 1) & (leave[inside[:-1]] == 1) & (enter[inside[1:]] == 0)
    pieces = []
    for group in np.split(np.arange(len(inside)), np.flatnonzero(~joined) + 1):
        begins = bool(place[group[0]] == 0 and on[group[0], 0] == 0)
        ends = bool(place[group[-1]] == len(moving) - 1 and off[group[-1], 0] == 1)
        pieces.append((np.concatenate([first[group[:1]], last[group]]), begins, ends))
    return pieces


def shares_within(
    start: np.ndarray, stop: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where segments enter and leave a box.

    Args:
        start: ``(S, 2)``, metres.
        stop: ``(S, 2)``, metres.
        low: ``(2,)`` lower corner of the box.
        high: ``(2,)`` upper corner.

    Returns:
        Shares of the way from start to stop, ``(S,)`` each, within 0 and 1; one that stays outside leaves
        before it enters.

    Source: Liang and Barsky, "A New Concept and Method for Line Clipping", ACM TOG 1984.
    """
    # Per axis the shares at which the line meets the lower and the upper bound, (2, S, 2). Inside is from the
    # last entry to the first exit over both axes; along an axis without a step it is always or never inside
    step = stop - start
    with np.errstate(divide="ignore", invalid="ignore"):
        bounds = np.stack([(low - start) / step, (high - start) / step])
    outside = np.where((start < low) | (start > high), np.inf, -np.inf)
    enter = np.where(step == 0, outside, bounds.min(axis=0)).max(axis=1).clip(0)
    leave = np.where(step == 0, -outside, bounds.max(axis=0)).min(axis=1).clip(max=1)
    return enter, leave


def clip_polygons(polygons: np.ndarray, window: Window) -> np.ndarray:
    """Cut world polygons to the window.

    Args:
        polygons: (n,) valid shapely Polygons in world coordinates.
        window: Where to cut.

    Returns:
        Geometries (n,) in the map frame, one per record; empty where it does not reach into the window.
    """
    if len(polygons) == 0:
        return np.empty(0, dtype=object)
    return window.to_local(shapely.intersection(polygons, window.patch))


def outline_pieces(filled: BaseGeometry, limits: Polygon, heights: bool = False) -> list[np.ndarray]:
    """Outlines of filled areas, cut to a box: exteriors clockwise, holes counter-clockwise.

    Pieces of one ring that meet are merged into the longest lines, so that the ring's own start
    leaves no gap. A ring wholly inside comes out whole, its first vertex repeated at the end.

    Args:
        filled: Polygon, MultiPolygon or collection, metres in the map frame.
        limits: The box to cut with.
        heights: Whether the areas have heights and the lines shall keep them.

    Returns:
        Lines ``(n, 2)`` float64, with heights ``(n, 3)``: exteriors of all parts first, then holes.

    Raises:
        TypeError: If a cut gives anything but lines.
    """
    if filled.is_empty:
        return []
    parts = shapely.get_parts(filled)
    parts = parts[shapely.get_dimensions(parts) == 2]
    rings = _oriented(shapely.get_exterior_ring(parts), clockwise=True)
    counts = shapely.get_num_interior_rings(parts)
    if counts.any():
        holes = shapely.get_interior_ring(np.repeat(parts, counts), ranks(counts))
        rings = np.concatenate([rings, _oriented(holes, clockwise=False)])
    # The outline is cut, never the filled area: an area's intersection with the box would get the box's own
    # edge as a boundary that is not there
    pieces = shapely.intersection(rings, limits)
    several = shapely.get_num_geometries(pieces) > 1
    if several.any():
        pieces[several] = shapely.line_merge(pieces[several])
    return split_lines(pieces, heights)


def union(geometries: Sequence[BaseGeometry] | np.ndarray) -> BaseGeometry:
    """Union of areas (n,); touching ones become one."""
    return shapely.union_all(np.asarray(geometries, dtype=object))


def _oriented(rings: np.ndarray, clockwise: bool) -> np.ndarray:
    wrong = shapely.is_ccw(rings) == clockwise
    if wrong.any():
        rings[wrong] = shapely.reverse(rings[wrong])
    return rings


def split_lines(geometries: np.ndarray, heights: bool = False) -> list[np.ndarray]:
    """Split what cutting lines gave into lines; points (a line only touches the box) carry no length and go.

    Args:
        geometries: (n,) lines, collections of lines and points, or empty ones.
        heights: Whether they have heights and the lines shall keep them.

    Returns:
        Lines ``(m, 2)`` float64, with heights ``(m, 3)``.

    Raises:
        TypeError: If there is an area among them.
    """
    parts = geometries
    if (shapely.get_type_id(parts) != _LINE_STRING).any():
        parts = shapely.get_parts(shapely.get_parts(parts))
    counts, dimensions = shapely.get_num_coordinates(parts), shapely.get_dimensions(parts)
    kept = (counts > 0) & (dimensions > 0)
    parts, counts = parts[kept], counts[kept]
    foreign = parts[dimensions[kept] > 1]
    if len(foreign):
        raise TypeError(f"cutting lines gave a {foreign[0].geom_type}: {foreign[0].wkt[:200]}")
    ends = np.cumsum(counts)
    return np.split(shapely.get_coordinates(parts, include_z=heights), ends[:-1]) if len(parts) else []
