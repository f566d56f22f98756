"""nuScenes tables as the entries of a GT cache: poses, calibrations and cameras of every key frame."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError

CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_FRONT_LEFT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT")
TABLES = ("scene", "log", "sample", "sample_data", "ego_pose", "calibrated_sensor", "sensor")
"""Tables whose content reaches the cache."""

_DEVKIT_TABLES = (*TABLES, "map", "category", "attribute", "visibility", "instance", "sample_annotation")


class NuScenesTables:
    """The tables of one version, read through the devkit.

    Args:
        dataroot: Root of the data set.
        version: Version folder, e.g. ``v1.0-mini``.

    Raises:
        MapLLaVAError: If the root, the version folder or a table is missing or damaged.
    """

    def __init__(self, dataroot: str | Path, version: str) -> None:
        self.dataroot = Path(dataroot)
        self.version = version
        check_layout(self.dataroot, version)
        from nuscenes.nuscenes import NuScenes

        try:
            self._devkit = NuScenes(version=version, dataroot=str(dataroot), verbose=False)
        except AssertionError as error:
            raise MapLLaVAError(
                f"the devkit refuses {self.dataroot}: {error}. Unpack the version's metadata archive again; "
                "its maps/*.png are needed too"
            ) from error
        except (ValueError, KeyError) as error:
            raise damaged_tables(self.dataroot / version, error) from error
        self._scenes = {scene["name"]: scene for scene in self._devkit.scene}

    def present(self, scene_names: Sequence[str]) -> list[str]:
        """Those of the scenes that this data set holds, in the given order.

        Raises:
            MapLLaVAError: If it holds none.
        """
        found = [name for name in scene_names if name in self._scenes]
        if not found:
            raise MapLLaVAError(
                f"none of the split's {len(scene_names)} scenes is in {self.dataroot / self.version}; of its "
                f"{len(self._scenes)} the first are {', '.join(sorted(self._scenes)[:3])}. "
                "Check --version and --split"
            )
        return found

    def location(self, scene_name: str) -> str:
        """Name of the map that a scene was recorded on."""
        return self._devkit.get("log", self._scenes[scene_name]["log_token"])["location"]

    def entries(self, scene_name: str) -> Iterator[dict[str, Any]]:
        """Entries of a scene's key frames in time order, without their polylines.

        Yields:
            Dicts with ``sample_token``, ``scene_token``, ``scene_name``, ``location``,
            ``timestamp`` (µs), ``lidar2ego``, ``ego2global`` (4, 4) and ``cams``.

        Raises:
            MapLLaVAError: If a sample lacks the LiDAR or one of the six cameras.
        """
        for sample in self._samples(scene_name):
            yield self._entry(self._scenes[scene_name], sample)

    def _samples(self, scene_name: str) -> Iterator[dict[str, Any]]:
        token = self._scenes[scene_name]["first_sample_token"]
        while token:
            sample = self._devkit.get("sample", token)
            yield sample
            token = sample["next"]

    def _entry(self, scene: dict[str, Any], sample: dict[str, Any]) -> dict[str, Any]:
        missing = [name for name in ("LIDAR_TOP", *CAMERAS) if name not in sample["data"]]
        if missing:
            raise MapLLaVAError(
                f"sample {sample['token']} of {scene['name']} in {self.dataroot / self.version} has no "
                f"{', '.join(missing)}: the cache needs LIDAR_TOP and six cameras; restore the tables"
            )
        lidar = self._devkit.get("sample_data", sample["data"]["LIDAR_TOP"])
        lidar2ego, ego2global, _ = self._poses(lidar)
        return {
            "sample_token": sample["token"],
            "scene_token": scene["token"],
            "scene_name": scene["name"],
            "location": self.location(scene["name"]),
            "timestamp": int(sample["timestamp"]),
            "lidar2ego": lidar2ego,
            "ego2global": ego2global,
            "cams": {
                name: self._camera(
                    self._devkit.get("sample_data", sample["data"][name]), lidar2ego, ego2global
                )
                for name in CAMERAS
            },
        }

    def _camera(self, data: dict[str, Any], lidar2ego: np.ndarray, ego2global: np.ndarray) -> dict[str, Any]:
        """One camera of an entry; ``lidar2cam`` goes through the world, so that ego motion is in it."""
        cam2ego, ego2global_cam, calibration = self._poses(data)
        lidar2global = ego2global @ lidar2ego
        return {
            "img_path": data["filename"],
            "cam2img": np.array(calibration["camera_intrinsic"], dtype=np.float64),
            "lidar2cam": invert(cam2ego) @ invert(ego2global_cam) @ lidar2global,
            "timestamp": int(data["timestamp"]),
        }

    def _poses(self, data: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Sensor to ego, ego to world at the sensor's time, and the calibration record."""
        calibration = self._devkit.get("calibrated_sensor", data["calibrated_sensor_token"])
        pose = self._devkit.get("ego_pose", data["ego_pose_token"])
        return transform(calibration), transform(pose), calibration


