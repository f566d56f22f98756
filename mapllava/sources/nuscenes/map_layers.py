"""One nuScenes map as geometry: read once, indexed once, cut for every sample.

The semantics of each class are MapTR's, so that numbers compare:

* ``divider``: the lines of road_divider, then lane_divider; one polyline per record and piece.
* ``ped_crossing``: outlines of the union of the crossings, closed rings.
* ``boundary``: outlines of the union of road_segment and lane, cut just inside the ROI.

Source: Liao et al., "MapTR", ICLR 2023 (``VectorizedLocalMap`` of its code), restated.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely import STRtree

from mapllava.errors import MapLLaVAError
from mapllava.geometry.clip import EDGE_MARGIN, Window, clip_lines, clip_polygons, outline_pieces, union
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_elements import CLOSING_TOLERANCE, Polyline

POLYGON_LAYERS = ("road_segment", "lane", "ped_crossing")
LINE_LAYERS = ("road_divider", "lane_divider")


class Layer:
    """The geometries of one map layer with their spatial index.

    Args:
        geometries: Shapely geometries in world coordinates, in the order of the records.
    """

    def __init__(self, geometries: list[Any]) -> None:
        self.geometries = np.empty(len(geometries), dtype=object)
        self.geometries[:] = geometries
        self._tree = STRtree(self.geometries)

    def near(self, window: Window) -> np.ndarray:
        """Array of the geometries that reach into the window, in the order of the records."""
        hits = self._tree.query(window.patch, predicate="intersects")
        return self.geometries[np.sort(hits)]


class MapLayers:
    """The layers of one map that the ground truth is made of.

    Args:
        location: Name of the map, e.g. ``boston-seaport``.
        version: Version of the map expansion, e.g. ``1.3``.
        layers: Layer name to layer; needs :data:`POLYGON_LAYERS` and :data:`LINE_LAYERS`.
    """

    def __init__(self, location: str, version: str, layers: dict[str, Layer]) -> None:
        self.location = location
        self.version = version
        self.layers = layers

    @classmethod
    def load(cls, dataroot: str | Path, location: str) -> MapLayers:
        """Read ``<dataroot>/maps/expansion/<location>.json`` through the devkit.

        Polygon records that are not valid and line records that are empty are skipped.

        Args:
            dataroot: Root of the data set.
            location: Name of the map.

        Raises:
            MapLLaVAError: If the file is missing, outdated, damaged, or of an unknown place.
        """
        path = map_file(dataroot, location)
        from nuscenes.map_expansion.map_api import NuScenesMap

        try:
            table = NuScenesMap(dataroot=str(dataroot), map_name=location)
            return cls(location, str(table.version), _read_layers(table))
        except AssertionError as error:
            raise MapLLaVAError(f"{path}: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise MapLLaVAError(
                f"{path} is damaged ({type(error).__name__}: {error}): unpack the map expansion again"
            ) from error
        except Exception as error:
            if "outdated map" in str(error):
                raise MapLLaVAError(f"{path} is outdated: map expansion v1.3 is needed ({error})") from error
            raise

    def polylines(self, pose: np.ndarray, spec: MapSpec) -> list[Polyline]:
        """The map elements inside the ROI at one pose.

        Args:
            pose: ``(4, 4)``, map frame to world, metres; only position and yaw count.
            spec: ROI and classes.

        Returns:
            Polylines in metres, map frame; classes in the order of the specification. Raw: neither
            resampled nor simplified, no minimum length.

        Raises:
            MapLLaVAError: If the specification has a class that nuScenes maps do not offer.
            ValueError: If the pose's rotation is not orthogonal.
        """
        makers = {"divider": self._dividers, "ped_crossing": self._crossings, "boundary": self._boundaries}
        unknown = [name for name in spec.classes if name not in makers]
        if unknown:
            raise MapLLaVAError(f"map_spec.classes {unknown}: nuScenes maps offer {', '.join(makers)}")
        window = Window(spec.roi, float(pose[0, 3]), float(pose[1, 3]), yaw_of(pose))
        return [
            Polyline(label, points, closed=_ends_where_it_starts(points))
            for label, name in enumerate(spec.classes)
            for points in makers[name](window)
        ]

    def _dividers(self, window: Window) -> list[np.ndarray]:
        return [line for name in LINE_LAYERS for line in clip_lines(self.layers[name].near(window), window)]

    def _crossings(self, window: Window) -> list[np.ndarray]:
        areas = clip_polygons(self.layers["ped_crossing"].near(window), window)
        return outline_pieces(union(areas), window.inner_box(EDGE_MARGIN))

    def _boundaries(self, window: Window) -> list[np.ndarray]:
        areas = [union(clip_polygons(self.layers[n].near(window), window)) for n in ("road_segment", "lane")]
        return outline_pieces(union(areas), window.inner_box(-EDGE_MARGIN))


def yaw_of(pose: np.ndarray) -> float:
    """Heading of a pose ``(4, 4)``: angle from the world's x axis to the frame's, radians.

    It is atan2(R10, R00), taken through a quaternion and degrees as MapTR does: the last bit of the
    angle decides how outlines that touch in one point are joined.

    Raises:
        ValueError: If the rotation is not orthogonal.
    """
    from pyquaternion import Quaternion

    rotation = Quaternion(list(Quaternion(matrix=pose).q)).rotation_matrix
    forward = np.dot(rotation, np.array([1, 0, 0]))
    return float(np.arctan2(forward[1], forward[0]) / np.pi * 180) * math.pi / 180


def map_file(dataroot: str | Path, location: str) -> Path:
    """Path of a map's expansion file.

    Raises:
        MapLLaVAError: If it is missing.
    """
    path = Path(dataroot) / "maps" / "expansion" / f"{location}.json"
    if not path.is_file():
        raise MapLLaVAError(
            f"{path} is missing: unpack the 'Map expansion' archive (v1.3) of nuscenes.org into "
            f"{path.parent.parent}"
        )
    return path


def map_version(dataroot: str | Path, location: str) -> str:
    """Version of a map's expansion file, e.g. ``1.3``, without building its geometry.

    Raises:
        MapLLaVAError: If the file is missing or is not a JSON object.
    """
    path = map_file(dataroot, location)
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("version", "1.0"))
    except (ValueError, AttributeError) as error:
        raise MapLLaVAError(f"{path} is damaged ({error}): unpack the map expansion again") from None


def _ends_where_it_starts(points: np.ndarray) -> bool:
    return len(points) >= 4 and bool(np.abs(points[0] - points[-1]).max() <= CLOSING_TOLERANCE)


def _read_layers(table: Any) -> dict[str, Layer]:
    nodes = {node["token"]: (node["x"], node["y"]) for node in table.node}
    lines = {line["token"]: [nodes[t] for t in line["node_tokens"]] for line in table.line}
    polygons = {polygon["token"]: polygon for polygon in table.polygon}
    layers = {}
    for name in POLYGON_LAYERS:
        areas = [_polygon(polygons[record["polygon_token"]], nodes) for record in getattr(table, name)]
        layers[name] = Layer([area for area in areas if area is not None])
    for name in LINE_LAYERS:
        paths = [lines[record["line_token"]] for record in getattr(table, name)]
        layers[name] = Layer([shapely.LineString(path) for path in paths if len(path) > 1])
    return layers


def _polygon(record: dict[str, Any], nodes: dict[str, tuple[float, float]]) -> shapely.Polygon | None:
    """Shapely polygon of a record, or None where it is not valid."""
    exterior = [nodes[token] for token in record["exterior_node_tokens"]]
    holes = [[nodes[token] for token in hole["node_tokens"]] for hole in record["holes"]]
    holes = [hole for hole in holes if hole]
    if len(exterior) < 3 or any(len(hole) < 3 for hole in holes):
        return None
    polygon = shapely.Polygon(exterior, holes)
    return polygon if polygon.is_valid and not polygon.is_empty else None
