"""What a results file says of a sample besides its map: where and when it was, its cameras and images.

With it the sample can be drawn, put on earth or predicted again from files alone; no cache, no model.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short
from typing import Any

import numpy as np

from mapllava.structures.rig import Distortion, RigCamera, RigSample

_TEXTS = ("scene", "location")
_POSES = ("lidar2ego", "ego2global")
_KEYS = (*_TEXTS, "timestamp", *_POSES, "crs", "images")
_IMAGE_KEYS = ("path", "size", "cam2img", "cam2ego", "distortion")


@dataclass(frozen=True)
class Display:
    """From which score on a line is shown.

    Attributes:
        thresholds: Class name to score, every class.
        source: Where they come from, e.g. ``best F1 at 1.0 m on val of v1.0-trainval``.
        certain: Class name to the score below which a line that is shown is in doubt; None where nobody has
            measured it. Both as :func:`~mapllava.evaluation.certainty.doubt_of_matches` gives them.
        possible: Class name to the score from which on a line that is not shown is in doubt; None likewise.
    """

    thresholds: Mapping[str, float]
    source: str
    certain: Mapping[str, float] | None = None
    possible: Mapping[str, float] | None = None


FALLBACK_SCORE = 0.3
"""From which score on a line is shown where no file says it."""


FALLBACK_CERTAIN = 0.5
"""From which score on a line is certain where no file says it."""


def certain_from(display: Display | None, classes: Sequence[str]) -> dict[str, float]:
    """From which score on a line of each class is certain."""
    known = None if display is None else display.certain
    return dict.fromkeys(classes, FALLBACK_CERTAIN) if known is None else dict(known)


def shown_from(display: Display | None, class_name: str) -> float:
    """From which score on a line of a class is shown; a class that ``display`` leaves out is shown always."""
    return FALLBACK_SCORE if display is None else display.thresholds.get(class_name, 0.0)


@dataclass(frozen=True, eq=False)
class SampleRecord:
    """One sample, see the module.

    Attributes:
        scene: Name of the drive; empty if none.
        timestamp: Microseconds; None if unknown.
        lidar2ego: (4, 4) metres, as the model took it, also where no LiDAR is mounted; None if not needed.
        ego2global: (4, 4) metres; None if unknown.
        crs: What the world is, as pyproj reads it; None if nobody knows where on earth it lies.
        location: Name of the map, such as ``singapore-onenorth``; empty if none.
        cameras: As mounted at this moment.
        images: One a camera; None where it is no file of its own, as a video's frame.
    """

    scene: str = ""
    timestamp: int | None = None
    lidar2ego: np.ndarray | None = None
    ego2global: np.ndarray | None = None
    crs: str | None = None
    location: str = ""
    cameras: tuple[RigCamera, ...] = ()
    images: tuple[Path | None, ...] = ()

    @classmethod
    def of(cls, sample: RigSample, lidar2ego: np.ndarray | None) -> SampleRecord:
        """The record of what a rig saw.

        Args:
            sample: As it was given, before its images were prepared for the model.
            lidar2ego: (4, 4) as the model took it, metres; None where its frame needs none.
        """
        images = tuple(Path(image) if isinstance(image, (str, Path)) else None for image in sample.images)
        place = (lidar2ego, sample.ego2global, sample.crs, sample.location)
        return cls(sample.scene, sample.timestamp, *place, sample.rig.cameras, images)


def display_to_json(display: Display) -> dict[str, Any]:
    """As it stands in a results file."""
    measured = {"certain": display.certain, "possible": display.possible}
    doubt = {key: _plain(scores) for key, scores in measured.items() if scores is not None}
    return {"thresholds": _plain(display.thresholds), "source": display.source, **doubt}


def _plain(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in scores.items()}


def display_from_json(value: Any, classes: Sequence[str]) -> Display:
    """Inverse of :func:`display_to_json`.

    Raises:
        ValueError: If a class has no threshold, or one is not in 0..1; names the key.
    """
    _need(value, ("thresholds", "source"), "display")
    thresholds = _scores(value["thresholds"], classes, "display.thresholds")
    doubt = {key: value[key] for key in ("certain", "possible") if value.get(key) is not None}
    doubt = {key: _scores(scores, classes, f"display.{key}") for key, scores in doubt.items()}
    return Display(thresholds, _text(value, "source", "display."), **doubt)


def _scores(value: Any, classes: Sequence[str], name: str) -> dict[str, float]:
    if not isinstance(value, Mapping) or set(value) != set(classes):
        raise ValueError(f"{name} is {short(value)}, not a score for each of {', '.join(classes)}")
    for key, score in value.items():
        if not _is_number(score) or not 0 <= score <= 1:
            raise ValueError(f"{name}.{key} is {short(score)}, not a score in 0..1")
    return {key: float(value[key]) for key in classes}


def display_of_model(value: Any, classes: Sequence[str]) -> Display | None:
    """The display that a model file brings; None where it has none, or one for other classes."""
    if value is None or set(value["thresholds"]) != set(classes):
        return None
    return display_from_json(value, classes)


def record_to_json(record: SampleRecord, folder: Path) -> dict[str, Any]:
    """As it stands in a results file.

    Args:
        record: The record.
        folder: The results file's; images beside or below it are named from there, others absolutely.
    """
    return {
        "scene": record.scene,
        "location": record.location,
        "timestamp": None if record.timestamp is None else int(record.timestamp),
        **{key: _matrix_to_json(getattr(record, key)) for key in _POSES},
        "crs": record.crs,
        "images": {
            camera.name: {
                "path": None if path is None else _path_to_json(path, folder),
                "size": [int(side) for side in camera.size],
                "cam2img": _matrix_to_json(camera.cam2img),
                "cam2ego": _matrix_to_json(camera.cam2ego),
                "distortion": camera.distortion
                and {
                    "model": camera.distortion.model,
                    "coefficients": [float(c) for c in camera.distortion.coefficients],
                },
            }
            for camera, path in zip(record.cameras, record.images, strict=True)
        },
    }


def record_from_json(value: Any, folder: Path) -> SampleRecord:
    """Inverse of :func:`record_to_json`.

    Raises:
        ValueError: If a key is missing or a value does not fit; names the key.
    """
    _need(value, _KEYS, "it")
    scene, location = (_text(value, key) for key in _TEXTS)
    timestamp, crs, images = value["timestamp"], value["crs"], value["images"]
    if timestamp is not None and type(timestamp) is not int:
        raise ValueError(f"timestamp is {short(timestamp)}, not a whole number of microseconds")
    if crs is not None and (not isinstance(crs, str) or not crs):
        raise ValueError(f"crs is {short(crs)}, not a text that pyproj reads")
    if not isinstance(images, Mapping):
        raise ValueError(f"images is {short(images)}, not an object of cameras")
    lidar2ego, ego2global = (_matrix(value[key], 4, key) for key in _POSES)
    cameras = tuple(_camera(name, camera) for name, camera in images.items())
    paths = tuple(_path(name, camera["path"], folder) for name, camera in images.items())
    return SampleRecord(scene, timestamp, lidar2ego, ego2global, crs, location, cameras, paths)


def _camera(name: str, value: Any) -> RigCamera:
    where = f"images.{name}"
    _need(value, _IMAGE_KEYS, where)
    size, bent = value["size"], value["distortion"]
    if (
        not isinstance(size, list)
        or len(size) != 2
        or not all(type(side) is int and side > 0 for side in size)
    ):
        raise ValueError(f"{where}.size is {short(size)}, not [width, height] in pixels")
    cam2img = _matrix(value["cam2img"], 3, f"{where}.cam2img")
    cam2ego = _matrix(value["cam2ego"], 4, f"{where}.cam2ego")
    if cam2img is None or cam2ego is None:
        raise ValueError(f"{where}: cam2img or cam2ego is null")
    if bent is None:
        return RigCamera(name, (size[0], size[1]), cam2img, cam2ego)
    _need(bent, ("model", "coefficients"), f"{where}.distortion")
    coefficients = bent["coefficients"]
    if not isinstance(coefficients, list) or not all(map(_is_number, coefficients)):
        raise ValueError(f"{where}.distortion.coefficients is {short(coefficients)}, not a list of numbers")
    lens = Distortion(_text(bent, "model", f"{where}.distortion."), tuple(map(float, coefficients)))
    return RigCamera(name, (size[0], size[1]), cam2img, cam2ego, lens)


def _matrix_to_json(matrix: np.ndarray | None) -> list[list[float]] | None:
    return None if matrix is None else np.asarray(matrix, dtype=np.float64).tolist()


def _matrix(value: Any, size: int, name: str) -> np.ndarray | None:
    if value is None:
        return None
    rows = value if isinstance(value, list) and all(isinstance(row, list) for row in value) else []
    if [len(row) for row in rows] != [size] * size or not all(_is_number(x) for row in rows for x in row):
        raise ValueError(f"{name} is {short(value)}, not {size} rows of {size} finite numbers")
    if value[-1] != [0] * (size - 1) + [1]:
        raise ValueError(f"{name} has the last row {short(value[-1])}, not {[0] * (size - 1) + [1]}")
    return np.array(value, dtype=np.float64)


def _path_to_json(path: Path, folder: Path) -> str:
    """From the results file on if both would be moved together, that is, lie in one folder; else absolute."""
    path, folder = path.resolve(), folder.resolve()
    together = folder.parent != Path(folder.anchor) and path.is_relative_to(folder.parent)
    return Path(os.path.relpath(path, folder)).as_posix() if together else path.as_posix()


def _path(name: str, value: Any, folder: Path) -> Path | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise ValueError(f"images.{name}.path is {short(value)}, not the path of a file")
    return None if value is None else Path(os.path.normpath(folder.resolve() / value))


def _text(value: Mapping[str, Any], key: str, where: str = "") -> str:
    if not isinstance(value[key], str):
        raise ValueError(f"{where}{key} is {short(value[key])}, not a text")
    return value[key]


def _need(value: Any, keys: Sequence[str], where: str) -> None:
    missing = [key for key in keys if not isinstance(value, Mapping) or key not in value]
    if missing:
        raise ValueError(f"{where} lacks {missing}")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
