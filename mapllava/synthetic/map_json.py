"""Writes districts as nuScenes map expansion records (version 1.3)."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
from shapely.geometry import Polygon

from mapllava.synthetic import curves
from mapllava.synthetic.district import District, Lane
from mapllava.synthetic.roads import Divider, Paint

LAYERS = (
    "polygon", "line", "node", "drivable_area", "road_segment", "road_block", "lane", "ped_crossing",
    "walkway", "stop_line", "carpark_area", "road_divider", "lane_divider", "traffic_light", "lane_connector",
)  # fmt: skip


def token(*parts: object) -> str:
    """A stable 32-digit token from anything printable."""
    return hashlib.md5("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


class MapWriter:
    """Collects the records of one location's map.

    Args:
        location: nuScenes location name.
        canvas: (width, height) of the map, metres.
    """

    def __init__(self, location: str, canvas: tuple[float, float]) -> None:
        self.location = location
        self.layers: dict[str, list[dict[str, Any]]] = {layer: [] for layer in LAYERS}
        self.paths: dict[str, list[dict[str, Any]]] = {}
        self.connectivity: dict[str, dict[str, list[str]]] = {}
        self.canvas = canvas
        self.drivable = token(location, "drivable_area")
        self.surfaces: list[str] = []

    def add(self, district: District) -> None:
        """Append one district's records."""
        for area, junction in district.areas:
            more = {"is_intersection": junction, "drivable_area_token": self.drivable}
            self._record("road_segment", area, **more)
        self.surfaces.append(self._polygon(district.surface))
        for divider in district.dividers:
            self._divider(divider)
        for crossing in district.crossings:
            self._record("ped_crossing", Polygon(crossing.corners[[0, 1, 3, 2]]), road_segment_token=None)
        for corners in district.stop_lines:
            self._record(
                "stop_line", Polygon(corners), stop_line_type="YIELD", ped_crossing_tokens=[],
                traffic_light_tokens=[], road_block_token="",
            )  # fmt: skip
        self._lanes(district.lanes)

    def document(self) -> dict[str, Any]:
        """The map as the JSON file holds it."""
        area = {"token": self.drivable, "polygon_tokens": self.surfaces}
        return {
            "version": "1.3",
            "canvas_edge": list(self.canvas),
            **self.layers,
            "drivable_area": [area] if self.surfaces else [],
            "arcline_path_3": self.paths,
            "connectivity": self.connectivity,
        }

    def _add(self, layer: str, **values: Any) -> str:
        name = token(self.location, layer, len(self.layers[layer]))
        self.layers[layer].append({"token": name, **values})
        return name

    def _nodes(self, points: Iterable[Iterable[float]]) -> list[str]:
        return [self._add("node", x=round(float(x), 4), y=round(float(y), 4)) for x, y in points]

    def _polygon(self, area: Polygon) -> str:
        outline = self._nodes(area.exterior.coords[:-1])
        holes = [{"node_tokens": self._nodes(ring.coords[:-1])} for ring in area.interiors]
        return self._add("polygon", exterior_node_tokens=outline, holes=holes)

    def _line(self, points: np.ndarray) -> tuple[str, list[str]]:
        nodes = self._nodes(points)
        return self._add("line", node_tokens=nodes), nodes

    def _record(self, layer: str, area: Polygon, **values: Any) -> str:
        return self._add(layer, polygon_token=self._polygon(area), **values)

    def _divider(self, divider: Divider) -> None:
        line, nodes = self._line(divider.points)
        if divider.kind == "road":
            self._add("road_divider", line_token=line, road_segment_token=None)
            return
        kind = segment_type(divider.paint)
        segments = [{"node_token": node, "segment_type": kind} for node in nodes]
        self._add("lane_divider", line_token=line, lane_divider_segments=segments)

    def _lanes(self, lanes: list[Lane]) -> None:
        names = []
        for lane in lanes:
            if lane.connector:
                names.append(self._record("lane_connector", lane.area))
                continue
            (first, _), (last, _) = (self._line(_crosswise(lane.line, end)) for end in (0, 1))
            names.append(
                self._record(
                    "lane", lane.area, lane_type="CAR", from_edge_line_token=first, to_edge_line_token=last,
                    left_lane_divider_segments=[], right_lane_divider_segments=[],
                )
            )  # fmt: skip
        for name, lane in zip(names, lanes, strict=True):
            self.paths[name] = _arcline(lane.line)
            links = {"incoming": lane.incoming, "outgoing": lane.outgoing}
            self.connectivity[name] = {way: [names[i] for i in found] for way, found in links.items()}


def segment_type(paint: Paint) -> str:
    """nuScenes' name of a kind of line, such as ``SINGLE_DASHED_WHITE``."""
    strokes, dash = "DOUBLE" if paint.double else "SINGLE", "DASHED" if paint.dash else "SOLID"
    return f"{strokes}_{dash}_{'YELLOW' if paint.yellow else 'WHITE'}"


def _crosswise(line: np.ndarray, end: int) -> np.ndarray:
    """A 3 m line across a lane's first (0) or last (1) point."""
    a, b = (line[0], line[1]) if end == 0 else (line[-2], line[-1])
    tangent = (b - a) / max(float(np.hypot(*(b - a))), 1e-9)
    normal = 1.5 * np.array([-tangent[1], tangent[0]])
    return np.stack([line[-end] + normal, line[-end] - normal])


def _arcline(line: np.ndarray) -> list[dict[str, Any]]:
    """A lane's centre line as nuScenes arc-line paths: one straight piece per edge."""
    out = []
    for a, b in itertools.pairwise(line):
        length = float(np.hypot(*(b - a)))
        if length >= 1e-3:
            yaw = round(curves.heading(a, b), 6)
            start, end = ([round(float(x), 4), round(float(y), 4), yaw] for x, y in (a, b))
            piece = {"start_pose": start, "end_pose": end, "shape": "LSR", "radius": 1000.0}
            out.append({**piece, "segment_length": [0.0, round(length, 4), 0.0]})
    return out
