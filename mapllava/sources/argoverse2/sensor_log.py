"""One log of the sensor data set as the entries of a GT cache: poses, calibrations, images of its sweeps."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.geometry.rigid import invert, rigid
from mapllava.sources.argoverse2.log_map import map_file

logger = logging.getLogger(__name__)

CAMERAS = (
    "ring_front_center", "ring_front_right", "ring_front_left", "ring_rear_right", "ring_rear_left",
    "ring_side_right", "ring_side_left",
)  # fmt: skip
LIDAR = "up_lidar"
STRIDE = 5
"""Of the ten sweeps of a second every fifth is a sample: two a second, as nuScenes has."""
SYNCHRONOUS_NS = 25_000_000
"""Nanoseconds from a sweep within which each camera must have an image: half of the cameras' period."""
EGO_HEIGHT = 0.32
"""Metres from the ground to the origin of the data set's ego frame, the rear axle (0.31 in the median of two
logs). A cache's ego frame has its origin on the ground below, as nuScenes' has: what looks for the ground
finds it at z = 0, whatever the source."""
_TABLES = (
    "city_SE3_egovehicle.feather", "calibration/egovehicle_SE3_sensor.feather",
    "calibration/intrinsics.feather",
)  # fmt: skip
_RIGHT_FORWARD = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
"""Axes of the frame ``lidar`` (x right, y forward) in the ego frame (x forward, y left), level with it."""
_GROUND = rigid(np.eye(3), np.array([0.0, 0, -EGO_HEIGHT]))
"""The ego frame on the ground in the data set's own."""


class SensorLog:
    """A log's folder.

    Args:
        folder: ``<split>/<log id>``.
        dataroot: Root of the data set, which image paths are relative to.
    """

    def __init__(self, folder: Path, dataroot: Path) -> None:
        self.folder = folder
        self.dataroot = dataroot

    @property
    def city(self) -> str:
        """Three letters of the city, e.g. ``PIT``: the map file's name has them."""
        _, _, tail = map_file(self.folder).stem.partition("____")
        return tail.partition("_")[0] or "unknown"

    def files(self) -> list[Path]:
        """What decides the log's entries and map.

        Raises:
            MapLLaVAError: If a file is missing.
        """
        paths = [self.folder / name for name in _TABLES]
        missing = [str(path.relative_to(self.folder)) for path in paths if not path.is_file()]
        if missing:
            raise MapLLaVAError(f"{self.folder} lacks {', '.join(missing)}: fetch the log again")
        return [*paths, map_file(self.folder)]

    def entries(self) -> Iterator[dict[str, Any]]:
        """Entries of every fifth sweep in time order, without their polylines; see ``gt_cache.schema``.

        A sweep without an image of every ring camera near it is left out, as all projects do.

        Yields:
            Dicts with ``sample_token`` (``<log id>_<ns>``), ``timestamp`` (µs), ``lidar2ego``, ``ego2global``
            (4, 4), ``cams`` and the names of log and city. ``lidar2ego`` is level with the car and x points
            right: nuScenes' frame at this car's LiDAR, not the sensor's own axes. The ego frame's origin is
            on the ground, :data:`EGO_HEIGHT` below the rear axle.

        Raises:
            MapLLaVAError: If a table is damaged, or lacks a sensor or the pose of a moment.
        """
        sweeps, dropped = self._moments("sensors/lidar", ".feather")[::STRIDE], 0
        images = {name: self._moments(f"sensors/cameras/{name}", ".jpg") for name in CAMERAS}
        for sweep in sweeps.tolist():
            nearest = {name: int(times[np.abs(times - sweep).argmin()]) for name, times in images.items()}
            if max(abs(time - sweep) for time in nearest.values()) > SYNCHRONOUS_NS:
                dropped += 1
                continue
            yield self._entry(sweep, nearest)
        if dropped:
            logger.warning("%s: %d of %d samples lack an image near them", self.folder, dropped, len(sweeps))

    def _entry(self, sweep: int, images: dict[str, int]) -> dict[str, Any]:
        log, pose = self.folder.name, self._pose(sweep) @ _GROUND
        lidar2ego = invert(_GROUND) @ rigid(_RIGHT_FORWARD, self._mounted(LIDAR)[:3, 3])
        cams = {}
        for name, time in images.items():
            # From the map at the sweep's time through the city to the camera at its own: ego motion is in it
            city2cam = invert(self._mounted(name)) @ invert(self._pose(time))
            path = self.folder / "sensors" / "cameras" / name / f"{time}.jpg"
            cams[name] = {
                "img_path": path.relative_to(self.dataroot).as_posix(),
                "cam2img": self._lens(name),
                "lidar2cam": city2cam @ pose @ lidar2ego,
                "timestamp": time // 1000,
            }
        return {
            "sample_token": f"{log}_{sweep}",
            "scene_token": log,
            "scene_name": log,
            "location": self.city,
            "timestamp": sweep // 1000,
            "lidar2ego": lidar2ego,
            "ego2global": pose,
            "cams": cams,
        }

    def _moments(self, below: str, suffix: str) -> np.ndarray:
        """Nanoseconds (n,) that name a sensor's files, in order."""
        folder = self.folder / below
        times = sorted(int(path.stem) for path in folder.glob(f"*{suffix}") if path.stem.isdigit())
        if not times:
            raise MapLLaVAError(
                f"{folder} holds no <nanoseconds>{suffix}: the names say when each was taken; fetch the "
                "log's folder sensors (the files' content is not read here)"
            )
        return np.array(times, dtype=np.int64)

    @cached_property
    def _tables(self) -> tuple[dict[int, Any], dict[str, Any], dict[str, Any]]:
        """Poses by nanosecond, sensors' mounting by name, intrinsics by name."""
        self.files()
        from av2.utils import io

        try:
            lenses = io.read_feather(self.folder / _TABLES[2]).set_index("sensor_name").to_dict("index")
            return io.read_city_SE3_ego(self.folder), io.read_ego_SE3_sensor(self.folder), lenses
        except (OSError, ValueError, KeyError) as error:
            raise self._damaged(f"{type(error).__name__}: {error}") from error

    def _pose(self, time: int) -> np.ndarray:
        if time not in self._tables[0]:
            raise self._damaged(f"no pose at {time} ns, when one of its files was taken")
        return self._tables[0][time].transform_matrix

    def _mounted(self, sensor: str) -> np.ndarray:
        if sensor not in self._tables[1]:
            raise self._damaged(f"no mounting of {sensor}")
        return self._tables[1][sensor].transform_matrix

    def _lens(self, camera: str) -> np.ndarray:
        """``(3, 3)`` of a camera; the distortion is left out, as all projects do."""
        if camera not in self._tables[2]:
            raise self._damaged(f"no intrinsics of {camera}")
        row = self._tables[2][camera]
        return np.array(
            [[row["fx_px"], 0, row["cx_px"]], [0, row["fy_px"], row["cy_px"]], [0, 0, 1]], dtype=np.float64
        )

    def _damaged(self, what: str) -> MapLLaVAError:
        return MapLLaVAError(f"the tables of {self.folder} are damaged ({what}): fetch the log again")
