"""A map of one's own: GeoJSON lines and polygons as geometry in the world of the poses, cut for every sample.

What becomes of a feature is its class's: lines are cut to the ROI; areas of a class that means the area
(:data:`~mapllava.structures.frames.AREA_CLASSES`, crossings) are united and their outlines stay closed; of
areas of any other class (drivable area, road, lane as ``boundary``) the outline of the union is cut just
inside the ROI, so that the ROI's edge never becomes a boundary. These are nuScenes' rules, see
:mod:`mapllava.sources.nuscenes.map_layers`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from mapllava.errors import MapLLaVAError
from mapllava.files import read_json_object
from mapllava.finding import FAIL, WARN, Finding
from mapllava.geometry.clip import EDGE_MARGIN, Window, clip_lines, clip_polygons, outline_pieces, union
from mapllava.geometry.georeference import from_wgs84
from mapllava.sources.folder.city_file import CityFile
from mapllava.sources.nuscenes.map_layers import Layer
from mapllava.structures.frames import AREA_CLASSES, MapSpec
from mapllava.structures.map_elements import Polyline, is_closed

_PARTS = {"LineString": 1, "MultiLineString": 1, "Polygon": 2, "MultiPolygon": 2}
"""Types that are read, to their dimension."""
_TOLD = 5
"""Features that a message names."""


class GeoJSONMap:
    """The lines and areas of one map.

    Args:
        classes: Class to the values that belong to it, in order.
        lines: Value to shapely lines in the world, metres.
        areas: Value to shapely polygons likewise.
    """

    def __init__(
        self,
        classes: Mapping[str, Sequence[str]],
        lines: Mapping[str, list[Any]],
        areas: Mapping[str, list[Any]],
    ) -> None:
        self.classes = classes
        self._lines = {name: Layer([g for v in vs for g in lines.get(v, ())]) for name, vs in classes.items()}
        self._areas = {name: [Layer(areas.get(v, [])) for v in vs] for name, vs in classes.items()}

    def geometries(self) -> np.ndarray:
        """All of them (n,), shapely objects."""
        layers = [*self._lines.values(), *(layer for layers in self._areas.values() for layer in layers)]
        return np.concatenate([layer.geometries for layer in layers])

    def polylines(self, pose: np.ndarray, spec: MapSpec) -> list[Polyline]:
        """The map elements inside the ROI at one pose.

        Args:
            pose: ``(4, 4)``, map frame to world, metres; only position and yaw count.
            spec: ROI and classes.

        Returns:
            Polylines in metres, map frame; classes in the order of the specification. Raw: neither
            resampled nor simplified.

        Raises:
            MapLLaVAError: If the map has no such class.
        """
        unknown = [name for name in spec.classes if name not in self.classes]
        if unknown:
            raise MapLLaVAError(
                f"class {', '.join(unknown)}: the city's classes are {', '.join(self.classes)}; choose among "
                "them (--classes), or add it to classes in city.json"
            )
        window = Window.from_pose(spec.roi, pose)
        return [
            Polyline(label, points, is_closed(points))
            for label, name in enumerate(spec.classes)
            for points in (*clip_lines(self._lines[name].near(window), window), *self._outlines(name, window))
        ]

    def _outlines(self, name: str, window: Window) -> list[np.ndarray]:
        layers = [clip_polygons(layer.near(window), window) for layer in self._areas[name]]
        if name in AREA_CLASSES:
            return outline_pieces(union(np.concatenate(layers)), window.inner_box(EDGE_MARGIN))
        return outline_pieces(union([union(layer) for layer in layers]), window.inner_box(-EDGE_MARGIN))


def read_geojson_map(
    city: CityFile, place: str, crs: str | None, world: np.ndarray
) -> tuple[GeoJSONMap | None, list[Finding]]:
    """Read a map of a city, and all that is wrong with it.

    Args:
        city: Says which file it is, and what features mean.
        place: Name of the map.
        crs: What the world of the poses is, as pyproj reads it; None if nobody knows.
        world: ``(4, 4)`` from the world as ``vehicle_to_world`` counts in it to that of ``crs``, metres.

    Returns:
        The map without the features that are faulty, None if it cannot be read; findings.
    """
    path = city.maps[place]
    try:
        body = read_json_object(path, "map")
        features = _features(body, path)
        _check_reference(body, path, city.lonlat, crs)
    except MapLLaVAError as error:
        return None, [Finding("map", FAIL, str(error))]
    values = {value: name for name, values in city.classes.items() for value in values}
    faults: dict[tuple[str, str, str], list[str]] = {}
    parts: dict[int, dict[str, list[Any]]] = {1: {}, 2: {}}
    unknown: Counter[str] = Counter()
    for index, feature in enumerate(features):
        try:
            value = _value(feature, city.key)
            if value in city.ignored:
                continue
            if value not in values:
                unknown[value] += 1
                continue
            for dimension, geometry in _geometries(feature, values[value], city.lonlat, crs, world):
                parts[dimension].setdefault(value, []).append(geometry)
        except _FeatureError as fault:
            faults.setdefault(fault.args, []).append(f"features[{index}]")
    found = [
        Finding("map", FAIL, f"'{path}', {_some(where)}{of} {reason}", remedy)
        for (of, reason, remedy), where in faults.items()
    ]
    if unknown:
        told = ", ".join(f"'{value}' ({count})" for value, count in unknown.most_common(2 * _TOLD))
        remedy = f"add it to a class, or to ignored, in {city.path}"
        found.append(
            Finding("class", FAIL, f"'{path}': nobody knows what {city.key} {told} belongs to", remedy)
        )
    found += [
        Finding("class", WARN, f"'{path}' has nothing of the class {name}", "draw it, or take the class out")
        for name, mine in city.classes.items()
        if not any(value in parts[1] or value in parts[2] for value in mine)
    ]  # fmt: skip
    return GeoJSONMap(city.classes, parts[1], parts[2]), found


class _FeatureError(Exception):
    """What is wrong with a feature: key, reason, remedy; alike of alike faults, to be told together."""


def _features(body: Mapping[str, Any], path: Path) -> list[Any]:
    if body.get("type") != "FeatureCollection" or not isinstance(body.get("features"), list):
        raise MapLLaVAError(
            f"map '{path}' is no GeoJSON FeatureCollection (type is {body.get('type')!r}): export the layer "
            "as GeoJSON"
        )
    return body["features"]


def _check_reference(body: Mapping[str, Any], path: Path, lonlat: bool, crs: str | None) -> None:
    """The file, city.json and rig.json agree on what the numbers are."""
    if lonlat and crs is None:
        raise MapLLaVAError(
            f"map '{path}' is in degrees (coordinates is lonlat), and rig.json does not say where on earth "
            "the poses' world lies: write crs or origin there, or give the map in metres (coordinates: world)"
        )
    named = body.get("crs")
    if lonlat and named is not None and not _is_wgs84(str(named)):
        raise MapLLaVAError(
            f"map '{path}' names the reference system {named}, and lonlat is WGS84 (RFC 7946): convert it "
            "(ogr2ogr -t_srs EPSG:4326), or, where these are the poses' metres, write coordinates: world"
        )


def _is_wgs84(text: str) -> bool:
    return "CRS84" in text or "4326" in text


def _value(feature: Any, key: str) -> str:
    properties = feature.get("properties") if isinstance(feature, Mapping) else None
    value = properties.get(key) if isinstance(properties, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise _FeatureError(
            f".properties.{key}", f"is {value!r}", "write what it is: a text or a whole number"
        )
    return str(value)


def _geometries(
    feature: Mapping[str, Any], name: str, lonlat: bool, crs: str | None, world: np.ndarray
) -> Iterator[tuple[int, Any]]:
    """Lines (dimension 1) and areas (2) of a feature of a class, in the world."""
    geometry = feature.get("geometry")
    kind = geometry.get("type") if isinstance(geometry, Mapping) else None
    if kind not in _PARTS or not isinstance(geometry, Mapping):
        raise _FeatureError(
            ".geometry.type", f"is {kind!r}", f"one of {', '.join(_PARTS)} can be a {name}; redraw it"
        )
    parts = geometry.get("coordinates")
    parts = parts if str(kind).startswith("Multi") else [parts]
    if not isinstance(parts, list):
        raise _FeatureError(".geometry.coordinates", "is no list", "export the layer as GeoJSON again")
    for part in parts:
        if _PARTS[kind] == 2:
            rings = [_points(ring, lonlat, crs, world) for ring in _listed(part)]
            yield 2, _area(rings)
            continue
        points = _points(part, lonlat, crs, world)
        if name not in AREA_CLASSES:
            yield 1, _line(points)
        elif is_closed(points):
            yield 2, _area([points])
        else:
            raise _FeatureError(
                "", f"is an open line, and a {name} is an area", "draw its outline: a polygon"
            )


def _listed(part: Any) -> list[Any]:
    if not isinstance(part, list) or not part:
        raise _FeatureError(".geometry.coordinates", "is empty or no list", "draw it again")
    return part


def _points(written: Any, lonlat: bool, crs: str | None, world: np.ndarray) -> np.ndarray:
    """Points ``(n, 2)`` in the world, metres; a height is left aside."""
    try:
        points = np.array([point[:2] for point in written], dtype=np.float64)
    except (TypeError, ValueError, KeyError):
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2 or not np.isfinite(points).all():
        raise _FeatureError(".geometry.coordinates", "is no list of two or more [x, y]", "draw it again")
    if not lonlat:
        return points @ world[:2, :2].T + world[:2, 3]
    if (np.abs(points) > [180, 90]).any():
        raise _FeatureError(
            ".geometry.coordinates", "is no longitude and latitude in degrees",
            "longitude comes first; for metres of the poses' world write coordinates: world",
        )  # fmt: skip
    try:
        return from_wgs84(points, str(crs))
    except MapLLaVAError as error:
        raise _FeatureError(".geometry.coordinates", f"does not fit: {error}", "") from error


def _line(points: np.ndarray) -> Any:
    line = shapely.LineString(points)
    if line.length == 0:
        raise _FeatureError("", "is a line without length", "draw it again, or remove it")
    return line


def _area(rings: Sequence[np.ndarray]) -> Any:
    if min(map(len, rings)) < 4 or not all(is_closed(ring) for ring in rings):
        raise _FeatureError(
            ".geometry.coordinates", "is no ring of four or more points, the last the first", "close it"
        )
    area = shapely.Polygon(rings[0], rings[1:])
    if not area.is_valid or area.is_empty:
        reason = shapely.is_valid_reason(area).partition("[")[0].lower()
        raise _FeatureError("", f"is no valid polygon ({reason})", "mend it (QGIS: Fix geometries)")
    return area


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - _TOLD
    return ", ".join(names[:_TOLD]) + (f" and {more} more" if more > 0 else "")
