"""The ROI around the car at one pose: cutting a log's map to it, before or after the way into the ego frame.

Two ways lead there, and the definitions differ in which one they take. A cut in the city frame uses the
rectangle turned by the pose's yaw alone; roll and pitch then move the cut ends by a few centimetres. A cut in
the ego frame is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from mapllava.geometry.clip import Window, split_lines
from mapllava.structures.frames import ROI


@dataclass(frozen=True, eq=False)
class EgoWindow:
    """The ROI at one pose.

    Args:
        roi: Region of interest in the ego frame, metres.
        pose: ``(4, 4)``, ego to city.
    """

    roi: ROI
    pose: np.ndarray

    @cached_property
    def flat(self) -> Window:
        """The ROI in the city frame, turned by the yaw."""
        return Window.from_pose(self.roi, self.pose)

    def inner_box(self, margin: float = 0.0) -> Polygon:
        """The ROI in the ego frame, grown by ``margin`` metres (shrunk if negative)."""
        return self.flat.inner_box(margin)

    def to_ego(self, geometries: np.ndarray) -> np.ndarray:
        """Bring city geometries (n,), shapely objects with heights, into the ego frame."""
        return shapely.transform(geometries, self.points_to_ego, include_z=True)

    def points_to_ego(self, points: np.ndarray) -> np.ndarray:
        """Points ``(n, 3)`` from the city to the ego frame, metres."""
        # Term by term: a matrix product's last digit differs between machines, and decides which of two
        # rectangles of one area is the smaller
        (a, b, c), (x, y, z) = self.pose[:3, :3], self.pose[:3, 3]  # rows of the way back's transpose
        origin = -(a * x + b * y + c * z)
        return points[:, :1] * a + points[:, 1:2] * b + points[:, 2:] * c + origin

    def cut_in_city(self, lines: np.ndarray) -> list[np.ndarray]:
        """Cut city lines (n,) with the turned rectangle; pieces ``(m, 3)`` in the ego frame."""
        if not len(lines):
            return []
        pieces = shapely.intersection(lines, self.flat.patch)
        return split_lines(self.to_ego(pieces), heights=True)

    def cut_in_ego(self, lines: np.ndarray) -> list[np.ndarray]:
        """Cut ego lines (n,) with the exact rectangle; pieces ``(m, 3)``."""
        return split_lines(shapely.intersection(lines, self.inner_box()), heights=True) if len(lines) else []

    def valid_areas(self, polygons: np.ndarray) -> np.ndarray:
        """City polygons (n,) cut with the turned rectangle, in the ego frame; what is not valid goes."""
        cut = shapely.intersection(polygons[shapely.is_valid(polygons)], self.flat.patch)
        moved = self.to_ego(_areal(cut))
        return moved[shapely.is_valid(moved)]

    def areas_in_ego(self, polygons: np.ndarray) -> np.ndarray:
        """City polygons (n,) brought into the ego frame and cut with the exact rectangle."""
        moved, limits = self.to_ego(polygons), self.inner_box()
        try:
            return _areal(shapely.intersection(moved, limits))
        except shapely.errors.GEOSException:  # of an outline that crosses itself
            return _areal(shapely.intersection(shapely.make_valid(moved), limits))


def _areal(cut: np.ndarray) -> np.ndarray:
    """Those of cut areas (n,) that are more than a touch, without the points and lines where they touch."""
    cut = cut[(shapely.get_dimensions(cut) == 2) & ~shapely.is_empty(cut)]
    for place in np.flatnonzero(shapely.get_type_id(cut) == shapely.GeometryType.GEOMETRYCOLLECTION):
        parts = shapely.get_parts(cut[place])
        cut[place] = shapely.union_all(parts[shapely.get_dimensions(parts) == 2])
    return cut


def lines_of(arrays: list[np.ndarray]) -> np.ndarray:
    """Shapely lines (n,) of arrays ``(m, 3)``."""
    return np.array([shapely.linestrings(points) for points in arrays], dtype=object)


def whole_or_joined(piece: BaseGeometry) -> list[np.ndarray]:
    """The lines of a cut ring ``(m, 3)``; several are merged where their ends meet."""
    if shapely.get_num_geometries(piece) > 1:
        piece = shapely.line_merge(piece)
    return split_lines(np.array([piece], dtype=object), heights=True)
