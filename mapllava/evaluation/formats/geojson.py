"""Maps as GeoJSON (RFC 7946), for QGIS, geopandas and any other GIS.

One feature a line: a LineString, or a Polygon where the class means an area (its ring counter-clockwise).
Its properties: ``class``, ``score``, ``kind`` (``prediction`` or ``ground_truth``), ``sample``, ``index`` (of
the line in the results file), ``scene``, ``location``, ``timestamp`` (µs) and ``frame``.

Coordinates are longitude and latitude where it is known where on earth the samples lie. Where it is not,
the file is no RFC 7946: it is named ``*.local.geojson``, its coordinates are metres, and it carries the
``crs`` member of GeoJSON's older version with a plane that is nowhere on earth. GDAL (QGIS, geopandas)
reads it, and refuses to bring it onto a map of the earth, instead of showing a street off Africa.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.near_duplicates import NEAR, without_near_duplicates
from mapllava.evaluation.results_file import prompt_to_json
from mapllava.evaluation.sample_record import Display, SampleRecord, shown_from
from mapllava.files import stream_text
from mapllava.geometry.frame_change import change_lines, planar_change, to_world
from mapllava.geometry.georeference import accuracy_at, check_ground_scale, to_wgs84
from mapllava.geometry.polyline import closed_ring
from mapllava.language import Parsed
from mapllava.structures.frames import AREA_CLASSES, MapSpec

FRAMES: dict[str, str] = {
    "wgs84": "longitude and latitude, WGS84",
    "world": "metres, x to the east and y to the north, in a world whose place on earth is not known",
    "ego": "metres from each sample's own car, x forward and y to its left: samples lie on top of each other",
}
"""What the coordinates of a file are."""

ALL_LINES = Display({}, "all lines")
"""Keeps lines of any score, near-duplicates too."""

_NOWHERE = (
    'ENGCRS["mapllava local metres ({frame}), nowhere on earth",EDATUM["{frame}"],CS[Cartesian,2],'
    'AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]'
)
_DIGITS = {"wgs84": 8, "world": 4, "ego": 4}
"""Of a coordinate: 1 mm of latitude, 0.1 mm."""


class PlaceError(MapLLaVAError):
    """A sample has no place in the coordinates of a file; nothing of it was written."""


def frame_of(record: SampleRecord) -> str:
    """The best of :data:`FRAMES` that is known of a sample."""
    if record.ego2global is None:
        return "ego"
    return "world" if record.crs is None else "wgs84"


def file_name(stem: str, frame: str) -> str:
    """``<stem>.geojson`` on earth, ``<stem>.local.geojson`` elsewhere."""
    return f"{stem}.geojson" if frame == "wgs84" else f"{stem}.local.geojson"


@contextmanager
def write_geojson(
    folder: str | Path,
    stem: str,
    map_spec: MapSpec,
    display: Display | None = None,
    frame: str | None = None,
    prompt: Parsed | None = None,
) -> Iterator[GeoJSONStream]:
    """Write a GeoJSON of any length; it appears when the block ends, whole, or not at all.

    Args:
        folder: Where to write; made if need be.
        stem: The file's name without its suffix, see :func:`file_name`.
        map_spec: Frame and classes of the maps.
        display: Lines below its thresholds are left out, and near-duplicates as in the pictures; None takes
            the fallback. Where every threshold is 0, as of :data:`ALL_LINES`, all lines are kept.
        frame: One of :data:`FRAMES`; None lets the first sample decide.
        prompt: What the maps are cut by, which holds what is drawn already; None for whole ones.

    Yields:
        What takes the samples; afterwards its ``path`` is the file, None if there was no sample.

    Raises:
        MapLLaVAError: If the file cannot be written; names it.
    """
    with ExitStack() as stack:
        stream = GeoJSONStream(map_spec, display, frame, whole=prompt is None)

        def start(frame: str) -> Callable[[str], None]:
            stream.path = Path(folder) / file_name(stem, frame)
            write = stack.enter_context(stream_text(stream.path))
            head = _head(stem, frame, display, map_spec.classes)
            if prompt is not None:
                head["mapllava"]["prompt"] = prompt_to_json(prompt)
            write(json.dumps(head, ensure_ascii=False)[:-1])
            write(', "features": [')
            return write

        stream.start = start
        yield stream
        stream.finish()


class GeoJSONStream:
    """Takes the samples of a GeoJSON file; made by :func:`write_geojson`.

    Attributes:
        path: The file; None before the first sample.
        frame: One of :data:`FRAMES`; None before the first sample, unless it was given.
        num_lines: Features written.
        locations: Names of the maps seen.
        accuracy: The worst metres that PROJ states for the way to WGS84; None if it states none.
    """

    start: Callable[[str], Callable[[str], None]]

    def __init__(
        self, map_spec: MapSpec, display: Display | None, frame: str | None, whole: bool = True
    ) -> None:
        self.path: Path | None = None
        self.frame = frame
        self.num_lines = 0
        self.locations: set[str] = set()
        self.accuracy: float | None = None
        self._spec = map_spec
        self._least = [shown_from(display, name) for name in map_spec.classes]
        self._near = NEAR if any(self._least) and whole else 0.0
        self._write: Callable[[str], None] | None = None

    def add(
        self,
        token: str,
        entry: Mapping[str, Any],
        record: SampleRecord,
        ground_truth: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Write the lines of one sample.

        Args:
            token: Its name.
            entry: ``points`` (lines ``(n, 2)``, metres in the map's frame), ``labels`` and ``scores``.
            record: Where and when it was.
            ground_truth: Polylines as a GT cache holds them.

        Raises:
            PlaceError: If it is not known as well where the sample is as the file's frame needs, or
                the CRS does not fit; names the sample.
            MapLLaVAError: If the file cannot be written.
        """
        if self.frame is None:
            self.frame = frame_of(record)
        self._check_frame(token, record)
        about = {
            "sample": token,
            "scene": record.scene,
            "location": record.location,
            "timestamp": record.timestamp,
            "frame": self.frame,
        }
        labels, scores = np.asarray(entry["labels"]).tolist(), np.asarray(entry["scores"]).tolist()
        shown = [k for k, label in enumerate(labels) if scores[k] >= self._least[label]]
        chosen = ([entry["points"][k] for k in shown], [labels[k] for k in shown], [scores[k] for k in shown])
        shown = [shown[k] for k in without_near_duplicates(*chosen, self._near)]
        lines = [(entry["points"][k], labels[k], scores[k], "prediction", k) for k in shown]
        lines += [(g["points"], g["label"], None, "ground_truth", k) for k, g in enumerate(ground_truth)]
        placed = self._place([np.asarray(line[0], dtype=np.float64) for line in lines], token, record)
        self.locations.add(record.location)
        if self._write is None:
            self._write = self.start(self.frame)
        for points, (_, label, score, kind, index) in zip(placed, lines, strict=True):
            name = self._spec.classes[label]
            properties = {"class": name, "score": score, "kind": kind, "index": index, **about}
            shape = geometry(points, name in AREA_CLASSES, _DIGITS[self.frame])
            feature = {"type": "Feature", "properties": properties, "geometry": shape}
            self._write(f"{',' if self.num_lines else ''}\n{json.dumps(feature, ensure_ascii=False)}")
            self.num_lines += 1

    def _check_frame(self, token: str, record: SampleRecord) -> None:
        known = frame_of(record)
        needed = {"wgs84": ("wgs84",), "world": ("wgs84", "world"), "ego": tuple(FRAMES)}[str(self.frame)]
        if known not in needed:
            lacks = "its pose in the world (ego2global)" if known == "ego" else "where its world lies (crs)"
            raise PlaceError(
                f"sample {token}: nobody says {lacks}, which coordinates in {FRAMES[str(self.frame)]} need: "
                "give it in rig.json or in the results file, or convert samples of one kind at a time"
            )
        if record.lidar2ego is None and self._spec.frame == "lidar":
            raise PlaceError(
                f"sample {token}: its map lies in the lidar frame, but nobody says where the LiDAR is "
                "mounted (lidar2ego): give the GT cache, or predict again"
            )

    def _place(self, lines: list[np.ndarray], token: str, record: SampleRecord) -> list[np.ndarray]:
        """Lines of the map's frame in the file's coordinates."""
        if not lines:
            return []
        lidar2ego = np.eye(4) if record.lidar2ego is None else record.lidar2ego
        if self.frame == "ego" or record.ego2global is None:
            change = planar_change(self._spec.frame, "ego", lidar2ego, np.eye(4))
        else:
            change = to_world(self._spec.frame, lidar2ego, record.ego2global)
        points = change_lines(np.concatenate(lines), change)
        if self.frame == "wgs84" and record.crs is not None:
            here = np.asarray(record.ego2global)[:2, 3]
            try:
                check_ground_scale(here, record.crs)
                points = to_wgs84(points, record.crs)
            except MapLLaVAError as error:
                raise PlaceError(f"sample {token}: {error}") from error
            accuracy = accuracy_at(here, record.crs)
            self.accuracy = max(self.accuracy or 0.0, accuracy) if accuracy is not None else self.accuracy
        return np.split(points, np.cumsum([len(line) for line in lines])[:-1])

    def finish(self) -> None:
        """End the file."""
        if self._write is not None:
            self._write("\n]}\n")


