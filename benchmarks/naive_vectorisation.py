"""The plain way to cut a map around a car, as a yardstick for ``gt_cache.py``.

Every sample starts from the records: each polygon of a layer is rebuilt from its nodes, cut, turned
and moved one after the other, coordinate by coordinate. Written from the definition of MapTR's ground
truth; gives the same lines as :class:`mapllava.sources.nuscenes.map_layers.MapLayers`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from pyquaternion import Quaternion
from shapely import affinity
from shapely.geometry import LineString, MultiLineString, Polygon, box
from shapely.ops import linemerge, unary_union

EDGE = 0.2


class NaiveMap:
    """One map expansion file, kept as records.

    Args:
        path: ``maps/expansion/<location>.json``.
    """

    def __init__(self, path: Path) -> None:
        self.tables: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        self.index = {
            name: {record["token"]: record for record in self.tables[name]}
            for name in ("node", "line", "polygon")
        }

    def vectors(
        self, pose: np.ndarray, half_width: float = 15.0, half_length: float = 30.0
    ) -> list[tuple[str, np.ndarray]]:
        """The lines around a pose: (class, points ``(n, 2)`` metres), dividers, crossings, boundaries.

        Args:
            pose: ``(4, 4)`` map frame to world.
            half_width: Half the region's extent along x, metres.
            half_length: Half the region's extent along y, metres.
        """
        self.x, self.y = float(pose[0, 3]), float(pose[1, 3])
        self.degrees = heading(pose)
        upright = box(self.x - half_width, self.y - half_length, self.x + half_width, self.y + half_length)
        patch = affinity.rotate(upright, self.degrees, origin=(self.x, self.y))
        out = [("divider", line) for line in self._dividers(patch)]
        crossings = unary_union(self._areas("ped_crossing", patch))
        grown = box(-half_width - EDGE, -half_length - EDGE, half_width + EDGE, half_length + EDGE)
        out += [("ped_crossing", line) for line in _outlines(crossings, grown)]
        roads = unary_union([unary_union(self._areas(n, patch)) for n in ("road_segment", "lane")])
        shrunk = box(-half_width + EDGE, -half_length + EDGE, half_width - EDGE, half_length - EDGE)
        return out + [("boundary", line) for line in _outlines(roads, shrunk)]

    def _dividers(self, patch: Polygon) -> list[np.ndarray]:
        lines = []
        for layer in ("road_divider", "lane_divider"):
            for record in self.tables[layer]:
                nodes = self.index["line"][record["line_token"]]["node_tokens"]
                line = LineString([self._node(token) for token in nodes])
                if line.is_empty:
                    continue
                cut = line.intersection(patch)
                if not cut.is_empty:
                    lines += _pieces(self._local(cut))
        return lines

    def _areas(self, layer: str, patch: Polygon) -> list[Any]:
        areas = []
        for record in self.tables[layer]:
            shape = self.index["polygon"][record["polygon_token"]]
            exterior = [self._node(token) for token in shape["exterior_node_tokens"]]
            holes = []
            for hole in shape["holes"]:
                ring = [self._node(token) for token in hole["node_tokens"]]
                if len(ring) > 0:
                    holes.append(ring)
            polygon = Polygon(exterior, holes)
            if polygon.is_valid:
                cut = polygon.intersection(patch)
                if not cut.is_empty:
                    areas.append(self._local(cut))
        return areas

    def _node(self, token: str) -> tuple[float, float]:
        node = self.index["node"][token]
        return node["x"], node["y"]

    def _local(self, geometry: Any) -> Any:
        turned = affinity.rotate(geometry, -self.degrees, origin=(self.x, self.y))
        return affinity.affine_transform(turned, [1.0, 0.0, 0.0, 1.0, -self.x, -self.y])


def heading(pose: np.ndarray) -> float:
    """Degrees from the world's x axis to the frame's, through a quaternion as MapTR does."""
    forward = Quaternion(list(Quaternion(matrix=pose).q)).rotation_matrix @ np.array([1, 0, 0])
    return float(np.arctan2(forward[1], forward[0]) / np.pi * 180)


def _outlines(filled: Any, limits: Polygon) -> list[np.ndarray]:
    parts = [p for p in getattr(filled, "geoms", [filled]) if p.geom_type == "Polygon" and not p.is_empty]
    rings = []
    for part in parts:
        rings.append(part.exterior.reverse() if part.exterior.is_ccw else part.exterior)
    for part in parts:
        for hole in part.interiors:
            rings.append(hole if hole.is_ccw else hole.reverse())
    lines = []
    for ring in rings:
        cut = ring.intersection(limits)
        if cut.geom_type == "MultiLineString":
            cut = linemerge(cut)
        lines += _pieces(cut)
    return lines


def _pieces(cut: Any) -> list[np.ndarray]:
    """The lines of a result, each as an array made coordinate by coordinate."""
    if isinstance(cut, LineString):
        return [] if cut.is_empty else [np.array([(x, y) for x, y in cut.coords])]
    parts = cut.geoms if isinstance(cut, MultiLineString) or hasattr(cut, "geoms") else []
    return [np.array([(x, y) for x, y in part.coords]) for part in parts if isinstance(part, LineString)]
