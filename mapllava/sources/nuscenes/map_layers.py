"""One nuScenes map as geometry: read once, indexed once, cut for every sample.

The semantics of each class are MapTR's, so that numbers compare:

* ``divider``: the lines of road_divider, then lane_divider; one polyline per record and piece.
* ``ped_crossing``: outlines of the union of the crossings, closed rings.
* ``boundary``: outlines of the union of road_segment and lane, cut just inside the ROI.
* ``centerline``: ways along lanes, directed (:mod:`~mapllava.sources.nuscenes.lane_routes`).
* any raw layer: its lines, or the outlines of the union of its polygons.

Source: Liao et al., "MapTR", ICLR 2023 (``VectorizedLocalMap`` of its code), restated.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from shapely import STRtree

from mapllava.errors import MapLLaVAError
from mapllava.geometry.clip import EDGE_MARGIN, Window, clip_lines, clip_polygons, outline_pieces, union
from mapllava.sources.nuscenes.lane_routes import LaneGraph
from mapllava.sources.nuscenes.map_classes import MAP_CLASSES, check_classes
from mapllava.sources.nuscenes.map_records import read_geometries, read_lanes
from mapllava.structures.frames import CLASSES, MapSpec
from mapllava.structures.map_elements import Polyline, is_closed

POLYGON_LAYERS = ("road_segment", "lane", "ped_crossing")
LINE_LAYERS = ("road_divider", "lane_divider")
_VERSION = re.compile(r'"version"\s*:\s*"([^"\\]*)"')


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
        """Geometries (n,), shapely objects, that reach into the window, in the order of the records."""
        hits = self._tree.query(window.patch, predicate="intersects")
        return self.geometries[np.sort(hits)]


class MapLayers:
    """The layers of one map that the ground truth is made of.

    Args:
        location: Name of the map, e.g. ``boston-seaport``.
        version: Version of the map expansion, e.g. ``1.3``.
        layers: Layer name to layer; :data:`POLYGON_LAYERS` and :data:`LINE_LAYERS` for MapTR's classes.
        lanes: Centre lines, for the class ``centerline``.
    """

    def __init__(
        self, location: str, version: str, layers: dict[str, Layer], lanes: LaneGraph | None = None
    ) -> None:
        self.location = location
        self.version = version
        self.layers = layers
        self.lanes = lanes

    @classmethod
    def load(cls, dataroot: str | Path, location: str, classes: Sequence[str] = CLASSES) -> MapLayers:
        """Read ``<dataroot>/maps/expansion/<location>.json`` through the devkit.

        Polygon records that are not valid and line records that are empty are skipped.

        Args:
            dataroot: Root of the data set.
            location: Name of the map.
            classes: What will be asked for; only the layers of these are kept.

        Raises:
            MapLLaVAError: If a class does not exist, or the file is missing, outdated, damaged, or of an
                unknown place.
        """
        check_classes(classes)
        path = map_file(dataroot, location)
        from nuscenes.map_expansion.map_api import NuScenesMap

        try:
            table = NuScenesMap(dataroot=str(dataroot), map_name=location)
            kinds = [MAP_CLASSES[name] for name in classes]
            names = dict.fromkeys(n for kind in kinds if kind.kind != "routes" for n in kind.layers)
            layers = {n: Layer(found) for n, found in read_geometries(table, names).items()}
            lanes = read_lanes(table) if any(kind.kind == "routes" for kind in kinds) else None
            return cls(location, str(table.version), layers, lanes)
        except AssertionError as error:
            raise MapLLaVAError(f"{path}: {error}") from error
        except (ValueError, KeyError, TypeError, ArithmeticError) as error:
            null = isinstance(error, KeyError) and error.args == (None,)
            what = "a record names null as its shape" if null else f"{type(error).__name__}: {error}"
            raise MapLLaVAError(f"{path} is damaged ({what}): unpack the map expansion again") from error
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
            MapLLaVAError: If the specification has a class that nuScenes maps do not offer, or that was
                not named when the map was read.
            ValueError: If the pose's rotation is not orthogonal.
        """
        check_classes(spec.classes)
        makers = {
            "lines": self._lines, "crossings": self._crossings, "outlines": self._outlines,
            "routes": self._routes,
        }  # fmt: skip
        window = Window(spec.roi, float(pose[0, 3]), float(pose[1, 3]), yaw_of(pose))
        polylines = []
        for label, name in enumerate(spec.classes):
            kind = MAP_CLASSES[name]
            try:
                lines = makers[kind.kind](window, kind.layers)
            except KeyError as missing:
                raise MapLLaVAError(
                    f"class {name}: {self.location} was read without {missing.args[0]}; name the class in "
                    "MapLayers.load(..., classes=...)"
                ) from None
            polylines += [Polyline(label, points, is_closed(points), kind.directed) for points in lines]
        return polylines

    def _near(self, window: Window, names: Sequence[str]) -> list[np.ndarray]:
        return [self.layers[name].near(window) for name in names]

    def _lines(self, window: Window, names: Sequence[str]) -> list[np.ndarray]:
        return clip_lines(np.concatenate(self._near(window, names)), window)

    def _crossings(self, window: Window, names: Sequence[str]) -> list[np.ndarray]:
        areas = clip_polygons(np.concatenate(self._near(window, names)), window)
        return outline_pieces(union(areas), window.inner_box(EDGE_MARGIN))

    def _outlines(self, window: Window, names: Sequence[str]) -> list[np.ndarray]:
        near = self._near(window, names)
        areas = clip_polygons(np.concatenate(near), window)
        layers = np.split(areas, np.cumsum([len(layer) for layer in near])[:-1])
        return outline_pieces(union([union(layer) for layer in layers]), window.inner_box(-EDGE_MARGIN))

    def _routes(self, window: Window, names: Sequence[str]) -> list[np.ndarray]:
        if self.lanes is None:
            raise KeyError(" and ".join(names))
        return self.lanes.routes(window)


def yaw_of(pose: np.ndarray) -> float:
    """Heading of a pose ``(4, 4)``: angle from the world's x axis to the frame's, radians.

    It is atan2(R10, R00), taken through a quaternion and degrees as MapTR does: the last bit of the
    angle decides how outlines that touch in one point are joined. NumPy's arctan2 gives it otherwise on a
    processor with AVX-512 than on one without, to MapTR as to us.

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

    The file is only parsed where its text does not say it plainly once, which saves a second a map.

    Raises:
        MapLLaVAError: If the file is missing or is not a JSON object.
    """
    path = map_file(dataroot, location)
    try:
        text = path.read_text(encoding="utf-8")
        stated = _VERSION.findall(text)
        return stated[0] if len(stated) == 1 else str(json.loads(text).get("version", "1.0"))
    except (ValueError, AttributeError) as error:
        raise MapLLaVAError(f"{path} is damaged ({error}): unpack the map expansion again") from None
