"""Records of a nuScenes map expansion, as the devkit holds them, turned into geometry."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import shapely

from mapllava.errors import MapLLaVAError
from mapllava.sources.nuscenes.lane_routes import LaneGraph
from mapllava.sources.nuscenes.map_classes import RAW_LINE_LAYERS

logger = logging.getLogger(__name__)

LANE_LAYERS = ("lane", "lane_connector")
CENTERLINE_STEP = 0.5
"""Metres between the points of a centre line; MapTRv2's."""
_JOINT = 0.01
"""Metres within which the end of one arc line and the start of the next are one point."""


def read_geometries(table: Any, names: Iterable[str]) -> dict[str, list[Any]]:
    """Geometries of map layers in world coordinates, in the order of the records.

    Polygon records that are not valid and line records that are empty are skipped; layers that are empty,
    and records without any geometry, are warned about.

    Args:
        table: A devkit ``NuScenesMap``.
        names: Layers.

    Returns:
        Layer name to shapely polygons or lines.

    Raises:
        KeyError: If a record names a node, line or polygon that does not exist.
        ValueError: If a coordinate is not finite.
        MapLLaVAError: If no record of a layer has a geometry.
    """
    nodes = _nodes(table)
    lines = {line["token"]: [nodes[t] for t in line["node_tokens"]] for line in table.line}
    polygons = {polygon["token"]: polygon for polygon in table.polygon}
    layers: dict[str, list[Any]] = {}
    for name in names:
        records = getattr(table, name)
        if name in RAW_LINE_LAYERS:
            tokens = [[] if record["line_token"] is None else [record["line_token"]] for record in records]
            paths = [lines[token] for found in tokens for token in found]
            layers[name] = [shapely.LineString(path) for path in paths if len(path) > 1]
        else:
            tokens = [polygon_tokens(record) for record in records]
            areas = [to_polygon(polygons[token], nodes) for found in tokens for token in found]
            layers[name] = [area for area in areas if area is not None]
        _note_missing(table.map_name, name, [not found for found in tokens])
    return layers


def _note_missing(location: str, layer: str, missing: list[bool]) -> None:
    """Say what a layer lacks; one of which nothing is left would pass for a place without such things."""
    if missing and all(missing):
        raise MapLLaVAError(
            f"map {location}: none of the {len(missing)} records of its layer {layer} has a geometry (some "
            "published maps are like this); leave the classes that need it out, or the scenes of this place"
        )
    if not missing or any(missing):
        logger.warning("map %s, layer %s: %d of %d records have a geometry",
                       location, layer, len(missing) - sum(missing), len(missing))  # fmt: skip


def read_lanes(table: Any) -> LaneGraph:
    """Centre lines of lanes, then of lane connectors, joined as ``connectivity`` says.

    A record without a valid polygon, or without an arc-line path, is skipped.

    Args:
        table: A devkit ``NuScenesMap``.

    Raises:
        KeyError: If a record names a node or polygon that does not exist.
    """
    from nuscenes.map_expansion.arcline_path_utils import discretize_lane

    nodes = _nodes(table)
    polygons = {polygon["token"]: polygon for polygon in table.polygon}
    lines: dict[str, shapely.LineString] = {}
    for record in (record for name in LANE_LAYERS for record in getattr(table, name)):
        token, area = record["token"], record["polygon_token"]
        path = table.arcline_path_3.get(token)
        if not path or area is None or to_polygon(polygons[area], nodes) is None:
            continue
        points = np.array([pose[:2] for pose in discretize_lane(path, CENTERLINE_STEP)])
        apart = np.hypot(*np.diff(points, axis=0).T) > _JOINT
        if apart.any():
            lines[token] = shapely.LineString(points[np.concatenate([[True], apart])])
    place = {token: index for index, token in enumerate(lines)}
    successors: list[list[int]] = [[] for _ in lines]
    for token, links in table.connectivity.items():
        pairs = [(token, other) for other in links["outgoing"]]
        pairs += [(other, token) for other in links["incoming"]]
        for source, target in pairs:
            if source in place and target in place and place[target] not in successors[place[source]]:
                successors[place[source]].append(place[target])
    return LaneGraph(list(lines.values()), successors)


def polygon_tokens(record: dict[str, Any]) -> list[str]:
    """Polygons of a record; a drivable area has many, a connector may have none."""
    if "polygon_tokens" in record:
        return list(record["polygon_tokens"])
    return [] if record["polygon_token"] is None else [record["polygon_token"]]


def to_polygon(record: dict[str, Any], nodes: dict[str, tuple[float, float]]) -> shapely.Polygon | None:
    """Shapely polygon of a record, or None where it is not valid."""
    exterior = [nodes[token] for token in record["exterior_node_tokens"]]
    holes = [[nodes[token] for token in hole["node_tokens"]] for hole in record["holes"]]
    holes = [hole for hole in holes if hole]
    if len(exterior) < 3 or any(len(hole) < 3 for hole in holes):
        return None
    polygon = shapely.Polygon(exterior, holes)
    return polygon if polygon.is_valid and not polygon.is_empty else None


def _nodes(table: Any) -> dict[str, tuple[float, float]]:
    for node in table.node:
        if not (math.isfinite(node["x"]) and math.isfinite(node["y"])):
            raise ValueError(f"node {node['token']} lies at x = {node['x']}, y = {node['y']}")
    return {node["token"]: (node["x"], node["y"]) for node in table.node}
