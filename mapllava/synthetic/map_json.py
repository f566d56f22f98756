"""Writes districts as nuScenes map expansion records (version 1.3)."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
from shapely.geometry import Polygon

from mapllava.synthetic.district import District, Lane
from mapllava.synthetic.roads import Paint

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
        self.drivable: list[str] = []

    def add(self, district: District) -> None:
        """Append one district's records."""
        segments = [
            self._record("road_segment", area, is_intersection=junction) for area, junction in district.areas
        ]
        self.drivable.append(self._polygon(district.surface))
        for divider in district.dividers:
            self._divider(divider.kind, divider.points, divider.paint)
        for crossing in district.crossings:
            self._record("ped_crossing", Polygon(crossing.corners[[0, 1, 3, 2]]), road_segment_token=None)
        for corners in district.stop_lines:
            self._record(
                "stop_line", Polygon(corners), stop_line_type="YIELD", ped_crossing_tokens=[],
                traffic_light_tokens=[], road_block_token="",
            )  # fmt: skip
        for record in self.layers["road_segment"][-len(segments) :]:
            record["drivable_area_token"] = token(self.location, "drivable_area")
        self._lanes(district.lanes)

    def document(self) -> dict[str, Any]:
        """The map as the JSON file holds it."""
        area = {"token": token(self.location, "drivable_area"), "polygon_tokens": self.drivable}
        layers = {**self.layers, "drivable_area": [area] if self.drivable else []}
        return {
            "version": "1.3",
            "canvas_edge": list(self.canvas),
            **layers,
            "arcline_path_3": self.paths,
            "connectivity": self.connectivity,
        }

    def _next(self, layer: str) -> str:
        return token(self.location, layer, len(self.layers[layer]))

    def _nodes(self, points: Iterable[Iterable[float]]) -> list[str]:
        names = []
        for x, y in points:
            names.append(self._next("node"))
            self.layers["node"].append({"token": names[-1], "x": round(float(x), 4), "y": round(float(y), 4)})
        return names

    def _polygon(self, area: Polygon) -> str:
        name = self._next("polygon")
        record = {
            "token": name,
            "exterior_node_tokens": self._nodes(area.exterior.coords[:-1]),
            "holes": [{"node_tokens": self._nodes(ring.coords[:-1])} for ring in area.interiors],
        }
        self.layers["polygon"].append(record)
        return name

    def _line(self, points: np.ndarray) -> tuple[str, list[str]]:
        name, nodes = self._next("line"), self._nodes(points)
        self.layers["line"].append({"token": name, "node_tokens": nodes})
        return name, nodes

    def _record(self, layer: str, area: Polygon, **values: Any) -> str:
        name = self._next(layer)
        self.layers[layer].append({"token": name, "polygon_token": self._polygon(area), **values})
        return name

    def _divider(self, kind: str, points: np.ndarray, paint: Paint) -> None:
        line, nodes = self._line(points)
        record: dict[str, Any] = {"token": self._next(f"{kind}_divider"), "line_token": line}
        if kind == "road":
            record["road_segment_token"] = None
        else:
            record["lane_divider_segments"] = [
                {"node_token": node, "segment_type": segment_type(paint)} for node in nodes
            ]
        self.layers[f"{kind}_divider"].append(record)

    def _lanes(self, lanes: list[Lane]) -> None:
        firsts = {kind: len(self.layers[kind]) for kind in ("lane", "lane_connector")}
        names = []
        for lane in lanes:
            kind = "lane_connector" if lane.connector else "lane"
            names.append(token(self.location, kind, firsts[kind]))
            firsts[kind] += 1
        for name, lane in zip(names, lanes, strict=True):
            if lane.connector:
                self._record("lane_connector", lane.area)
            else:
                edges = [self._line(_crosswise(lane.line, end))[0] for end in (0, 1)]
                self._record(
                    "lane", lane.area, lane_type="CAR",
                    from_edge_line_token=edges[0], to_edge_line_token=edges[1],
                    left_lane_divider_segments=[], right_lane_divider_segments=[],
                )  # fmt: skip
            self.paths[name] = _arcline(lane.line)
            self.connectivity[name] = {
                "incoming": [names[i] for i in lane.incoming],
                "outgoing": [names[i] for i in lane.outgoing],
            }


def segment_type(paint: Paint) -> str:
    """nuScenes' name of a kind of line, such as ``SINGLE_DASHED_WHITE``."""
    return "_".join(
        [
            "DOUBLE" if paint.double else "SINGLE",
            "DASHED" if paint.dash else "SOLID",
            "YELLOW" if paint.yellow else "WHITE",
        ]
    )


def _crosswise(line: np.ndarray, end: int) -> np.ndarray:
    """A 3 m line across a lane's first (0) or last (1) point."""
    a, b = (line[0], line[1]) if end == 0 else (line[-2], line[-1])
    tangent = (b - a) / max(float(np.hypot(*(b - a))), 1e-9)
    middle = a if end == 0 else b
    normal = 1.5 * np.array([-tangent[1], tangent[0]])
    return np.stack([middle + normal, middle - normal])


def _arcline(line: np.ndarray) -> list[dict[str, Any]]:
    """A lane's centre line as nuScenes arc-line paths: one straight piece per edge."""
    out = []
    for a, b in itertools.pairwise(line):
        length = float(np.hypot(*(b - a)))
        if length < 1e-3:
            continue
        yaw = float(np.arctan2(b[1] - a[1], b[0] - a[0]))
        poses = [[round(float(p[0]), 4), round(float(p[1]), 4), round(yaw, 6)] for p in (a, b)]
        out.append(
            {
                "start_pose": poses[0],
                "end_pose": poses[1],
                "shape": "LSR",
                "radius": 1000.0,
                "segment_length": [0.0, round(length, 4), 0.0],
            }
        )
    return out