def transform(record: dict[str, Any]) -> np.ndarray:
    """``(4, 4)`` from a record's ``rotation`` (quaternion w, x, y, z) and ``translation`` (metres)."""
    from pyquaternion import Quaternion

    matrix = np.eye(4)
    matrix[:3, :3] = Quaternion(record["rotation"]).rotation_matrix
    matrix[:3, 3] = record["translation"]
    return matrix


def invert(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a rigid ``(4, 4)`` transform: the rotation is transposed, not inverted."""
    inverse = np.eye(4)
    inverse[:3, :3] = matrix[:3, :3].T
    inverse[:3, 3] = -matrix[:3, :3].T @ matrix[:3, 3]
    return inverse


def check_layout(dataroot: Path, version: str) -> None:
    """Check that root, version folder, tables and map expansion are there.

    Raises:
        MapLLaVAError: Naming what is missing and where it comes from.
    """
    check_version_folder(dataroot, version, _DEVKIT_TABLES)
    if not (dataroot / "maps" / "expansion").is_dir():
        raise MapLLaVAError(
            f"{dataroot / 'maps' / 'expansion'} is missing: unpack the 'Map expansion' archive (v1.3) of "
            f"nuscenes.org into {dataroot / 'maps'}"
        )


def damaged_tables(folder: Path, error: Exception) -> MapLLaVAError:
    """What to say when tables are there but cannot be read."""
    return MapLLaVAError(
        f"the tables in {folder} are damaged{_unreadable(folder)} ({type(error).__name__}: {error}): "
        "unpack the version's metadata archive again"
    )


def _unreadable(folder: Path) -> str:
    """The tables that are no JSON; the devkit's error does not name them."""
    names = []
    for path in sorted(folder.glob("*.json")):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            names.append(path.name)
    return f", {', '.join(names)} is no JSON" if names else ""


def check_version_folder(dataroot: Path, version: str, tables: Sequence[str]) -> Path:
    """The folder of a version, after a check that root, folder and tables are there.

    Raises:
        MapLLaVAError: Naming what is missing and where it comes from.
    """
    if not dataroot.is_dir():
        raise MapLLaVAError(
            f"data root {dataroot} is not a folder: pass --dataroot the folder that holds {version}/"
        )
    folder = dataroot / version
    if not folder.is_dir():
        versions = sorted(path.parent.name for path in dataroot.glob("*/sample.json"))
        hint = f"versions there: {', '.join(versions)}" if versions else "it holds no version at all"
        raise MapLLaVAError(f"{folder} is missing; {hint}. Pass another --version, or unpack {version} there")
    missing = [name for name in tables if not (folder / f"{name}.json").is_file()]
    if missing:
        raise MapLLaVAError(
            f"{folder} lacks {', '.join(f'{name}.json' for name in missing)}: "
            "unpack the version's metadata archive again"
        )
    return folder