def geometry(points: np.ndarray, area: bool, digits: int) -> dict[str, Any]:
    """A line as GeoJSON's geometry.

    Args:
        points: ``(n, 2)``, in the file's coordinates.
        area: Whether its class means the area inside. Its ring is closed where it is nearly so.
        digits: Decimals of a coordinate.

    Returns:
        A Polygon for an area that closes, else a LineString.
    """
    rounded = np.round(points, digits)
    ring = closed_ring(rounded) if area else None
    if ring is not None:
        return {"type": "Polygon", "coordinates": [_counter_clockwise(ring).tolist()]}
    return {"type": "LineString", "coordinates": rounded.tolist()}


def _counter_clockwise(ring: np.ndarray) -> np.ndarray:
    """RFC 7946, 3.1.6: seen from above, the area lies to the left of its outer ring."""
    x, y = (ring - ring[0]).T  # degrees: a ring of metres is lost in the digits of their products
    return ring if (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() >= 0 else ring[::-1]


def _head(stem: str, frame: str, display: Display | None, classes: Sequence[str]) -> dict[str, Any]:
    head: dict[str, Any] = {"type": "FeatureCollection", "name": Path(file_name(stem, frame)).stem}
    if frame != "wgs84":
        head["crs"] = {"type": "name", "properties": {"name": _NOWHERE.format(frame=frame)}}
    head["mapllava"] = {
        "coordinates": FRAMES[frame],
        "scores_from": {name: shown_from(display, name) for name in classes},
        "scores_from_source": "fallback" if display is None else display.source,
    }
    return head
